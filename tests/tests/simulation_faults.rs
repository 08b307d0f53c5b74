//! Rows of faults.md in worlds that have one kind of fault: every promise holds, and the fault was
//! really met. `SIM_TRACE=1` prints each event.

use njia_tests::simulation::{CrashPoint, Focus, Report, run_focused};

/// Worlds for each row.
const SEEDS: u64 = 12;

/// What a row must have come across, and how often at least.
type Met = (&'static str, fn(&Report) -> u64, u64);

#[track_caller]
fn check(focus: Focus, met: &[Met]) {
    let mut sum = Report::default();
    for seed in 0..SEEDS {
        match run_focused(seed, focus) {
            Ok(report) => sum.add(seed, &report),
            Err(violation) => panic!("{focus:?}: {violation}"),
        }
    }
    for (what, count, least) in met {
        let count = count(&sum);
        assert!(count >= *least, "{focus:?}: {count} {what}");
    }
}

#[track_caller]
fn check_crash(point: CrashPoint) {
    let ended: Met = ("ends at the step", |report| report.seen.crash_points, 20);
    let restarts: Met = ("restarts", |report| report.restarts, 20);
    check(Focus::Crash(point), &[ended, restarts]);
}

#[test]
fn fault_001_what_was_parsed_and_not_journaled_is_not_known() {
    check_crash(CrashPoint::Parsed);
}

#[test]
fn fault_002_an_intent_that_was_not_synced_is_gone_or_closed() {
    check_crash(CrashPoint::IntentAppended);
}

#[test]
fn fault_003_a_durable_intent_is_never_sent_after_a_restart() {
    check_crash(CrashPoint::IntentDurable);
}

#[test]
fn fault_004_half_a_frame_is_reversed() {
    check_crash(CrashPoint::HalfSent);
}

#[test]
fn fault_005_a_request_without_an_answer_is_reversed_after_a_restart() {
    check_crash(CrashPoint::Sent);
}

#[test]
fn fault_006_an_answer_that_was_not_journaled_is_reversed() {
    check_crash(CrashPoint::AnswerRead);
}

#[test]
fn fault_007_an_outcome_that_was_not_synced_is_kept_or_reversed() {
    check_crash(CrashPoint::OutcomeAppended);
}

#[test]
fn fault_008_a_durable_outcome_is_told_after_a_restart() {
    check_crash(CrashPoint::OutcomeDurable);
}

#[test]
fn fault_009_an_answer_that_was_sent_is_told_again_alike() {
    check_crash(CrashPoint::Replied);
}

#[test]
fn fault_014_a_recovery_that_is_cut_short_ends_as_a_clean_one() {
    let cut: Met = ("starts cut short", |report| report.seen.interrupted, 3);
    check(Focus::Recovery, &[cut]);
}

#[test]
fn fault_015_a_reversal_is_sent_again_when_its_acknowledgement_was_lost() {
    check_crash(CrashPoint::Acknowledged);
}

#[test]
fn fault_020_the_process_ends_at_the_first_failed_write() {
    let errors: Met = ("errors", |report| report.seen.disk_errors, 20);
    check(Focus::WriteErrors, &[errors]);
}

#[test]
fn fault_021_a_failed_sync_is_never_tried_again() {
    let errors: Met = ("errors", |report| report.seen.disk_errors, 20);
    check(Focus::SyncErrors, &[errors]);
}

#[test]
fn fault_022_new_work_is_shed_while_a_flush_stalls() {
    let stalls: Met = ("stalls", |report| report.seen.stalled, 20);
    let aborts: Met = ("aborts", |report| report.seen.disk_errors, 2);
    check(Focus::Stalls, &[stalls, aborts]);
}

#[test]
fn fault_023_a_write_that_is_put_off_is_submitted_again() {
    let put_off: Met = ("put off", |report| report.seen.put_off, 100);
    check(Focus::PutOff, &[put_off]);
}

#[test]
fn fault_024_a_last_batch_that_is_torn_at_any_sector_is_cut_off() {
    let torn: Met = ("torn tails", |report| report.seen.torn, 20);
    check(Focus::TornTails, &[torn]);
}

#[test]
fn fault_025_a_rotten_bit_in_an_earlier_batch_is_refused() {
    let refused: Met = ("refused starts", |report| report.seen.refused, 20);
    check(Focus::Rot, &[refused]);
}

#[test]
fn fault_028_a_write_that_landed_elsewhere_is_refused() {
    let refused: Met = ("refused starts", |report| report.seen.refused, 20);
    check(Focus::Misdirected, &[refused]);
}

#[test]
fn fault_043_a_silent_issuer_is_owed_one_reversal_each() {
    let reversals: Met = ("reversals", |report| report.reversals, 100);
    check(Focus::Silence, &[reversals]);
}

#[test]
fn fault_045_an_approval_behind_the_deadline_changes_nothing() {
    let late: Met = ("late answers", |report| report.seen.late, 50);
    check(Focus::Late, &[late]);
}

#[test]
fn fault_046_an_answer_at_the_deadline_is_an_approval_or_unknown_and_never_both() {
    let ties: Met = ("ties", |report| report.seen.ties, 50);
    check(Focus::AtTheDeadline, &[ties]);
}

#[test]
fn fault_047_the_first_of_two_answers_counts() {
    let second: Met = ("second answers", |report| report.seen.second_answers, 50);
    let other: Met = ("conflicts", |report| report.seen.conflicting_answers, 20);
    check(Focus::Twice, &[second, other]);
}

#[test]
fn fault_048_an_answer_with_other_echo_fields_belongs_to_nobody() {
    let unmatched: Met = ("unmatched", |report| report.seen.unmatched, 50);
    check(Focus::Stray, &[unmatched]);
}

#[test]
fn fault_051_what_was_in_flight_on_a_lost_link_is_not_sent_on_another() {
    let lost: Met = ("lost links", |report| report.seen.links_lost, 200);
    check(Focus::Links, &[lost]);
}

#[test]
fn fault_061_a_copy_waits_for_the_answer_in_flight() {
    let attached: Met = ("attached", |report| report.seen.attached, 10);
    check(Focus::Copies, &[attached]);
}

#[test]
fn fault_062_two_copies_on_two_shards_at_once_are_one_message() {
    let attached: Met = ("attached", |report| report.seen.attached, 50);
    let mesh: Met = ("messages", |report| report.seen.between_shards, 500);
    check(Focus::Twins, &[attached, mesh]);
}

#[test]
fn fault_063_a_copy_behind_the_window_or_a_restart_is_never_sent_again() {
    let outside: Met = ("outside", |report| report.seen.outside_window, 10);
    let replays: Met = ("stored answers", |report| report.replays, 50);
    check(Focus::LateCopies, &[outside, replays]);
}

#[test]
fn fault_064_other_content_under_the_same_key_is_refused() {
    let conflicts: Met = ("conflicts", |report| report.seen.conflicts, 50);
    check(Focus::OtherContent, &[conflicts]);
}

#[test]
fn fault_066_an_original_behind_its_reversal_is_not_forwarded() {
    let tombstones: Met = ("tombstones", |report| report.tombstones, 100);
    check(Focus::ReversalFirst, &[tombstones]);
}

#[test]
fn fault_067_a_reversal_that_races_the_answer_leaves_one_approval_at_most() {
    let races: Met = ("races", |report| report.seen.races, 20);
    check(Focus::ReversalRace, &[races]);
}

#[test]
fn fault_068_copies_and_parts_of_reversals_never_take_more_than_there_was() {
    let copies: Met = ("copies", |report| report.seen.reversal_copies, 20);
    let too_much: Met = ("too much", |report| report.seen.too_much, 10);
    check(Focus::Reversals, &[copies, too_much]);
}

#[test]
fn fault_069_an_advice_waits_for_its_issuer_and_is_told_once() {
    let outages: Met = ("outages", |report| report.seen.outages, 40);
    let advised: Met = ("advices", |report| report.seen.advised, 200);
    let completions: Met = ("completions", |report| report.seen.completions, 100);
    let stood_in: Met = ("approvals in place", |report| report.seen.stood_in, 20);
    check(Focus::Advices, &[outages, advised, completions, stood_in]);
}

#[test]
fn fault_070_an_acquirer_that_was_gone_gets_the_stored_answer() {
    let replays: Met = ("stored answers", |report| report.replays, 50);
    check(Focus::Sessions, &[replays]);
}

#[test]
fn fault_088_neither_a_step_of_the_clock_nor_a_stopped_process_moves_a_deadline() {
    let steps: Met = ("steps", |report| report.seen.wall_jumps, 50);
    let stops: Met = ("stops", |report| report.seen.stops, 20);
    let late: Met = ("late answers", |report| report.seen.late, 1);
    check(Focus::Clock, &[steps, stops, late]);
}

#[test]
fn fault_095_a_full_mesh_refuses_a_request_before_its_intent_and_drops_nothing() {
    let full: Met = ("refused", |report| report.seen.mesh_full, 100);
    let mesh: Met = ("messages", |report| report.seen.between_shards, 500);
    check(Focus::Mesh, &[full, mesh]);
}

#[test]
fn fault_096_a_verdict_that_takes_too_long_sheds_the_request_before_its_intent() {
    let undecided: Met = ("undecided", |report| report.seen.undecided, 50);
    check(Focus::SlowRisk, &[undecided]);
}
