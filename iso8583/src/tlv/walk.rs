//! Elements within elements, without recursion: a stack of the rows around the one being read.

use super::read::{self, CONSTRUCTED, LOW_TAG_BITS, MORE, SHORT_LEN_MAX};
use super::{Element, TlvError, TlvRule};
use crate::rest::Rest;

/// Constructed elements that may stand around an element. The deepest in use is the directory that
/// a card answers with: 4F in 61 in BF0C in A5 in 6F.
pub const DEPTH_MAX: usize = 4;

/// All elements of `bytes`, each before those that it holds, with the number of elements around it.
/// Offsets are those within `bytes`.
#[must_use]
pub const fn walk(bytes: &[u8]) -> Walk<'_> {
    Walk::of(Rest::of(bytes))
}

/// Whether `bytes` are a row of elements, and so is what every constructed one holds.
///
/// # Errors
/// The first fault that [`walk`] meets.
pub fn check(bytes: &[u8]) -> Result<(), TlvError> {
    let mut row = Rest::of(bytes);
    loop {
        row.bytes = behind_plain(row.bytes);
        if row.bytes.is_empty() {
            return Ok(());
        }
        check_next(&mut row)?;
    }
}

/// Elements in depth; ends after the first fault. A constructed element that holds something deeper
/// than [`DEPTH_MAX`] is a fault in its place.
#[derive(Clone)]
pub struct Walk<'a> {
    row: Rest<'a>,
    /// What is left of the rows around `row`, the outermost first; `depth` of them.
    around: [Rest<'a>; DEPTH_MAX],
    depth: usize,
}

impl<'a> Walk<'a> {
    const fn of(row: Rest<'a>) -> Self {
        Self {
            row,
            around: [Rest::of(&[]); DEPTH_MAX],
            depth: 0,
        }
    }

    /// Goes on with what the element holds. `None` when it stands too deep for that.
    fn open(&mut self, element: &Element<'a>) -> Option<()> {
        debug_assert!(element.is_constructed() && self.depth <= DEPTH_MAX);
        let inner = self.row.within(element.value);
        *self.around.get_mut(self.depth)? = self.row;
        self.row = inner;
        self.depth = self.depth.saturating_add(1);
        Some(())
    }

    /// Goes on behind the element around this row. `None` when there is none.
    fn close(&mut self) -> Option<()> {
        debug_assert!(self.row.bytes.is_empty() && self.depth <= DEPTH_MAX);
        self.depth = self.depth.checked_sub(1)?;
        self.row = *self.around.get(self.depth)?;
        Some(())
    }

    fn fail(&mut self, error: TlvError) -> Option<<Self as Iterator>::Item> {
        *self = Self::of(Rest::of(&[]));
        Some(Err(error))
    }
}

impl<'a> Iterator for Walk<'a> {
    type Item = Result<(usize, Element<'a>), TlvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let element = loop {
            match read::next(&mut self.row) {
                Some(Ok(element)) => break element,
                Some(Err(error)) => return self.fail(error),
                None => self.close()?,
            }
        };
        let depth = self.depth;
        let holds_elements = element.is_constructed() && !element.value.is_empty();
        if holds_elements && self.open(&element).is_none() {
            return self.fail(TlvError {
                offset: element.offset,
                rule: TlvRule::TooDeep,
            });
        }
        Some(Ok((depth, element)))
    }
}

impl core::fmt::Debug for Walk<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let rest = self.row.bytes.len();
        write!(f, "Walk[depth {}, {rest} bytes]", self.depth)
    }
}

/// What is left behind the plain elements at the front. Ordinary chip data is nothing else.
fn behind_plain(row: &[u8]) -> &[u8] {
    let mut rest = row;
    while let Some(behind) = behind_plain_one(rest) {
        debug_assert!(behind.len() < rest.len(), "every step goes on");
        rest = behind;
    }
    rest
}

/// What is left behind one plain element: not constructed, a tag of one or two bytes, a length of
/// one. `None` when the front is something else, good or bad.
///
/// The arms do the same twice on purpose. Apart they are a branch that is foretold, so that the
/// length is loaded before the tag is known; as one value that is chosen, each element waits for
/// its tag, and a row takes half as long again.
#[inline(always)]
fn behind_plain_one(rest: &[u8]) -> Option<&[u8]> {
    match rest {
        [first, second, len, value @ ..]
            if first & PLAIN_TAG_BITS == LOW_TAG_BITS && (second | len) & MORE == 0 =>
        {
            value.get(usize::from(*len)..)
        }
        [first, len, value @ ..] if is_short_tag(*first) && *len <= SHORT_LEN_MAX => {
            value.get(usize::from(*len)..)
        }
        _ => None,
    }
}

/// Whether a byte is the whole tag of an element that is not constructed.
const fn is_short_tag(first: u8) -> bool {
    first != 0 && first & CONSTRUCTED == 0 && first & LOW_TAG_BITS != LOW_TAG_BITS
}

/// Passes the next element of the row, with all that it holds.
#[inline(never)]
fn check_next(row: &mut Rest<'_>) -> Result<(), TlvError> {
    let Some(element) = read::next(row).transpose()? else {
        return Ok(());
    };
    if !element.is_constructed() {
        return Ok(());
    }
    let mut walk = Walk {
        depth: 1,
        ..Walk::of(row.within(element.value))
    };
    walk.find_map(Result::err).map_or(Ok(()), Err)
}

const PLAIN_TAG_BITS: u8 = CONSTRUCTED | LOW_TAG_BITS;
