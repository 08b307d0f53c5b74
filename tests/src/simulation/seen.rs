//! What a run has come across, counted.

macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// What was met, so that a test can say that its world was wild enough.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Seen {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Seen {
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }
        }
    };
}

seen! {
    /// Answers of issuers that belonged to nobody, by their echo fields.
    unmatched,
    /// Legs that provably were not sent.
    unsent,
    /// Requests that found no place, in worlds that are drawn too small.
    table_full,
    /// Copies from before the duplicate window, of what is forgotten.
    outside_window,
    /// Requests that risk declined.
    declined_here,
    /// Breakers that opened.
    breaker_opened,
    /// Messages between shards.
    between_shards,
    /// Answers after their deadline.
    late,
    /// Answers in the very tick of a deadline.
    ties,
    /// Second answers to one request.
    second_answers,
    /// Second answers that say otherwise.
    conflicting_answers,
    /// Approvals behind the decline of what was carried out.
    truths,
    /// Copies that waited for the answer in flight.
    attached,
    /// Copies with other content.
    conflicts,
    /// Reversals that met their original in flight.
    races,
    /// Copies of reversals.
    reversal_copies,
    /// Reversals of more than is left.
    too_much,
    /// Flushes that took so long that new work was shed.
    stalled,
    /// Writes that the kernel put off.
    put_off,
    /// Tails that were torn.
    torn,
    /// Processes that ended at the named step.
    crash_points,
    /// Starts that were refused because the medium had failed.
    refused,
    /// Starts that were cut short.
    interrupted,
    /// Processes that ended at the first error of their disk.
    disk_errors,
    /// Links that were lost.
    links_lost,
    /// Messages with a byte that became another.
    garbled,
    /// Frames that arrived in pieces.
    split,
    /// Frames of which only a part arrived.
    halved,
    /// Requests that another shard had no room for.
    mesh_full,
    /// Steps of the wall clock.
    wall_jumps,
    /// Times for which the process stood still.
    stops,
    /// Requests that nobody decided about in time.
    undecided,
    /// Times at which no issuer could be reached.
    outages,
    /// Advices of acquirers that are owed to an issuer.
    advised,
    /// Advices that complete what was reversed.
    left_to_people,
    /// Advices that came after their own reversal.
    advices_buried,
    /// Advices that name what they complete as its issuer knows it.
    completions,
    /// Advices whose original lies on another shard.
    completions_elsewhere,
    /// Completions of what their issuer was never told: people were, in its place.
    completions_ahead,
    /// Completions that waited for the advice of what they complete.
    completions_behind,
    /// Reversals of completions that waited for something else about the same original.
    undone_behind,
    /// Completion requests that reached an issuer.
    completions_asked,
    /// Approvals in place of issuers.
    stood_in,
    /// Requests of the past that a start found on another shard than that of their account.
    past_elsewhere,
    /// Requests that waited until their issuer had what it was owed.
    held_back,
    /// Requests that did not leave because their issuer was owed something.
    given_up,
    /// Business days that ended.
    cut_overs,
    /// Reconciliations of acquirers that were decided.
    reconciled,
    /// Those that differed.
    out_of_balance,
    /// Copies of them.
    reconciled_again,
    /// Totals that issuers were owed.
    totals_owed,
    /// Those that they took.
    totals_taken,
    /// Those that people have.
    totals_left_to_people,
    /// Requests that a lost link had not answered, where that is an end.
    legs_lost,
    /// Approvals of less than was asked for.
    partly_approved,
    /// Copies that were refused as duplicates.
    rejected,
    /// Copies that were told that their original is in flight.
    told_in_flight,
    /// Reversals that were told that nobody knows what they reverse.
    not_found,
    /// Completions of more than their session may complete.
    over_original,
    /// Administrative messages that their issuer has answered.
    administered,
    /// Copies that took the place of one in flight.
    administered_again,
    /// Those whose issuer was silent.
    administering_timed_out,
    /// Those for which a shard had no room.
    administering_full,
    /// Answers of issuers to those that nobody waits for.
    administering_late,
    /// Reversals whose original was found by DE37, DE41 and DE42.
    located,
    /// Those whose original another shard had.
    located_elsewhere,
    /// Completion requests that name nothing by DE90.
    unnamed,
    /// Answers that say when they settle.
    settled_on,
    /// Starts with another number of shards.
    dealt_anew,
    /// Those that were cut short.
    dealt_in_part,
    /// Those that were refused because fewer shards have too little room.
    dealt_too_small,
    /// Records that were carried over.
    carried,
    /// Checkpoints that were made.
    checkpoints,
    /// Segments that went behind them.
    retired,
    /// Requests that a start found in flight, and asked for.
    resumed,
    /// Those that their issuer has told then.
    told_later,
    /// Further questions.
    questions,
}
