//! iso8583-core 0.1.0 (MIT or Apache-2.0): a table of its own that cannot be changed, a map of
//! owned values, a binary bitmap only. DE55 stands in the table as text that must be UTF-8, so that
//! it refuses chip data; it gets them as 240 hexadecimal digits behind the prefix 240. The table
//! has no rows for 56 to 63 and is looked up by place, so that DE63 would be read with the row of
//! DE71, as four characters; what the others have there stands in DE48 for it.

use std::hint::black_box;

use iso8583_core::validation::Validator;
use iso8583_core::{Field, ISO8583Message, MessageType};

use super::json_codec::Checks;
use super::message;
use super::ours::{BINARY, TEXT};
use super::{Read, Side, Visitor, check};

const NAME: &str = "iso8583-core";

pub fn each(visitor: &mut impl Visitor) {
    let (wire, texts) = (message::wire(TEXT).bytes, message::texts(TEXT));
    let fields: Vec<(Field, &str)> = texts
        .iter()
        .map(|(number, text)| (field(*number), text.as_str()))
        .collect();
    check(NAME, read(&wire, Checks::Parser), &build(&fields), TEXT);
    let chip = read(&message::wire(BINARY).bytes, Checks::Parser);
    assert!(chip.is_err(), "{NAME} reads DE55 as bytes: give it those");
    visitor.visit(Side::Parse, NAME, TEXT, || {
        ISO8583Message::from_bytes(black_box(&wire))
    });
    visitor.visit(Side::Build, NAME, TEXT, || build(black_box(&fields)));
}

fn build(fields: &[(Field, &str)]) -> Vec<u8> {
    let mut builder = ISO8583Message::builder().mti(MessageType::FINANCIAL_REQUEST);
    for (field, text) in fields {
        builder = builder.field(*field, *text);
    }
    builder.build().expect("no field is missing").to_bytes()
}

pub fn read(bytes: &[u8], checks: Checks) -> Read {
    let message = ISO8583Message::from_bytes(bytes).map_err(|error| error.to_string())?;
    let mut fields = Vec::new();
    for (number, _) in message::fields(TEXT) {
        let Some(value) = message.get_field(field(number)) else {
            continue;
        };
        if checks == Checks::Validator {
            let format = Validator::validate_field_format(field(number), value);
            let content = Validator::validate_field_value(field(number), value);
            format.and(content).map_err(|error| error.to_string())?;
        }
        fields.push((number, value.to_string_lossy().into_bytes()));
    }
    Ok(fields)
}

fn field(number: u8) -> Field {
    Field::from_number(number).expect("the numbers are those of fields")
}
