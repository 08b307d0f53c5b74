//! How messages stand on the connections of one endpoint: framing, header, dialect.

use iso8583::dialect::{BitmapForm, MtiForm};
use iso8583::field::{Coding, Encoding, FieldSpec, Length};
use iso8583::header::HeaderBytes;
use iso8583::keep_alive::Answers;
use iso8583::{Dialect, Framing, Header};

use super::Wire;
use super::endpoints::Shared;
use super::section::{Section, nearest};

impl Wire {
    /// What the keys mean when all are left out, with this cap.
    pub(super) fn plain(frame_len_max: usize) -> Self {
        Self {
            framing: Framing::Be16,
            header: Header::None,
            frame_len_max,
            answers: Answers::Never,
            dialect: DEFAULT_DIALECT,
        }
    }
}

pub(super) fn wire(section: &Section<'_>, shared: &Shared<'_>) -> Wire {
    let limits = shared.limits;
    let plain = Wire::plain(limits.frame_len_max);
    let answers = section.flag("answer_keep_alive", false);
    let wire = Wire {
        framing: section.parsed("framing", framing).unwrap_or(plain.framing),
        header: section.parsed("header", header).unwrap_or(plain.header),
        frame_len_max: section.number("frame_cap", 512..=65_535, plain.frame_len_max),
        answers: if answers {
            Answers::Once
        } else {
            Answers::Never
        },
        dialect: shared.dialects.of(section),
    };
    // The cap of all endpoints is judged where it stands.
    if section.has("frame_cap") && wire.frame_len_max * 2 > limits.out_queue_bytes_max {
        let text = "`limits.out_queue_bytes_max` must hold two frames of `frame_cap`";
        section.fault_at("frame_cap", text);
    }
    if !wire.framing.is_transparent() && !is_text(wire.dialect) {
        let (framing, dialect) = (wire.framing.name(), wire.dialect.name());
        let text = format!(
            "`framing` is `{framing}`, whose end would stand within a message of `{dialect}`; take \
             a dialect without binary fields, as \"iso87-ascii-hex\""
        );
        section.fault_at("framing", text);
    }
    wire
}

/// The header of the requests that are sent to an issuer.
pub(super) fn request_header(section: &Section<'_>, form: Header) -> HeaderBytes {
    let (keys, header): (&[&str], _) = match form {
        Header::None => (&[], None),
        Header::Tpdu => (&ADDRESSES, addressed(section, form, "4 hexadecimal digits")),
        Header::Base1 => (&ADDRESSES, addressed(section, form, "6 digits")),
        Header::Base24 | Header::Fixed(_) => (&[VERBATIM], verbatim(section, form)),
    };
    for key in [DESTINATION, SOURCE, VERBATIM] {
        if !keys.contains(&key) && section.text(key).is_some() {
            section.fault_at(key, format!("`{key}` is not for the header `{form}`"));
        }
    }
    header.unwrap_or(HeaderBytes::NONE)
}

fn addressed(section: &Section<'_>, form: Header, wanted: &str) -> Option<HeaderBytes> {
    let address = |key| {
        section.required(key, |text| {
            // An address is good when it goes with itself.
            let header = form.addressed(text, text).map(|_| text.to_owned());
            header.ok_or_else(|| format!("takes {wanted}"))
        })
    };
    let (destination, source) = (address(DESTINATION), address(SOURCE));
    form.addressed(&destination?, &source?)
}

fn verbatim(section: &Section<'_>, form: Header) -> Option<HeaderBytes> {
    section.required(VERBATIM, |text| {
        let len = form.len();
        let wanted = || format!("takes the {len} bytes of a `{form}` header in hexadecimal digits");
        form.verbatim(text).ok_or_else(wanted)
    })
}

fn framing(text: &str) -> Result<Framing, String> {
    let names = Framing::ALL.map(Framing::name);
    Framing::by_name(text).ok_or_else(|| unknown(text, &names))
}

fn header(text: &str) -> Result<Header, String> {
    let names = ["none", "tpdu", "base1", "base24"];
    Header::by_name(text).ok_or_else(|| {
        if text.starts_with("fixed") {
            format!("takes 1 to 32 bytes, as `fixed12`; there is no `{text}`")
        } else {
            unknown(text, &names)
        }
    })
}

fn unknown(text: &str, names: &[&str]) -> String {
    match nearest(text, names) {
        Some(near) => format!("names `{text}`, which does not exist; did you mean `{near}`?"),
        None => {
            let known = names.join(", ");
            format!("names `{text}`, which does not exist; known: {known}")
        }
    }
}

/// Whether its messages are characters throughout, so that none holds an end-of-text.
fn is_text(dialect: &Dialect) -> bool {
    let form = dialect.form();
    let is_begun_in_text = match (form.mti, form.bitmap) {
        (MtiForm::Text(_) | MtiForm::None, BitmapForm::Hex(_)) => true,
        (MtiForm::Packed, _) | (_, BitmapForm::Binary) => false,
    };
    is_begun_in_text && dialect.rows().all(is_text_row)
}

fn is_text_row(row: &FieldSpec) -> bool {
    let value = match row.encoding {
        // A private field may hold any byte; one that is an end-of-text is refused when it is sent.
        Encoding::Text(_) | Encoding::Hex(_) => true,
        Encoding::Packed(..) | Encoding::Binary => false,
    };
    let prefix = match (row.length, row.prefix.coding) {
        (Length::Fixed(_), _) | (Length::Var { .. }, Coding::Ascii | Coding::Ebcdic) => true,
        (Length::Var { .. }, Coding::Packed | Coding::Binary) => false,
    };
    value && prefix
}

const DESTINATION: &str = "header_destination";
const SOURCE: &str = "header_source";
const VERBATIM: &str = "header_bytes";
const ADDRESSES: [&str; 2] = [DESTINATION, SOURCE];
/// What an endpoint speaks that does not say it.
pub(super) const DEFAULT_DIALECT: &Dialect = Dialect::ISO87_ASCII;
