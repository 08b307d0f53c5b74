//! Worlds with one kind of fault, for the rows of faults.md.

use super::plan::{Plan, Reports};

/// A step of a transaction at which the process may end (faults.md 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Row 1.
    Parsed,
    /// Row 2.
    IntentAppended,
    /// Row 3.
    IntentDurable,
    /// Row 4.
    HalfSent,
    /// Row 5.
    Sent,
    /// Row 6.
    AnswerRead,
    /// Row 7.
    OutcomeAppended,
    /// Row 8.
    OutcomeDurable,
    /// Row 9.
    Replied,
    /// Row 15.
    Acknowledged,
}

/// The one kind of fault of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The process ends at this step.
    Crash(CrashPoint),
    /// The power fails while a flush is under way.
    TornTails,
    /// Starts are cut short, again and again.
    Recovery,
    /// A write fails, or is short.
    WriteErrors,
    /// A sync fails once.
    SyncErrors,
    /// A sync takes seconds.
    Stalls,
    /// A write is put off.
    PutOff,
    /// Bits rot.
    Rot,
    /// Writes land elsewhere.
    Misdirected,
    /// Issuers do not answer.
    Silence,
    /// Issuers answer late.
    Late,
    /// Issuers answer at the deadline.
    AtTheDeadline,
    /// Issuers answer twice, some of them with another answer.
    Twice,
    /// Answers under the STAN of others, or with other echo fields.
    Stray,
    /// Connections to issuers are lost, in either direction.
    Links,
    /// Copies of requests.
    Copies,
    /// Two copies at once, on the sessions of different shards.
    Twins,
    /// Copies behind the window and a restart.
    LateCopies,
    /// Copies with other content.
    OtherContent,
    /// Reversals before their original.
    ReversalFirst,
    /// Reversals that race the answer.
    ReversalRace,
    /// Reversals of all kinds behind an approval.
    Reversals,
    /// Answers that do not reach their acquirer.
    Sessions,
    /// The wall clock is set by hours, and the process stands still for half a minute.
    Clock,
    /// Shards that have no room for what others hand them.
    Mesh,
    /// Verdicts of risk that take their time.
    SlowRisk,
    /// The wall clock goes back behind completions that stay owed over a restart.
    SetBack,
    /// Advices and completions, and issuers that cannot be reached for seconds.
    Advices,
}

impl Plan {
    /// This world with one kind of fault alone.
    pub(super) fn focus(&mut self, focus: Focus) {
        self.calm();
        self.power = 500;
        self.spacing_ms = 50;
        self.purchases = 40;
        match focus {
            Focus::Crash(point) => {
                self.crash_at = Some(point);
                if point == CrashPoint::Acknowledged {
                    self.reversal_after = 1_000;
                }
            }
            Focus::TornTails => (self.crash_in_flush, self.power) = (150, 1_000),
            Focus::Recovery => {
                self.crash_in_flush = 30;
                self.crash_in_recovery = 500;
                self.power = 1_000;
            }
            Focus::WriteErrors => self.write_error = 60,
            Focus::SyncErrors => self.sync_error = 60,
            Focus::Stalls => self.flush_stall = 200,
            Focus::PutOff => self.put_off = 300,
            Focus::Rot => (self.crashes, self.flips) = (6, 800),
            Focus::Misdirected => (self.crashes, self.misdirected) = (6, 60),
            Focus::Silence => self.response_loss = 500,
            Focus::Late => self.response_late = 500,
            Focus::AtTheDeadline => {
                self.at_deadline = 700;
                self.spacing_ms = 3_000;
                self.shards = 1;
            }
            Focus::Twice => (self.response_twice, self.conflicting) = (500, 300),
            Focus::Stray => (self.wrong_stan, self.wrong_echo) = (400, 300),
            Focus::Links => self.link_flaps = 40,
            Focus::Copies => (self.copies, self.response_late) = (600, 300),
            Focus::Twins => {
                self.twins = 1_000;
                self.shards = self.shards.max(2);
            }
            Focus::LateCopies => {
                self.stale_copies = 1_000;
                self.copies = 400;
                self.crashes = 3;
                self.bounds.window_s = 120;
                self.bounds.transactions_max = 24;
                self.spacing_ms = 3_000;
            }
            Focus::OtherContent => (self.copies, self.other_content) = (600, 500),
            Focus::ReversalFirst => self.reversal_first = 1_000,
            Focus::ReversalRace => (self.reversal_race, self.response_late) = (1_000, 300),
            Focus::Reversals => (self.reversal_after, self.session_loss) = (1_000, 200),
            Focus::Sessions => self.session_loss = 400,
            Focus::Clock => self.set_clocks(),
            Focus::Mesh => (self.mesh_full, self.shards) = (400, self.shards.max(2)),
            Focus::SlowRisk => self.assess_slow = 600,
            Focus::SetBack => {
                self.set_clocks();
                self.reports = Reports::MANY;
                (self.wall_jumps, self.stops) = (20, 0);
                (self.crashes, self.reversal_after) = (6, 800);
                self.shards = self.shards.max(3);
            }
            Focus::Advices => {
                self.reports = Reports::MANY;
                self.crashes = 2;
            }
        }
    }

    /// A step of the clock is no longer than what the window allows for: up to half a day.
    fn set_clocks(&mut self) {
        (self.wall_jumps, self.stops) = (8, 3);
        self.bounds.window_s = 604_800;
        self.bounds.transactions_max = 256;
    }
}
