//! Outside implementations and ours read what the other writes and write the same bytes again:
//! PyPI's pyiso8583 in every dialect, npm's iso_8583 in those of ASCII. Messages are random;
//! `INTEROP_SEED=n` plays a failure again.

#[path = "interop/agree.rs"]
mod agree;
#[path = "interop/draw.rs"]
mod draw;
#[path = "interop/iso_8583.rs"]
mod iso_8583;
#[path = "interop/made.rs"]
mod made;
#[path = "interop/pyiso8583.rs"]
mod pyiso8583;
#[path = "interop/shown.rs"]
mod shown;
#[path = "interop/told.rs"]
mod told;

use std::collections::BTreeMap;

use iso8583::Dialect;
use njia_tests::outside::Peer;

use crate::agree::{First, agree};
use crate::told::{Family, Told};

/// Messages in each dialect and direction.
const MESSAGES: usize = 1_000;
/// Rows that a dialect may have which a library cannot express.
const LEFT_OUT_MAX: usize = 4;

fn seed() -> u64 {
    let seed = std::env::var("INTEROP_SEED").ok();
    seed.map_or(8583, |seed| seed.parse().expect("INTEROP_SEED is a number"))
}

/// Both directions of a dialect, with nearly all of its rows.
#[track_caller]
fn check(peer: &mut Peer, told: &Told) {
    let (name, rows) = (told.dialect.name(), told.dialect.rows().count());
    println!("{name}: {} of {rows} rows", told.shared.len());
    for row in &told.left_out {
        println!("    without DE{}: {}", row.number, row.reason);
    }
    assert_eq!(told.shared.len() + told.left_out.len(), rows, "{name}");
    assert!(told.left_out.len() <= LEFT_OUT_MAX, "{name}");
    for first in [First::Ours, First::Theirs] {
        let seed = seed();
        let seen = agree(peer, told, first, seed, MESSAGES)
            .unwrap_or_else(|what| panic!("{what}\nreplay with INTEROP_SEED={seed}"));
        assert_eq!(seen.messages, MESSAGES);
        assert_eq!(seen.fields.len(), told.shared.len(), "{name}: fields seen");
    }
}

/// The dialects that a library can express at all.
fn expressed(tell: fn(&'static Dialect) -> Result<Told, &'static str>) -> Vec<Told> {
    let dialects = Dialect::ALL.iter().copied().chain(made::all());
    let told = dialects.map(|dialect| (dialect, tell(dialect)));
    let said = told.filter_map(|(dialect, told)| match told {
        Ok(told) => Some(told),
        Err(reason) => {
            println!("{} is left out: {reason}", dialect.name());
            None
        }
    });
    said.collect()
}

#[test]
fn pyiso8583_agrees_both_ways_in_ascii_bcd_and_ebcdic() {
    let mut peer = Peer::python("pyiso8583.py");
    let mut dialects = BTreeMap::new();
    for told in expressed(pyiso8583::told) {
        check(&mut peer, &told);
        *dialects.entry(Family::of(told.dialect.form())).or_insert(0) += 1;
    }
    println!("{dialects:?}, {MESSAGES} messages each way in each");
    let count: usize = dialects.values().sum();
    assert_eq!(count, Dialect::ALL.len() + made::all().len());
    let families: Vec<_> = dialects.into_keys().collect();
    assert_eq!(families, [Family::Ascii, Family::Bcd, Family::Ebcdic]);
}

#[test]
fn iso_8583_agrees_both_ways_in_ascii() {
    let mut peer = Peer::iso_8583();
    let told = expressed(iso_8583::told);
    for told in &told {
        check(&mut peer, told);
    }
    let names: Vec<_> = told.iter().map(|told| told.dialect.name()).collect();
    assert!(names.contains(&"iso87-ascii") && names.contains(&"iso87-ascii-hex"));
}

/// iso_8583 writes a secondary bitmap also where no field is in it.
#[test]
fn an_empty_secondary_bitmap_is_read() {
    let mut told = iso_8583::told(Dialect::ISO87_ASCII).unwrap();
    told.needs_secondary = false;
    told.shared.retain(|row| row.number <= 64);
    let mut peer = Peer::iso_8583();
    let differs = agree(&mut peer, &told, First::Theirs, seed(), 1).unwrap_err();
    assert!(
        differs.contains(": byte "),
        "values are the same: {differs}"
    );
}

/// The null control: pyiso8583 is told of one row what is not true of it.
#[test]
fn a_specification_that_lies_is_found() {
    let [by_bytes, by_digits, cp500] = made::all();
    let mut peer = Peer::python("pyiso8583.py");
    let mut lie = |dialect, number: &str, key: &str, value: &str| {
        let mut told = pyiso8583::told(dialect).unwrap();
        let row = told.spec[number].as_object_mut().unwrap();
        row.retain(|key, _| !key.ends_with("_pad"));
        row.insert(key.to_owned(), value.into());
        for first in [First::Ours, First::Theirs] {
            let found = agree(&mut peer, &told, first, seed(), 100);
            assert!(found.is_err(), "DE{number} {key} {value}, {first:?} first");
        }
    };
    lie(by_digits, "2", "right_pad", "0");
    lie(by_digits, "49", "data_enc", "cp500");
    lie(by_bytes, "102", "len_enc", "b");
    lie(by_bytes, "19", "left_pad", "0");
    lie(cp500, "43", "data_enc", "cp037");
    lie(cp500, "102", "len_enc", "ascii");
    lie(Dialect::ISO87_ASCII, "48", "data_enc", "ascii");
}
