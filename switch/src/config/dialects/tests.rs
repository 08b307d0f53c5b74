//! Every key, and messages in what comes out.

use std::fs;
use std::path::Path;

use iso8583::bitmap::Bitmap;
use iso8583::calendar::Calendar;
use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::dialect::{BitmapForm, Form, Layout, MtiForm, Tertiary};
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix, Relay, Sensitivity};
use iso8583::packed::{Justify, Packed};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer};

use super::{find, load_file};

mod endpoints;
mod refused;

use refused::{refused, row_refused};

/// The dialects of a file of this text.
fn loaded(text: &str) -> Vec<&'static Dialect> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.toml");
    fs::write(&path, text).unwrap();
    load_file(&path).unwrap()
}

/// The only dialect of a file that extends `iso87-ascii`.
fn dialect(keys: &str) -> &'static Dialect {
    let text = format!("[dialects.acme]\nextends = \"iso87-ascii\"\n{keys}");
    let [dialect] = *loaded(&text) else {
        panic!("one dialect");
    };
    dialect
}

/// The row of a field, with these keys over the base's.
fn row(number: u8, keys: &str) -> FieldSpec {
    let dialect = dialect(&format!("[dialects.acme.fields.{number}]\n{keys}"));
    *dialect.field(number).unwrap()
}

const THREE_ROWS: &str = r#"
[dialects.acme.fields.11]
encoding = "bcd"

[dialects.acme.fields.43]
length = "LLVAR"
max = 99

[dialects.acme.fields.48]
prefix = "bcd"
"#;

#[test]
fn three_rows_are_otherwise_and_all_others_as_in_the_base() {
    let acme = dialect(THREE_ROWS);
    assert_eq!(acme.name(), "acme");
    assert_eq!(acme.form(), Form::ASCII);
    for number in 0..=255 {
        let (own, base) = (acme.field(number), Dialect::ISO87_ASCII.field(number));
        assert_eq!(own == base, ![11, 43, 48].contains(&number), "{number}");
    }
    let packed = Encoding::Packed(Packed::RIGHT, Charset::Ascii);
    assert_eq!(acme.field(11), Some(&base(11).encoded(packed)));
    let place = FieldSpec {
        length: Length::ll(99),
        ..base(43)
    };
    assert_eq!(acme.field(43), Some(&place));
    let prefix = Prefix::new(Coding::Packed, Count::Units);
    assert_eq!(acme.field(48), Some(&base(48).prefixed(prefix)));
    assert_eq!(acme.echo(), Dialect::ISO87_ASCII.echo());
    assert_eq!(acme.sad(), Dialect::ISO87_ASCII.sad());
    assert_eq!(acme.requirements(), Dialect::ISO87_ASCII.requirements());
}

#[test]
fn a_message_has_the_bytes_that_the_rows_say() {
    let acme = dialect(THREE_ROWS);
    let mut out = [0; 64];
    let mut writer = Writer::new(acme, Mti::new(*b"0200").unwrap(), &mut out);
    writer.put(11, b"000123").unwrap();
    writer.put(43, b"NAIROBI").unwrap();
    writer.put(48, b"private").unwrap();
    let len = writer.finish().unwrap();
    let mut expected = b"0200\0\x20\0\0\0\x21\0\0\0\x01\x23".to_vec();
    expected.extend(b"07NAIROBI\0\x07private");
    assert_eq!(out[..len], expected);
    let mut index = FieldIndex::new();
    acme.parse(&out[..len], &mut index).unwrap();
    let message = MessageRef::new(&out[..len], &index);
    let mut scratch = [0; 8];
    assert_eq!(message.decode(11, &mut scratch), Some(&b"000123"[..]));
    let in_base = Dialect::ISO87_ASCII.parse(&out[..len], &mut index);
    assert!(in_base.is_err());
}

/// The row of a field in `iso87-ascii`.
fn base(number: u8) -> FieldSpec {
    *Dialect::ISO87_ASCII.field(number).unwrap()
}

#[track_caller]
fn becomes(number: u8, keys: &str, expected: FieldSpec) {
    assert_eq!(row(number, keys), expected, "{keys}");
}

#[test]
fn each_key_of_a_row_changes_its_part() {
    let named = FieldSpec {
        name: "merchant's reference",
        ..base(46)
    };
    becomes(46, "name = \"merchant's reference\"", named);
    let long = |number, length| FieldSpec {
        length,
        ..base(number)
    };
    becomes(43, "length = 25", long(43, Length::Fixed(25)));
    becomes(43, "length = \"25\"", long(43, Length::Fixed(25)));
    becomes(46, "max = 120", long(46, Length::lll(120)));
    let six = Length::Var {
        digits: 6,
        max: 999,
    };
    becomes(46, "length = \"LLLLLLVAR\"", long(46, six));
    for coding in Coding::ALL {
        let keys = format!("prefix = \"{}\"", coding.name());
        let prefixed = base(46).prefixed(Prefix::new(coding, Count::Units));
        becomes(46, &keys, prefixed);
    }
    let counted = base(2).prefixed(Prefix::new(Coding::Ascii, Count::Bytes));
    becomes(2, "counts = \"bytes\"", counted);
}

#[test]
fn each_word_of_a_row_is_taken() {
    for class in Class::ALL {
        let keys = format!("class = \"{}\"", class.name());
        becomes(46, &keys, FieldSpec { class, ..base(46) });
    }
    becomes(12, "calendar = \"none\"", base(12).dated(Calendar::None));
    let expiry = base(14).dated(Calendar::YearMonth);
    becomes(14, "calendar = \"YYMM\"", expiry);
    for sensitivity in Sensitivity::ALL {
        let keys = format!("sensitivity = \"{}\"", sensitivity.name());
        becomes(46, &keys, base(46).seen_as(sensitivity));
    }
    for relay in Relay::ALL {
        let keys = format!("relay = \"{}\"", relay.name());
        becomes(46, &keys, base(46).relayed(relay));
    }
    becomes(48, "holds = \"tlv\"", base(48).holding(Composite::Tlv));
    becomes(55, "holds = \"none\"", base(55).holding(Composite::Opaque));
    becomes(
        55,
        "holds = \"datasets\"",
        base(55).holding(Composite::Datasets),
    );
}

#[test]
fn sub_elements_are_laid_out_by_a_table() {
    use iso8583::tagged::{Form, Layout, LenCounts};
    let plain = Layout {
        lead: 0,
        id_len: 2,
        id_form: Form::Ascii,
        len_len: 2,
        len_form: Form::Ascii,
        len_counts: LenCounts::Value,
    };
    becomes(
        48,
        "tagged = {}",
        base(48).holding(Composite::Tagged(plain)),
    );
    let other = Layout {
        lead: 1,
        id_len: 3,
        id_form: Form::Ebcdic,
        len_len: 1,
        len_form: Form::Binary,
        len_counts: LenCounts::IdAndValue,
    };
    let keys = "tagged = { lead = 1, id = 3, id_form = \"ebcdic\", length = 1, \
                length_form = \"binary\", counts = \"id-and-value\" }";
    becomes(48, keys, base(48).holding(Composite::Tagged(other)));
}

#[test]
fn values_are_written_in_every_encoding() {
    let check = |number, keys: &str, encoding| {
        assert_eq!(row(number, keys).encoding, encoding, "{keys}");
    };
    for charset in Charset::ALL {
        let text = format!("encoding = \"{}\"", charset.name());
        check(43, &text, Encoding::Text(charset));
    }
    check(52, "encoding = \"hex\"", Encoding::HEX);
    check(
        52,
        "encoding = \"hex-cp500\"",
        Encoding::Hex(Charset::Cp500),
    );
    check(48, "encoding = \"binary\"", Encoding::Binary);
    let packed = |justify, pad| Encoding::Packed(Packed { justify, pad }, Charset::Ascii);
    check(22, "encoding = \"bcd\"", packed(Justify::Right, 0));
    let left = "encoding = \"bcd\"\njustify = \"left\"\npad = ";
    check(22, &format!("{left}\"F\""), packed(Justify::Left, 15));
    check(22, &format!("{left}15"), packed(Justify::Left, 15));
    check(22, &format!("{left}\"0\""), packed(Justify::Left, 0));
    check(22, &format!("{left}9"), packed(Justify::Left, 9));
}

#[test]
fn a_row_that_the_base_lacks_is_made_of_its_name_length_and_class() {
    let third = "tertiary = \"after-secondary\"\n[dialects.acme.fields.130]\nname = \"x\"\n";
    let of = |keys: &str| *dialect(&format!("{third}{keys}")).field(130).unwrap();
    let text = FieldSpec::new(130, "x", Class::Ans, Length::lll(40));
    let keys = "length = \"LLLVAR\"\nmax = 40\nclass = ";
    assert_eq!(of(&format!("{keys}\"ans\"")), text);
    let bytes = FieldSpec {
        class: Class::B,
        ..text
    };
    assert_eq!(of(&format!("{keys}\"b\"")), bytes.encoded(Encoding::Binary));
    let text = format!(
        "[dialects.acme]\nextends = \"iso87-ascii\"\n{third}max = 4\nencoding = \"bcd\"\n\
         relay = \"echo\"\n"
    );
    refused(
        &text,
        &["@[dialects.acme.fields.130]@ the base has no field 130, so it needs `length`, `class`"],
    );
}

#[test]
fn what_a_new_row_leaves_out_is_the_custom_of_its_dialect() {
    let text = "[dialects.a]\nextends = \"iso87-ascii\"\ncharset = \"cp037\"\n\
                tertiary = \"field65\"\n\
                fields.2.prefix = \"bcd\"\nfields.2.counts = \"bytes\"\n\
                [dialects.b]\nextends = \"a\"\nfields.43 = { length = \"LLVAR\", max = 40 }\n\
                fields.130 = { name = \"x\", length = 4, class = \"an\" }\n";
    let own = loaded(text)[1];
    let prefix = Prefix::new(Coding::Packed, Count::Bytes);
    assert_eq!(own.field(43).unwrap().prefix, prefix);
    let text = Encoding::Text(Charset::Cp037);
    assert_eq!(own.field(130).unwrap().encoding, text);
}

#[test]
fn a_row_may_go() {
    let acme = dialect("[dialects.acme.fields.48]\nremove = true\n");
    assert!(acme.field(48).is_none());
    assert!(acme.field(47).is_some());
    row_refused(
        48,
        "remove = true\nmax = 3",
        &["@max = 3@ `max` is of no use: the field is removed"],
    );
    row_refused(
        65,
        "remove = true",
        &["@remove@ `remove`: the base has no field 65"],
    );
    row_refused(
        11,
        "remove = true",
        &["@remove@ `remove`: njia writes field 11, so every dialect has it"],
    );
    let text = "[dialects.a]\nextends = \"iso87-ascii\"\n\
                messages = [{ mti = \"0200\", mandatory = [48], one_of = [[46, 47]] }]\n\
                [dialects.b]\nextends = \"a\"\nfields.46.remove = true\n\
                [dialects.c]\nextends = \"b\"\n[dialects.c.fields.48]\nremove = true\n";
    refused(
        text,
        &[
            "@[dialects.c.fields.48]@ messages 0200 must have field 48, which is not in the \
             dialect; give 0200 another rule in [[messages]]",
        ],
    );
}

#[test]
fn a_condition_that_can_never_be_met_does_no_harm() {
    let rule = "[dialects.a]\nextends = \"iso87-ascii\"\n\
                messages = [{ mti = \"0200\", conditions = [{ when = 46, then = [47] }] }]\n\
                [dialects.b]\nextends = \"a\"\nfields.47.remove = true\n";
    refused(
        rule,
        &[
            "@47.remove@ messages 0200 must have field 47, which is not in the dialect; give 0200 \
             another rule in [[messages]]",
        ],
    );
    assert_eq!(loaded(&format!("{rule}fields.46.remove = true\n")).len(), 2);
}

#[test]
fn each_key_of_a_form_changes_its_part() {
    let check = |keys: &str, form: Form| assert_eq!(dialect(keys).form(), form, "{keys}");
    check("mti = \"bcd\"", Form::ASCII.mti(MtiForm::Packed));
    let ebcdic = MtiForm::Text(Charset::Cp1047);
    check("mti = \"cp1047\"", Form::ASCII.mti(ebcdic));
    check("bitmap = \"hex\"", Form::ASCII.bitmap(BitmapForm::HEX));
    let ebcdic = BitmapForm::Hex(Charset::Cp037);
    check("bitmap = \"hex-cp037\"", Form::ASCII.bitmap(ebcdic));
    check(
        "bitmap = \"fixed16\"",
        Form::ASCII.layout(Layout::Fixed(16)),
    );
    let hex = Form::ASCII.bitmap(BitmapForm::HEX);
    check("bitmap = \"fixed16-hex\"", hex.layout(Layout::Fixed(16)));
    let third = |tertiary| Form::ASCII.layout(Layout::Chained(tertiary));
    let behind = third(Tertiary::AfterSecondary);
    check("tertiary = \"after-secondary\"", behind);
    check("tertiary = \"field65\"", third(Tertiary::Field65));
    check("tertiary = \"none\"", third(Tertiary::None));
    let strict = Form {
        strict_padding: true,
        ..Form::ASCII
    };
    check("strict_padding = true", strict);
}

#[test]
fn a_field_that_the_bitmaps_cannot_announce_is_no_longer_there() {
    let text = "[dialects.long]\nextends = \"iso87-ascii\"\ntertiary = \"field65\"\n\
                fields.130 = { name = \"x\", length = 4, class = \"n\" }\n\
                [dialects.short]\nextends = \"long\"\ntertiary = \"none\"\n\
                [dialects.fixed]\nextends = \"long\"\nbitmap = \"fixed16\"\n\
                [dialects.back]\nextends = \"fixed\"\nbitmap = \"binary\"\n";
    let dialects = loaded(text);
    let has = |name: &str| {
        let dialect = dialects.iter().find(|dialect| dialect.name() == name);
        dialect.unwrap().field(130).is_some()
    };
    assert_eq!(
        ["long", "short", "fixed", "back"].map(has),
        [true, false, false, false]
    );
    let back = dialects.iter().find(|dialect| dialect.name() == "back");
    assert_eq!(back.unwrap().form(), Form::ASCII);
}

#[test]
fn a_character_set_is_that_of_all_text_and_all_prefixes() {
    let text = "[dialects.host]\nextends = \"iso87-ascii-hex\"\ncharset = \"cp037\"\n\
                fields.22.encoding = \"bcd\"\n\
                [dialects.mixed]\nextends = \"host\"\ncharset = \"cp500\"\nmti = \"ascii\"\n\
                bitmap = \"hex\"\n\
                fields.43.encoding = \"ascii\"\nfields.44.length = \"LLLVAR\"\n\
                fields.42 = { length = \"LLVAR\", max = 15 }\n";
    let dialects = loaded(text);
    let [host, mixed] = *dialects else {
        panic!("two dialects");
    };
    let set = Charset::Cp037;
    let form = Form::ASCII
        .mti(MtiForm::Text(set))
        .bitmap(BitmapForm::Hex(set));
    assert_eq!(host.form(), form);
    let row = |number| host.field(number).unwrap();
    let ebcdic = Prefix::new(Coding::Ebcdic, Count::Units);
    assert_eq!(row(43).encoding, Encoding::Text(set));
    assert_eq!(
        (row(2).encoding, row(2).prefix),
        (Encoding::Text(set), ebcdic)
    );
    assert_eq!(row(52).encoding, Encoding::Hex(set));
    assert_eq!(row(22).encoding, Encoding::Packed(Packed::RIGHT, set));
    // Private bytes are passed through as they are, whatever they mean.
    assert_eq!(
        (row(48).encoding, row(48).prefix),
        (Encoding::ASCII, ebcdic)
    );

    assert_eq!(mixed.form(), Form::ASCII.bitmap(BitmapForm::HEX));
    let row = |number| mixed.field(number).unwrap();
    assert_eq!(row(41).encoding, Encoding::Text(Charset::Cp500));
    assert_eq!(row(43).encoding, Encoding::ASCII);
    assert_eq!(row(44).prefix, ebcdic);
    assert_eq!(row(42).prefix, ebcdic, "its length begins to vary");
    assert_eq!(
        row(22).encoding,
        Encoding::Packed(Packed::RIGHT, Charset::Cp500)
    );
}

const NESTED: &str = r#"
[dialects.acme.fields.127]
length = "LLLLLLVAR"
max = 9999
encoding = "binary"
nested = { bitmap = "hex", len = 4 }

[dialects.acme.fields.127.fields.2]
name = "switch key"
length = "LLVAR"
max = 32
class = "ans"

[dialects.acme.fields.127.fields.25]
name = "chip data"
length = "LLLLVAR"
max = 999
class = "b"
positional = true

[dialects.acme.fields.127.fields.25.fields.1]
name = "type"
length = 2
class = "n"

[dialects.sub]
extends = "acme"
charset = "cp037"

[dialects.sub.fields.127.fields.2]
max = 16
"#;

#[test]
fn a_field_may_hold_sub_fields() {
    let text = format!("[dialects.acme]\nextends = \"iso87-ascii\"\n{NESTED}");
    let [acme, sub] = *loaded(&text) else {
        panic!("two dialects");
    };
    let held = |dialect: &'static Dialect, number| match dialect.field(number).unwrap().composite {
        Composite::Bitmapped(dialect) | Composite::Positional(dialect) => dialect,
        other => panic!("{other:?}"),
    };
    let nested = held(acme, 127);
    assert_eq!(nested.name(), "acme.127");
    assert_eq!(nested.form(), Form::nested(BitmapForm::HEX, 4));
    let key = FieldSpec::new(2, "switch key", Class::Ans, Length::ll(32));
    assert_eq!(nested.field(2), Some(&key));
    let chip = held(nested, 25);
    assert_eq!(
        (chip.name(), chip.form()),
        ("acme.127.25", Form::POSITIONAL)
    );
    assert_eq!(
        chip.field(1),
        Some(&FieldSpec::new(1, "type", Class::N, Length::Fixed(2)))
    );

    let nested = held(sub, 127);
    assert_eq!(nested.name(), "sub.127");
    let cp037 = BitmapForm::Hex(Charset::Cp037);
    assert_eq!(nested.form(), Form::nested(cp037, 4));
    let key = nested.field(2).unwrap();
    assert_eq!(key.length, Length::ll(16));
    assert_eq!(key.encoding, Encoding::Text(Charset::Cp037));
    assert_eq!(key.prefix.coding, Coding::Ebcdic);
    let kind = held(nested, 25).field(1).unwrap();
    assert_eq!(kind.encoding, Encoding::Text(Charset::Cp037));
}

#[test]
fn sub_fields_that_a_shorter_bitmap_cannot_announce_go() {
    let [acme] = *loaded(
        "[dialects.acme]\nextends = \"postilion-like\"\n\
         fields.127.nested = { bitmap = \"binary\", len = 3 }\n",
    ) else {
        panic!("one dialect");
    };
    let base = Dialect::by_name("postilion-like").unwrap();
    let numbers = |dialect: &Dialect| match dialect.field(127).unwrap().composite {
        Composite::Bitmapped(held) => held.rows().map(|row| row.number).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let mut expected = numbers(base);
    assert!(expected.last() > Some(&24));
    expected.retain(|number| *number <= 24);
    assert_eq!(numbers(acme), expected);
}

#[test]
fn rules_of_messages_take_the_place_of_the_bases() {
    let acme = dialect(
        "[[dialects.acme.messages]]\nmti = \"020x\"\nmandatory = [3, 4, 11]\n\
         one_of = [[2, 35], [22]]\nconditions = [{ when = 52, then = [53, 26] }]\n\
         [[dialects.acme.messages]]\nmti = \"0600\"\n",
    );
    let set = |numbers: &[u8]| numbers.iter().copied().collect::<Bitmap>();
    let requirements = acme.requirements();
    let base = Dialect::ISO87_ASCII.requirements();
    assert_eq!(requirements.len(), base.len() + 1);
    let [.., purchase, other] = requirements else {
        panic!("two of our own");
    };
    assert_eq!(purchase.mti.to_string(), "020x");
    assert_eq!(purchase.mandatory, set(&[3, 4, 11]));
    assert_eq!(purchase.one_of, [set(&[2, 35]), set(&[22])]);
    let [condition] = purchase.conditions else {
        panic!("one condition");
    };
    assert_eq!((condition.when, condition.then), (52, set(&[53, 26])));
    assert_eq!(
        (other.mti.to_string().as_str(), other.mandatory),
        ("0600", set(&[]))
    );
    let of_base = |mti: &str| requirements.iter().any(|rule| rule.mti.to_string() == mti);
    assert!(of_base("010x") && of_base("043x"));
}

#[test]
fn dialects_extend_one_another_in_any_order_and_over_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write(
        "njia.toml",
        "dialect_files = [\"dialects/more.toml\"]\n[node]\nid = 1\n\
         [dialects.a]\nextends = \"b\"\nfields.43.length = 25\n",
    );
    fs::create_dir(folder.path().join("dialects")).unwrap();
    write(
        "dialects/more.toml",
        "[dialects.b]\nextends = \"c\"\nfields.44.max = 9\n\
         [dialects.c]\nextends = \"iso87-ascii-hex\"\nfields.45.remove = true\n",
    );
    let dialects = load_file(&folder.path().join("njia.toml")).unwrap();
    let names: Vec<&str> = dialects.iter().map(|dialect| dialect.name()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let a = dialects[0];
    assert_eq!(a.form().bitmap, BitmapForm::HEX);
    assert_eq!(a.field(43).unwrap().length, Length::Fixed(25));
    assert_eq!(a.field(44).unwrap().length, Length::ll(9));
    assert!(a.field(45).is_none());
    assert_eq!(dialects[2].field(44).unwrap().length, Length::ll(25));

    write(
        "dialects/more.toml",
        "[dialects.a]\nextends = \"iso87-ascii\"\n\
         [dialects.b]\nextends = \"iso87-ascii\"\nexten = 1\n",
    );
    let errors = load_file(&folder.path().join("njia.toml")).unwrap_err();
    let (main, more) = ("njia.toml", "dialects/more.toml");
    let place = |file: &str| folder.path().join(file).display().to_string();
    let told: Vec<String> = errors.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            format!(
                "{}:1:1: another dialect is named `a` too, at {}:4:1",
                place(more),
                place(main)
            ),
            format!(
                "{}:5:1: unknown key `exten` in [dialects.b]; did you mean `extends`?",
                place(more)
            ),
        ]
    );
}

#[test]
fn an_argument_means_a_built_in_dialect_or_one_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.toml");
    let file = path.to_str().unwrap();
    let found = |argument: &str| find(argument).map(Dialect::name);
    let fault = |argument: &str| found(argument).unwrap_err().problems()[0].to_string();
    assert_eq!(found("iso87-ascii-hex").unwrap(), "iso87-ascii-hex");
    fs::write(&path, "[dialects.acme]\nextends = \"iso87-ascii\"\n").unwrap();
    assert_eq!(found(file).unwrap(), "acme");
    assert_eq!(found(&format!("{file}:acme")).unwrap(), "acme");
    assert_eq!(
        fault(&format!("{file}:acne")),
        format!("{file}:acne: is the dialect `acne`, which does not exist; did you mean `acme`?")
    );
    let two = "[dialects.a]\nextends = \"iso87-ascii\"\n[dialects.b]\nextends = \"a\"\n";
    fs::write(&path, two).unwrap();
    assert_eq!(found(&format!("{file}:b")).unwrap(), "b");
    assert_eq!(
        fault(file),
        format!("{file}: holds more than one dialect; write {file}:NAME with one of a, b")
    );
    assert_eq!(
        fault("iso87-asci"),
        "iso87-asci: is no dialect and no file; did you mean `iso87-ascii`?"
    );
    fs::write(&path, "[dialect.a]\nextends = \"iso87-ascii\"\n").unwrap();
    assert_eq!(
        fault(file),
        format!("{file}:1:2: unknown section or key `dialect`; did you mean `dialects`?")
    );
    fs::write(&path, "[node]\nid = 1\n").unwrap();
    assert_eq!(
        fault(file),
        format!("{file}: holds no dialect: write a table [dialects.NAME]")
    );
    let missing = load_file(Path::new("/nowhere/d.toml")).unwrap_err();
    let told = missing.problems()[0].to_string();
    assert!(
        told.starts_with("/nowhere/d.toml: cannot be read: "),
        "{told}"
    );
}
