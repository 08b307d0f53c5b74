//! Bits that rot where something convicts them: before the last good batch of a journal.

use persistence::batch::{self, BLOCK};
use persistence::identity::Identity;

use super::disk::{Disk, FileId, folder};
use super::random::Random;

/// A byte whose damage a start must refuse, in a segment that it reads: in an earlier one, in the
/// header of the last one, or in a batch that a later one follows.
pub(super) fn convicted(
    disk: &Disk,
    identity: &Identity,
    random: &mut Random,
) -> Option<(FileId, usize)> {
    let folder = folder(identity);
    let mut numbers = disk.numbers(folder);
    let covered = disk.checkpoint(folder).map(|own| own.covered.segment);
    numbers.retain(|number| covered.is_none_or(|covered| *number >= covered));
    let last = *numbers.last()?;
    let number = numbers[random.below(numbers.len() as u64) as usize];
    let file = (folder, number);
    let bytes = disk.read(file);
    if number < last {
        return Some((file, random.below(bytes.len() as u64) as usize));
    }
    let (mut at, mut newest) = (BLOCK, BLOCK);
    while let Some((header, _)) = bytes
        .get(at..)
        .and_then(|rest| batch::open(identity.journal, rest))
    {
        newest = at;
        at += header.extent() as usize;
    }
    Some((file, random.below(newest as u64) as usize))
}
