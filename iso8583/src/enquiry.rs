//! Requests that have no amount.

use domain::request::is_enquiry;

use crate::message::MessageRef;
use crate::mti::{Class, Function, Version};

impl MessageRef<'_> {
    //= docs/rules.md#T-15
    /// Whether it is a request for something that has no amount: an enquiry (DE3 3x: a balance,
    /// available funds), in either edition, or in 1987 the verification of an account without an
    /// authorisation (0100 with DE25 51), or the reversal of either. Some hosts send DE4 with
    /// zeros, some none.
    #[must_use]
    pub fn needs_no_amount(self) -> bool {
        let mti = self.mti();
        let class = mti.class();
        let is_request = mti.function() == Function::Request
            && matches!(class, Class::Authorisation | Class::Financial);
        let reverses = class == Class::Reversal
            && matches!(mti.function(), Function::Request | Function::Advice);
        if !is_request && !reverses {
            return false;
        }
        let mut scratch = [0; 6];
        let code = self
            .decode(PROCESSING_CODE, &mut scratch)
            .unwrap_or_default();
        if is_enquiry(code) {
            return true;
        }
        let mut scratch = [0; 2];
        mti.version() == Version::Iso1987
            && matches!(class, Class::Authorisation | Class::Reversal)
            && self.present().contains(CONDITION)
            && self.decode(CONDITION, &mut scratch) == Some(VERIFICATION)
    }
}

const PROCESSING_CODE: u8 = 3;
/// Point of service condition code of 1987.
const CONDITION: u8 = 25;
/// Verification request without authorisation.
const VERIFICATION: &[u8] = b"51";

#[cfg(test)]
mod tests {
    use crate::testing::purchase_with;

    #[track_caller]
    fn check(mti: &str, changes: &[(u8, &[u8])], expected: bool) {
        let message = purchase_with(mti, changes);
        assert_eq!(message.view().needs_no_amount(), expected, "{mti}");
    }

    #[test]
    fn enquiries_and_verifications_have_no_amount() {
        for mti in ["0100", "0101", "0200"] {
            check(mti, &[(3, b"310000")], true);
            check(mti, &[(3, b"301000")], true);
            check(mti, &[(3, b"010000")], false);
        }
        check("0220", &[(3, b"310000")], false);
        for mti in ["0400", "0420", "0421"] {
            check(mti, &[(3, b"310000")], true);
            check(mti, &[(3, b"010000")], false);
            check(mti, &[(25, b"51")], true);
            check(mti, &[(25, b"00")], false);
        }
        check("0410", &[(3, b"310000")], false);
        check("0100", &[(25, b"51")], true);
        check("0200", &[(25, b"51")], false);
        check("0100", &[(25, b"00")], false);
    }
}
