//! The generator on a clock of its own, without sockets.

use std::sync::Arc;
use std::time::Duration;

use iso8583::Writer;

use super::*;
use crate::distribution::Distribution;
use crate::profile::Profile;
use crate::scenario::{Completions, FollowUp, Item, MessageKind};
use crate::schedule::{Arrival, Share};

const MS: u64 = 1_000_000;
const WIRE: Wire = Wire::PLAIN;

struct Bench {
    generator: Generator,
    index: FieldIndex,
    /// Frames sent and not yet answered.
    sent: Vec<Vec<u8>>,
}

impl Bench {
    /// `rate` per second for `seconds`, after the built-in scenario with these shares of repeats
    /// and reversals.
    fn new(rate: f64, seconds: u64, repeat: f64, reverse: f64) -> Self {
        let mut scenario = Scenario::built_in().unwrap();
        for item in &mut scenario.items {
            item.repeat.share = repeat;
            item.reverse.follow.share = reverse;
        }
        Self::of(scenario, rate, seconds)
    }

    /// Authorisations that are completed after a second, and what then follows the completions.
    fn completing(shape: impl Fn(&mut Completions)) -> Self {
        let mut scenario = Scenario::mixed().unwrap();
        let is_held = |item: &Item| item.message == MessageKind::Authorisation;
        scenario.items.retain(is_held);
        for item in &mut scenario.items {
            item.repeat.share = 0.0;
            item.reverse.follow.share = 0.0;
            item.complete = Completions {
                follow: FollowUp {
                    share: 1.0,
                    after: Distribution::Fixed(1e9),
                },
                ..Completions::NEVER
            };
            shape(&mut item.complete);
        }
        Self::of(scenario, 1.0, 1)
    }

    fn of(scenario: Scenario, rate: f64, seconds: u64) -> Self {
        let share = Share {
            thread: 0,
            threads: 1,
        };
        let profile = Profile::hold(rate, Duration::from_secs(seconds));
        let parts = Parts {
            wire: WIRE,
            clock: Clock::start(),
            start: Instant::ZERO,
            traffic: Traffic::new(Arc::new(scenario.clone()), 0, 1, 42),
            schedule: Schedule::build(&profile, Arrival::Constant, share, 42),
            window: Window {
                begin: 0,
                timeout: Duration::from_secs(5),
                promise: Duration::from_millis(400),
            },
            acks: AckLog::new(None),
            insists: false,
        };
        Self {
            generator: Generator::new(parts, &scenario),
            index: FieldIndex::new(),
            sent: Vec::new(),
        }
    }

    fn send_all(&mut self, now: u64) -> usize {
        let mut count = 0;
        let mut frame = Vec::new();
        while self.generator.send_next(now, Some(0), &mut frame) {
            if !frame.is_empty() {
                self.sent.push(std::mem::take(&mut frame));
                count += 1;
            }
        }
        count
    }

    fn answer(&mut self, frame: &[u8], code: &[u8; 2], now: u64) {
        let bytes = answer_to(frame, code);
        self.generator.answer(&bytes, now, &mut self.index);
    }

    fn answer_all(&mut self, code: &[u8; 2], now: u64) {
        for frame in std::mem::take(&mut self.sent) {
            self.answer(&frame, code, now);
        }
    }

    fn tally(&self, item: usize) -> &crate::recorder::Tally {
        &self.generator.recorder().items[item].tally
    }

    fn all(&self, outcome: Outcome) -> u64 {
        let items = &self.generator.recorder().items;
        items.iter().map(|item| item.tally.of(outcome)).sum()
    }
}

/// What a right switch says: the echo fields and DE39.
fn answer_to(frame: &[u8], code: &[u8; 2]) -> Vec<u8> {
    let mut index = FieldIndex::new();
    let request = &frame[2..];
    WIRE.dialect.parse(request, &mut index).unwrap();
    let view = MessageRef::new(request, &index);
    let mut out = vec![0; 512];
    let mut writer = Writer::new(WIRE.dialect, view.mti().response().unwrap(), &mut out);
    for number in WIRE.dialect.echo().intersection(view.present()).with(39) {
        match number {
            39 => writer.put(39, code).unwrap(),
            _ => writer.copy(number, view).unwrap(),
        }
    }
    let len = writer.finish().unwrap();
    out.truncate(len);
    out
}

#[test]
fn nothing_is_sent_before_its_time_and_everything_at_it() {
    let mut bench = Bench::new(1_000.0, 1, 0.0, 0.0);
    assert_eq!(bench.send_all(0), 1);
    assert_eq!(bench.send_all(MS - 1), 0);
    assert_eq!(bench.generator.next_event(), Some(MS));
    assert_eq!(bench.send_all(10 * MS), 10);
    bench.answer_all(b"00", 20 * MS);
    assert_eq!(bench.all(Outcome::Approved), 11);
    assert_eq!(bench.generator.inflight(), 0);
}

#[test]
fn a_target_that_stalls_does_not_slow_the_schedule_and_its_stall_is_in_the_response() {
    let mut bench = Bench::new(1_000.0, 2, 0.0, 0.0);
    for step in 0..2_000 {
        let now = step * MS;
        bench.send_all(now);
        // Nothing is answered in the first second.
        if step >= 1_000 {
            bench.answer_all(b"00", now);
        }
    }
    let latencies = &bench.generator.recorder().items[0].latencies;
    assert!(latencies.response.value_at_quantile(0.99) > 900_000);
    assert_eq!(bench.all(Outcome::Approved), 2_000);
    assert!(latencies.lag.max() <= 1_000, "the schedule was kept");
}

#[test]
fn a_generator_that_is_held_up_shows_it_as_lag_and_not_as_service() {
    let mut bench = Bench::new(1_000.0, 1, 0.0, 0.0);
    // It wakes only once, after all was due.
    assert_eq!(bench.send_all(1_500 * MS), 1_000);
    bench.answer_all(b"00", 1_501 * MS);
    let latencies = &bench.generator.recorder().items[0].latencies;
    assert!(latencies.lag.value_at_quantile(0.5) > 900_000);
    assert!(latencies.service.max() < 2_000);
    assert!(latencies.response.value_at_quantile(0.5) > 900_000);
}

#[test]
fn what_is_not_answered_is_given_up_and_a_late_answer_is_counted_as_late() {
    let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
    assert_eq!(bench.send_all(1_000 * MS), 10);
    bench.generator.expire(6_000 * MS);
    assert_eq!(bench.all(Outcome::Timeout), 10);
    assert!(bench.generator.is_done());
    bench.answer_all(b"00", 7_000 * MS);
    let late: u64 = (0..5).map(|item| bench.tally(item).late).sum();
    assert_eq!(late, 10);
    assert_eq!(bench.all(Outcome::Approved), 0);
}

#[test]
fn a_second_answer_is_a_breach() {
    let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
    bench.send_all(0);
    let frame = bench.sent[0].clone();
    bench.answer(&frame, b"00", MS);
    bench.answer(&frame, b"00", 2 * MS);
    assert_eq!(bench.all(Outcome::Duplicate), 1);
}

#[test]
fn an_answer_to_another_request_is_a_breach() {
    let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
    bench.send_all(0);
    let mut bytes = answer_to(&bench.sent[0], b"00");
    let amount = b"000000000000";
    let mut index = FieldIndex::new();
    WIRE.dialect.parse(&bytes, &mut index).unwrap();
    let sent = MessageRef::new(&bytes, &index).field(4).unwrap().to_vec();
    let at = bytes.windows(12).position(|window| window == sent).unwrap();
    bytes[at..at + 12].copy_from_slice(amount);
    bench.generator.answer(&bytes, MS, &mut bench.index);
    assert_eq!(bench.all(Outcome::Mismatched), 1);
    assert_eq!(bench.all(Outcome::Approved), 0);
}

#[test]
fn codes_are_told_apart() {
    let check = |code: &[u8; 2], outcome| {
        let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
        bench.send_all(0);
        bench.answer_all(code, MS);
        assert_eq!(bench.all(outcome), 1, "{code:?}");
    };
    check(b"00", Outcome::Approved);
    check(b"51", Outcome::Declined);
    check(b"91", Outcome::Declined);
    check(b"96", Outcome::Refused);
    check(b"94", Outcome::Unexpected);
    check(b"Z9", Outcome::Unexpected);
}

#[test]
fn an_answer_that_cannot_be_read_is_a_protocol_error_of_its_message() {
    let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
    bench.send_all(0);
    let mut bytes = answer_to(&bench.sent[0], b"00");
    bytes.extend_from_slice(b"surplus");
    bench.generator.answer(&bytes, MS, &mut bench.index);
    bench.generator.answer(b"0210", MS, &mut bench.index);
    assert_eq!(bench.all(Outcome::Protocol), 2);
    assert_eq!(bench.generator.inflight(), 0);
}

#[test]
fn a_repeat_has_the_bytes_of_its_original_and_must_get_its_answer() {
    let check = |second: &[u8; 2], outcome| {
        let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
        assert_eq!(bench.send_all(0), 1);
        let original = bench.sent[0].clone();
        bench.answer_all(b"51", MS);
        assert_eq!(bench.send_all(2_500 * MS), 1);
        let repeat = bench.sent[0].clone();
        assert_eq!(repeat[6..], original[6..]);
        assert_eq!(repeat[5], original[5] | 1);
        bench.answer_all(second, 2_501 * MS);
        assert_eq!(bench.tally(3).of(outcome), 1);
    };
    check(b"51", Outcome::Declined);
    check(b"00", Outcome::Mismatched);
}

#[test]
fn one_answer_is_enough_for_a_request_and_its_repeat_in_flight() {
    let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
    bench.send_all(0);
    bench.send_all(2_500 * MS);
    assert_eq!(bench.sent.len(), 2);
    let original = bench.sent[0].clone();
    bench.answer(&original, b"00", 2_600 * MS);
    assert_eq!(bench.all(Outcome::Approved), 2);
    // Both got their own when they crossed on the way; a third is one too many.
    bench.answer(&original, b"00", 2_601 * MS);
    assert_eq!(bench.all(Outcome::Duplicate), 0);
    bench.answer(&original, b"00", 2_602 * MS);
    assert_eq!(bench.all(Outcome::Duplicate), 1);
}

#[test]
fn where_the_line_of_a_repeat_is_lost_its_request_may_still_be_answered() {
    for insists in [false, true] {
        let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
        bench.generator.insists = insists;
        bench.send_all(0);
        let original = bench.sent.remove(0);
        let mut frame = Vec::new();
        assert!(bench.generator.send_next(2_500 * MS, Some(1), &mut frame));
        assert_eq!(frame[6..], original[6..], "the repeat, on another line");
        bench.generator.line_lost(1, 2_510 * MS);
        assert_eq!(bench.all(Outcome::Disconnected), 2);
        bench.answer(&original, b"00", 2_520 * MS);
        let odd = [Outcome::Mismatched, Outcome::Duplicate].map(|one| bench.all(one));
        assert_eq!(odd, [0, 0], "insists: {insists}");
    }
}

#[test]
fn one_of_a_request_and_its_repeat_may_be_refused_for_want_of_room() {
    let odd = |bench: &Bench| [Outcome::Mismatched, Outcome::Duplicate].map(|one| bench.all(one));
    for insists in [false, true] {
        for codes in [[b"96", b"91"], [b"91", b"96"]] {
            let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
            bench.generator.insists = insists;
            bench.send_all(0);
            bench.send_all(2_500 * MS);
            let original = bench.sent[0].clone();
            for (place, code) in (0..).zip(codes) {
                bench.answer(&original, code, (2_600 + place) * MS);
            }
            assert_eq!(odd(&bench), [0, 0], "{codes:?}, insists: {insists}");
        }
        // Behind its answer too.
        let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
        bench.generator.insists = insists;
        bench.send_all(0);
        bench.answer_all(b"91", MS);
        bench.send_all(2_500 * MS);
        bench.answer_all(b"96", 2_501 * MS);
        assert_eq!(odd(&bench), [0, 0], "insists: {insists}");
        assert_eq!(bench.all(Outcome::Refused), 1);
    }
}

#[test]
fn a_repeat_of_a_refused_request_is_new() {
    let mut bench = Bench::new(1.0, 1, 1.0, 0.0);
    bench.send_all(0);
    bench.answer_all(b"96", MS);
    bench.send_all(2_500 * MS);
    bench.answer_all(b"00", 2_600 * MS);
    assert_eq!(bench.all(Outcome::Refused), 1);
    assert_eq!(bench.tally(3).of(Outcome::Approved), 1);
}

#[test]
fn only_what_is_approved_or_unknown_is_reversed() {
    let check = |code: Option<&[u8; 2]>, reversals: usize| {
        let mut bench = Bench::new(1.0, 1, 0.0, 1.0);
        bench.send_all(0);
        match code {
            Some(code) => bench.answer_all(code, MS),
            None => bench.sent.clear(),
        }
        assert_eq!(bench.send_all(5_000 * MS), reversals, "{code:?}");
        if reversals > 0 {
            assert_eq!(&bench.sent[0][2..6], b"0420");
            bench.answer_all(b"00", 5_001 * MS);
            assert_eq!(bench.tally(4).of(Outcome::Approved), 1);
        }
        bench.generator.expire(20_000 * MS);
        assert_eq!(bench.all(Outcome::Timeout), 0);
        assert!(bench.generator.is_done());
    };
    check(Some(b"00"), 1);
    check(Some(b"51"), 0);
    check(Some(b"96"), 0);
    check(None, 1);
}

#[test]
fn a_reversal_is_sent_again_until_it_is_acknowledged() {
    let mut bench = Bench::new(1.0, 1, 0.0, 1.0);
    bench.send_all(0);
    bench.answer_all(b"00", MS);
    assert_eq!(bench.send_all(5_000 * MS), 1);
    let first = bench.sent.remove(0);
    bench.generator.expire(10_001 * MS);
    assert_eq!(bench.send_all(11_100 * MS), 1);
    let again = bench.sent[0].clone();
    assert_eq!(&again[2..6], b"0421");
    assert_eq!(again[6..], first[6..]);
    bench.answer_all(b"00", 11_200 * MS);
    assert!(bench.generator.is_done());
    assert_eq!(bench.tally(4).of(Outcome::Timeout), 1);
    assert_eq!(bench.tally(4).of(Outcome::Approved), 1);
}

#[test]
fn a_lost_connection_ends_its_messages_and_no_connection_ends_them_at_once() {
    let mut bench = Bench::new(10.0, 1, 0.0, 0.0);
    assert_eq!(bench.send_all(500 * MS), 6);
    bench.generator.line_lost(0, 510 * MS);
    assert_eq!(bench.all(Outcome::Disconnected), 6);
    let mut frame = Vec::new();
    while bench.generator.send_next(900 * MS, None, &mut frame) {}
    assert!(frame.is_empty());
    assert_eq!(bench.all(Outcome::Disconnected), 10);
    assert!(bench.generator.is_done());
}

#[test]
fn a_generator_that_insists_repeats_what_was_lost_until_it_is_answered() {
    let mut bench = Bench::new(1_000.0, 1, 0.0, 0.0);
    bench.generator.insists = true;
    assert_eq!(bench.send_all(2 * MS), 3);
    let first = std::mem::take(&mut bench.sent);
    bench.answer(&first[0], b"00", 3 * MS);
    bench.generator.line_lost(0, 4 * MS);
    bench.generator.next = bench.generator.schedule.times().len();
    assert_eq!(bench.send_all(204 * MS), 2, "what was answered is not sent");
    for frame in &bench.sent {
        let mut sent = [&first[1], &first[2]].into_iter();
        let original = sent.find(|original| original[6..] == frame[6..]).unwrap();
        assert_eq!((&frame[2..5], frame[5]), (&original[2..5], b'1'));
    }
    bench.generator.line_lost(0, 205 * MS);
    bench.sent.clear();
    assert_eq!(bench.send_all(405 * MS), 2);
    bench.answer_all(b"00", 406 * MS);
    assert!(bench.generator.is_done(), "{:?}", bench.generator.plans);
}

/// What a frame has in a field.
fn text(frame: &[u8], number: u8) -> String {
    let mut index = FieldIndex::new();
    let message = &frame[2..];
    WIRE.dialect.parse(message, &mut index).unwrap();
    let view = MessageRef::new(message, &index);
    String::from_utf8_lossy(view.field(number).unwrap_or_default()).into_owned()
}

#[test]
fn an_approved_authorisation_is_completed_and_a_declined_or_unanswered_one_is_not() {
    let check = |code: Option<&[u8; 2]>, completions: usize| {
        let mut bench = Bench::completing(|_| ());
        assert_eq!(bench.send_all(0), 1);
        let original = bench.sent[0].clone();
        match code {
            Some(code) => bench.answer_all(code, MS),
            None => bench.sent.clear(),
        }
        bench.generator.expire(6_000 * MS);
        assert_eq!(bench.send_all(7_000 * MS), completions, "{code:?}");
        if completions > 0 {
            let sent = &bench.sent[0];
            assert_eq!(&sent[2..6], b"0220");
            let named = format!("0100{}{}", text(&original, 11), text(&original, 7));
            assert_eq!(text(sent, 90)[..20], named);
            assert_eq!(text(sent, 37), text(&original, 37));
            assert_eq!(text(sent, 4), text(&original, 4));
            bench.answer_all(b"00", 7_001 * MS);
            assert_eq!(bench.tally(3).of(Outcome::Approved), 1);
        }
        assert!(bench.generator.is_done());
    };
    check(Some(b"00"), 1);
    check(Some(b"10"), 0);
    check(Some(b"51"), 0);
    check(None, 0);
}

/// It is due at the later one of its time and its original's approval: not a moment before it could
/// be sent, and not when somebody looks.
#[test]
fn a_completion_is_due_when_its_original_is_approved() {
    for (approved, due) in [(100, 1_000), (2_500, 2_500)] {
        let mut bench = Bench::completing(|_| ());
        bench.send_all(0);
        assert_eq!(bench.send_all(1_000 * MS), 0, "nobody has approved it");
        bench.sent.truncate(1);
        bench.answer_all(b"00", approved * MS);
        assert_eq!(bench.generator.next_event(), Some(due * MS));
        assert_eq!(bench.send_all(due * MS - 1), 0);
        assert_eq!(bench.send_all((due + 30) * MS), 1);
        bench.answer_all(b"00", (due + 40) * MS);
        let latencies = &bench.generator.recorder().items[3].latencies;
        let response = latencies.response.max() / 1_000;
        assert!((40..=41).contains(&response), "{response}");
    }
}

#[test]
fn a_completion_is_repeated_and_reversed_like_any_other_message() {
    let soon = FollowUp {
        share: 1.0,
        after: Distribution::Fixed(1e9),
    };
    let mut bench = Bench::completing(|complete| {
        complete.request = 1.0;
        complete.reverse.follow = soon;
        complete.reverse.partial = 1.0;
    });
    bench.send_all(0);
    bench.answer_all(b"00", MS);
    assert_eq!(bench.send_all(1_000 * MS), 1);
    let asked = bench.sent[0].clone();
    assert_eq!(&asked[2..6], b"0202");
    bench.answer_all(b"00", 1_001 * MS);
    assert_eq!(bench.send_all(2_000 * MS), 1);
    let reversal = bench.sent[0].clone();
    assert_eq!(&reversal[2..6], b"0420");
    let named = format!("0202{}{}", text(&asked, 11), text(&asked, 7));
    assert_eq!(text(&reversal, 90)[..20], named);
    assert!(text(&reversal, 95)[..12] < *text(&asked, 4));
    bench.answer_all(b"00", 2_001 * MS);
    assert!(bench.generator.is_done());

    let mut bench = Bench::completing(|complete| complete.repeat = soon);
    bench.send_all(0);
    bench.answer_all(b"00", MS);
    bench.send_all(1_000 * MS);
    bench.answer_all(b"00", 1_001 * MS);
    assert_eq!(bench.send_all(2_000 * MS), 1);
    assert_eq!(&bench.sent[0][2..6], b"0221");
    bench.answer_all(b"00", 2_001 * MS);
    assert_eq!(bench.tally(1).of(Outcome::Approved), 1);
}

#[test]
fn a_part_stays_only_of_what_is_known_to_be_approved() {
    let check = |code: Option<&[u8; 2]>, is_partial: bool| {
        let mut scenario = Scenario::built_in().unwrap();
        for item in &mut scenario.items {
            item.repeat.share = 0.0;
            item.reverse.follow.share = 1.0;
            item.reverse.partial = 1.0;
        }
        let mut bench = Bench::of(scenario, 1.0, 1);
        bench.send_all(0);
        match code {
            Some(code) => bench.answer_all(code, MS),
            None => bench.sent.clear(),
        }
        assert_eq!(bench.send_all(5_000 * MS), 1);
        assert_eq!(!text(&bench.sent[0], 95).is_empty(), is_partial);
    };
    check(Some(b"00"), true);
    check(None, false);
}

#[test]
fn a_generator_that_insists_repeats_an_authorisation_before_it_completes_it() {
    let mut bench = Bench::completing(|_| ());
    bench.generator.insists = true;
    bench.send_all(0);
    bench.sent.clear();
    bench.generator.line_lost(0, MS);
    assert_eq!(bench.send_all(201 * MS), 1);
    assert_eq!(&bench.sent[0][2..6], b"0101");
    bench.answer_all(b"00", 202 * MS);
    assert_eq!(bench.send_all(1_000 * MS), 1);
    assert_eq!(&bench.sent[0][2..6], b"0220");
    bench.sent.clear();
    bench.generator.line_lost(0, 1_001 * MS);
    assert_eq!(bench.send_all(1_201 * MS), 1);
    assert_eq!(&bench.sent[0][2..6], b"0221");
    bench.answer_all(b"00", 1_202 * MS);
    assert!(bench.generator.is_done(), "{:?}", bench.generator.plans);
}
