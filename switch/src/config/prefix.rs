//! The digits that account numbers begin with.

use std::fmt;

use domain::bytes::Text;

/// Leading digits of account numbers: all between `low` and `high`, which have the same length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixRange {
    /// The first.
    pub low: Text<19>,
    /// The last; equals `low` for a single prefix.
    pub high: Text<19>,
}

impl PrefixRange {
    /// Reads `506100` or `506100-506109`.
    ///
    /// # Errors
    /// What is wrong, to be said after the name of the key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (low, high) = text.split_once('-').unwrap_or((text, text));
        let range = Self {
            low: digits(low.trim())?,
            high: digits(high.trim())?,
        };
        if range.low.as_bytes().len() != range.high.as_bytes().len() {
            return Err("takes a range whose ends have the same number of digits".to_owned());
        }
        if range.low > range.high {
            return Err("takes a range from the lower to the higher prefix".to_owned());
        }
        Ok(range)
    }
}

impl fmt::Display for PrefixRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.low == self.high {
            write!(f, "{}", self.low)
        } else {
            write!(f, "{}-{}", self.low, self.high)
        }
    }
}

fn digits(text: &str) -> Result<Text<19>, String> {
    let refused = || "takes prefixes of 1 to 19 digits, or ranges like 400000-400999".to_owned();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refused());
    }
    Text::new("prefix", text.as_bytes()).map_err(|_| refused())
}
