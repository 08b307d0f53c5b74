//! What the response codes of one endpoint mean, where they mean something else than the standard
//! says (semantics.md §9.2, §9.3).

use alloc::vec::Vec;

use crate::response_code::ResponseCode;
use crate::result_code::CodeClass;

/// The codes of one endpoint. Made when the configuration is read; empty for the standard's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeMap {
    pairs: Vec<CodePair>,
    approvals: Vec<ApprovalRange>,
}

/// One code of the endpoint and the internal code that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodePair {
    /// As the endpoint writes it.
    pub endpoint: ResponseCode,
    /// As the switch has it.
    pub internal: ResponseCode,
}

/// Codes of an endpoint that approve, from one to another of the same edition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApprovalRange {
    /// The first.
    pub first: ResponseCode,
    /// The last; the first once more for a single code.
    pub last: ResponseCode,
}

impl ApprovalRange {
    fn contains(&self, code: ResponseCode) -> bool {
        let (first, last) = (self.first.as_bytes(), self.last.as_bytes());
        (first..=last).contains(&code.as_bytes())
    }
}

/// Why a map cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMapError {
    /// A decline would be an approval, or the other way.
    Approval(CodePair),
    /// A pick-up would be a plain decline.
    PickUp(CodePair),
    /// An administrative code is one by the standard, and has no other meaning.
    Administrative(CodePair),
    /// A code of the endpoint that means two things.
    Twice(ResponseCode),
}

impl CodeMap {
    /// The standard's.
    pub const STANDARD: Self = Self {
        pairs: Vec::new(),
        approvals: Vec::new(),
    };

    /// From what an endpoint writes otherwise than the standard, and its approval set when that is
    /// another one.
    ///
    /// # Errors
    /// The first pair that would make an approval of a decline, or hide a pick-up.
    pub fn new(pairs: Vec<CodePair>, approvals: Vec<ApprovalRange>) -> Result<Self, CodeMapError> {
        let map = Self { pairs, approvals };
        for (place, pair) in map.pairs.iter().enumerate() {
            let class = map.class(pair.endpoint);
            let internal = pair.internal.class();
            let is_approval = class == CodeClass::Approved;
            if class == CodeClass::Administrative || internal == CodeClass::Administrative {
                return Err(CodeMapError::Administrative(*pair));
            }
            if is_approval != (internal == CodeClass::Approved) {
                return Err(CodeMapError::Approval(*pair));
            }
            if (class == CodeClass::PickUp) != (internal == CodeClass::PickUp) {
                return Err(CodeMapError::PickUp(*pair));
            }
            let mut before = map.pairs.iter().take(place);
            if before.any(|other| other.endpoint == pair.endpoint) {
                return Err(CodeMapError::Twice(pair.endpoint));
            }
        }
        Ok(map)
    }

    /// Whether it says nothing.
    #[must_use]
    pub const fn is_standard(&self) -> bool {
        self.pairs.is_empty() && self.approvals.is_empty()
    }

    /// The internal code for what the endpoint sent, which goes with it. Approvals are the
    /// endpoint's approval set and nothing else; an unknown code is a decline.
    #[must_use]
    pub fn read(&self, sent: ResponseCode) -> ResponseCode {
        if self.is_standard() {
            return sent.internal();
        }
        let named = self.pairs.iter().find(|pair| pair.endpoint == sent);
        if let Some(pair) = named {
            return pair.internal.sent_as(sent);
        }
        let code = sent.internal();
        match (self.class(sent) == CodeClass::Approved, code.is_approval()) {
            (true, false) => ResponseCode::APPROVED.sent_as(sent),
            (false, true) => ResponseCode::DO_NOT_HONOUR.sent_as(sent),
            (true, true) | (false, false) => code,
        }
    }

    /// What the endpoint has for an internal code; the code itself where that is the standard's.
    #[must_use]
    pub fn named(&self, code: ResponseCode) -> ResponseCode {
        let named = self.pairs.iter().find(|pair| pair.internal == code);
        named.map_or(code, |pair| pair.endpoint)
    }

    /// The class of a code of the endpoint.
    fn class(&self, code: ResponseCode) -> CodeClass {
        if self.approvals.is_empty() {
            return code.class();
        }
        let is_approval = self.approvals.iter().any(|range| range.contains(code));
        let class = code.class();
        if is_approval {
            CodeClass::Approved
        } else if class == CodeClass::Approved {
            CodeClass::Declined
        } else {
            class
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn code(digits: &str) -> ResponseCode {
        ResponseCode::read(digits.as_bytes()).unwrap()
    }

    fn pair(endpoint: &str, internal: &str) -> CodePair {
        CodePair {
            endpoint: code(endpoint),
            internal: code(internal),
        }
    }

    fn range(first: &str, last: &str) -> ApprovalRange {
        ApprovalRange {
            first: code(first),
            last: code(last),
        }
    }

    #[track_caller]
    fn check(map: &CodeMap, sent: &str, internal: &str) {
        let read = map.read(code(sent));
        assert_eq!(read, code(internal), "{sent}");
        assert_eq!(read.sent().unwrap_or(read), code(sent), "raw is kept");
    }

    #[test]
    fn an_endpoint_says_what_its_codes_mean() {
        let map = CodeMap::new(vec![pair("N7", "55"), pair("126", "55")], vec![]).unwrap();
        check(&map, "N7", "55");
        check(&map, "126", "55");
        check(&map, "116", "51");
        check(&map, "Z9", "Z9");
        assert_eq!(map.named(code("55")), code("N7"));
        assert_eq!(map.named(code("51")), code("51"));
    }

    #[test]
    fn the_approval_set_is_the_endpoints() {
        let map = CodeMap::new(vec![], vec![range("00", "00"), range("85", "85")]).unwrap();
        check(&map, "00", "00");
        check(&map, "85", "00");
        check(&map, "11", "05");
        check(&map, "51", "51");
        let map = CodeMap::new(vec![], vec![range("000", "003")]).unwrap();
        check(&map, "003", "11");
        check(&map, "004", "05");
        check(&map, "116", "51");
        check(&map, "400", "400");
    }

    #[test]
    fn no_map_makes_an_approval_of_a_decline_or_hides_a_pick_up() {
        let refused = |endpoint, internal| {
            let pair = pair(endpoint, internal);
            CodeMap::new(vec![pair], vec![]).map_err(|error| (error, pair))
        };
        let approval = |endpoint, internal| {
            let (error, pair) = refused(endpoint, internal).unwrap_err();
            assert_eq!(error, CodeMapError::Approval(pair));
        };
        approval("85", "00");
        approval("00", "05");
        approval("116", "10");
        for (endpoint, internal) in [("41", "05"), ("05", "04"), ("200", "51")] {
            let (error, pair) = refused(endpoint, internal).unwrap_err();
            assert_eq!(error, CodeMapError::PickUp(pair));
        }
        let (error, pair) = refused("400", "51").unwrap_err();
        assert_eq!(error, CodeMapError::Administrative(pair));
        let approvals = vec![range("85", "85")];
        assert!(CodeMap::new(vec![self::pair("85", "11")], approvals).is_ok());
        let twice = vec![self::pair("Z1", "55"), self::pair("Z1", "51")];
        assert_eq!(
            CodeMap::new(twice, vec![]),
            Err(CodeMapError::Twice(code("Z1")))
        );
    }
}
