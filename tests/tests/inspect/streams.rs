//! Several frames one behind the other: captures.

use iso8583::Dialect;
use serde_json::{Value, json};

use super::{framed, lines, message, objects, purchase, written};

const TPDU: [u8; 5] = [0x60, 0, 1, 0xAB, 2];

/// A frame with a TPDU before the message.
fn with_tpdu(message: &[u8]) -> Vec<u8> {
    framed("be16", &[&TPDU, message].concat())
}

fn echo(stan: &[u8]) -> Vec<u8> {
    written(Dialect::ISO87_ASCII, b"0800", &[(11, stan)])
}

/// The object of an echo, behind its TPDU.
fn echo_object(stan: &str) -> Value {
    let header = json!({ "id": "60", "destination": "0001", "source": "AB02" });
    json!({ "header": header, "mti": "0800", "fields": { "11": stan } })
}

/// What is wrong with a frame, or with its header.
fn refused(offset: usize, rule: &str) -> Value {
    let error = json!({ "field": null, "offset": offset, "rule": rule });
    json!({ "mti": null, "fields": {}, "error": error })
}

const ARGUMENTS: [&str; 6] = ["--framing", "be16", "--header", "tpdu", "--json", "-"];

/// How a stream is told; and of how many messages some cannot be read.
#[track_caller]
fn check(frames: &[Vec<u8>], expected: &[Value], unreadable: Option<&str>) {
    let told = message(&ARGUMENTS, &frames.concat());
    let out = match unreadable {
        None => told.good(),
        Some(unreadable) => told.unreadable(unreadable),
    };
    let mut told = objects(&out);
    let mut starts = frames.iter().scan(0, |at, frame| {
        *at += frame.len();
        Some(*at - frame.len())
    });
    for object in &mut told {
        let place = object.as_object_mut().unwrap().remove("frame").unwrap();
        assert!(starts.any(|start| place["offset"] == start), "{place}");
    }
    assert_eq!(told, expected);
}

#[test]
fn each_object_says_where_its_frame_stands() {
    let frames = [
        framed("be16", &echo(b"000001")),
        framed("be16", b""),
        framed("be16", &echo(b"000002"))[..19].to_vec(),
    ];
    let told = message(&["--framing", "be16", "--json", "-"], &frames.concat());
    let told = objects(&told.unreadable("1 of 2 messages cannot be read"));
    assert_eq!(told[0]["frame"], json!({ "offset": 0, "len": 20 }));
    let rule = "the frame ends after 19 bytes of 20";
    assert_eq!(
        told[1]["frame"],
        json!({ "offset": 22, "len": 19, "rule": rule })
    );
}

#[test]
fn each_frame_is_an_object_and_a_keep_alive_is_none() {
    let frames = [
        with_tpdu(&echo(b"000001")),
        framed("be16", b""),
        with_tpdu(&echo(b"000002")),
    ];
    check(
        &frames,
        &[echo_object("000001"), echo_object("000002")],
        None,
    );
    check(&[framed("be16", b"")], &[], None);
}

#[test]
fn one_bad_message_hides_no_other() {
    let error = json!({ "field": 11, "offset": 12, "rule": "a character is outside its class" });
    let mut bad = echo_object("000002");
    bad["fields"] = json!({});
    bad["error"] = error;
    let mut bytes = echo(b"000002");
    bytes[14] = b'x';
    check(
        &[
            with_tpdu(&echo(b"000001")),
            with_tpdu(&bytes),
            with_tpdu(&echo(b"000003")),
        ],
        &[echo_object("000001"), bad, echo_object("000003")],
        Some("1 of 3 messages cannot be read"),
    );
}

#[test]
fn one_bad_header_hides_no_message() {
    check(
        &[
            framed("be16", &echo(b"000001")),
            with_tpdu(&echo(b"000002")),
        ],
        &[
            refused(2, "byte 0 of the header is not one of its form"),
            echo_object("000002"),
        ],
        Some("1 of 2 messages cannot be read"),
    );
}

#[test]
fn a_frame_that_cannot_be_read_ends_the_stream() {
    let frame = with_tpdu(&echo(b"000001"));
    let at = frame.len();
    check(
        &[frame.clone(), b"\x00\x01x".to_vec(), frame],
        &[
            echo_object("000001"),
            refused(at, "a frame of 1 bytes is shorter than any message"),
        ],
        Some("1 of 2 messages cannot be read"),
    );
}

#[test]
fn a_frame_that_is_cut_is_read_as_far_as_it_goes() {
    let (frame, cut) = (with_tpdu(&echo(b"000001")), with_tpdu(&echo(b"000002")));
    let mut ends_early = json!({ "field": 11, "offset": 12, "rule": "the message ends inside it" });
    let told = json!({ "header": echo_object("")["header"], "mti": "0800", "fields": {} });
    let mut cut_object = told.clone();
    cut_object["error"] = ends_early.take();
    check(
        &[frame.clone(), cut[..cut.len() - 1].to_vec()],
        &[echo_object("000001"), cut_object],
        Some("1 of 2 messages cannot be read"),
    );
    let at = frame.len();
    check(
        &[frame, cut[..1].to_vec()],
        &[
            echo_object("000001"),
            refused(at, "the frame ends after 1 bytes of 2"),
        ],
        Some("1 of 2 messages cannot be read"),
    );
}

#[test]
fn text_says_where_each_frame_stands() {
    let stream = [
        with_tpdu(&echo(b"000001")),
        framed("be16", b""),
        with_tpdu(&purchase()),
    ];
    let arguments = ["--framing", "be16", "--header", "tpdu", "-"];
    let out = lines(&message(&arguments, &stream.concat()).good());
    let expected = [
        "frame be16, 25 bytes at 0 (0000)",
        "header tpdu: id 60, destination 0001, source AB02",
        "message iso87-ascii, 18 bytes",
        "0000 0 MTI message type 4 0800: ISO 8583:1987, network management, request, acquirer",
        "0004 4 bitmap fields 8 0020000000000000: 11",
        "000C 12 11 system trace audit number 6 \"000001\"",
        "frame be16, 2 bytes at 25 (0019)",
        "keep-alive",
        "frame be16, 220 bytes at 27 (001B)",
    ];
    assert_eq!(out[..expected.len()], expected);
}

#[test]
fn every_framing_can_be_told_from_its_name() {
    for framing in iso8583::Framing::ALL {
        let stream = [
            framed(framing.name(), &echo(b"000001")),
            framed(framing.name(), &echo(b"000002")),
        ];
        let arguments = ["--framing", framing.name(), "--json", "-", "--raw"];
        let out = message(&arguments, &stream.concat()).good();
        let stans: Vec<Value> = objects(&out)
            .iter()
            .map(|object| object["fields"]["11"].clone())
            .collect();
        assert_eq!(stans, ["000001", "000002"], "{}", framing.name());
    }
}
