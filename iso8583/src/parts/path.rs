//! Where in a message a part stands: `4`, `127.25`, `55.9F36`.

use core::fmt;

use crate::tagged::Id;

/// The steps from the message to a part. Its text is the key of the part.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Path {
    steps: [Step; Self::LEN_MAX],
    len: u8,
}

impl Path {
    /// The message itself.
    pub const EMPTY: Self = Self {
        steps: [Step::Field(0); Self::LEN_MAX],
        len: 0,
    };

    /// Fields within fields, a dataset, elements within elements: nothing stands deeper.
    pub const LEN_MAX: usize = 10;

    /// The path of a part of what stands here. A step that is one too many is left out.
    #[must_use]
    pub(super) fn with(mut self, step: Step) -> Self {
        debug_assert!(usize::from(self.len) < Self::LEN_MAX, "depth is bounded");
        if let Some(slot) = self.steps.get_mut(usize::from(self.len)) {
            *slot = step;
            self.len = self.len.saturating_add(1);
        }
        self
    }

    /// The first so many steps.
    #[must_use]
    pub(super) fn first(mut self, len: usize) -> Self {
        self.len = self.len.min(u8::try_from(len).unwrap_or(u8::MAX));
        self
    }

    /// From the message on.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        self.steps.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.steps().iter().enumerate() {
            if place > 0 {
                f.write_str(".")?;
            }
            fmt::Display::fmt(step, f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A field, or a sub-field of a dialect of its own: its number.
    Field(u8),
    /// A BER-TLV element: its tag, `9F36`.
    Tag(u32),
    /// A dataset: its identifier, `01`.
    Dataset(u8),
    /// A sub-element: its id.
    Id(Id),
    /// What stands before the first sub-element: `lead`.
    Lead,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(number) => write!(f, "{number}"),
            Self::Tag(tag) if *tag > 0xFF => write!(f, "{tag:04X}"),
            Self::Tag(tag) => write!(f, "{tag:02X}"),
            Self::Dataset(id) => write!(f, "{id:02X}"),
            Self::Id(id) => fmt::Display::fmt(id, f),
            Self::Lead => f.write_str("lead"),
        }
    }
}
