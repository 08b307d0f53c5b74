//! Headers between the length and the message: who sent it and who is to get it (semantics.md §11).
//!
//! A header counts in the length of its frame. It is taken off before the message is read, kept
//! with it, and turned round for the reply.

use core::fmt;

use crate::error::{HeaderError, WriteError};
use crate::hex;

/// The form of the headers of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Header {
    /// `none`: the message follows the length at once.
    None,
    /// `tpdu`: five bytes, `60`, destination and source in two bytes each.
    Tpdu,
    /// `base1`: 22 bytes with the length of everything and two stations; 26 bytes in a reject.
    Base1,
    /// `base24`: "ISO" and nine characters.
    Base24,
    /// `fixedN`: so many bytes, 1 to 32, that are not looked at.
    Fixed(u8),
}

impl Header {
    /// Bytes of the longest header.
    pub const LEN_MAX: usize = 32;

    /// The form of that name in the configuration.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "tpdu" => Some(Self::Tpdu),
            "base1" => Some(Self::Base1),
            "base24" => Some(Self::Base24),
            _ => {
                let digits = name.strip_prefix("fixed")?;
                let is_number = digits.starts_with(|first: char| ('1'..='9').contains(&first));
                let len = digits.parse().ok().filter(|_| is_number)?;
                (usize::from(len) <= Self::LEN_MAX).then_some(Self::Fixed(len))
            }
        }
    }

    /// Bytes of a header that is no reject.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Tpdu => 5,
            Self::Base1 => BASE1_LEN,
            Self::Base24 => 12,
            Self::Fixed(len) => len.into(),
        }
    }

    /// Whether there is no header at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Takes the header off what a frame holds.
    ///
    /// # Errors
    /// The bytes do not begin with a header of this form: the connection must be closed.
    pub fn strip(self, frame: &[u8]) -> Result<Stripped<'_>, HeaderError> {
        let too_short = HeaderError::TooShort {
            len: frame.len(),
            header_len: self.len(),
        };
        let (header, message) = frame.split_at_checked(self.len()).ok_or(too_short)?;
        match self {
            Self::None | Self::Fixed(_) => {}
            Self::Tpdu => begins_with(header, &[TPDU])?,
            Self::Base24 => {
                begins_with(header, BASE24)?;
                let is_text = |byte: &u8| (b' '..=b'~').contains(byte);
                let text = header.iter().position(|byte| !is_text(byte));
                if let Some(offset) = text {
                    return Err(HeaderError::NotFixed { offset });
                }
            }
            Self::Base1 => {
                if let Some(reject) = check_base1(header, frame)? {
                    return Ok(reject);
                }
            }
        }
        let header = HeaderBytes::new(self, header).ok_or(too_short)?;
        Ok(Stripped::Message { header, message })
    }

    /// A header for what is sent first: from `source` to `destination`, four hexadecimal digits
    /// each for `tpdu`, six decimal digits for `base1`. `None` when they are not, and for the forms
    /// that know neither.
    #[must_use]
    pub fn addressed(self, destination: &str, source: &str) -> Option<HeaderBytes> {
        let mut bytes = [0; Self::LEN_MAX];
        let (at, digits) = match self {
            Self::Tpdu => (1, 4),
            Self::Base1 => (5, 6),
            Self::None | Self::Base24 | Self::Fixed(_) => return None,
        };
        if self == Self::Tpdu {
            put(&mut bytes, 0, &[TPDU])?;
        } else {
            put(&mut bytes, 0, &[BASE1_LEN_BYTE, BASE1_FORMAT, BASE1_TEXT])?;
        }
        let mut packed = [0; 6];
        let (first, second) = packed.split_at_mut_checked(digits / 2)?;
        for (half, address) in [(&mut *first, destination), (second, source)] {
            let is_decimal = address.bytes().all(|digit| digit.is_ascii_digit());
            if address.len() != digits || (self == Self::Base1 && !is_decimal) {
                return None;
            }
            hex::decode(address.as_bytes(), half)?;
        }
        put(&mut bytes, at, packed.get(..digits)?)?;
        HeaderBytes::new(self, bytes.get(..self.len())?)
    }

    /// A header for what is sent first, given whole in hexadecimal digits: for `base24` and
    /// `fixedN`. `None` when it is none of this form, and for the others.
    #[must_use]
    pub fn verbatim(self, digits: &str) -> Option<HeaderBytes> {
        match self {
            Self::Base24 | Self::Fixed(_) => {}
            Self::None | Self::Tpdu | Self::Base1 => return None,
        }
        let mut bytes = [0; Self::LEN_MAX];
        let bytes = hex::decode(digits.as_bytes(), &mut bytes)?;
        match self.strip(bytes) {
            Ok(Stripped::Message {
                header,
                message: [],
            }) => Some(header),
            Ok(_) | Err(_) => None,
        }
    }
}

/// The name in the configuration.
impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Tpdu => f.write_str("tpdu"),
            Self::Base1 => f.write_str("base1"),
            Self::Base24 => f.write_str("base24"),
            Self::Fixed(len) => write!(f, "fixed{len}"),
        }
    }
}

/// What a frame holds behind its header.
#[derive(Clone, Copy, Debug)]
pub enum Stripped<'a> {
    /// A message.
    Message {
        /// Its header.
        header: HeaderBytes,
        /// The message.
        message: &'a [u8],
    },
    /// The network gives back a message that it did not pass on: `base1` alone.
    Rejected {
        /// Why.
        code: RejectCode,
        /// The header of what it gives back.
        header: HeaderBytes,
        /// What it gives back.
        message: &'a [u8],
    },
}

/// Why a network did not pass a message on: four digits of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RejectCode(pub u16);

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

/// One header. A copy of what came, or what to send.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HeaderBytes {
    form: Header,
    bytes: [u8; Header::LEN_MAX],
}

impl HeaderBytes {
    /// No header.
    pub const NONE: Self = Self {
        form: Header::None,
        bytes: [0; Header::LEN_MAX],
    };

    fn new(form: Header, header: &[u8]) -> Option<Self> {
        debug_assert_eq!(header.len(), form.len());
        let mut bytes = [0; Header::LEN_MAX];
        put(&mut bytes, 0, header)?;
        Some(Self { form, bytes })
    }

    /// Its form.
    #[must_use]
    pub const fn form(&self) -> Header {
        self.form
    }

    /// Its bytes, as many as [`Header::len`] says.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.form.len()).unwrap_or_default()
    }

    /// The header of the reply to a message that came with this one: back to where it came from.
    #[must_use]
    pub fn reply(mut self) -> Self {
        // Destination, then source.
        let addresses = match self.form {
            Header::Tpdu => 1..5,
            Header::Base1 => 5..11,
            Header::None | Header::Base24 | Header::Fixed(_) => 0..0,
        };
        let addresses = self.bytes.get_mut(addresses).unwrap_or_default();
        let half = addresses.len() / 2;
        if let Some((destination, source)) = addresses.split_at_mut_checked(half) {
            destination.swap_with_slice(source);
        }
        self
    }

    /// Writes it at the start of `out`, in front of a message of `len` bytes. Returns how many
    /// bytes it is.
    ///
    /// # Errors
    /// `out` is too small, or the header cannot say how long it all is.
    pub fn put(&self, out: &mut [u8], len: usize) -> Result<usize, WriteError> {
        let header = self.as_bytes();
        let end = header.len();
        put(out, 0, header).ok_or(WriteError::Full)?;
        if self.form == Header::Base1 {
            let total = end.checked_add(len).and_then(|all| u16::try_from(all).ok());
            let total = total.ok_or(WriteError::Full)?.to_be_bytes();
            put(out, BASE1_TOTAL_AT, &total).ok_or(WriteError::Full)?;
        }
        Ok(end)
    }
}

/// Without its bytes: they are a peer's.
impl fmt::Debug for HeaderBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeaderBytes({})", self.form)
    }
}

/// Checks a header of 22 bytes. Gives what a reject gives back when it is the beginning of one.
fn check_base1<'a>(header: &[u8], frame: &'a [u8]) -> Result<Option<Stripped<'a>>, HeaderError> {
    let [header_len, format, _, high, low, ..] = *header else {
        return Err(HeaderError::TooShort {
            len: frame.len(),
            header_len: BASE1_LEN,
        });
    };
    if header_len != BASE1_LEN_BYTE && header_len != REJECT_LEN_BYTE {
        return Err(HeaderError::Length { value: header_len });
    }
    let total = u16::from_be_bytes([high, low]);
    if usize::from(total) != frame.len() {
        return Err(HeaderError::Total {
            total,
            len: frame.len(),
        });
    }
    if header_len == REJECT_LEN_BYTE {
        rejected(frame).map(Some)
    } else if format & ANOTHER_FOLLOWS != 0 {
        Err(HeaderError::Another)
    } else {
        Ok(None)
    }
}

/// A reject: 26 bytes, then what was sent, its header first. The total of that header is not
/// compared: a wrong one may be why the message comes back.
fn rejected(frame: &[u8]) -> Result<Stripped<'_>, HeaderError> {
    let too_short = HeaderError::TooShort {
        len: frame.len(),
        header_len: REJECT_LEN.saturating_add(BASE1_LEN),
    };
    let (reject, given_back) = frame.split_at_checked(REJECT_LEN).ok_or(too_short)?;
    let (header, message) = given_back.split_at_checked(BASE1_LEN).ok_or(too_short)?;
    let [.., bitmap, _, high, low] = *reject else {
        return Err(too_short);
    };
    if bitmap & REJECT_BIT == 0 {
        return Err(HeaderError::Length {
            value: REJECT_LEN_BYTE,
        });
    }
    match header.first() {
        Some(&BASE1_LEN_BYTE) => {}
        Some(value) => return Err(HeaderError::Length { value: *value }),
        None => return Err(too_short),
    }
    Ok(Stripped::Rejected {
        code: reject_code([high, low])?,
        header: HeaderBytes::new(Header::Base1, header).ok_or(too_short)?,
        message,
    })
}

fn reject_code(packed: [u8; 2]) -> Result<RejectCode, HeaderError> {
    let mut code = 0_u16;
    for nibble in packed.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]) {
        if nibble > 9 {
            return Err(HeaderError::RejectCode);
        }
        code = code.saturating_mul(10).saturating_add(nibble.into());
    }
    debug_assert!(code <= 9999);
    Ok(RejectCode(code))
}

fn begins_with(header: &[u8], fixed: &[u8]) -> Result<(), HeaderError> {
    let mut pairs = header.iter().zip(fixed);
    match pairs.position(|(found, fixed)| found != fixed) {
        Some(offset) => Err(HeaderError::NotFixed { offset }),
        None => Ok(()),
    }
}

/// Copies `bytes` into `out` from `at` on; `None` when they do not fit.
fn put(out: &mut [u8], at: usize, bytes: &[u8]) -> Option<()> {
    let end = at.checked_add(bytes.len())?;
    out.get_mut(at..end)?.copy_from_slice(bytes);
    Some(())
}

const TPDU: u8 = 0x60;
const BASE24: &[u8] = b"ISO";
const BASE1_LEN: usize = 22;
const BASE1_LEN_BYTE: u8 = 22;
const BASE1_FORMAT: u8 = 0x01;
const BASE1_TEXT: u8 = 0x02;
const BASE1_TOTAL_AT: usize = 3;
/// In the format byte.
const ANOTHER_FOLLOWS: u8 = 0x80;
const REJECT_LEN: usize = 26;
const REJECT_LEN_BYTE: u8 = 26;
/// In byte 22.
const REJECT_BIT: u8 = 0x80;

#[cfg(test)]
mod tests;
