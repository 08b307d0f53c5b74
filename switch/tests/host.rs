//! A host that cannot run njia is told so in plain words, by the real binary (faults 91).
//! Cited as `fault_091`.

use std::path::Path;
use std::process::{Command, Output};

const NJIA: &str = env!("CARGO_BIN_EXE_njia");

/// Runs `njia serve --default-config` behind `prefix`, a program that executes its arguments.
fn serve(prefix: &[&str], state_dir: &Path) -> std::io::Result<Output> {
    // A host that is let through serves for ever: then the code is another one.
    let mut command = Command::new("timeout");
    command
        .arg("20")
        .args(prefix)
        .args([NJIA, "serve", "--default-config", "--state-dir"]);
    command.arg(state_dir).output()
}

/// A folder on the disk that holds the build: a temporary folder may be memory.
fn state_dir() -> std::io::Result<tempfile::TempDir> {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))
}

#[track_caller]
fn check(output: &Output, expected: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{told}");
    for text in expected {
        assert!(told.contains(text), "no {text:?} in:\n{told}");
    }
    assert!(
        told.trim_end().ends_with("Nothing was started. (exit 69)"),
        "{told}"
    );
    assert!(!told.contains("panicked"), "{told}");
}

/// Installs a seccomp filter that answers `errno` to io_uring_setup, io_uring_enter and
/// io_uring_register, then becomes the program in its arguments. Perl is in every Debian and Ubuntu
/// base system and can make system calls.
fn filtered(errno: u32) -> [String; 3] {
    let numbers = if cfg!(target_arch = "aarch64") {
        "167, 277"
    } else {
        "157, 317"
    };
    let script = format!(
        r#"
        my ($prctl, $seccomp) = ({numbers});
        my $filter = pack("(SCCL)*",
            0x20, 0, 0, 0,           # load the number of the call
            0x35, 0, 2, 425,         # below io_uring_setup: allow
            0x25, 1, 0, 427,         # above io_uring_register: allow
            0x06, 0, 0, 0x00050000 | {errno},
            0x06, 0, 0, 0x7fff0000);
        my $program = pack("S x6 P", 5, $filter);
        syscall($prctl, 38, 1, 0, 0, 0) == 0 or die "prctl: $!";
        syscall($seccomp, 1, 0, $program) == 0 or die "seccomp: $!";
        exec {{ $ARGV[0] }} @ARGV or die "exec: $!";
        "#
    );
    ["perl".to_owned(), "-e".to_owned(), script]
}

#[test]
fn fault_091_a_seccomp_profile_that_denies_io_uring_is_named() {
    let folder = state_dir().unwrap();
    let prefix = filtered(1);
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let output = serve(&prefix, folder.path()).unwrap();
    check(
        &output,
        &[
            "njia: io_uring is blocked by a seccomp profile (io_uring_setup: EPERM; kernel ",
            "--security-opt seccomp=FILE --ulimit memlock=-1",
            "A systemd unit needs @aio in SystemCallFilter=.",
        ],
    );
    assert!(
        !folder.path().join("journal").exists(),
        "the journal was touched"
    );
}

#[test]
fn fault_091_a_profile_that_answers_enosys_is_told_as_such() {
    let folder = state_dir().unwrap();
    let prefix = filtered(38);
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let output = serve(&prefix, folder.path()).unwrap();
    check(
        &output,
        &[
            "this kernel has no io_uring (io_uring_setup: ENOSYS; kernel ",
            "5.15",
        ],
    );
}

#[test]
fn fault_091_too_little_lockable_memory_is_told_with_the_remedy() {
    let folder = state_dir().unwrap();
    let output = serve(
        &["sh", "-c", "ulimit -l 64 && exec \"$0\" \"$@\""],
        folder.path(),
    )
    .unwrap();
    check(
        &output,
        &[
            "njia: 65536 bytes of memory may be locked, ",
            "LimitMEMLOCK=infinity",
        ],
    );
}

#[test]
fn too_few_descriptors_are_told_with_the_remedy() {
    let folder = state_dir().unwrap();
    let output = serve(
        &["sh", "-c", "ulimit -n 512 && exec \"$0\" \"$@\""],
        folder.path(),
    )
    .unwrap();
    check(
        &output,
        &[
            "njia: 512 files may be open, limits.sessions_max, the links, connections_max of each \
             gateway",
            "LimitNOFILE=1048576",
        ],
    );
}

#[test]
fn a_journal_in_memory_is_refused() {
    let memory = Path::new("/dev/shm");
    if !memory.exists() {
        eprintln!("no /dev/shm here: nothing to refuse");
        return;
    }
    let folder = tempfile::tempdir_in(memory).unwrap();
    let output = serve(&[], folder.path()).unwrap();
    check(&output, &["would lie on tmpfs, which is memory"]);
}

#[test]
fn a_refused_configuration_has_its_own_code() {
    let folder = state_dir().unwrap();
    let file = folder.path().join("njia.toml");
    std::fs::write(&file, "[nodes]\nid = 1\n").unwrap();
    let output = Command::new(NJIA)
        .arg("check-config")
        .arg("--offline")
        .arg("-c")
        .arg(&file)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("njia.toml:1:1: unknown section or key `nodes`; did you mean `node`?"));
}

#[test]
fn the_printed_default_passes_its_own_check() {
    let folder = state_dir().unwrap();
    let printed = Command::new(NJIA)
        .args(["config", "defaults"])
        .output()
        .unwrap();
    let file = folder.path().join("njia.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    let key = "00".repeat(32);
    let output = Command::new(NJIA)
        .args(["check-config", "--offline", "-c"])
        .arg(&file)
        .env("KEY", key)
        .env("NJIA__KEYS__TOKEN_KEY", "env:KEY")
        .env("NJIA__KEYS__PAN_KEY", "env:KEY")
        .env("NJIA__KEYS__HASH_KEY", "env:KEY")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        told.contains("good; node 1, 1 acquirers, 1 listeners, 2 issuers with 8 links"),
        "{told}"
    );
}

#[test]
fn an_issuer_that_cannot_be_reached_is_named() {
    let folder = state_dir().unwrap();
    let printed = Command::new(NJIA)
        .args(["config", "defaults"])
        .output()
        .unwrap();
    let file = folder.path().join("njia.toml");
    std::fs::write(&file, &printed.stdout).unwrap();
    // A port that was free a moment ago: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let output = Command::new(NJIA)
        .args(["check-config", "-c"])
        .arg(&file)
        .env("KEY", "00".repeat(32))
        .env("NJIA__KEYS__TOKEN_KEY", "env:KEY")
        .env("NJIA__KEYS__PAN_KEY", "env:KEY")
        .env("NJIA__KEYS__HASH_KEY", "env:KEY")
        .env("NJIA__ISSUER__MOMO__ADDRESSES", &address)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    let expected = format!("issuer momo: cannot connect to {address}: ");
    assert!(told.contains(&expected), "{told}");
}
