//! What fields hold: the kind, then for sub-elements of a layout its five bytes, then the field.

use iso8583::dataset::{self, Kind};
use iso8583::tagged::{self, Form, Layout, LenCounts};
use iso8583::tlv::{self, Element, TlvError, TlvRule};

use super::input::Input;

/// No bytes panic. Parts lie side by side and are the field; put again they are the same bytes
/// where lengths were in their shortest form; every way of reading meets the same fault.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    match input.byte() % 3 {
        0 => check_elements(input.rest()),
        1 => check_datasets(input.rest()),
        _ => {
            let layout = layout_of(&mut input);
            check_sub_elements(layout, input.rest());
        }
    }
}

fn check_elements(field: &[u8]) {
    let mut read = Vec::new();
    let expected = read_slowly(field, 0, 0, &mut read);
    let found: Vec<_> = tlv::walk(field).map_while(Result::ok).collect();
    let plain =
        |(depth, one): &(usize, Element<'_>)| (*depth, one.tag, one.offset, one.value.len());
    assert_eq!(found.iter().map(plain).collect::<Vec<_>>(), read);
    let fault = tlv::walk(field).find_map(Result::err);
    assert_eq!(fault.map_or(Ok(()), Err), expected);
    assert_eq!(tlv::check(field), expected, "the quick pass");
    assert!(read.iter().all(|(depth, ..)| *depth <= tlv::DEPTH_MAX));
    check_row(field);
    for (_, element) in &found {
        if element.is_constructed() {
            check_row(element.value);
        }
    }
}

/// Elements of one row, without those that they hold.
fn check_row(row: &[u8]) {
    let mut again = Vec::new();
    for element in tlv::elements(row) {
        let Ok(element) = element else {
            return;
        };
        let at = usize::try_from(element.offset).expect("32 bits fit");
        assert!(again.len() <= at && row[again.len()..at].iter().all(|byte| *byte == 0));
        again.extend_from_slice(element.bytes);
        assert_eq!(again, row[..again.len()], "side by side");
        check_element(row, &element);
    }
    assert!(row[again.len()..].iter().all(|byte| *byte == 0), "padding");
}

fn check_element(row: &[u8], element: &Element<'_>) {
    let first = tlv::find(row, element.tag).expect("it is there");
    assert!(first.as_ptr() <= element.value.as_ptr());
    let mut out = vec![0; element.value.len() + TAG_AND_LEN_MAX];
    let len = tlv::put(&mut out, element.tag, element.value).expect("what was read can be put");
    let unpadded = behind_zeros(element.bytes);
    assert!(len <= unpadded.len(), "the shortest form");
    if len == unpadded.len() {
        assert_eq!(&out[..len], unpadded);
    }
    let mut row = tlv::elements(&out[..len]);
    let again = row
        .next()
        .and_then(Result::ok)
        .expect("what was put can be read");
    assert_eq!((again.tag, again.value), (element.tag, element.value));
    assert!(row.next().is_none());
    assert_eq!(
        tlv::put(&mut out[..len - 1], element.tag, element.value),
        None
    );
}

fn behind_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// Depth, tag, offset and length of each element.
type Read = Vec<(usize, u32, u32, usize)>;

/// The obvious recursion over a row that begins at `start` of the field.
fn read_slowly(row: &[u8], start: usize, depth: usize, out: &mut Read) -> Result<(), TlvError> {
    let mut at = 0;
    loop {
        at += row[at..].iter().take_while(|byte| **byte == 0).count();
        if at == row.len() {
            return Ok(());
        }
        let offset = |place: usize| u32::try_from(start + place).expect("a field is short");
        let fault = |place, rule| TlvError {
            offset: offset(place),
            rule,
        };
        let tag_len = tag_len(&row[at..]).map_err(|rule| fault(at, rule))?;
        let len_at = at + tag_len;
        let (len_len, len) = len_of(&row[len_at..]).map_err(|rule| fault(len_at, rule))?;
        let value_at = len_at + len_len;
        let Some(value) = row.get(value_at..value_at + len) else {
            return Err(fault(value_at, TlvRule::Truncated));
        };
        let tag = row[at..len_at]
            .iter()
            .fold(0, |tag, byte| tag << 8 | u32::from(*byte));
        let is_constructed = row[at] & 0x20 != 0;
        if is_constructed && len > 0 && depth == tlv::DEPTH_MAX {
            return Err(fault(at, TlvRule::TooDeep));
        }
        out.push((depth, tag, offset(at), len));
        if is_constructed {
            read_slowly(value, start + value_at, depth + 1, out)?;
        }
        at = value_at + len;
    }
}

fn tag_len(bytes: &[u8]) -> Result<usize, TlvRule> {
    if bytes[0] & 0x1F != 0x1F {
        return Ok(1);
    }
    let more = bytes[1..]
        .iter()
        .take_while(|byte| **byte & 0x80 != 0)
        .count();
    match more + 2 {
        len if more > 2 && len > 4 => Err(TlvRule::TagTooLong),
        len if len > bytes.len() => Err(TlvRule::Truncated),
        len => Ok(len),
    }
}

/// Bytes of the length, and what it says.
fn len_of(bytes: &[u8]) -> Result<(usize, usize), TlvRule> {
    let first = usize::from(*bytes.first().ok_or(TlvRule::Truncated)?);
    let count = match first {
        0..=0x7F => return Ok((1, first)),
        0x80 => return Err(TlvRule::IndefiniteLength),
        0x81 | 0x82 => first - 0x80,
        _ => return Err(TlvRule::LengthTooLong),
    };
    let digits = bytes.get(1..=count).ok_or(TlvRule::Truncated)?;
    let len = digits
        .iter()
        .fold(0, |len, byte| len << 8 | usize::from(*byte));
    Ok((count + 1, len))
}

fn check_datasets(field: &[u8]) {
    let mut again = Vec::new();
    let mut expected = Ok(());
    for dataset in dataset::datasets(field) {
        let dataset = match dataset {
            Ok(dataset) => dataset,
            Err(error) => {
                assert_eq!(&again, &field[..again.len()]);
                expected = expected.and(Err(error));
                break;
            }
        };
        assert_eq!(usize::try_from(dataset.offset), Ok(again.len()));
        assert!(dataset::find(field, dataset.id).is_some());
        let mut out = vec![0; dataset.bytes.len()];
        let len = dataset::put(&mut out, dataset.id, dataset.content);
        assert_eq!((len, &out[..]), (Some(out.len()), dataset.bytes));
        let shorter = out.len() - 1;
        assert_eq!(
            dataset::put(&mut out[..shorter], dataset.id, dataset.content),
            None
        );
        if dataset.kind() == Kind::Elements && expected.is_ok() {
            let within = |error: TlvError| dataset::DatasetError {
                offset: dataset.content_offset() + error.offset,
                rule: dataset::DatasetRule::Element(error.rule),
            };
            expected = tlv::check(dataset.content).map_err(within);
        }
        again.extend_from_slice(dataset.bytes);
    }
    assert_eq!(dataset::check(field), expected);
    if expected.is_ok() {
        assert_eq!(again, field);
    }
}

fn layout_of(input: &mut Input<'_>) -> Layout {
    const FORMS: [Form; 4] = [Form::Ascii, Form::Ebcdic, Form::Bcd, Form::Binary];
    let (lead, id_len, len_len) = (input.byte(), input.byte(), input.byte());
    let (forms, counts) = (usize::from(input.byte()), input.byte());
    Layout {
        lead,
        id_len,
        id_form: FORMS[forms % 4],
        len_len,
        len_form: FORMS[forms / 4 % 4],
        len_counts: if counts % 2 == 0 {
            LenCounts::Value
        } else {
            LenCounts::IdAndValue
        },
    }
}

/// Lengths of sub-elements are of fixed size, so what is read and put again is always the same.
fn check_sub_elements(layout: Layout, field: &[u8]) {
    let lead = usize::from(layout.lead);
    let mut again = field[..lead.min(field.len())].to_vec();
    let mut fault = None;
    for sub_element in layout.sub_elements(field) {
        let sub_element = match sub_element {
            Ok(sub_element) => sub_element,
            Err(error) => {
                let offset = usize::try_from(error.offset).expect("32 bits fit");
                assert!(offset <= field.len() && !error.to_string().is_empty());
                fault = Some(error);
                continue;
            }
        };
        assert_eq!(fault, None, "nothing is read behind a fault");
        assert_eq!(usize::try_from(sub_element.offset), Ok(again.len()));
        let id = sub_element.id.as_bytes();
        assert!(layout.find(field, id).is_some());
        assert_eq!(sub_element.id.to_string().as_bytes(), id);
        let mut out = vec![0; sub_element.bytes.len()];
        let len = layout.put(&mut out, id, sub_element.value);
        assert_eq!((len, &out[..]), (Some(out.len()), sub_element.bytes));
        let shorter = out.len() - 1;
        assert_eq!(layout.put(&mut out[..shorter], id, sub_element.value), None);
        again.extend_from_slice(sub_element.bytes);
    }
    assert_eq!(layout.check(field), fault.map_or(Ok(()), Err));
    if fault.is_none() {
        assert_eq!(again, field);
        assert!(layout.is_possible());
    }
    let is_refused = fault.is_some_and(|error| error.rule == tagged::TaggedRule::Layout);
    assert_eq!(is_refused, !layout.is_possible());
}

/// A tag of four bytes, a length of three.
const TAG_AND_LEN_MAX: usize = 7;
