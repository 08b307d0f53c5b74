//! Every run of up to four operations of the writer, cut off at every point, with every subset of
//! what was pending; and recovery itself cut off at every point, any number of times.
//!
//! A pending block is kept, dropped, or torn at a sector: the first sectors are new and the rest is
//! not. Any subset of single sectors is in [`super::crash`], for a few runs.

use std::collections::BTreeSet;

use super::*;
use crate::sink::{Class, Sink};

const SECTOR: usize = 512;
const SECTORS: usize = BLOCK / SECTOR;
/// Operations of the longest run.
const RUN_MAX: usize = 4;
/// Runs up to this length are also cut off inside of recovery, until nothing new appears.
const NESTED_MAX: usize = 2;

/// What the writer may do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// A batch of one block.
    Short,
    /// A batch of two blocks.
    Long,
    Anchor,
    Roll,
}

const OPERATIONS: [Operation; 4] = [
    Operation::Short,
    Operation::Long,
    Operation::Anchor,
    Operation::Roll,
];

/// What lies on the disk, and what a loss of power decides about.
#[derive(Clone)]
struct State {
    segments: Vec<Vec<u8>>,
    /// A write into the last segment: where, and what.
    write: Option<(usize, Vec<u8>)>,
    /// A segment whose name was not synced.
    named: Option<Vec<u8>>,
    /// Records that were acknowledged before.
    acknowledged: usize,
}

impl State {
    /// Everything that a loss of power may leave.
    fn crashes(&self) -> Vec<Vec<Vec<u8>>> {
        let mut all = vec![self.segments.clone()];
        if let Some((at, bytes)) = &self.write {
            for (block, new) in bytes.chunks(BLOCK).enumerate() {
                let from = at + block * BLOCK;
                all = all.iter().flat_map(|disk| torn(disk, from, new)).collect();
            }
        }
        if let Some(named) = &self.named {
            let mut with = self.segments.clone();
            with.push(named.clone());
            all.push(with);
        }
        all
    }
}

/// One block kept, dropped or torn; each content once.
fn torn(disk: &[Vec<u8>], from: usize, new: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let mut seen: Vec<Vec<Vec<u8>>> = Vec::new();
    for sectors in 0..=SECTORS {
        let mut next = disk.to_vec();
        let last = next.last_mut().unwrap();
        let len = (sectors * SECTOR).min(new.len());
        last[from..from + len].copy_from_slice(&new[..len]);
        if seen.last() != Some(&next) {
            seen.push(next);
        }
    }
    seen
}

/// A run: the states that it goes through, of which the last operation's are judged. Those before
/// belong to a shorter run.
struct Run {
    log: Log,
    records: Vec<Record<'static>>,
    states: Vec<State>,
}

impl Run {
    fn of(operations: &[Operation]) -> Self {
        let mut log = Log::with_segments_of(10 * BLOCK);
        log.sink = Sink::new(IDENTITY.journal, Tail::new(), Log::BATCH_MAX);
        let mut run = Self {
            log,
            records: Vec::new(),
            states: Vec::new(),
        };
        for operation in operations {
            run.states.clear();
            run.operate(*operation);
        }
        run
    }

    fn operate(&mut self, operation: Operation) {
        match operation {
            Operation::Short => self.batch(1),
            Operation::Long => self.batch(19),
            Operation::Anchor => self.anchor(),
            Operation::Roll => self.roll(),
        }
    }

    fn batch(&mut self, count: u64) {
        let acknowledged = self.records.len();
        let before = acknowledged as u64;
        for number in before..before + count {
            let record = if count == 1 {
                small(number)
            } else {
                intent(number)
            };
            self.log.sink.try_append(&record, Class::New).unwrap();
            self.records.push(record);
        }
        let number = self.log.segments.len() as u64;
        let bytes = self.log.sink.take_batch(number).unwrap().bytes.to_vec();
        assert_eq!(bytes.len(), if count == 1 { BLOCK } else { 2 * BLOCK });
        self.write(&bytes, acknowledged);
    }

    /// There is none behind another one.
    fn anchor(&mut self) {
        let number = self.log.segments.len() as u64;
        let Some(batch) = self.log.sink.take_anchor(number) else {
            return;
        };
        let bytes = batch.bytes.to_vec();
        self.write(&bytes, self.records.len());
    }

    fn write(&mut self, bytes: &[u8], acknowledged: usize) {
        let at = self.log.at;
        self.states.push(State {
            segments: self.log.segments.clone(),
            write: Some((at, bytes.to_vec())),
            named: None,
            acknowledged,
        });
        self.log.sink.completed();
        self.log.last()[at..at + bytes.len()].copy_from_slice(bytes);
        self.log.at += bytes.len();
        self.states.push(self.settled());
    }

    /// The header is durable before the name is given, so that a name is all that is pending.
    fn roll(&mut self) {
        let before = self.log.segments.clone();
        self.log.roll();
        self.states.push(State {
            segments: before,
            write: None,
            named: self.log.segments.last().cloned(),
            acknowledged: self.records.len(),
        });
        self.states.push(self.settled());
    }

    fn settled(&self) -> State {
        State {
            segments: self.log.segments.clone(),
            write: None,
            named: None,
            acknowledged: self.records.len(),
        }
    }
}

/// What is counted, and what was seen before.
#[derive(Default)]
struct Tally {
    runs: u64,
    crashes: u64,
    torn: u64,
    recoveries: u64,
}

/// Recovers `disk`; says how its last segment ends.
fn judge(disk: &[Vec<u8>], state: &State, records: &[Record<'_>]) -> (usize, SegmentEnd) {
    let mut judge = Recovery::new(IDENTITY, None);
    let (mut found, mut end) = (0, SegmentEnd::Clean { offset: 0 });
    for (index, bytes) in disk.iter().enumerate() {
        let place = if index + 1 < disk.len() {
            Place::Earlier
        } else {
            Place::Last
        };
        let mut on_record = |lsn: Lsn, record: &Record<'_>, _: Carriage| {
            assert_eq!(lsn.0, found as u64 + 1);
            assert_eq!(Some(record), records.get(found), "invented");
            found += 1;
        };
        let judged = judge.segment(index as u64 + 1, bytes, place, &mut on_record);
        end = judged
            .unwrap_or_else(|refusal| panic!("refused: {refusal}"))
            .1;
    }
    assert!(
        found >= state.acknowledged,
        "an acknowledged record is lost"
    );
    (found, end)
}

/// Mends a torn tail. Dies at every point of it, with every subset of what was pending; what is
/// left is mended in the same way. `left` holds what was seen before.
fn mend(
    disk: &[Vec<u8>],
    (state, run): (&State, &Run),
    nested: bool,
    left: &mut BTreeSet<Vec<u8>>,
    tally: &mut Tally,
) {
    let mut todo = vec![disk.to_vec()];
    while let Some(disk) = todo.pop() {
        tally.recoveries += 1;
        let (found, end) = judge(&disk, state, &run.records);
        let SegmentEnd::Torn { offset, end } = end else {
            continue;
        };
        tally.torn += 1;
        let from = usize::try_from(offset).unwrap();
        let to = usize::try_from(end).unwrap().next_multiple_of(BLOCK);
        let mending = State {
            segments: disk,
            write: Some((from, vec![0; to - from])),
            named: None,
            acknowledged: state.acknowledged,
        };
        let mut mended = mending.segments.clone();
        mended.last_mut().unwrap()[from..to].fill(0);
        let again = judge(&mended, state, &run.records);
        assert_eq!(again, (found, SegmentEnd::Clean { offset }));
        check_goes_on(&mended, run, found);
        if nested {
            let crashes = mending.crashes().into_iter();
            todo.extend(crashes.filter(|crashed| left.insert(crashed.last().unwrap().clone())));
        }
    }
}

/// The journal goes on in a new segment behind the mended one, whether its name was synced or not.
fn check_goes_on(mended: &[Vec<u8>], run: &Run, found: usize) {
    let mut tail = Recovery::new(IDENTITY, None);
    for (number, bytes) in (1..).zip(mended) {
        tail.segment(number, bytes, Place::Last, &mut |_, _, _| {})
            .unwrap();
    }
    let tail = tail.tail();
    let mut header = run.log.header(mended.len() as u64 + 1);
    header.first_lsn = tail.next_lsn;
    header.first_sequence = tail.next_sequence;
    header.previous_chain = tail.chain;
    let mut bytes = header.encode();
    bytes.resize(run.log.segment_bytes, 0);
    let mut begun = mended.to_vec();
    begun.push(bytes);
    let nothing = State {
        segments: Vec::new(),
        write: None,
        named: None,
        acknowledged: found,
    };
    let (again, end) = judge(&begun, &nothing, &run.records);
    let offset = BLOCK as u64;
    assert_eq!((again, end), (found, SegmentEnd::Clean { offset }));
}

fn runs() -> Vec<Vec<Operation>> {
    let mut all = vec![Vec::new()];
    let mut longest = all.clone();
    for _ in 0..RUN_MAX {
        longest = longest
            .iter()
            .flat_map(|run| OPERATIONS.map(|next| [run.as_slice(), &[next]].concat()))
            .collect();
        all.extend(longest.clone());
    }
    all.retain(|run| !run.is_empty());
    all
}

#[test]
fn fault_014_every_run_of_four_operations_survives_every_crash_of_it_and_of_recovery() {
    let mut tally = Tally::default();
    for operations in runs() {
        let run = Run::of(&operations);
        let nested = operations.len() <= NESTED_MAX;
        let mut left = BTreeSet::new();
        tally.runs += 1;
        for state in &run.states {
            for crashed in state.crashes() {
                tally.crashes += 1;
                mend(&crashed, (state, &run), nested, &mut left, &mut tally);
            }
        }
    }
    println!(
        "{} runs, {} crashes, {} recoveries, {} of them of a torn tail",
        tally.runs, tally.crashes, tally.recoveries, tally.torn
    );
    let expected: u32 = (1..=4).map(|len| 4_u32.pow(len)).sum();
    assert_eq!(tally.runs, u64::from(expected));
    assert!(tally.torn > 2_000, "most crashes tear something");
}
