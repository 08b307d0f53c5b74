//! What an endpoint cannot carry, and what cannot be served in its dialect.

use super::*;

#[test]
fn a_framing_holds_what_its_endpoint_is_to_carry() {
    check_wire(
        &[
            ("NJIA__LISTENER__POS__FRAMING", "ascii2"),
            ("NJIA__ISSUER__MOMO__FRAMING", "ascii2-incl"),
        ],
        &[
            "`framing` is `ascii2-incl`, which holds 97 bytes: too few for a request, it must be \
             512",
            "`framing` is `ascii2`, which holds 99 bytes: too few for a request, it must be 512",
        ],
    );
    check_wire(
        &[("NJIA__ISSUER__BANK__FRAMING", "ascii3")],
        &["`frame_cap` is above the 999 bytes that `ascii3` holds"],
    );
    let ascii3 = ("NJIA__ISSUER__BANK__FRAMING", "ascii3");
    example(&[ascii3, ("NJIA__ISSUER__BANK__FRAME_CAP", "999")]);
    // The cap of all endpoints is none that was chosen for this one.
    let without = EXAMPLE.replace("\nframe_cap = 8_192", "\n");
    assert_ne!(without, EXAMPLE);
    Config::parse("njia.toml", &without, &environment(&[ascii3])).unwrap();
}

#[test]
fn a_dialect_that_is_not_served_is_refused_where_it_is_named() {
    let text = EXAMPLE
        .replacen("dialect = \"iso87-ascii\"", "dialect = \"iso2003-base\"", 1)
        .replacen("dialect = \"iso87-ascii\"", "dialect = \"later\"", 1);
    let text = text
        + "\n[dialects.later]\nextends = \"iso93-ascii\"\n[dialects.later.fields.39]\n\
           class = \"an\"\nlength = 2\n";
    let listener = place(&text, "dialect = \"iso2003-base\"");
    let issuer = place(&text, "dialect = \"later\"");
    let refused = |dialect, field, len| {
        format!(
            "`dialect` is `{dialect}`, whose DE{field} does not hold the {len} characters of a \
             transaction of 1987; messages of 2003 are read by `njia inspect` and not served \
             yet: name a dialect of 1987 or 1993"
        )
    };
    let listener = format!("{listener}: {}", refused("iso2003-base", 4, 12));
    let issuer = format!("{issuer}: {}", refused("later", 90, 42));
    check_text(&text, &[], &[&listener, &issuer]);
}

#[test]
fn dialects_of_1987_and_1993_are_served_and_others_not() {
    for dialect in Dialect::ALL {
        let name = dialect.name();
        let of_pos = ("NJIA__LISTENER__POS__DIALECT", name);
        let parsed = Config::parse("njia.toml", EXAMPLE, &environment(&[of_pos]));
        let is_later = name.starts_with("iso2003");
        assert_eq!(parsed.is_err(), is_later, "{name}: {parsed:?}");
    }
}
