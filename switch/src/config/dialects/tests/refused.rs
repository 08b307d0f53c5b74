//! Every fault, with its place.

use iso8583::field::{Length, Sensitivity};

use super::{loaded, row};
use crate::config::dialects::check;
use crate::limits::DIALECTS_MAX;

/// What is said about `text`, whose places stand for `@needle`: the first line that holds it.
#[track_caller]
pub(super) fn refused(text: &str, expected: &[&str]) {
    let errors = check("d.toml", text).unwrap_err();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    let expected: Vec<String> = expected.iter().map(|fault| placed(text, fault)).collect();
    assert_eq!(told, expected);
}

/// `@needle@ fault` with the line and column of the needle.
fn placed(text: &str, fault: &str) -> String {
    let (needle, fault) = fault[1..].split_once("@ ").unwrap();
    let at = text
        .find(needle)
        .unwrap_or_else(|| panic!("{needle} is not in {text}"));
    let line = text[..at].matches('\n').count() + 1;
    let column = at - text[..at].rfind('\n').map_or(0, |newline| newline + 1) + 1;
    format!("d.toml:{line}:{column}: {fault}")
}

/// As [`refused`], of one row over `iso87-ascii`.
#[track_caller]
pub(super) fn row_refused(number: u8, keys: &str, expected: &[&str]) {
    let text = format!(
        "[dialects.acme]\nextends = \"iso87-ascii\"\n[dialects.acme.fields.{number}]\n{keys}\n"
    );
    refused(&text, expected);
}

/// As [`refused`], of keys of a dialect over `iso87-ascii`.
#[track_caller]
fn keys_refused(keys: &str, expected: &[&str]) {
    let text = format!("[dialects.acme]\nextends = \"iso87-ascii\"\n{keys}\n");
    refused(&text, expected);
}

#[test]
fn sub_fields_that_cannot_be_are_refused() {
    let row = "@[dialects.acme.fields.127]@ ";
    row_refused(
        127,
        "nested = { len = 17 }\nfields.2 = { name = \"x\", length = 1, class = \"n\" }",
        &["@len@ `len` is 17, it must be 1 to 16"],
    );
    row_refused(
        127,
        "nested = { len = 1 }\nfields.9 = { name = \"x\", length = 1, class = \"n\" }",
        &[
            &format!("{row}there are no sub-fields: write [….fields.N] tables"),
            "@{ name@ field 9 cannot be defined: the bitmap of the dialect has no bit for it",
        ],
    );
    row_refused(
        127,
        "nested = { bitmap = \"fixed16\" }\nfields.2 = { name = \"x\", length = 1, class = \"n\" }",
        &["@bitmap@ `bitmap` of sub-fields has its length in `len`"],
    );
    row_refused(
        127,
        "fields.2 = { name = \"x\", length = 1, class = \"n\" }",
        &[
            "@fields.2@ `fields` of a field need `nested` = { bitmap = …, len = … } or \
             `positional` = true",
        ],
    );
    row_refused(
        127,
        "positional = true",
        &[&format!(
            "{row}there are no sub-fields: write [….fields.N] tables"
        )],
    );
    row_refused(
        127,
        "holds = \"tlv\"\npositional = true",
        &["@positional@ `positional` is of no use: `holds` says what the field holds"],
    );
    row_refused(
        127,
        "positional = true\nnested = {}\nfields.2 = { name = \"x\", length = 1, class = \"n\" }",
        &["@positional@ `positional` is of no use: `nested` says where the sub-fields are"],
    );
    let field = "{ name = \"x\", length = \"LLVAR\", max = 9, class = \"ans\", positional = true";
    let deep = format!(
        "positional = true\nfields.1 = {field}, fields.1 = {field}, fields.1 = {field}, \
         fields.1.max = 1 }} }} }}"
    );
    row_refused(
        127,
        &deep,
        &[&format!(
            "@{field}, fields.1.max@ sub-fields lie at most 3 deep in one another"
        )],
    );
}

#[test]
fn rules_of_messages_that_cannot_be_are_refused() {
    let check = |keys: &str, expected: &[&str]| {
        keys_refused(&format!("[[dialects.acme.messages]]\n{keys}"), expected);
    };
    check(
        "mandatory = [3]",
        &["@[[dialects.acme.messages]]@ `mti` is missing in [dialects.acme.messages]"],
    );
    check(
        "mti = \"02\"",
        &["@mti@ `mti` takes four places, each a digit or `x` for any, as \"02xx\", not `02`"],
    );
    check(
        "mti = \"02xx\"\nmandatory = [3, 65]",
        &["@65@ `mandatory` names field 65, which is not in the dialect"],
    );
    check(
        "mti = \"02xx\"\nmandatory = 3",
        &["@mandatory@ `mandatory` takes a list, not an integer"],
    );
    check(
        "mti = \"02xx\"\none_of = [[2, 300]]",
        &["@300@ `one_of` names field 300, which is not in the dialect"],
    );
    check(
        "mti = \"02xx\"\none_of = [[]]",
        &["@one_of@ `one_of` takes sets of fields that are not empty"],
    );
    check(
        "mti = \"02xx\"\none_of = 2",
        &["@one_of@ `one_of` takes a list of lists, not an integer"],
    );
    check(
        "mti = \"02xx\"\nconditions = [{ when = 65, then = [53], if = 3 }]",
        &[
            "@when@ `when` names field 65, which is not in the dialect",
            "@if@ unknown key `if` in [dialects.acme.messages.conditions]; known: when, then",
        ],
    );
    check(
        "mti = \"02xx\"\nconditions = [{ then = [] }]",
        &[
            "@{ then@ a condition needs `when` and `then`",
            "@then@ `then` may not be empty",
        ],
    );
    let text = "[dialects.acme]\nextends = \"iso87-ascii\"\n\
                [[dialects.acme.messages]]\nmti = \"0200\"\n\
                [[dialects.acme.messages]]\nmti = \"0200\" # again\n";
    refused(
        text,
        &["@mti = \"0200\" # again@ `mti` is 0200 a second time, after d.toml:3:1"],
    );
}

#[test]
fn a_base_that_cannot_be_is_refused() {
    let circle = "[dialects.a]\nextends = \"b\"\n[dialects.b]\nextends = \"c\"\n\
                  [dialects.c]\nextends = \"a\"\n";
    refused(
        circle,
        &["@extends = \"a\"@ `extends` leads in a circle: `a` to `b` to `c` to `a`"],
    );
    let own = "[dialects.a]\nextends = \"a\"\n";
    refused(own, &["@extends@ `extends` leads in a circle: `a` to `a`"]);
    refused(
        "[dialects.a]\nmti = \"bcd\"\n",
        &["@[dialects.a]@ `extends` is missing in [dialects.a]"],
    );
    refused(
        "[dialects.a]\nextends = \"iso87-asci\"\n",
        &[
            "@extends@ `extends` names the dialect `iso87-asci`, which does not exist; did you \
             mean `iso87-ascii`?",
        ],
    );
}

#[test]
fn names_are_legal_and_nobody_elses() {
    let check = |name: &str, fault: &str| {
        let text = format!("[dialects.{name}]\nextends = \"iso87-ascii\"\n");
        refused(&text, &[&format!("@[dialects.{name}]@ {fault}")]);
    };
    check(
        "iso87-ascii",
        "`iso87-ascii` is a built-in dialect: take another name, and write `extends` = \
         \"iso87-ascii\"",
    );
    check(
        "\"A b\"",
        "`A b` cannot be the name of a dialect: take 1 to 32 of a-z, 0-9, `-`",
    );
    refused(
        "[dialects]\nacme = 3\n",
        &["@acme@ `acme` takes a table, not an integer"],
    );
}

#[test]
fn faults_of_lengths_are_told_at_their_lines() {
    let row = |fault: &str| format!("@[dialects.acme.fields.48]@ {fault}");
    row_refused(
        48,
        "lenght = 3",
        &["@lenght@ unknown key `lenght` in [dialects.acme.fields.48]; did you mean `length`?"],
    );
    row_refused(
        48,
        "length = \"LLLAVR\"",
        &[
            "@length@ `length` takes 1 to 65535, or \"LVAR\", \"LLVAR\" to \"LLLLLLVAR\", not \
             `LLLAVR`",
        ],
    );
    row_refused(
        48,
        "length = true",
        &["@length@ `length` takes an integer or a string, not a boolean"],
    );
    row_refused(48, "max = 0", &["@max@ `max` is 0, it must be 1 to 999999"]);
    row_refused(
        48,
        "length = 8\nmax = 8\nprefix = \"bcd\"\ncounts = \"units\"",
        &[
            "@max@ `max` is of no use: the length is fixed",
            "@prefix@ `prefix` is of no use: the length is fixed",
            "@counts@ `counts` is of no use: the length is fixed",
        ],
    );
    row_refused(
        43,
        "length = \"LLVAR\"",
        &["@length@ `length` varies, so it needs `max`"],
    );
    row_refused(
        48,
        "length = \"LLVAR\"",
        &[&row(
            "field 48 has an impossible length: `max` is 999, and a prefix of 2 in ascii says at \
             most 99",
        )],
    );
}

#[test]
fn an_account_number_tells_odd_digits_from_even_ones() {
    row_refused(
        2,
        "encoding = \"bcd\"\ncounts = \"bytes\"",
        &[
            "@[dialects.acme.fields.2]@ field 2 is an account number whose length in bytes does \
             not tell an odd number of digits from an even one: count units, or pad with a nibble \
             above 9",
        ],
    );
}

#[test]
fn faults_of_other_keys_are_told_at_their_lines() {
    let row = |fault: &str| format!("@[dialects.acme.fields.48]@ {fault}");
    row_refused(
        48,
        "class = \"ans\"\nencoding = \"bcd\"",
        &[&row("field 48 cannot be packed: only n, z and x+n can")],
    );
    row_refused(
        48,
        "relay = \"replay\"",
        &[&row(
            "field 48 may hold authentication data, so it cannot be replayed",
        )],
    );
    row_refused(
        48,
        "name = \"\"",
        &["@name@ `name` takes 1 to 64 bytes of text on one line"],
    );
    row_refused(
        12,
        "length = 12",
        &[
            "@[dialects.acme.fields.12]@ field 12 is not as long as its date or time, or not n: \
             `calendar` is \"hhmmss\"; write `calendar` = \"none\" if it is none",
        ],
    );
    row_refused(
        65,
        "name = \"x\"\nlength = 1\nclass = \"n\"",
        &["@[dialects.acme.fields.65]@ field 65 cannot be defined: its bit announces a bitmap"],
    );
}

#[test]
fn keys_that_the_encoding_has_no_use_for_are_told_at_their_lines() {
    row_refused(
        22,
        "justify = \"left\"\npad = 0",
        &[
            "@justify@ `justify` is of no use: the field is not in bcd",
            "@pad@ `pad` is of no use: the field is not in bcd",
        ],
    );
    for pad in ["16", "\"G\"", "\"10F\""] {
        let text = pad.trim_matches('"');
        row_refused(
            22,
            &format!("encoding = \"bcd\"\npad = {pad}"),
            &[&format!(
                "@pad@ `pad` takes a nibble, 0 to 15 or \"A\" to \"F\", not `{text}`"
            )],
        );
    }
    row_refused(
        43,
        "encoding = \"hex\"",
        &[
            "@[dialects.acme.fields.43]@ field 43 is written as bytes or hexadecimal digits, which \
             are of class b: one of class ans needs another `encoding`",
        ],
    );
    row_refused(
        52,
        "class = \"an\"",
        &[
            "@[dialects.acme.fields.52]@ field 52 is written as bytes or hexadecimal digits, which \
             are of class b: one of class an needs another `encoding`",
        ],
    );
    let text = "[dialects.acme]\nextends = \"iso87-ascii\"\n[dialects.acme.fields.x48]\n";
    refused(
        text,
        &["@[dialects.acme.fields.x48]@ `x48` is no number of a field: take 2 to 192"],
    );
}

#[test]
fn a_prefix_that_counts_bytes_says_those_of_hexadecimal_digits() {
    row_refused(
        48,
        "length = \"LLVAR\"\nmax = 50\nencoding = \"hex\"\ncounts = \"bytes\"",
        &[
            "@[dialects.acme.fields.48]@ field 48 has an impossible length: `max` is 50, and a \
             prefix of 2 in ascii says at most 99 bytes on the wire",
        ],
    );
}

#[test]
fn what_is_taken_apart_has_a_bound() {
    let refused_above = |number: u8, encoding: &str, units_max: u16| {
        let keys =
            format!("length = \"LLLLVAR\"\nencoding = \"{encoding}\"\nholds = \"tlv\"\nmax =");
        row_refused(
            number,
            &format!("{keys} {}", units_max + 1),
            &[&format!(
                "@[dialects.acme.fields.{number}]@ field {number} holds parts and is in another \
                 encoding than bytes or ascii, so it has at most {units_max} of them: lower its \
                 length"
            )],
        );
        let most = row(number, &format!("{keys} {units_max}"));
        assert_eq!(most.units_max(), units_max);
    };
    refused_above(55, "hex", 1024);
    refused_above(55, "hex-cp037", 1024);
    refused_above(62, "cp500", 999);
    assert_eq!(
        row(55, "length = \"LLLLVAR\"\nmax = 9999").units_max(),
        9999
    );
}

#[test]
fn a_character_set_may_be_none_for_what_the_base_holds() {
    let text = "[dialects.long]\nextends = \"iso87-ascii\"\n\
                fields.46 = { length = \"LLLLVAR\", max = 2000, holds = \"tlv\" }\n\
                [dialects.own]\nextends = \"long\"\ncharset = \"cp037\"\n";
    refused(
        text,
        &[
            "@charset@ field 46 holds parts and is in another encoding than bytes or ascii, so it \
             has at most 999 of them: lower its length",
        ],
    );
    let lowered = format!("{text}fields.46.max = 999\n");
    assert_eq!(
        loaded(&lowered)[1].field(46).map(|row| row.units_max()),
        Some(999)
    );
}

#[test]
fn words_are_refused_with_the_nearest_one() {
    for (key, wrong, near) in [
        ("class", "ansb", "ans"),
        ("encoding", "cp0037", "cp037"),
        ("prefix", "ebdcic", "ebcdic"),
        ("counts", "unit", "units"),
        ("calendar", "MMD", "MMDD"),
        ("sensitivity", "publc", "public"),
        ("relay", "reply", "replay"),
    ] {
        row_refused(
            48,
            &format!("{key} = \"{wrong}\""),
            &[&format!(
                "@{key}@ `{key}` does not take `{wrong}`; did you mean `{near}`?"
            )],
        );
    }
    for (key, wrong, near) in [
        ("charset", "acsii", "ascii"),
        ("mti", "cp1074", "cp1047"),
        ("bitmap", "fixed-16", "fixed16"),
        ("tertiary", "field-65", "field65"),
    ] {
        keys_refused(
            &format!("{key} = \"{wrong}\""),
            &[&format!(
                "@{key}@ `{key}` does not take `{wrong}`; did you mean `{near}`?"
            )],
        );
    }
    row_refused(
        22,
        "encoding = \"bcd\"\njustify = \"rigth\"",
        &["@justify@ `justify` does not take `rigth`; did you mean `right`?"],
    );
    row_refused(
        48,
        "class = \"§\"",
        &["@class@ `class` does not take `§`; known: n, a, an, ns, ans, z, x+n, b"],
    );
    row_refused(
        48,
        "holds = \"blt\"",
        &["@holds@ `holds` does not take `blt`; known: tlv, datasets, none"],
    );
    keys_refused(
        "chraset = \"ascii\"",
        &["@chraset@ unknown key `chraset` in [dialects.acme]; did you mean `charset`?"],
    );
    keys_refused(
        "bitmap = \"fixed16\"\ntertiary = \"none\"",
        &["@tertiary@ `tertiary` has no place in a message with one bitmap of 16 bytes"],
    );
    keys_refused(
        "strict_padding = 1",
        &["@strict_padding@ `strict_padding` takes true or false, not an integer"],
    );
}

#[test]
fn what_is_hidden_in_every_dialect_stays_hidden() {
    for (number, least) in [
        (2, "pan"),
        (35, "sad"),
        (45, "sad"),
        (52, "sad"),
        (55, "sad"),
    ] {
        row_refused(
            number,
            "sensitivity = \"public\"",
            &[&format!(
                "@sensitivity@ `sensitivity` of field {number} is at least \"{least}\" in every \
                 dialect"
            )],
        );
    }
    // Removed by one dialect and defined anew by the next one, without a word about it.
    let text = "[dialects.none]\nextends = \"iso87-ascii\"\nfields.35.remove = true\n\
                [dialects.own]\nextends = \"none\"\n\
                fields.35 = { name = \"track\", length = \"LLVAR\", max = 37, class = \"z\" }\n";
    let own = loaded(text)[1];
    assert!(own.sad().contains(35));
    assert_eq!(
        row(46, "sensitivity = \"sad\"").sensitivity,
        Sensitivity::Sad
    );
}

#[test]
fn a_field_takes_what_njia_writes_into_it() {
    row_refused(
        11,
        "length = 4",
        &["@[dialects.acme.fields.11]@ field 11 must take 6 digits, which njia writes into it"],
    );
    row_refused(
        49,
        "class = \"a\"",
        &["@[dialects.acme.fields.49]@ field 49 must take 3 digits, which njia writes into it"],
    );
    assert_eq!(
        row(11, "length = \"LLVAR\"\nmax = 12").length,
        Length::ll(12)
    );
    row_refused(
        70,
        "remove = true",
        &["@remove@ `remove`: njia writes field 70, so every dialect has it"],
    );
}

#[test]
fn there_are_only_so_many_dialects() {
    let many: String = (0..=DIALECTS_MAX)
        .map(|number| format!("[dialects.d{number}]\nextends = \"iso87-ascii\"\n"))
        .collect();
    refused(&many, &["@dialects.d0]@ there are more than 64 dialects"]);
}
