//! iso8583_rs 0.1.10 (Apache-2.0): a tree of fields from a YAML file, a map of owned values, a
//! binary bitmap only. It reads the very bytes of `iso87-ascii`. Binary values go in as
//! hexadecimal digits and are decoded while the message is put together.
//!
//! It has the name of its file from the environment alone, and reads it once; [`with_spec`] starts
//! the program again with that name in place.

use std::hint::black_box;
use std::process::{Command, exit};

use iso8583_rs::iso8583::iso_spec::{Spec, new_msg, spec};

use super::message::{self, FIELDS, MTI};
use super::ours::BINARY;
use super::{Read, Side, Visitor, check};

const NAME: &str = "iso8583_rs";
const SPEC_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/yaml_spec.yaml");

/// Starts the program again when the environment does not name the file, and ends with it.
pub fn with_spec() {
    if std::env::var_os("SPEC_FILE").is_some_and(|name| name == SPEC_FILE) {
        return;
    }
    let program = std::env::current_exe().expect("a program has a file");
    let mut again = Command::new(program);
    again
        .args(std::env::args_os().skip(1))
        .env("SPEC_FILE", SPEC_FILE);
    let status = again.status().expect("the program starts again");
    exit(status.code().unwrap_or(1));
}

pub fn each(visitor: &mut impl Visitor) {
    let spec = spec("");
    let (mut wire, texts) = (message::wire(BINARY).bytes, message::texts(BINARY));
    check(NAME, read(&wire), &build(spec, &texts), BINARY);
    visitor.visit(Side::Parse, NAME, BINARY, || {
        spec.parse(black_box(&mut wire)).is_ok()
    });
    visitor.visit(Side::Build, NAME, BINARY, || build(spec, black_box(&texts)));
}

fn build(spec: &'static Spec, texts: &[(u8, String)]) -> Vec<u8> {
    let segment = spec
        .get_message_from_header(MTI)
        .expect("0200 is described");
    let mut message = new_msg(spec, segment);
    message.set("message_type", MTI).expect("it has a type");
    for (number, text) in texts {
        let set = message.set_on(u32::from(*number), text);
        set.expect("the fields suit");
    }
    message.assemble().expect("all fields are described")
}

pub fn read(bytes: &[u8]) -> Read {
    let parsed = spec("").parse(&mut bytes.to_vec());
    let message = parsed.map_err(|error| error.msg)?;
    let mut fields = Vec::new();
    for (number, _) in FIELDS {
        if message.bmp.is_on(u32::from(number)) {
            let value = message.bmp_child_value(u32::from(number));
            let value = value.map_err(|error| error.msg)?;
            fields.push((number, value.to_uppercase().into_bytes()));
        }
    }
    Ok(fields)
}
