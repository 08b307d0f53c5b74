//! i8583 0.1.0 (MIT): borrowed slices, a hexadecimal bitmap only. DE55 stands in its table as text
//! of up to 999 characters and is not looked at, so that it takes the bytes as they are.
//!
//! Its own table of 1987 gives DE63 a prefix of four digits; the row is replaced. What it says of
//! the class of a field is never read.
//!
//! Its documentation makes a packer and a buffer per message; both can also be kept, which is
//! measured apart.

use std::hint::black_box;

use i8583::data::{Size, Spec, Type};
use i8583::{Packer, Unpacker, v1987};

use super::message::{self, FIELDS, MTI};
use super::ours::MIXED;
use super::{Read, Side, Visitor, check};

const NAME: &str = "i8583";

static SPEC: [Option<Spec>; 129] = {
    let mut spec = v1987::SPEC;
    spec[63] = Some(Spec {
        data_type: Type::ANS,
        data_size: Size::LLL(999),
    });
    spec
};

pub fn each(visitor: &mut impl Visitor) {
    let wire = message::wire(MIXED).bytes;
    let build = |fields: &[(u8, &'static [u8])]| {
        let mut packer = Packer::new(&SPEC);
        set(&mut packer, fields);
        packer
            .pack(Vec::with_capacity(1024))
            .expect("it has an MTI")
    };
    check(NAME, read(&wire), &build(&FIELDS), MIXED);
    visitor.visit(Side::Parse, NAME, MIXED, || {
        let mut unpacker = Unpacker::new(black_box(&wire));
        black_box(unpacker.unpack(&SPEC)).is_ok()
    });
    visitor.visit(Side::Build, NAME, MIXED, || build(black_box(&FIELDS)));
    let (mut packer, mut buffer) = (Packer::new(&SPEC), Vec::with_capacity(1024));
    let name = format!("{NAME}, packer and buffer kept");
    visitor.visit(Side::Build, &name, MIXED, || {
        set(&mut packer, black_box(&FIELDS));
        buffer.clear();
        let packed = packer.pack(std::mem::take(&mut buffer));
        buffer = packed.expect("it has an MTI");
        black_box(&buffer).len()
    });
    assert!(
        buffer.is_empty() || buffer == wire,
        "{name} wrote other bytes"
    );
}

fn set(packer: &mut Packer<'_>, fields: &[(u8, &'static [u8])]) {
    let mti = packer.set_field(0, MTI.as_bytes().into());
    mti.expect("four digits");
    for (number, value) in fields {
        let set = packer.set_field(usize::from(*number), (*value).into());
        set.expect("the fields suit");
    }
}

pub fn read(bytes: &[u8]) -> Read {
    let mut unpacker = Unpacker::new(bytes);
    let elements = unpacker.unpack(&SPEC)?;
    let present = (2_u8..).zip(elements.iter().skip(2));
    Ok(present
        .filter_map(|(number, value)| value.map(|value| (number, value.to_vec())))
        .collect())
}
