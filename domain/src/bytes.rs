//! Short strings of fixed capacity, held in place: no allocation, and `Copy`.

use core::fmt;

use crate::error::InvalidValue;

/// Up to `N` bytes of printable ASCII, held in place.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    /// The text of no characters; stands for an absent field.
    pub const EMPTY: Self = Self {
        len: 0,
        bytes: [0; N],
    };

    /// Takes printable ASCII (0x20 to 0x7E) of at most `N` bytes.
    ///
    /// # Errors
    /// [`InvalidValue`] names `what`.
    pub fn new(what: &'static str, bytes: &[u8]) -> Result<Self, InvalidValue> {
        if bytes.iter().any(|byte| !matches!(byte, 0x20..=0x7E)) {
            return Err(InvalidValue::Character(what));
        }
        let len = u8::try_from(bytes.len()).map_err(|_| InvalidValue::Length(what))?;
        let mut text = Self { len, bytes: [0; N] };
        let target = text
            .bytes
            .get_mut(..bytes.len())
            .ok_or(InvalidValue::Length(what))?;
        target.copy_from_slice(bytes);
        Ok(text)
    }

    /// The bytes, without padding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// Whether the field is absent.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_spaces_and_refuses_what_does_not_fit() {
        assert_eq!(
            Text::<8>::new("DE41", b"TERM 1  ").unwrap().as_str(),
            "TERM 1  "
        );
        assert_eq!(
            Text::<2>::new("DE41", b"abc"),
            Err(InvalidValue::Length("DE41"))
        );
        assert_eq!(
            Text::<2>::new("DE41", b"\x1b"),
            Err(InvalidValue::Character("DE41"))
        );
        assert!(Text::<2>::EMPTY.is_empty());
    }
}
