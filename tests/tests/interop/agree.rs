//! The two directions: what we write they read and write again, what they write we read and write
//! again.

use std::collections::BTreeSet;

use njia_tests::simulation::Random;
use serde_json::{Value, json};

use crate::shown::{bytes_of, hex_of};
use crate::told::{Content, Told};
use njia_tests::outside::Peer;

/// Which of the two begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// We draw and write.
    Ours,
    /// The library draws and writes.
    Theirs,
}

/// What has been seen of a dialect in one direction.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub messages: usize,
    pub fields: BTreeSet<u8>,
}

/// Messages in one question.
const BATCH: usize = 250;

/// Lets `count` messages go there and back.
///
/// # Errors
/// The first disagreement.
pub fn agree(
    peer: &mut Peer,
    told: &Told,
    first: First,
    seed: u64,
    count: usize,
) -> Result<Seen, String> {
    let mut random = Random::new(seed);
    let mut seen = Seen::default();
    let begun = peer.ask(&told.begin());
    assert_eq!(begun, json!({"ready": true}));
    while seen.messages < count {
        let batch = BATCH.min(count - seen.messages);
        let agreed = match first {
            First::Ours => ours_first(peer, told, &mut random, batch, &mut seen),
            First::Theirs => theirs_first(peer, told, &mut random, batch, &mut seen),
        };
        agreed.map_err(|what| {
            let (name, number) = (told.dialect.name(), seen.messages);
            format!("{name}, {first:?} first, message {number}: {what}")
        })?;
    }
    Ok(seen)
}

fn ours_first(
    peer: &mut Peer,
    told: &Told,
    random: &mut Random,
    count: usize,
    seen: &mut Seen,
) -> Result<(), String> {
    let drawn: Vec<_> = (0..count).map(|_| told.draw(random)).collect();
    let messages: Vec<_> = drawn.iter().map(|(bytes, _)| hex_of(bytes)).collect();
    let answer = peer.ask(&json!({"do": "read", "messages": messages}));
    for ((bytes, content), answer) in drawn.iter().zip(messages_of(&answer, count)) {
        let (theirs, again) = theirs(answer)?;
        compare(content, &theirs)?;
        compare_bytes(bytes, &again)?;
        seen.messages += 1;
        seen.fields.extend(content.values.keys());
    }
    Ok(())
}

fn theirs_first(
    peer: &mut Peer,
    told: &Told,
    random: &mut Random,
    count: usize,
    seen: &mut Seen,
) -> Result<(), String> {
    let seed = random.below(1 << 48);
    let answer = peer.ask(&json!({"do": "draw", "seed": seed, "count": count}));
    for answer in messages_of(&answer, count) {
        let (content, bytes) = theirs(answer)?;
        let (ours, again) = told.read(&bytes)?;
        compare(&ours, &content)?;
        compare_bytes(&again, &bytes)?;
        seen.messages += 1;
        seen.fields.extend(content.values.keys());
    }
    Ok(())
}

fn messages_of(answer: &Value, count: usize) -> &[Value] {
    let messages = answer["messages"].as_array().expect("a list of messages");
    assert_eq!(messages.len(), count);
    messages
}

/// What the library says of a message, and the bytes that it has written.
fn theirs(answer: &Value) -> Result<(Content, Vec<u8>), String> {
    if let Some(fault) = answer["fault"].as_str() {
        return Err(format!("they refuse it: {fault}"));
    }
    let values = answer["values"].as_object().expect("values by number");
    let value = |(number, value): (&String, &Value)| {
        (number.parse().unwrap(), value.as_str().unwrap().to_owned())
    };
    let content = Content {
        mti: answer["mti"].as_str().unwrap().to_owned(),
        values: values.iter().map(value).collect(),
    };
    Ok((content, bytes_of(answer["hex"].as_str().unwrap())))
}

fn compare(ours: &Content, theirs: &Content) -> Result<(), String> {
    if ours.mti != theirs.mti {
        return Err(format!("type {} here, {} there", ours.mti, theirs.mti));
    }
    let numbers: BTreeSet<_> = ours.values.keys().chain(theirs.values.keys()).collect();
    for number in numbers {
        let (here, there) = (ours.values.get(number), theirs.values.get(number));
        if here != there {
            return Err(format!("field {number}: {here:?} here, {there:?} there"));
        }
    }
    Ok(())
}

fn compare_bytes(ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    if ours == theirs {
        return Ok(());
    }
    let at = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
    let (ours, theirs) = (hex_of(ours), hex_of(theirs));
    Err(format!("byte {at} of {ours} here, of {theirs} there"))
}
