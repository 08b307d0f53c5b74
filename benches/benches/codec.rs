//! Codec: a purchase of 20 fields (0200 with chip data and a private field, 362 bytes) read,
//! written, answered and forwarded; chip data checked, opened and read.
//!
//! `parse` checks every character of every field, and the dates; `scan` finds the fields that a
//! router reads by their lengths alone. Beside it in the same run: a copy of the same
//! bytes, which is the least that touching them costs, and a peer that reads the same message into
//! a map of owned values and checks as much. `build` puts 20 fields with all checks; `answer` and
//! `forward` copy between messages.

use std::collections::BTreeMap;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use domain::bytes::Text;
use domain::ids::{AuthorisationId, InstitutionId, IssuerId, LinkId, RouteId, Stan};
use domain::request::{Answer, IssuerLeg};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use iso8583::frame::FrameStep;
use iso8583::translate::IssuerRequest;
use iso8583::{Dialect, FieldIndex, Framing, MessageRef, Mti, Writer, describe, tlv, translate};

const PURCHASE: [(u8, &[u8]); 20] = [
    (2, b"5061001234567890"),
    (3, b"000000"),
    (4, b"000000001500"),
    (7, b"0601120000"),
    (11, b"000042"),
    (12, b"150000"),
    (13, b"0601"),
    (14, b"2812"),
    (18, b"5411"),
    (22, b"051"),
    (25, b"00"),
    (32, b"00000123456"),
    (35, b"5061001234567890=28122011234567890123"),
    (37, b"615212000042"),
    (41, b"TERM0001"),
    (42, b"MERCHANT 000001"),
    (43, b"SHOP AT THE CORNER       NAIROBI      KE"),
    (49, b"404"),
    (55, PURCHASE_CHIP_DATA),
    (63, b"PRIVATE DATA OF 20  "),
];

/// [`CHIP_DATA`] as it stands in the purchase.
const PURCHASE_CHIP_DATA: &[u8; 120] = b"\
    \x9F\x26\x08\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x27\x01\x9F\x9F\x10\x12\x9F\x9F\
    \x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x37\x04\x9F\
    \x9F\x9F\x9F\x9F\x36\x02\x9F\x9F\x95\x05\x9F\x9F\x9F\x9F\x9F\x9A\x03\x9F\x9F\x9F\
    \x9C\x01\x9F\x9F\x02\x06\x9F\x9F\x9F\x9F\x9F\x9F\x5F\x2A\x02\x9F\x9F\x82\x02\x9F\
    \x9F\x9F\x1A\x02\x9F\x9F\x9F\x03\x06\x9F\x9F\x9F\x9F\x9F\x9F\x9F\x33\x03\x9F\x9F\
    \x9F\x9F\x34\x03\x9F\x9F\x9F\x9F\x35\x01\x9F\x84\x07\x9F\x9F\x9F\x9F\x9F\x9F\x9F\
";

/// Chip data of a purchase: tag, and bytes of the value. 17 elements, 120 bytes.
const CHIP_DATA: [(u32, usize); 17] = [
    (0x9F26, 8),
    (0x9F27, 1),
    (0x9F10, 18),
    (0x9F37, 4),
    (0x9F36, 2),
    (0x95, 5),
    (0x9A, 3),
    (0x9C, 1),
    (0x9F02, 6),
    (0x5F2A, 2),
    (0x82, 2),
    (0x9F1A, 2),
    (0x9F03, 6),
    (0x9F33, 3),
    (0x9F34, 3),
    (0x9F35, 1),
    (0x84, 7),
];

const DIALECTS: [&Dialect; 2] = [Dialect::ISO87_ASCII, Dialect::ISO87_ASCII_HEX];

fn build(dialect: &'static Dialect, out: &mut [u8]) -> usize {
    let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, out);
    for (number, value) in PURCHASE {
        writer
            .put(number, value)
            .expect("invariant: the purchase suits the dialect");
    }
    writer.finish().expect("invariant: there is room")
}

fn purchase(dialect: &'static Dialect) -> Vec<u8> {
    let mut out = [0; 1024];
    let len = build(dialect, &mut out);
    out[..len].to_vec()
}

/// The obvious reader: an owned value per field, checked character by character. Only for the
/// fields of the purchase in `iso87-ascii`.
fn peer(message: &[u8]) -> Option<BTreeMap<u8, Vec<u8>>> {
    let bitmap = u64::from_be_bytes(*message.get(4..12)?.first_chunk()?);
    let mut rest = message.get(12..)?;
    let mut fields = BTreeMap::new();
    for number in 2..=64_u8 {
        if bitmap >> (64 - number) & 1 == 0 {
            continue;
        }
        let prefix = match number {
            2 | 32 | 35 => 2,
            55 | 63 => 3,
            _ => 0,
        };
        let (digits, tail) = rest.split_at_checked(prefix)?;
        let len = match prefix {
            0 => PURCHASE.iter().find(|field| field.0 == number)?.1.len(),
            _ => std::str::from_utf8(digits).ok()?.parse().ok()?,
        };
        let (value, tail) = tail.split_at_checked(len)?;
        let good = value.iter().all(|byte| match number {
            35 => byte.is_ascii_digit() || matches!(byte, b'=' | b'D'),
            41..=43 => (0x20..=0x7E).contains(byte),
            37 => byte.is_ascii_alphanumeric() || *byte == b' ',
            55 | 63 => true,
            _ => byte.is_ascii_digit(),
        });
        fields.insert(number, good.then(|| value.to_vec())?);
        rest = tail;
    }
    rest.is_empty().then_some(fields)
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/read");
    for dialect in DIALECTS {
        let message = purchase(dialect);
        let mut index = FieldIndex::new();
        group.bench_function(format!("parse {}", dialect.name()), |bencher| {
            bencher.iter(|| dialect.parse(black_box(&message), black_box(&mut index)));
        });
    }
    for dialect in DIALECTS {
        let message = purchase(dialect);
        let mut index = FieldIndex::new();
        group.bench_function(format!("scan {} up to DE49", dialect.name()), |bencher| {
            bencher.iter(|| dialect.scan(black_box(&message), 49, black_box(&mut index)));
        });
    }
    let message = purchase(Dialect::ISO87_ASCII);
    let mut copy = [0; 1024];
    group.bench_function("copy of the bytes", |bencher| {
        bencher.iter(|| black_box(&mut copy[..message.len()]).copy_from_slice(black_box(&message)));
    });
    assert_eq!(peer(&message).map(|fields| fields.len()), Some(20));
    group.bench_function("peer: a map of owned values", |bencher| {
        bencher.iter(|| peer(black_box(&message)));
    });
    let index = parsed(Dialect::ISO87_ASCII, &message);
    group.bench_function("request", |bencher| {
        bencher.iter(|| translate::request(MessageRef::new(black_box(&message), &index)));
    });
    group.bench_function("describe", |bencher| {
        let view = MessageRef::new(&message, &index);
        bencher.iter(|| describe::describe(black_box(view)).to_string());
    });
    group.finish();
}

fn writing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/write");
    let mut out = [0; 1024];
    for dialect in DIALECTS {
        group.bench_function(format!("build {}", dialect.name()), |bencher| {
            bencher.iter(|| build(dialect, black_box(&mut out)));
        });
    }
    let dialect = Dialect::ISO87_ASCII;
    let message = purchase(dialect);
    let index = parsed(dialect, &message);
    let request = MessageRef::new(&message, &index);
    let mut answer = Answer::of(ResponseCode::APPROVED);
    answer.authorisation = AuthorisationId::new("DE38", b"A1B2C3").unwrap_or_default();
    group.bench_function("answer", |bencher| {
        bencher.iter(|| translate::write_answer(dialect, black_box(request), &answer, &mut out));
    });
    let (leg, us) = (leg(), forwarding());
    let going = IssuerRequest {
        leg: &leg,
        forwarding: &us,
        admitted: WallTime::from_unix_millis(1_780_315_203_000),
        amount: None,
        completed: None,
    };
    for to in [DIALECTS[0], DIALECTS[1], Dialect::ISO93_ASCII] {
        group.bench_function(format!("forward to {}", to.name()), |bencher| {
            bencher
                .iter(|| translate::write_issuer_request(to, black_box(request), &going, &mut out));
        });
    }
    group.finish();
}

fn framing(criterion: &mut Criterion) {
    let message = purchase(Dialect::ISO87_ASCII);
    let mut frame = [0; 2].to_vec();
    frame.extend_from_slice(&message);
    let put = Framing::Be16.put_header(&mut frame, message.len());
    assert_eq!(put, Ok(2));
    let stream = frame.repeat(64);
    criterion.bench_function("codec/frame/64 frames in one buffer", |bencher| {
        bencher.iter(|| {
            let framing = black_box(Framing::Be16);
            let (mut rest, mut frames) = (black_box(&stream[..]), 0_usize);
            while let FrameStep::Frame { header, len, .. } = framing.split(rest, 8192) {
                rest = &rest[header + len..];
                frames += 1;
            }
            frames
        });
    });
}

fn chip_data(out: &mut [u8]) -> usize {
    let mut len = 0;
    for (tag, value_len) in CHIP_DATA {
        let put = tlv::put(&mut out[len..], tag, &[0x9F; 18][..value_len]);
        len += put.expect("invariant: there is room");
    }
    len
}

fn elements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec/tlv");
    let (mut out, mut copy) = ([0; 256], [0; 256]);
    let len = chip_data(&mut out);
    let row = out[..len].to_vec();
    assert_eq!((len, tlv::check(&row)), (120, Ok(())));
    assert_eq!(row, PURCHASE_CHIP_DATA);
    group.bench_function("check", |bencher| {
        bencher.iter(|| tlv::check(black_box(&row)));
    });
    group.bench_function("copy of the bytes", |bencher| {
        bencher.iter(|| black_box(&mut copy[..row.len()]).copy_from_slice(black_box(&row)));
    });
    group.bench_function("elements", |bencher| {
        bencher.iter(|| tlv::elements(black_box(&row)).flatten().count());
    });
    group.bench_function("walk", |bencher| {
        bencher.iter(|| tlv::walk(black_box(&row)).flatten().count());
    });
    group.bench_function("find the last", |bencher| {
        bencher.iter(|| tlv::find(black_box(&row), 0x84).map(<[u8]>::len));
    });
    group.bench_function("put", |bencher| {
        bencher.iter(|| chip_data(black_box(&mut out)));
    });
    group.finish();
}

fn parsed(dialect: &'static Dialect, message: &[u8]) -> FieldIndex {
    let mut index = FieldIndex::new();
    let read = dialect.parse(message, &mut index);
    assert_eq!(read, Ok(()));
    index
}

fn leg() -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: Stan::new(700_001).unwrap_or_default(),
        transmitted: TransmissionTime::from_number(601_120_001),
    }
}

fn forwarding() -> InstitutionId {
    Text::new("DE33", b"999").unwrap_or_default()
}

criterion_group!(benches, reading, writing, elements, framing);
criterion_main!(benches);
