//! Arguments and inputs that make no sense: one line that says what to do, the exit code of the
//! help text, and nothing of what might be card data.

use std::fs;

use super::{Told, folder, hex_of, inspect, message, purchase};

/// Standard error is this, and standard output is empty.
#[track_caller]
fn check(told: &Told, code: i32, expected: &str) {
    assert_eq!(told.err, format!("njia: {expected} (exit {code})\n"));
    assert_eq!((told.code, told.out.as_str()), (Some(code), ""));
}

#[test]
fn a_name_that_does_not_exist_is_told_with_the_nearest() {
    let hex = hex_of(&purchase());
    for (arguments, expected) in [
        (
            ["--dialect", "iso87-asci"],
            "iso87-asci: is no dialect and no file; did you mean `iso87-ascii`?",
        ),
        (
            ["--framing", "be6"],
            "--framing names `be6`, which does not exist; did you mean `be16`?",
        ),
        (
            ["--header", "tpud"],
            "--header names `tpud`, which does not exist; did you mean `tpdu`?",
        ),
        (
            ["--header", "fixed33"],
            "--header takes 1 to 32 bytes, as `fixed12`; there is no `fixed33`",
        ),
        (
            ["--header", "x"],
            "--header names `x`, which does not exist; known: none, tpdu, base1, base24, fixedN",
        ),
    ] {
        let told = message(&[arguments[0], arguments[1], &hex], b"");
        check(&told, 2, expected);
    }
    let told = inspect(&["dialect", "viza-like"], b"");
    let expected = "viza-like: is no dialect and no file; did you mean `visa-like`?";
    check(&told, 2, expected);
    let told = inspect(&["dialect", "q"], b"");
    assert!(
        told.err
            .starts_with("njia: q: is no dialect and no file; known: iso87-ascii, ")
    );
    assert!(
        told.err.ends_with(", postilion-like (exit 2)\n"),
        "{}",
        told.err
    );
}

#[test]
fn an_argument_that_is_neither_digits_nor_a_file_is_not_repeated() {
    let neither = "the argument is neither hexadecimal digits nor one file";
    for argument in [
        "5061069876543216=",
        "5061069876543216.bin",
        "no/such/file",
        "/",
        "",
    ] {
        check(&message(&[argument], b""), 2, neither);
    }
    check(&message(&["30", "5061069876543216="], b""), 2, neither);
    check(
        &message(&["506106987654321"], b""),
        2,
        "the argument has 15 hexadecimal digits: two make a byte",
    );
    check(
        &message(&["--raw", "5061069876543216"], b""),
        2,
        "the 16 hexadecimal digits are no file, and --raw reads files and standard input",
    );
    // A slip in an option, which clap tells.
    let told = message(&["--jsn", "5061069876543216"], b"");
    assert_eq!((told.code, told.out.as_str()), (Some(2), ""));
    assert!(
        told.err.contains("'--jsn'") && told.err.contains("'--json'"),
        "{}",
        told.err
    );
    assert!(!told.err.contains("506106"), "{}", told.err);
}

#[test]
fn an_odd_number_of_digits_in_the_input_is_told() {
    let told = message(&["-"], b"50610 69876\n54321\n");
    let expected = "the 15 hexadecimal digits of the input were read as bytes: two make a byte";
    let out = told.unreadable(expected);
    assert!(!out.contains("506106") && out.contains("fault: "), "{out}");
    let raw = message(&["-", "--raw"], b"506106987654321");
    raw.unreadable("the message cannot be read");
}

#[test]
fn an_empty_input_is_told() {
    message(&["-"], b"").unreadable("the message cannot be read");
    check(
        &message(&["--framing", "be16", "-"], b""),
        1,
        "the input is empty",
    );
    check(
        &message(&["--framing", "be16", "--json", "-"], b""),
        1,
        "the input is empty",
    );
}

#[test]
fn an_input_beyond_every_bound_is_refused() {
    let zeros = vec![0; (16 << 20) + 1];
    check(
        &message(&["-"], &zeros),
        1,
        "cannot read standard input: it is longer than 16777216 bytes",
    );
    let folder = folder("long");
    let path = folder.join("long.bin").display().to_string();
    fs::write(&path, &zeros).unwrap();
    let expected = format!("cannot read {path}: it is longer than 16777216 bytes");
    check(&message(&[&path], b""), 1, &expected);
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_help_says_which_exit_code_means_what() {
    let told = message(&["--help"], b"").good();
    let codes = "Exit codes: 0 every message can be read, 1 one of them or the input cannot, \
                 2 usage: that of the\narguments, or of the dialect file that they name.";
    assert!(told.contains(codes), "{told}");
    assert!(told.contains("<HEX|FILE|->"), "{told}");
}
