//! The hopeful pass: finds all fields of a message that has no fault, and says nothing of one that
//! has.

use crate::bitmap::Bitmap;
use crate::class;
use crate::dialect::{Dialect, Layout};
use crate::field::{Run, Shape};
use crate::message::{FieldIndex, MESSAGE_LEN_MAX, Span, Spans};
use crate::parse::{FIRST_BIT, decimal, read_mti};

impl Dialect {
    /// Reads a whole message that has at most two bitmaps of eight bytes. `None` when anything is
    /// not as it must be, or of a rarer form: then [`Dialect::parse`] reads once more, field by
    /// field, and alone knows the faults. Where it is not `CHECKED`, only lengths are looked at,
    /// and only those of fields up to `last`.
    #[inline]
    pub(crate) fn walk_message<const CHECKED: bool>(
        &self,
        bytes: &[u8],
        last: u8,
        index: &mut FieldIndex,
    ) -> Option<()> {
        let form = self.form();
        let (Layout::Chained(_), ..=MESSAGE_LEN_MAX) = (form.layout, bytes.len()) else {
            return None;
        };
        index.mti = read_mti(form.mti, bytes)?;
        let mut at = form.head_len();
        let (mut primary, mut secondary) = (self.bitmap_at(bytes, form.mti.wire_len())?, 0);
        if primary & FIRST_BIT != 0 {
            primary &= !FIRST_BIT;
            secondary = self.bitmap_at(bytes, at)?;
            at = at.saturating_add(form.bitmap_len());
        }
        if secondary & FIRST_BIT != 0 {
            return None;
        }
        let mut fields = Bitmap::from_words(primary, secondary, 0);
        if !CHECKED {
            fields = fields.minus(fields.above(last));
        }
        let [primary, secondary, _] = fields.words();
        self.walk::<CHECKED>(bytes, at, [primary, secondary], &mut index.spans)?;
        index.present = fields;
        Some(())
    }

    /// Fills the spans of the fields of two bitmaps, which lie from `at` to the end of `bytes`.
    /// Where it is not `CHECKED`, only lengths are looked at.
    ///
    /// Neighbouring fields of digits, or of printable characters, are checked as one run, with the
    /// ASCII lengths between them, which are digits too.
    #[inline]
    fn walk<const CHECKED: bool>(
        &self,
        bytes: &[u8],
        at: usize,
        [primary, secondary]: [u64; 2],
        spans: &mut Spans,
    ) -> Option<()> {
        let mut pass = Pass {
            at,
            run: Run::Unchecked,
            run_start: at,
        };
        let [first, second, _] = spans.as_chunks_mut().0 else {
            return None;
        };
        self.walk_word::<CHECKED>(bytes, (0, primary.reverse_bits()), &mut pass, first)?;
        if secondary != 0 {
            self.walk_word::<CHECKED>(bytes, (1, secondary.reverse_bits()), &mut pass, second)?;
        }
        if !CHECKED {
            return Some(());
        }
        check_run(pass.run, bytes.get(pass.run_start..)?)?;
        (pass.at == bytes.len()).then_some(())
    }

    /// The fields of one bitmap: which part of the numbers it says, and its bits, lowest number
    /// first.
    ///
    /// Warning to the next editor: this is the hot loop of the crate. What it works on fits the
    /// registers, so the rarer cases are apart; measure (`benches/benches/codec.rs`, and
    /// instructions) before and after.
    #[inline(never)]
    fn walk_word<const CHECKED: bool>(
        &self,
        bytes: &[u8],
        (part, mut bits): (usize, u64),
        pass: &mut Pass,
        spans: &mut [Span; 64],
    ) -> Option<()> {
        let rules = self.rules(part)?;
        let (mut at, mut run, mut run_start) = (pass.at, pass.run, pass.run_start);
        while bits != 0 {
            let place = lowest(bits);
            bits &= bits.wrapping_sub(1);
            let rule = rules.get(place)?;
            let (start, len) = if rule.shape == Shape::Fixed {
                (at, rule.wire_len_max())
            } else if rule.shape == Shape::Decimal {
                let digits = bytes.get(at..)?.first_chunk()?;
                let len = decimal(*digits, rule.prefix_len())?;
                if len > rule.units_max() {
                    return None;
                }
                (at.wrapping_add(rule.prefix_len()), len)
            } else {
                self.special(number(part, place), bytes, at)?
            };
            let end = start.wrapping_add(len);
            if end > bytes.len() {
                return None;
            }
            if CHECKED && rule.run != run {
                check_run(run, bytes.get(run_start..at)?)?;
                (run, run_start) = (rule.run, start);
                if run == Run::Alone {
                    self.check_alone(number(part, place), bytes.get(start..end)?)?;
                    run = Run::Unchecked;
                }
            }
            if CHECKED && !rule.admits_date(bytes.get(start..end)?) {
                return None;
            }
            *spans.get_mut(place)? = Span::new(start, len);
            at = end;
        }
        (pass.at, pass.run, pass.run_start) = (at, run, run_start);
        Some(())
    }

    /// Where the value of a field of a rarer form starts, and how long it is. It is checked.
    #[inline(never)]
    fn special(&self, number: u8, bytes: &[u8], at: usize) -> Option<(usize, usize)> {
        let field = self.read_field(number, bytes, at);
        field.fault.is_none().then_some((field.start, field.len))
    }

    /// A value of a class that is in no run.
    #[inline(never)]
    pub(crate) fn check_alone(&self, number: u8, value: &[u8]) -> Option<()> {
        let admitted = match self.rule(number).admits(value) {
            Some(admitted) => admitted,
            None => self.judge(number, value).is_none(),
        };
        admitted.then_some(())
    }
}

/// How far the pass has come.
struct Pass {
    at: usize,
    /// What the bytes from `run_start` on have to be.
    run: Run,
    run_start: usize,
}

#[inline(never)]
fn check_run(run: Run, bytes: &[u8]) -> Option<()> {
    let admitted = match run {
        Run::Unchecked | Run::Alone => true,
        Run::Digits => class::are_digits(bytes),
        Run::Printable => class::are_printable(bytes),
        Run::Alphanumeric => class::are_alphanumeric(bytes),
        Run::Track => class::are_track(bytes),
    };
    admitted.then_some(())
}

/// The place of the lowest bit, at most 63.
#[inline(always)]
const fn lowest(bits: u64) -> usize {
    (bits.trailing_zeros() & 63) as usize
}

/// The number of a field, by its part of 64 numbers and its place there. The bitmaps count from
/// one, the parts from zero: that is how [`Dialect::rules`] are cut.
fn number(part: usize, place: usize) -> u8 {
    let number = part.wrapping_mul(64).wrapping_add(place).wrapping_add(1);
    u8::try_from(number).unwrap_or(0)
}
