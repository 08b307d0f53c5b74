//! The further fields of stored answers: one ring of bytes.
//!
//! Answers are stored in the order in which transactions end and forgotten in nearly that order, so
//! a ring needs no free lists and cannot fragment. A reversed transaction gives its bytes back at
//! once. What is kept for longer than the rest is moved from the tail to the head when room is
//! short: nothing that stays for days holds the tail.

use alloc::vec;
use alloc::vec::Vec;

/// Where the bytes of one answer lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Of the block's header.
    offset: u32,
    len: u16,
}

impl Span {
    pub(crate) const EMPTY: Self = Self { offset: 0, len: 0 };

    pub(crate) const fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Blocks in a ring. Each block: length of its bytes (2), freed (1), unused (1), owner (4), the
/// bytes, padding to a multiple of eight.
#[derive(Debug)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
    head: usize,
    tail: usize,
    used: usize,
}

const HEADER: usize = 8;
/// Where the owner stands in a header.
const OWNER_AT: usize = 4;
const FREED: u8 = 1;

impl Arena {
    /// A ring of `bytes_max` bytes; at most 4 GiB.
    pub(crate) fn new(bytes_max: usize) -> Self {
        let bytes_max = bytes_max.min(u32::MAX as usize) & !7;
        Self {
            bytes: vec![0; bytes_max],
            head: 0,
            tail: 0,
            used: 0,
        }
    }

    /// Stores `data` of the transaction at position `owner`; `None` when there is no room.
    pub(crate) fn store(&mut self, data: &[u8], owner: u32) -> Option<Span> {
        if data.is_empty() {
            return Some(Span::EMPTY);
        }
        let len = u16::try_from(data.len()).ok()?;
        let offset = self.reserve(len, owner)?;
        let start = offset.saturating_add(HEADER);
        let end = start.saturating_add(data.len());
        self.bytes.get_mut(start..end)?.copy_from_slice(data);
        let offset = u32::try_from(offset).ok()?;
        Some(Span { offset, len })
    }

    /// Whose block lies at the tail: no room behind it comes back before it goes.
    pub(crate) fn oldest(&self) -> Option<u32> {
        if self.used == 0 {
            return None;
        }
        let at = self.tail.saturating_add(OWNER_AT);
        let owner = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*owner))
    }

    /// Moves the block at the tail to the head and says whose it is and where it lies then. `None`
    /// when there is none, or no room for a second one of it.
    pub(crate) fn move_oldest(&mut self) -> Option<(u32, Span)> {
        let owner = self.oldest()?;
        let at = self.tail;
        let (len, freed) = self.header(at)?;
        debug_assert!(freed != FREED, "the tail passes over what is freed");
        let offset = self.reserve(len, owner)?;
        let from = at.saturating_add(HEADER);
        let to = offset.saturating_add(HEADER);
        let whole = from.saturating_add(usize::from(len));
        debug_assert!(whole <= self.bytes.len() && to <= self.bytes.len());
        self.bytes.copy_within(from..whole, to);
        let old = u32::try_from(at).ok()?;
        self.free_span(Span { offset: old, len });
        let offset = u32::try_from(offset).ok()?;
        Some((owner, Span { offset, len }))
    }

    /// Makes a block at the head.
    fn reserve(&mut self, len: u16, owner: u32) -> Option<usize> {
        if self.used == 0 {
            // No filler is ever the first block: the tail is at one that is not freed.
            (self.head, self.tail) = (0, 0);
        }
        let size = block_size(len);
        let to_end = self.bytes.len().saturating_sub(self.head);
        let skipped = if size > to_end { to_end } else { 0 };
        if self.free() < size.saturating_add(skipped) {
            return None;
        }
        if skipped > 0 {
            self.put_filler(skipped);
        }
        let offset = self.head;
        self.put_header(offset, len, 0);
        let at = offset.saturating_add(OWNER_AT);
        let place = self.bytes.get_mut(at..)?.first_chunk_mut::<4>()?;
        *place = owner.to_be_bytes();
        self.advance_head(size);
        Some(offset)
    }

    /// The bytes of `span`.
    pub(crate) fn get(&self, span: Span) -> &[u8] {
        let start = (span.offset as usize).saturating_add(HEADER);
        let end = start.saturating_add(usize::from(span.len));
        if span.is_empty() {
            return &[];
        }
        self.bytes.get(start..end).unwrap_or_default()
    }

    /// Gives the bytes of `span` back.
    pub(crate) fn free_span(&mut self, span: Span) {
        if span.is_empty() {
            return;
        }
        let at = span.offset as usize;
        debug_assert_eq!(
            self.header(at),
            Some((span.len, 0)),
            "freed once, and whole"
        );
        self.put_header(at, span.len, FREED);
        while self.used > 0 {
            let Some((len, FREED)) = self.header(self.tail) else {
                return;
            };
            let size = block_size(len);
            self.used = self.used.saturating_sub(size);
            self.tail = self.wrapped(self.tail.saturating_add(size));
        }
    }

    /// Bytes that no block takes.
    pub(crate) const fn free(&self) -> usize {
        self.bytes.len().saturating_sub(self.used)
    }

    /// Marks the rest of the ring before its end as a freed block. `size` is a multiple of eight,
    /// at most one block's worth, so its length fits.
    fn put_filler(&mut self, size: usize) {
        let len = u16::try_from(size.saturating_sub(HEADER)).unwrap_or(u16::MAX);
        self.put_header(self.head, len, FREED);
        self.advance_head(size);
    }

    fn advance_head(&mut self, size: usize) {
        self.used = self.used.saturating_add(size);
        self.head = self.wrapped(self.head.saturating_add(size));
        debug_assert!(
            self.used <= self.bytes.len(),
            "the ring never overlaps itself"
        );
    }

    const fn wrapped(&self, at: usize) -> usize {
        if at >= self.bytes.len() { 0 } else { at }
    }

    fn header(&self, at: usize) -> Option<(u16, u8)> {
        let header = self.bytes.get(at..)?.first_chunk::<OWNER_AT>()?;
        let [high, low, freed, _] = *header;
        Some((u16::from_be_bytes([high, low]), freed))
    }

    fn put_header(&mut self, at: usize, len: u16, freed: u8) {
        let [high, low] = len.to_be_bytes();
        let place = self.bytes.get_mut(at..);
        if let Some(header) = place.and_then(|place| place.first_chunk_mut::<OWNER_AT>()) {
            *header = [high, low, freed, 0];
        }
    }
}

fn block_size(len: u16) -> usize {
    HEADER.saturating_add(usize::from(len).next_multiple_of(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;
    use std::vec::Vec;

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            lengths in prop::collection::vec((1_usize..90, 0_usize..4, 0_usize..8), 1..300),
        ) {
            let mut arena = Arena::new(512);
            let mut live: VecDeque<(u32, Span, Vec<u8>)> = VecDeque::new();
            for (step, (len, victim, moves)) in lengths.into_iter().enumerate() {
                let data = vec![u8::try_from(step % 251).unwrap(); len];
                let owner = u32::try_from(step).unwrap();
                match arena.store(&data, owner) {
                    Some(span) => live.push_back((owner, span, data)),
                    None => {
                        let victim = victim.min(live.len() - 1);
                        let (_, span, _) = live.remove(victim).unwrap();
                        arena.free_span(span);
                    }
                }
                if moves == 0 && let Some((owner, to)) = arena.move_oldest() {
                    let moved = live.iter_mut().find(|known| known.0 == owner).unwrap();
                    moved.1 = to;
                }
                for (_, span, data) in &live {
                    prop_assert_eq!(arena.get(*span), data.as_slice());
                }
            }
            for (_, span, _) in live {
                arena.free_span(span);
            }
            prop_assert_eq!(arena.free(), 512);
        }
    }

    #[test]
    fn an_empty_answer_takes_no_room() {
        let mut arena = Arena::new(0);
        let span = arena.store(&[], 0).unwrap();
        assert!(span.is_empty() && arena.get(span).is_empty());
        assert_eq!(arena.store(&[1], 0), None);
    }
}
