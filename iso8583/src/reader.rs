//! A bounded cursor over a message.

/// What is left of a message, and how far the reading got.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: u16,
}

impl<'a> Reader<'a> {
    /// From the first byte; `None` above 65,535 bytes, which no frame may have.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        u16::try_from(bytes.len())
            .ok()
            .map(|_| Self { rest: bytes, at: 0 })
    }

    /// Offset of the next byte.
    #[inline]
    pub(crate) const fn at(&self) -> u16 {
        self.at
    }

    /// Whether every byte has been read.
    #[inline]
    pub(crate) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Every byte that is left.
    #[inline]
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `len` bytes; `None`, and nothing read, when fewer are left.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len)?;
        self.rest = tail;
        // What is read is a part of at most 65,535 bytes.
        #[expect(clippy::cast_possible_truncation, reason = "bounded in `new`")]
        {
            self.at = self.at.wrapping_add(len as u16);
        }
        Some(head)
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn take_array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.take(N)?.first_chunk::<N>()
    }
}
