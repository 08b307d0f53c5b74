//! iso8583-codec-rs 0.1.0 (Apache-2.0): fields from a JSON specification, messages as JSON values.
//! It reads a binary bitmap and a hexadecimal one, both with DE55 as bytes, which it hands over as
//! hexadecimal digits.
//!
//! Building is measured with and without the making of the JSON object from the 20 values, which a
//! caller who does not have one already has to do.

use std::hint::black_box;

use iso8583_codec_rs::iso8583::{parse_bytes, publish_bytes};
use iso8583_codec_rs::{LoadedSpec, load_spec, validate};
use serde_json::{Map, Value, json};

use super::message::{self, Bits, Form, MTI};
use super::ours::{BINARY, MIXED};
use super::{Read, Side, Visitor, check};

pub fn each(visitor: &mut impl Visitor) {
    let texts = message::texts(BINARY);
    for (form, name) in [
        (BINARY, "iso8583-codec-rs"),
        (MIXED, "iso8583-codec-rs, hex bitmap"),
    ] {
        let (spec, wire) = (specification(form), message::wire(form).bytes);
        let build = |texts: &[(u8, String)]| publish_bytes(&object(texts), &spec);
        let built = build(&texts).expect("the fields suit");
        check(name, read(form, &wire, Checks::Parser), &built, form);
        visitor.visit(Side::Parse, name, form, || {
            parse_bytes(black_box(&wire), &spec)
        });
        visitor.visit(Side::Build, name, form, || build(black_box(&texts)));
        let (ready, name) = (object(&texts), format!("{name}, from a ready object"));
        visitor.visit(Side::Build, &name, form, || {
            publish_bytes(black_box(&ready), &spec)
        });
    }
}

/// Whose checks a message passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Those of the parser alone.
    Parser,
    /// Also those that the crate has for a message that was parsed.
    Validator,
}

pub fn read(form: Form, bytes: &[u8], checks: Checks) -> Read {
    let spec = specification(form);
    let message = parse_bytes(bytes, &spec).map_err(|error| error.to_string())?;
    if checks == Checks::Validator && !validate(&message, &spec).is_valid() {
        return Err("its validator refuses it".to_owned());
    }
    let mut fields = Vec::new();
    for (key, value) in message["fields"].as_object().into_iter().flatten() {
        let number = key.get(2..5).and_then(|number| number.parse().ok());
        let value = value.as_str().unwrap_or_default();
        fields.push((number.unwrap_or(0), value.as_bytes().to_vec()));
    }
    Ok(fields)
}

fn object(texts: &[(u8, String)]) -> Value {
    let field = |(number, text): &(u8, String)| (format!("de{number}"), json!(text));
    let fields: Map<String, Value> = texts.iter().map(field).collect();
    json!({ "mti": MTI, "fields": fields })
}

/// A tenth of a millisecond: never within a measurement.
fn specification(form: Form) -> LoadedSpec {
    let bitmap = match form.bits {
        Bits::Binary => "binary",
        Bits::Hex => "hex",
    };
    let text = include_str!("json_codec.json").replace("BITMAP", bitmap);
    load_spec(&text).expect("the specification is one")
}
