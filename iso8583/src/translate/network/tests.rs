//! Network messages, there and back.

use super::*;
use crate::testing::{Message, purchase_with, raw, written};
use std::vec::Vec;

/// 1 June 2026, 12:00:00.
const NOW: WallTime = WallTime::from_unix_millis(1_780_315_200_000);

fn sent(dialect: &'static Dialect, code: NetworkCode) -> Vec<u8> {
    let mut out = [0; 100];
    let request = NetworkRequest {
        code,
        stan: Stan::new(42).unwrap(),
        at: NOW,
    };
    let len = write_network(dialect, &request, &mut out).unwrap();
    out[..len].to_vec()
}

fn answered(request: &Message) -> Vec<u8> {
    let mut out = [0; 100];
    let view = request.view();
    let len = write_network_answer(view.dialect(), view, &mut out).unwrap();
    out[..len].to_vec()
}

#[test]
fn what_is_sent_is_read_and_answered() {
    let dialect = Dialect::ISO87_ASCII;
    for codes in [
        NetworkCodes::GENERIC,
        NetworkCodes::VISA,
        NetworkCodes::MASTERCARD,
    ] {
        for kind in NetworkKind::NAMED {
            let code = codes.code(kind).unwrap();
            let bytes = sent(dialect, code);
            let body = [&b"0601120000000042"[..], &code].concat();
            assert_eq!(bytes, raw(b"0800", &[1, 7, 11, 70], &body));
            let request = Message::new(dialect, bytes);
            assert_eq!(network(request.view(), &codes), Ok(kind));
            let body = [&b"060112000000004200"[..], &code].concat();
            assert_eq!(answered(&request), raw(b"0810", &[1, 7, 11, 39, 70], &body));
        }
    }
}

#[test]
fn messages_of_1993_have_a_function_code() {
    let dialect = Dialect::ISO93_ASCII;
    assert_eq!(NetworkCodes::of(dialect), NetworkCodes::ISO93);
    assert_eq!(NetworkCodes::of(Dialect::ISO87_BCD), NetworkCodes::GENERIC);
    for kind in NetworkKind::NAMED {
        let code = NetworkCodes::ISO93.code(kind).unwrap();
        let request = Message::new(dialect, sent(dialect, code));
        let view = request.view();
        assert_eq!(view.mti(), Mti::NETWORK_REQUEST_1993);
        assert_eq!(network(view, &NetworkCodes::ISO93), Ok(kind));
        assert_eq!(view.array(12), Some(*b"260601120000"));
        assert_eq!(view.check_requirements(), Ok(()));
        let answer = Message::new(dialect, answered(&request));
        let answer = answer.view();
        assert_eq!(answer.mti().as_bytes(), b"1814");
        assert_eq!(answer.array(39), Some(*b"800"));
        for echoed in [7, 11, 12, 24] {
            assert_eq!(answer.field(echoed), view.field(echoed), "DE{echoed}");
        }
        assert!(network_accepted(answer));
        assert_eq!(network(answer, &NetworkCodes::ISO93), Ok(kind));
    }
}

#[test]
fn codes_of_other_networks_are_read() {
    let check = |codes: NetworkCodes, code: &[u8], kind| {
        let fields = [(7, &b"0601120000"[..]), (11, b"000042"), (70, code)];
        let message = written(Dialect::ISO87_ASCII, "0820", &fields);
        let message = Message::new(Dialect::ISO87_ASCII, message);
        assert_eq!(network(message.view(), &codes), Ok(kind), "{code:?}");
    };
    let generic = NetworkCodes::GENERIC;
    check(generic, b"071", NetworkKind::SignOn);
    check(generic, b"061", NetworkKind::SignOn);
    check(generic, b"072", NetworkKind::SignOff);
    check(generic, b"062", NetworkKind::SignOff);
    check(generic, b"270", NetworkKind::Echo);
    check(generic, b"003", NetworkKind::Echo);
    check(generic, b"160", NetworkKind::KeyChange);
    check(generic, b"162", NetworkKind::KeyChange);
    check(generic, b"201", NetworkKind::CutOver);
    check(generic, b"202", NetworkKind::CutOverEnd);
    check(generic, b"363", NetworkKind::Other);

    let own = generic
        .with(NetworkKind::Echo, &[*b"363", *b"364"])
        .with(NetworkKind::SignOn, &[*b"270"])
        .with(NetworkKind::SignOff, &[])
        .with(NetworkKind::Other, &[*b"999"]);
    check(own, b"364", NetworkKind::Echo);
    check(own, b"301", NetworkKind::Echo);
    check(own, b"270", NetworkKind::SignOn);
    check(own, b"002", NetworkKind::SignOff);
    check(own, b"999", NetworkKind::Other);
    assert_eq!(own.code(NetworkKind::Echo), Some(*b"363"));
    assert_eq!(own.code(NetworkKind::Other), None);
    for (name, codes) in [
        ("generic", Some(generic)),
        ("visa", Some(NetworkCodes::VISA)),
        ("mastercard", Some(NetworkCodes::MASTERCARD)),
        ("postilion", None),
    ] {
        assert_eq!(NetworkCodes::by_name(name), codes);
    }
}

#[test]
fn no_code_of_a_family_means_two_things() {
    let families = [
        NetworkCodes::GENERIC,
        NetworkCodes::VISA,
        NetworkCodes::MASTERCARD,
        NetworkCodes::ISO93,
    ];
    for codes in families {
        for kind in NetworkKind::NAMED {
            assert_eq!(known(codes.code(kind).unwrap()), kind);
        }
    }
}

#[test]
fn a_refusal_has_the_code_of_its_version() {
    let check = |dialect: &'static Dialect, code, refusal, told: &[u8]| {
        let request = Message::new(dialect, sent(dialect, code));
        let mut out = [0; 100];
        let len = write_network_refusal(dialect, request.view(), refusal, &mut out).unwrap();
        let answer = Message::new(dialect, out[..len].to_vec());
        let mut scratch = [0; 3];
        assert_eq!(answer.view().decode(39, &mut scratch), Some(told));
        assert!(!network_accepted(answer.view()));
    };
    for (refusal, old, new) in [
        (NetworkRefusal::Format, b"30", b"904"),
        (NetworkRefusal::NotServed, b"12", b"902"),
        (NetworkRefusal::Security, b"63", b"916"),
        (NetworkRefusal::Busy, b"96", b"909"),
    ] {
        check(Dialect::ISO87_ASCII, *b"101", refusal, old);
        check(Dialect::ISO93_ASCII, *b"811", refusal, new);
    }
}

#[test]
fn a_cut_over_may_say_its_day() {
    let check = |fields: &[(u8, &[u8])], day: Option<&[u8]>| {
        let message = written(Dialect::ISO87_ASCII, "0800", fields);
        let message = Message::new(Dialect::ISO87_ASCII, message);
        let date = settlement_date(message.view(), NOW).map(SettlementDate::digits);
        assert_eq!(date.as_ref().map(<[u8; 4]>::as_slice), day);
    };
    check(&[(15, b"0602"), (70, b"201")], Some(b"0602"));
    check(&[(70, b"201")], None);
}

#[test]
fn what_is_no_network_request() {
    let codes = NetworkCodes::GENERIC;
    let purchase = purchase_with("0200", &[]);
    let read = network(purchase.view(), &codes);
    assert_eq!(read, Err(FormatError { field: 0 }));
    let dialect = Dialect::ISO87_ASCII;
    let check = |fields: &[(u8, &[u8])], field| {
        let message = Message::new(dialect, written(dialect, "0800", fields));
        let read = network(message.view(), &codes);
        assert_eq!(read, Err(FormatError { field }));
    };
    check(&[(11, b"000042")], 70);
    check(&[(70, b"301")], 11);
    let answer = Message::new(dialect, written(dialect, "0810", &[(70, b"301")]));
    let refused = write_network_answer(dialect, answer.view(), &mut [0; 100]);
    assert_eq!(refused, Err(WriteError::NotAnswerable));
}
