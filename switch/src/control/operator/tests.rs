//! The socket, its callers, and the names that they use.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn root_and_the_own_user_may_operate() {
    for (uid, own, may) in [
        (0, 0, true),
        (0, 7, true),
        (7, 7, true),
        (8, 7, false),
        (7, 0, false),
    ] {
        assert_eq!(may_operate(uid, own), may, "{uid} at {own}");
    }
}

#[test]
fn the_socket_is_its_owners_alone_and_follows_one_that_was_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let first = bind(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let refused = bind(&path).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    drop(first);
    bind(&path).unwrap();
}

#[test]
fn a_name_is_read_as_it_is_written_and_in_no_other_way() {
    let text = "0199ffe0-1234-7abc-8def-0123456789ab.2";
    let name = OwedName::parse(text).unwrap();
    assert_eq!(name.to_string(), text);
    assert_eq!(OwedName::parse(&text.to_uppercase()), Some(name));
    for wrong in [
        "",
        ".",
        "2",
        "0199ffe0-1234-7abc-8def-0123456789ab",
        "0199ffe012347abc8def0123456789ab.2",
        "0199ffe0-1234-7abc-8def-0123456789ab.02",
        "0199ffe0-1234-7abc-8def-0123456789ab.256",
        "+199ffe0-1234-7abc-8def-0123456789ab.2",
    ] {
        assert_eq!(OwedName::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_user_has_the_name_of_the_machine_or_none() {
    assert_eq!(name_of(0).as_str(), "root");
    assert_eq!(name_of(4_000_000_000).as_str(), "");
}
