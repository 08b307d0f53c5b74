//! What can be wrong with bytes, messages and frames. Field numbers and offsets, never bytes.

use thiserror::Error;

//= docs/rules.md#C-03
/// Why bytes are not a message of the dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("field {field} at offset {offset}: {kind}")]
pub struct ParseError {
    /// The field; 0 is the MTI, 1 any bitmap.
    pub field: u8,
    /// Bytes from the start of the message: the length prefix when that is wrong or too large, the
    /// first byte of the value when the value is cut or ill-formed, the first surplus byte when
    /// something follows the last field.
    pub offset: u32,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ParseErrorKind {
    /// The message ends inside it.
    #[error("the message ends inside it")]
    Truncated,
    /// The MTI is not four digits.
    #[error("the type indicator is not four digits")]
    Mti,
    /// The bitmap is not hexadecimal.
    #[error("the bitmap is not hexadecimal")]
    Bitmap,
    /// Bit 65 announces a third bitmap, which the dialect does not have.
    #[error("a tertiary bitmap is announced")]
    Tertiary,
    /// The dialect does not define the field, so its length is unknown.
    #[error("the dialect does not define it")]
    Undefined,
    /// The length prefix is not decimal digits.
    #[error("the length prefix is not numeric")]
    Prefix,
    /// The length prefix names more than the field's maximum.
    #[error("the length is above the maximum")]
    AboveMaximum,
    /// A character is outside the field's class.
    #[error("a character is outside its class")]
    Content,
    /// The nibble that is over is not the pad, where the dialect insists on it.
    #[error("its padding is not the dialect's")]
    Padding,
    /// The digits are no date or time that can be.
    #[error("it is no date or time")]
    Date,
    /// What the field holds is not as its row says.
    #[error("what it holds is malformed")]
    Composite,
    /// The type of message must have the field.
    #[error("it is missing")]
    Missing,
    /// Bytes follow the last field.
    #[error("bytes follow the last field")]
    Trailing,
    /// Longer than any frame may be.
    #[error("longer than 65535 bytes")]
    TooLong,
}

impl ParseErrorKind {
    /// Whether what follows cannot be read, because nobody knows where it begins.
    pub(crate) const fn is_structural(self) -> bool {
        match self {
            Self::Content | Self::Padding | Self::Date | Self::Composite => false,
            Self::Truncated
            | Self::Mti
            | Self::Bitmap
            | Self::Tertiary
            | Self::Undefined
            | Self::Prefix
            | Self::AboveMaximum
            | Self::Missing
            | Self::Trailing
            | Self::TooLong => true,
        }
    }
}

/// Why a message cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// The buffer is too small.
    #[error("the buffer is full")]
    Full,
    /// Fields must be put in ascending order.
    #[error("field {0} is out of order")]
    Order(u8),
    /// The dialect does not define the field.
    #[error("field {0} is not defined in the dialect")]
    Undefined(u8),
    /// The value's length is not the field's, or above its maximum.
    #[error("field {0} does not have its length")]
    Length(u8),
    /// A character is outside the field's class.
    #[error("field {0} has a character outside its class")]
    Content(u8),
    /// The field would stand behind the message authentication code, and nothing may.
    #[error("field {0} would stand behind the message authentication code")]
    BehindMac(u8),
    /// The message is of a type that is never answered.
    #[error("a message of this type is never answered")]
    NotAnswerable,
    /// The message holds the byte that ends a frame.
    #[error("the message holds the end-of-text that would cut it")]
    EndOfText,
}

/// Why a well-formed message does not say what its type must say. Answered with 30.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("field {field} is missing or cannot be used")]
pub struct FormatError {
    /// The field; 0 when the message type is not the one asked for.
    pub field: u8,
}

/// Why a well-formed message is not known to come from whom it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("field {field}: {rule}")]
pub struct MacError {
    /// Where the MAC stands, or must stand: 64 or 128.
    pub field: u8,
    /// What it must have done.
    pub rule: MacRule,
}

/// What a MAC must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MacRule {
    /// It is there.
    #[error("the message authentication code is missing")]
    Missing,
    /// It is the last field: what follows it is not covered.
    #[error("the message authentication code is not the last field")]
    NotLast,
    /// It is that of the bytes before it.
    #[error("the message authentication code is wrong")]
    Wrong,
}

impl MacRule {
    /// The rule, broken by a field.
    pub(crate) const fn of(self, field: u8) -> MacError {
        MacError { field, rule: self }
    }
}

/// Why a frame is refused: the connection is closed, without a search for the next frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The length prefix is above the cap.
    #[error("a frame of {len} bytes is above the maximum of {frame_len_max}")]
    TooLong {
        /// The announced length.
        len: usize,
        /// The cap.
        frame_len_max: usize,
    },
    /// The length prefix is below the shortest message.
    #[error("a frame of {len} bytes is shorter than any message")]
    TooShort {
        /// The announced length.
        len: usize,
    },
    /// A length that counts itself, or what stands behind the message, is below that.
    #[error("a length of {value} is below what it counts beside the message")]
    BelowItself {
        /// The announced length.
        value: usize,
    },
    /// A byte of the length is no digit.
    #[error("byte {offset} of the length is no digit")]
    NotADigit {
        /// Bytes from the first one of the length.
        offset: usize,
    },
    /// A nibble of the length is above nine.
    #[error("byte {offset} of the length is not packed decimal")]
    NotBcd {
        /// Bytes from the first one of the length.
        offset: usize,
    },
    /// The prefix has another byte where the framing has a fixed one.
    #[error("byte {offset} of the prefix is not the fixed one of the framing")]
    NotFixed {
        /// Bytes from the start of the frame.
        offset: usize,
    },
    /// The record goes on in the next frame.
    #[error("a message in more than one frame is not taken")]
    MoreFollows,
    /// The message is not followed by the end-of-text that its length counts.
    #[error("byte {offset} of the frame is not its end-of-text")]
    NoTrailer {
        /// Bytes from the start of the frame.
        offset: usize,
    },
    /// No end-of-text within the cap.
    #[error("no end-of-text within {frame_len_max} bytes")]
    NoEnd {
        /// The cap.
        frame_len_max: usize,
    },
}

/// Why what a frame holds does not begin with a header of the endpoint's form: the connection is
/// closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The frame ends inside it.
    #[error("{len} bytes are shorter than a header of {header_len}")]
    TooShort {
        /// Bytes that the frame holds.
        len: usize,
        /// Bytes of the header.
        header_len: usize,
    },
    /// It has another byte where its form has a fixed one.
    #[error("byte {offset} of the header is not one of its form")]
    NotFixed {
        /// Bytes from the start of the header.
        offset: usize,
    },
    /// It says that it is of a length that no header of its form has.
    #[error("a header of {value} bytes is not of its form")]
    Length {
        /// What it says.
        value: u8,
    },
    /// It says another total than the frame's length.
    #[error("the header counts {total} bytes in all, the frame has {len}")]
    Total {
        /// What it says.
        total: u16,
        /// Bytes that the frame holds.
        len: usize,
    },
    /// A second header follows, and it is no reject.
    #[error("a second header follows where there is no reject")]
    Another,
    /// The code of a reject is not packed decimal.
    #[error("the reject code is not packed decimal")]
    RejectCode,
}

/// Why rows do not make a dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DialectError {
    /// Data fields are 2 to 128, and not 65; with a tertiary bitmap up to 192.
    #[error("field {0} cannot be defined")]
    Number(u8),
    /// Rows must ascend, one per field.
    #[error("field {0} is out of order or defined twice")]
    Order(u8),
    /// A length of zero, or above what the prefix can say.
    #[error("field {0} has an impossible length")]
    Length(u8),
    /// Only digits, tracks and x+n can be packed.
    #[error("field {0} cannot be packed: only n, z and x+n can")]
    Encoding(u8),
    /// A date or time needs digits of a fixed length that is its own.
    #[error("field {0} is not as long as its date or time, or not n")]
    Calendar(u8),
    /// Packed digits with a digit for a pad, behind a length that counts bytes: nothing tells
    /// nineteen digits from twenty. Of an account number that is another account.
    #[error(
        "field {0} is an account number whose length in bytes does not tell an odd number of \
         digits from an even one: count units, or pad with a nibble above 9"
    )]
    Ambiguous(u8),
    /// Hexadecimal digits stand for bytes, as bytes do for themselves.
    #[error("field {0} is written as bytes or hexadecimal digits, which are of class b")]
    Bytes(u8),
    /// A pad that does not fit the place of one digit.
    #[error("field {0} has a pad that is no nibble: take 0 to 15")]
    Pad(u8),
    /// The only bitmap has 1 to 16 bytes.
    #[error("a bitmap of {0} bytes cannot be: one alone has 1 to 16")]
    Bitmap(u8),
    /// A value is taken apart in a buffer that has a bound, unless it is on the wire as it is.
    #[error(
        "field {field} holds parts and is in another encoding than bytes or ascii, so it has at \
         most {units_max} of them: lower its length"
    )]
    Parts {
        /// The field.
        field: u8,
        /// Bytes or characters that are taken apart at most.
        units_max: u16,
    },
    /// What is replayed is stored, and authentication data never is; only DE55 is taken apart.
    #[error("field {0} may hold authentication data, so it cannot be replayed")]
    Replay(u8),
}
