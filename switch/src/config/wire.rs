//! How messages stand on the connections of one endpoint: framing, header, dialect.

use std::sync::Arc;

use iso8583::dialect::{BitmapForm, MtiForm};
use iso8583::field::{Coding, Encoding, FieldSpec, Length};
use iso8583::header::HeaderBytes;
use iso8583::keep_alive::Answers;
use iso8583::mti::Version;
use iso8583::translate::ReasonField;
use iso8583::{Dialect, Framing, Header};

use super::Wire;
use super::codes::{codes, exponents};
use super::endpoints::Shared;
use super::section::{Section, nearest};
use crate::limits::FRAME_LEN_MIN;

impl Wire {
    /// What the keys mean when all are left out, with this cap.
    pub(super) fn plain(frame_len_max: usize) -> Self {
        Self {
            framing: Framing::Be16,
            header: Header::None,
            frame_len_max,
            answers: Answers::Never,
            dialect: DEFAULT_DIALECT,
            codes: Arc::default(),
            exponents: Arc::default(),
            reason_field: ReasonField::of_dialect(DEFAULT_DIALECT),
        }
    }
}

pub(super) fn wire(section: &Section<'_>, shared: &Shared<'_>) -> Wire {
    let limits = shared.limits;
    let plain = Wire::plain(limits.frame_len_max);
    let answers = section.flag("answer_keep_alive", false);
    let dialect = shared.dialects.of(section);
    let wire = Wire {
        framing: section.parsed("framing", framing).unwrap_or(plain.framing),
        header: section.parsed("header", header).unwrap_or(plain.header),
        frame_len_max: section.number("frame_cap", FRAME_LEN_MIN..=65_535, plain.frame_len_max),
        answers: if answers {
            Answers::Once
        } else {
            Answers::Never
        },
        dialect,
        codes: codes(section, dialect),
        exponents: exponents(section),
        reason_field: reason_field(section, dialect),
    };
    // The cap of all endpoints is judged where it stands.
    if section.has("frame_cap") && wire.frame_len_max * 2 > limits.out_queue_bytes_max {
        let text = "`limits.out_queue_bytes_max` must hold two frames of `frame_cap`";
        section.fault_at("frame_cap", text);
    }
    check_framing(section, &wire);
    check_served(section, wire.dialect);
    wire
}

/// Where messages say why they were sent: where the dialect has it, unless the endpoint says else.
fn reason_field(section: &Section<'_>, dialect: &Dialect) -> Option<ReasonField> {
    let named = section.parsed("reason_field", |text| {
        if text == "none" {
            return Ok(None);
        }
        let number = ReasonField::NUMBERS
            .into_iter()
            .find(|known| text == known.to_string());
        let number = number.ok_or_else(|| "takes \"25\", \"56\", \"60\" or \"none\"".to_owned())?;
        let field = ReasonField::new(dialect, number);
        field.map(Some).ok_or_else(|| {
            let name = dialect.name();
            format!("names DE{number}, which is no text of four digits in `{name}`")
        })
    });
    named.unwrap_or_else(|| ReasonField::of_dialect(dialect))
}

/// Refuses a framing that cannot carry what the endpoint is to carry.
fn check_framing(section: &Section<'_>, wire: &Wire) {
    let (name, len_max) = (wire.framing.name(), wire.framing.len_max());
    if len_max < FRAME_LEN_MIN {
        let text = format!(
            "`framing` is `{name}`, which holds {len_max} bytes: too few for a request, it must be \
             {FRAME_LEN_MIN}"
        );
        section.fault_at("framing", text);
    } else if section.has("frame_cap") && wire.frame_len_max > len_max {
        let text = format!("`frame_cap` is above the {len_max} bytes that `{name}` holds");
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
}

/// Refuses a dialect whose fields cannot say what is read and written of every transaction.
fn check_served(section: &Section<'_>, dialect: &Dialect) {
    let (year, served): (_, &[_]) = match dialect.version() {
        Version::Iso1993 => (1993, &SERVED_1993),
        Version::Iso1987
        | Version::Iso2003
        | Version::National
        | Version::Private
        | Version::Reserved => (1987, &SERVED_1987),
    };
    let is_missing = |(number, len): &&(u8, u16)| !holds(dialect.field(*number), *len);
    let Some((number, len)) = served.iter().find(is_missing) else {
        return;
    };
    let name = dialect.name();
    let text = format!(
        "`dialect` is `{name}`, whose DE{number} does not hold the {len} characters of a \
         transaction of {year}; messages of 2003 are read by `njia inspect` and not served yet: \
         name a dialect of 1987 or 1993"
    );
    section.fault_at("dialect", text);
}

fn holds(row: Option<&FieldSpec>, len: u16) -> bool {
    match row.map(|row| row.length) {
        Some(Length::Fixed(fixed)) => fixed == len,
        Some(Length::Var { max, .. }) => u32::from(len) <= max,
        None => false,
    }
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

pub(crate) fn framing(text: &str) -> Result<Framing, String> {
    let names = Framing::ALL.map(Framing::name);
    Framing::by_name(text).ok_or_else(|| unknown(text, &names))
}

pub(crate) fn header(text: &str) -> Result<Header, String> {
    let names = ["none", "tpdu", "base1", "base24", "fixedN"];
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

/// Fields with the length that the translation reads and writes, whatever the type indicator says:
/// of requests and their answers, of network management, of the reversals that are owed. An edition
/// is told by the length of DE39.
const SERVED_1987: [(u8, u16); 9] = [
    (3, 6),
    (4, 12),
    (7, 10),
    (11, 6),
    (39, 2),
    (49, 3),
    (70, 3),
    (90, 42),
    (95, 42),
];
const SERVED_1993: [(u8, u16); 11] = [
    (3, 6),
    (4, 12),
    (7, 10),
    (11, 6),
    (12, 12),
    (24, 3),
    (25, 4),
    (30, 24),
    (39, 3),
    (49, 3),
    (56, 35),
];
const DESTINATION: &str = "header_destination";
const SOURCE: &str = "header_source";
const VERBATIM: &str = "header_bytes";
const ADDRESSES: [&str; 2] = [DESTINATION, SOURCE];
/// What an endpoint speaks that does not say it.
pub(super) const DEFAULT_DIALECT: &Dialect = Dialect::ISO87_ASCII;
