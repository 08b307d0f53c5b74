//! The table of causes, and limits that are raised or told.

use std::path::Path;

use super::filesystem::FileSystem;
use super::*;

#[track_caller]
fn check_cause(errno: i32, disabled: Option<u8>, expected: &str) {
    let kernel = Kernel {
        release: "6.12.30".to_owned(),
        disabled,
    };
    let told = explain(&io::Error::from_raw_os_error(errno), &kernel).to_string();
    assert!(told.contains(expected), "{told}");
    let (sentence, remedy) = told.split_once("\n  ").unwrap();
    assert!(sentence.ends_with('.') && remedy.len() > 20, "{told}");
}

#[test]
fn each_cause_has_its_remedy() {
    check_cause(EPERM, Some(2), "sysctl kernel.io_uring_disabled=0");
    check_cause(
        EPERM,
        Some(1),
        "run njia in the group that kernel.io_uring_group names",
    );
    check_cause(
        EPERM,
        Some(0),
        "blocked by a seccomp profile (io_uring_setup: EPERM; kernel 6.12",
    );
    check_cause(EPERM, None, "kernel.io_uring_disabled=unknown");
    check_cause(ENOSYS, None, "this kernel has no io_uring");
    check_cause(ENOMEM, None, "LimitMEMLOCK=infinity");
    check_cause(9, None, "io_uring_setup failed");
}

#[test]
fn a_missing_operation_is_named() {
    assert_eq!(missing(|_| true), [""; 0]);
    let without = |code| code != opcode::Accept::CODE && code != opcode::Statx::CODE;
    assert_eq!(missing(without), ["ACCEPT", "STATX"]);
    assert_eq!(missing(|_| false).len(), 23);
}

#[test]
fn a_limit_above_the_hard_one_is_told() {
    // Nobody may open so many files.
    let fault = check_descriptors(u64::MAX - 1);
    if getrlimit(Resource::Nofile).maximum.is_some() {
        assert!(matches!(fault, Err(Unfit::OpenFiles { needed, .. }) if needed == u64::MAX - 1));
    }
    assert_eq!(check_descriptors(3), Ok(()));
}

#[test]
fn memory_is_no_place_for_a_journal() {
    let path = Path::new("/j");
    assert_eq!(filesystem::judge(path, 0xEF53, false), Ok(()));
    assert_eq!(filesystem::judge(path, 0x5846_5342, false), Ok(()));
    for any in [true, false] {
        let told = filesystem::judge(path, 0x0102_1994, any)
            .unwrap_err()
            .to_string();
        assert!(
            told.starts_with("the journal /j would lie on tmpfs, which is memory"),
            "{told}"
        );
    }
    assert_eq!(filesystem::judge(path, 0x9123_683E, true), Ok(()));
    let told = filesystem::judge(path, 0x9123_683E, false)
        .unwrap_err()
        .to_string();
    assert!(
        told.contains("would lie on btrfs; durability was tried on ext4 and xfs"),
        "{told}"
    );
    let told = filesystem::judge(path, 0x1234, false)
        .unwrap_err()
        .to_string();
    assert!(told.contains("a file system of type 0x1234"), "{told}");
    assert_eq!(FileSystem::of(0x8584_58F6), FileSystem::Memory("ramfs"));
}

#[test]
fn a_folder_that_does_not_exist_lies_where_its_parent_does() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &Path| {
        filesystem::check(path, true)
            .err()
            .map(|fault| fault.to_string())
    };
    let child = folder.path().join("a/b/c");
    let same = of(&child).map(|told| told.replace("/a/b/c", ""));
    assert_eq!(same, of(folder.path()));
}
