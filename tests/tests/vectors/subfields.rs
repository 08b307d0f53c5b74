//! What fields hold: chip data, datasets, sub-elements by id and length.

use std::collections::BTreeMap;

use iso8583::tagged::{Form, Layout, LenCounts};
use iso8583::{FieldIndex, MessageRef, dataset, tlv};
use serde_json::Value;

use super::{bytes_of, dialect_of, hex_of, public};

/// The vector of this name; `None` where the folder is absent.
fn named(file: &str, name: &str) -> Option<Value> {
    let mut vectors = public(&[file])?.into_iter();
    let found = vectors.find(|vector| vector["name"] == name);
    assert!(found.is_some(), "no vector {name} in {file}");
    found
}

fn fields_of(vector: &Value) -> BTreeMap<String, String> {
    let fields = vector["fields"].as_object().unwrap();
    fields
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// A buffer filled by as many parts as there are.
struct Filled {
    out: [u8; 1024],
    len: usize,
}

impl Filled {
    const fn new() -> Self {
        Self {
            out: [0; 1024],
            len: 0,
        }
    }

    fn add(&mut self, put: impl FnOnce(&mut [u8]) -> Option<usize>) {
        self.len += put(&mut self.out[self.len..]).unwrap();
    }

    fn bytes(&self) -> &[u8] {
        &self.out[..self.len]
    }
}

/// Elements by tag, and the row that they make when they are put one after the other.
fn elements_of(row: &[u8]) -> (BTreeMap<String, String>, Filled) {
    assert_eq!(tlv::check(row), Ok(()));
    let (mut read, mut again) = (BTreeMap::new(), Filled::new());
    for element in tlv::elements(row).map(Result::unwrap) {
        read.insert(format!("{:X}", element.tag), hex_of(element.value));
        again.add(|out| tlv::put(out, element.tag, element.value));
    }
    (read, again)
}

#[test]
fn unknown_elements_of_chip_data_are_kept_in_order() {
    let Some(vector) = named("subfields.json", "ber-tlv-unknown-tags-kept") else {
        return;
    };
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    let (digits, row) = bytes.split_at(3);
    assert_eq!(digits, format!("{:03}", row.len()).as_bytes());
    let (read, again) = elements_of(row);
    assert_eq!(read, fields_of(&vector));
    assert_eq!(again.bytes(), row);
    for cut in 1..row.len() {
        let whole = tlv::elements(&row[..cut]).map_while(Result::ok).count();
        assert!(whole < read.len(), "cut at {cut}");
    }
}

#[test]
fn datasets_are_read_and_written_again() {
    let Some(vector) = named("subfields.json", "dataset-tlv-1-2-3-byte-tags") else {
        return;
    };
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    assert_eq!(dataset::check(&bytes), Ok(()));
    let (mut read, mut again) = (BTreeMap::new(), Filled::new());
    for dataset in dataset::datasets(&bytes).map(Result::unwrap) {
        let (elements, row) = elements_of(dataset.content);
        let within = |(tag, value)| (format!("{:02X}.{tag}", dataset.id), value);
        read.extend(elements.into_iter().map(within));
        again.add(|out| dataset::put(out, dataset.id, row.bytes()));
    }
    assert_eq!(read, fields_of(&vector));
    assert_eq!(again.bytes(), bytes);
    for cut in 1..bytes.len() {
        assert!(dataset::check(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

/// The layout that a vector states, in ASCII, and which id is which sub-field.
fn tagged_of(field: &Value) -> Option<(Layout, &serde_json::Map<String, Value>)> {
    let tagged = field["tagged"].as_object()?;
    let size = |key: &str| u8::try_from(tagged[key].as_u64().unwrap()).unwrap();
    let layout = Layout {
        lead: 0,
        id_len: size("tag_size"),
        id_form: Form::Ascii,
        len_len: size("len_size"),
        len_form: Form::Ascii,
        len_counts: LenCounts::Value,
    };
    Some((layout, tagged["map"].as_object().unwrap()))
}

#[test]
fn tagged_sub_elements_are_read_and_written_again() {
    let Some(vector) = named("subfields.json", "tagged-subfields-de48-de60") else {
        return;
    };
    let bytes = bytes_of(vector["hex"].as_str().unwrap());
    let dialect = dialect_of(&vector);
    let mut index = FieldIndex::new();
    assert_eq!(dialect.parse(&bytes, &mut index), Ok(()));
    let message = MessageRef::new(&bytes, &index);
    let mut read = fields_of(&vector);
    read.retain(|name, _| !name.contains('.'));
    for (number, field) in vector["dialect"]["fields"].as_object().unwrap() {
        let Some((layout, map)) = tagged_of(field) else {
            continue;
        };
        let value = message.field(number.parse().unwrap()).unwrap();
        let mut again = Filled::new();
        for one in layout.sub_elements(value).map(Result::unwrap) {
            let sub_field = map[&one.id.to_string()].as_str().unwrap();
            let shown = one.value.escape_ascii().to_string();
            read.insert(format!("{number}.{sub_field}"), shown);
            again.add(|out| layout.put(out, one.id.as_bytes(), one.value));
        }
        assert_eq!(again.bytes(), value, "field {number}");
    }
    assert_eq!(read, fields_of(&vector));
}

#[test]
fn lengths_of_elements_are_read_and_written() {
    let Some(vectors) = public(&["units.json"]) else {
        return;
    };
    let mut compared = 0;
    let is_ber = |vector: &&Value| vector["name"].as_str().unwrap().starts_with("ber-length-");
    for vector in vectors.iter().filter(is_ber) {
        let len = vector["fields"]["length"].as_str().unwrap();
        let len = len.parse().unwrap();
        let bytes = bytes_of(vector["hex"].as_str().unwrap());
        let mut written = Filled::new();
        written.add(|out| tlv::put_len(out, len));
        assert_eq!(written.bytes(), bytes, "{}", vector["name"]);
        let element = [&[0x91], &bytes[..], &vec![7; len]].concat();
        assert_eq!(tlv::find(&element, 0x91), Some(&vec![7; len][..]));
        compared += 1;
    }
    assert_eq!(compared, 3);
}
