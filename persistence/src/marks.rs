//! What a start is told besides the records that are carried over, as text: in a manifest for all
//! shards, in a checkpoint for one.

use domain::ids::{IssuerId, Stan};
use domain::record::LeftBehind;
use domain::time::WallTime;

/// The numbers that were given out last: of each issuer, one for each of its links on each shard.
/// Links are numbered at each start, so the number itself says of which link it is.
pub type LatestStans = Vec<(IssuerId, Stan)>;

/// What is told to a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// What may not have been carried over.
    pub left_behind: LeftBehind,
    /// Ordered.
    pub latest_stans: LatestStans,
}

/// How the line of an issuer begins.
pub(crate) const STANS: &str = "stans";

/// One word; 0 when nothing is missing. The second time is there since advices give way early.
pub(crate) fn write_behind(behind: LeftBehind) -> String {
    let LeftBehind { over, advices } = behind;
    let (over, advices) = (over.unix_millis(), advices.unix_millis());
    match advices {
        0 => over.to_string(),
        advices => format!("{over}/{advices}"),
    }
}

/// What is written otherwise than above is found when it is written again.
pub(crate) fn read_behind(word: &str) -> Option<LeftBehind> {
    let (over, advices) = word.split_once('/').unwrap_or((word, "0"));
    let time = |word: &str| word.parse().ok().map(WallTime::from_unix_millis);
    Some(LeftBehind {
        over: time(over)?,
        advices: time(advices)?,
    })
}

/// A line for each issuer that has any: `stans 1 000123 130001`.
pub(crate) fn write_stans(text: &mut String, stans: &[(IssuerId, Stan)]) {
    for of_issuer in stans.chunk_by(|one, next| one.0 == next.0) {
        let Some((issuer, _)) = of_issuer.first() else {
            continue;
        };
        let mut line = format!("{STANS} {issuer}");
        for (_, stan) in of_issuer {
            line.push_str(&format!(" {stan}"));
        }
        text.push_str(&line);
        text.push('\n');
    }
}

pub(crate) fn is_stans(line: &str) -> bool {
    line.split(' ').next() == Some(STANS)
}

/// Of the lines that are of this kind.
pub(crate) fn read_stans<'a>(lines: impl Iterator<Item = &'a str>) -> Option<LatestStans> {
    let mut stans = Vec::new();
    for line in lines.filter(|line| is_stans(line)) {
        let mut words = line.split(' ').skip(1);
        let issuer = IssuerId(words.next()?.parse().ok()?);
        for word in words {
            stans.push((issuer, Stan::new(word.parse().ok()?).ok()?));
        }
    }
    Some(stans)
}
