//! Timers that contradict each other are refused, with the names of both.

use super::*;

/// How long the acquirers of the example's listener wait.
const WITHIN: &str = "# answer_within_ms = 5_000 ";

#[track_caller]
fn deadline_at(text: &str, nth: usize) -> String {
    let key = "\ndeadline_ms";
    let (at, _) = text.match_indices(key).nth(nth).unwrap();
    place(text, &text[at + 1..])
}

//= docs/rules.md#T-14
#[test]
fn an_acquirer_waits_for_longer_than_any_route() {
    let text = EXAMPLE.replacen(WITHIN, "answer_within_ms = 1_200 ", 1);
    let told = |nth| {
        let at = deadline_at(&text, nth);
        format!(
            "{at}: `deadline_ms`, 1000, with `limits.request_wait_max_ms`, 100, and 100 for the \
             journal is not below `answer_within_ms` of listener `pos`, 1200: its acquirer would \
             give up first"
        )
    };
    check_text(&text, &[], &[&told(0), &told(1)]);
    let text = EXAMPLE.replacen(WITHIN, "answer_within_ms = 1_201 ", 1);
    let config = Config::parse("njia.toml", &text, &environment(&[])).unwrap();
    let within = config.listeners[0].answer_within;
    assert_eq!(within, Some(Duration::from_millis(1_201)));
}

//= docs/rules.md#T-14
#[test]
fn an_answer_is_kept_for_longer_than_it_may_take() {
    let text = EXAMPLE.replacen("\nwindow_s = 600 ", "\nwindow_s = 10 ", 1);
    let text = text.replacen("\ndeadline_ms = 1_000 ", "\ndeadline_ms = 10_000 ", 1);
    let at = deadline_at(&text, 0);
    let told = format!(
        "{at}: `deadline_ms`, 10000, is not below `duplicate_window_s` of listener `pos`, 10 s: \
         a repeat would come too late for its answer"
    );
    check_text(&text, &[], &[&told]);
}

//= docs/rules.md#T-14
#[test]
fn what_is_owed_outlasts_its_pauses() {
    let text = EXAMPLE.replacen("\nexpiry_s = 604_800 ", "\nexpiry_s = 365 ", 1);
    let at = place(&text, "expiry_s = 365");
    let told = format!(
        "{at}: `expiry_s`, 365, is not above `backoff_max_s`, 300, and a fifth of it, with \
         `reversal_timeout_ms` of issuer `momo`, 5000: the last attempt would outlast what waits"
    );
    check_text(&text, &[], &[&told]);
    let text = EXAMPLE.replacen("\nexpiry_s = 604_800 ", "\nexpiry_s = 366 ", 1);
    assert!(Config::parse("njia.toml", &text, &environment(&[])).is_ok());
}

//= docs/rules.md#T-14
#[test]
fn an_acquirer_waits_for_longer_than_its_answer_may_for_postgres() {
    let text = EXAMPLE.replacen(WITHIN, "answer_within_ms = 11_200 ", 1);
    assert!(Config::parse("njia.toml", &text, &environment(&[])).is_ok());
    let more = [
        ("NJIA__NODE__DURABILITY", "postgres"),
        ("NJIA__POSTGRES__URL", "postgresql:///njia"),
    ];
    let told = |nth| {
        let at = deadline_at(&text, nth);
        format!(
            "{at}: `deadline_ms`, 1000, with `limits.request_wait_max_ms`, 100, \
             `postgres.answer_wait_max_ms`, 10000, and 100 for the journal is not below \
             `answer_within_ms` of listener `pos`, 11200: its acquirer would give up first"
        )
    };
    check_text(&text, &more, &[&told(0), &told(1)]);
    let text = EXAMPLE.replacen(WITHIN, "answer_within_ms = 11_201 ", 1);
    assert!(Config::parse("njia.toml", &text, &environment(&more)).is_ok());
}

//= docs/rules.md#T-14
#[test]
fn an_answer_is_kept_for_longer_than_its_acquirer_waits() {
    let within = |millis| EXAMPLE.replacen(WITHIN, &format!("answer_within_ms = {millis} "), 1);
    let text = within("600_000");
    let at = place(&text, "answer_within_ms = 600_000");
    let told = format!(
        "{at}: `answer_within_ms`, 600000, is not below `duplicate_window_s`, 600 s: a repeat \
         would come too late for its answer"
    );
    check_text(&text, &[], &[&told]);
    let text = within("599_999");
    assert!(Config::parse("njia.toml", &text, &environment(&[])).is_ok());
}
