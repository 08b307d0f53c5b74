//! What is typed on the command line: times, ids, types.

use domain::ids::TransactionId;
use domain::time::{Civil, WallTime};
use persistence::identity::JournalUuid;
use persistence::record::RecordType;

/// A day, which is its first moment, or a second of UTC, with or without milliseconds.
pub(super) fn time(text: &str) -> Result<WallTime, String> {
    parse_time(text).ok_or_else(|| "write 2026-11-21, or 2026-11-21T10:00:00Z, in UTC".to_owned())
}

fn parse_time(text: &str) -> Option<WallTime> {
    let (date, clock) = match text.split_once(['T', ' ']) {
        Some((date, clock)) => (date, clock.strip_suffix('Z').unwrap_or(clock)),
        None => (text, "00:00:00"),
    };
    let (clock, millis) = match clock.split_once('.') {
        Some((clock, millis)) if (1..=3).contains(&millis.len()) => {
            (clock, number::<u64>(&format!("{millis:0<3}"))?)
        }
        Some(_) => return None,
        None => (clock, 0),
    };
    let [year, month, day] = parts(date, '-')?;
    let [hour, minute, second] = match parts(clock, ':') {
        Some(parts) => parts,
        None => {
            let (hour, minute) = clock.split_once(':')?;
            [hour, minute, "0"]
        }
    };
    let at = WallTime::from_civil(Civil {
        year: number(year)?,
        month: number(month)?,
        day: number(day)?,
        hour: number(hour)?,
        minute: number(minute)?,
        second: number(second)?,
    })?;
    Some(at.after(std::time::Duration::from_millis(millis)))
}

fn parts(text: &str, separator: char) -> Option<[&str; 3]> {
    let mut parts = text.split(separator);
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

/// Digits alone: `parse` takes a sign.
fn number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// A transaction id in its hyphenated form.
pub(super) fn transaction(text: &str) -> Result<TransactionId, String> {
    let id = JournalUuid::parse(text).map(|uuid| TransactionId(u128::from_be_bytes(uuid.0)));
    id.ok_or_else(|| "a transaction id has 36 characters, as 019b76da-…".to_owned())
}

/// A type of record by its word.
pub(super) fn record_type(text: &str) -> Result<RecordType, String> {
    let word = text.replace('-', "_");
    RecordType::all()
        .find(|kind| kind.word() == word)
        .ok_or_else(|| {
            let known: Vec<&str> = RecordType::all().map(RecordType::word).collect();
            format!("the types are {}", known.join(", "))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_told() {
        let check = |text: &str, told: Option<&str>| {
            let read = time(text).ok().map(|at| at.to_string());
            assert_eq!(read.as_deref(), told, "{text:?}");
        };
        check("2026-11-21", Some("2026-11-21T00:00:00.000Z"));
        check("2026-11-21T10:11:12Z", Some("2026-11-21T10:11:12.000Z"));
        check("2026-11-21 10:11:12.5", Some("2026-11-21T10:11:12.500Z"));
        check("2026-11-21T10:11Z", Some("2026-11-21T10:11:00.000Z"));
        for wrong in [
            "",
            "2026",
            "2026-13-01",
            "2026-02-29",
            "2026-11-21T25:00:00Z",
            "2026-11-21T10",
            "2026-11-21T10:11:12.Z",
            "2026-11-21T10:11:12+01:00",
            "2026-+1-21",
            "2026-11-21-01",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn types_and_ids_are_read() {
        assert_eq!(record_type("saf-owed").unwrap(), RecordType::SafOwed);
        assert_eq!(record_type("saf_owed").unwrap(), RecordType::SafOwed);
        assert!(record_type("owed").unwrap_err().contains("tombstone"));
        let id = TransactionId(0x019b_76da_a800_7abc_8050_0009_0000_004d);
        assert_eq!(transaction(&id.to_string()).unwrap(), id);
        assert!(transaction("4111111111111111").is_err());
    }
}
