//! What is left of a field while its parts are read one after the other, and where that is.

/// An end of a field, or of a part of one.
#[derive(Clone, Copy)]
pub(crate) struct Rest<'a> {
    /// What has not been read.
    pub(crate) bytes: &'a [u8],
    /// Where it ends: bytes from the start of the field.
    end: usize,
}

impl<'a> Rest<'a> {
    /// A whole field.
    pub(crate) const fn of(field: &'a [u8]) -> Self {
        Self {
            bytes: field,
            end: field.len(),
        }
    }

    /// What a part holds that ends where this rest begins.
    pub(crate) const fn within(&self, content: &'a [u8]) -> Self {
        Self {
            bytes: content,
            end: self.end.saturating_sub(self.bytes.len()),
        }
    }

    /// Where an end of this rest begins: bytes from the start of the field, which is far shorter
    /// than what this can say.
    pub(crate) fn offset_of(&self, from: &[u8]) -> u32 {
        debug_assert!(from.len() <= self.bytes.len() && from.len() <= self.end);
        u32::try_from(self.end.saturating_sub(from.len())).unwrap_or(u32::MAX)
    }

    /// What stands before an end of this rest.
    #[inline]
    pub(crate) fn up_to(&self, behind: &[u8]) -> &'a [u8] {
        debug_assert!(behind.len() <= self.bytes.len());
        let len = self.bytes.len().saturating_sub(behind.len());
        self.bytes.get(..len).unwrap_or_default()
    }

    /// Goes on behind a part of this many bytes.
    #[inline]
    pub(crate) fn pass(&mut self, len: usize) {
        debug_assert!(0 < len && len <= self.bytes.len(), "every step goes on");
        self.bytes = self.bytes.get(len..).unwrap_or_default();
    }

    /// Nothing is read behind a fault.
    pub(crate) const fn stop(&mut self) {
        self.bytes = &[];
    }
}
