//! Sign-on, sign-off and echo, there and back.

use super::*;
use crate::testing::{Message, purchase_with, raw, written};

const NOW: TransmissionTime = TransmissionTime::from_number(601_120_000);

#[test]
fn what_is_sent_is_read_and_answered() {
    for (kind, code) in [
        (NetworkKind::SignOn, b"001"),
        (NetworkKind::SignOff, b"002"),
        (NetworkKind::Echo, b"301"),
    ] {
        let (dialect, mut out) = (Dialect::ISO87_ASCII, [0; 100]);
        let len = write_network(dialect, kind, Stan::new(42).unwrap(), NOW, &mut out).unwrap();
        let body = [&b"0601120000000042"[..], code].concat();
        assert_eq!(out[..len], raw(b"0800", &[1, 7, 11, 70], &body));
        let request = Message::new(dialect, out[..len].to_vec());
        assert_eq!(network(request.view()), Ok(kind));
        let mut out = [0; 100];
        let len = write_network_answer(dialect, request.view(), &mut out).unwrap();
        let body = [&b"060112000000004200"[..], code].concat();
        assert_eq!(out[..len], raw(b"0810", &[1, 7, 11, 39, 70], &body));
    }
}

#[test]
fn codes_of_other_networks_are_read() {
    let check = |code: &[u8], kind| {
        let fields = [(7, &b"0601120000"[..]), (11, b"000042"), (70, code)];
        let message = written(Dialect::ISO87_ASCII, "0820", &fields);
        let message = Message::new(Dialect::ISO87_ASCII, message);
        assert_eq!(network(message.view()), Ok(kind));
    };
    check(b"071", NetworkKind::SignOn);
    check(b"061", NetworkKind::SignOn);
    check(b"072", NetworkKind::SignOff);
    check(b"062", NetworkKind::SignOff);
    check(b"270", NetworkKind::Echo);
    check(b"003", NetworkKind::Echo);
    check(b"201", NetworkKind::CutOver);
    check(b"161", NetworkKind::Other);
}

#[test]
fn what_is_no_network_request() {
    let purchase = purchase_with("0200", &[]);
    assert_eq!(network(purchase.view()), Err(FormatError { field: 0 }));
    let dialect = Dialect::ISO87_ASCII;
    let check = |fields: &[(u8, &[u8])], field| {
        let message = Message::new(dialect, written(dialect, "0800", fields));
        assert_eq!(network(message.view()), Err(FormatError { field }));
    };
    check(&[(11, b"000042")], 70);
    check(&[(70, b"301")], 11);
    let answer = Message::new(dialect, written(dialect, "0810", &[(70, b"301")]));
    let refused = write_network_answer(dialect, answer.view(), &mut [0; 100]);
    assert_eq!(refused, Err(WriteError::NotAnswerable));
    let stan = Stan::new(1).unwrap();
    let other = write_network(dialect, NetworkKind::Other, stan, NOW, &mut [0; 100]);
    assert_eq!(other, Err(WriteError::Undefined(70)));
}
