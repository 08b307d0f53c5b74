//! From messages to what they say and back: the dialect of the acquirer (top bit: a recipe),
//! the dialect of the issuer with three bits of choice above it, the room for what is written (two
//! bytes), then a message.

use domain::bytes::Text;
use domain::code_map::CodeMap;
use domain::currency::Currency;
use domain::ids::{InstitutionId, IssuerId, LinkId, RouteId, Stan};
use domain::request::{Answer, IssuerLeg};
use domain::response_code::ResponseCode;
use domain::time::{TransmissionTime, WallTime};
use iso8583::bitmap::Bitmap;
use iso8583::error::WriteError;
use iso8583::mti::{Class, Function, Version};
use iso8583::translate::{
    self, IssuerRequest, NetworkCodes, NetworkKind, NetworkRefusal, NetworkRequest,
};
use iso8583::{Dialect, FieldIndex, MessageRef, Mti, Writer, tlv};

use super::input::Input;
use super::{input, original, recipe};

/// No message panics, with a fault or without. What is read is what stands there, what is written
/// is a message that says what it was to say, and no secret is kept.
///
/// # Panics
/// When something does not hold.
pub fn check(data: &[u8]) {
    let mut input = Input::new(data);
    let Some((dialect, is_recipe)) = input.dialect() else {
        return;
    };
    let choice = input.byte();
    let case = Case {
        dialect,
        issuer: input::dialect(choice & 0x1F).unwrap_or(dialect),
        code: CODES[usize::from(choice >> 5)],
        room: usize::from(input.word()),
    };
    let made = is_recipe.then(|| recipe::made(dialect, &mut input).bytes);
    let bytes = made.as_deref().unwrap_or(input.rest());
    let mut index = FieldIndex::new();
    let parsed = dialect.parse(bytes, &mut index);
    let message = MessageRef::new(bytes, &index);
    Case::read(message);
    case.refuse(message);
    case.answer(message);
    case.network(message);
    check_scrubbed(dialect, bytes, &index);
    if parsed.is_ok() {
        case.forward(message);
        case.reverse(message);
    }
    let mut index = FieldIndex::new();
    if dialect.scan(bytes, 64, &mut index).is_ok() {
        Case::read(MessageRef::new(bytes, &index));
    }
}

/// What is the same for all that is asked of one message.
struct Case {
    dialect: &'static Dialect,
    issuer: &'static Dialect,
    code: ResponseCode,
    room: usize,
}

impl Case {
    /// What the readers say is what stands in the fields.
    fn read(message: MessageRef<'_>) {
        if let Ok(request) = translate::request(message) {
            let trace = &request.trace;
            check_field(message, 4, &request.amount.digits());
            check_currency(message, request.amount.currency());
            check_field(message, 3, request.processing_code.as_bytes());
            check_field(message, 11, &trace.stan.digits());
            if trace.transmitted.is_known() {
                check_field(message, 7, &trace.transmitted.digits());
            }
            check_field(message, 41, trace.terminal.as_bytes());
            check_account(message, request.account.expose_digits());
            let mti = message.mti();
            assert_eq!(mti.version(), message.dialect().version());
            assert_eq!(mti.function(), Function::Request);
            assert!(matches!(
                mti.class(),
                Class::Authorisation | Class::Financial
            ));
        }
        if let Ok(reversal) = translate::reversal(message) {
            let is_1987 = message.dialect().version() == Version::Iso1987;
            if is_1987 || message.array(24) != Some(*b"401") {
                check_field(message, 4, &reversal.amount.digits());
            }
            check_field(message, 11, &reversal.trace.stan.digits());
            if let Some(account) = &reversal.account {
                check_account(message, account.expose_digits());
            }
            if let Some(amount) = reversal.replacement {
                let mut scratch = [0; 64];
                let is_1987 = message.dialect().version() == Version::Iso1987;
                let field = message.decode(if is_1987 { 95 } else { 4 }, &mut scratch);
                assert_eq!(field.expect("it was read")[..12], amount.digits());
            }
            assert_eq!(message.mti().version(), message.dialect().version());
            assert_eq!(message.mti().class(), Class::Reversal);
        }
        let codes = NetworkCodes::of(message.dialect());
        if translate::network(message, &codes).is_ok() {
            let [version, class, ..] = *message.mti().as_bytes();
            assert_eq!(class, b'8');
            let code = code_field(version);
            assert!(message.present().contains(code) && message.present().contains(11));
        }
        let settled = translate::settlement_date(message, WallTime::from_unix_millis(0));
        assert!(settled.is_none() || message.present().contains(15));
        if translate::can_be_refused(message) {
            assert!(message.mti().response().is_some());
        }
    }

    fn refuse(&self, message: MessageRef<'_>) {
        let field = message.bytes().len().to_le_bytes()[0];
        let write = |out: &mut [u8]| {
            translate::write_refusal(self.dialect, message, self.code, Some(field), out)
        };
        let Some(refusal) = self.written(self.dialect, message, write) else {
            return;
        };
        let echo = self.dialect.echo().intersection(message.present());
        refusal.check_echo(message, echo.without(39).without(44));
        let code = [39, 44].into_iter().collect();
        assert!(refusal.index.present().minus(echo).minus(code).is_empty());
        refusal.check_code(self.code);
    }

    /// The message is answered with what it says itself, as if it came from an issuer, and with
    /// any further fields at all.
    fn answer(&self, message: MessageRef<'_>) {
        let mut scratch = [0; Answer::FIELDS_LEN_MAX + 16];
        let room = self.room.min(scratch.len());
        let read = translate::issuer_answer(message, &CodeMap::STANDARD, &mut scratch[..room]);
        let any = Answer {
            fields: message.bytes(),
            ..Answer::of(self.code)
        };
        let said = read.unwrap_or(any);
        if read.is_ok() {
            assert!(said.fields.len() <= room.min(Answer::FIELDS_LEN_MAX));
            check_kept(message, said.fields);
        }
        for answer in [said, any] {
            let write =
                |out: &mut [u8]| translate::write_answer(self.dialect, message, &answer, out);
            let Some(written) = self.written(self.dialect, message, write) else {
                continue;
            };
            let echo = self.dialect.echo().intersection(message.present());
            // Further fields stand where the request has none to echo, or not at all.
            written.check_echo(message, echo.without(4).without(38).without(39));
            written.check_code(answer.code);
        }
    }

    fn network(&self, message: MessageRef<'_>) {
        let write = |out: &mut [u8]| translate::write_network_answer(self.dialect, message, out);
        if let Some(answer) = self.written(self.dialect, message, write) {
            let accepted = match code_field(message.mti().as_bytes()[0]) {
                24 => &b"800"[..],
                _ => b"00",
            };
            check_field(answer.view(), 39, accepted);
            self.check_network_echo(&answer, message);
        }
        let write = |out: &mut [u8]| {
            translate::write_network_refusal(self.dialect, message, NetworkRefusal::Busy, out)
        };
        if let Some(refusal) = self.written(self.dialect, message, write) {
            self.check_network_echo(&refusal, message);
        }
        for codes in [NetworkCodes::of(self.dialect), NetworkCodes::MASTERCARD] {
            for kind in NetworkKind::NAMED {
                let request = NetworkRequest {
                    code: codes.code(kind).expect("a named kind has a code"),
                    stan: leg().stan,
                    at: WallTime::from_unix_millis(0),
                };
                let mut out = [0; 128];
                let Ok(len) = translate::write_network(self.dialect, &request, &mut out) else {
                    continue;
                };
                let read = Written::read(self.dialect, out[..len].to_vec());
                assert_eq!(translate::network(read.view(), &codes), Ok(kind));
            }
        }
    }

    fn check_network_echo(&self, answer: &Written, message: MessageRef<'_>) {
        let code = code_field(message.mti().as_bytes()[0]);
        let own = [7, 11, code].into_iter().collect();
        let echo = self.dialect.echo().union(own);
        answer.check_echo(message, echo.intersection(message.present()).without(39));
    }

    /// A request to the issuer is the acquirer's, but for what belongs to the leg.
    fn forward(&self, message: MessageRef<'_>) {
        let forwarding = forwarding();
        let travels = leg();
        let going = IssuerRequest {
            completed: None,
            leg: &travels,
            forwarding: &forwarding,
            admitted: original::ADMITTED,
            amount: None,
        };
        let write =
            |out: &mut [u8]| translate::write_issuer_request(self.issuer, message, &going, out);
        let mut out = vec![0xEE; ROOM];
        let written = write(&mut out);
        let is_same = std::ptr::eq(self.issuer, self.dialect);
        if is_same && carries_leg(self.issuer) {
            assert!(written.is_ok(), "{:?}: {written:?}", self.issuer);
        }
        let Ok(len) = written else {
            return;
        };
        self.check_room(&out[..len], write);
        let request = Written::read(self.issuer, out[..len].to_vec());
        let version = self.issuer.version();
        let is_one_edition = version == self.dialect.version();
        let own: Bitmap = [7, 11, 33].into_iter().collect();
        let codes: Bitmap = [64, 128].into_iter().collect();
        if is_one_edition {
            assert_eq!(request.view().mti(), message.mti().first());
            let expected = message.present().union(own).minus(codes);
            assert_eq!(request.view().present(), expected, "{:?}", self.issuer);
        } else {
            assert_eq!(
                request.view().mti(),
                message.mti().first().in_version(version)
            );
            check_across(message, request.view());
        }
        check_field(request.view(), 11, &leg().stan.digits());
        check_field(request.view(), 7, &leg().transmitted.digits());
        check_field(request.view(), 33, forwarding.as_bytes());
        if is_same {
            request.check_echo(message, message.present().minus(own).minus(codes));
        }
    }

    /// A reversal of the request names its leg.
    fn reverse(&self, message: MessageRef<'_>) {
        let Ok(request) = translate::request(message) else {
            return;
        };
        let facts = original::facts(&request);
        let (leg, forwarding) = (leg(), forwarding());
        let reversal = original::reversal(&facts, &request, &leg, &forwarding);
        let write = |out: &mut [u8]| translate::write_reversal(self.issuer, &reversal, out);
        let mut out = vec![0xEE; ROOM];
        let Ok(len) = write(&mut out) else {
            return;
        };
        self.check_room(&out[..len], write);
        let written = Written::read(self.issuer, out[..len].to_vec());
        let read = translate::reversal(written.view());
        let read = read.unwrap_or_else(|error| panic!("{:?}: {error}", self.issuer));
        assert_eq!(read.amount, request.amount);
        assert_eq!(read.original.stan, leg.stan);
        assert_eq!(read.original.class, Some(request.class));
        assert_eq!(read.account.as_ref(), Some(&request.account));
        assert_eq!(read.replacement, None);
    }

    /// What is written about the message, read again; `None` where it is of a type that has no
    /// answer, or the dialect says what an answer needs in another way.
    fn written(
        &self,
        dialect: &'static Dialect,
        message: MessageRef<'_>,
        write: impl Fn(&mut [u8]) -> Result<usize, WriteError>,
    ) -> Option<Written> {
        let mut out = vec![0xEE; ROOM];
        let mti = message.mti().response();
        let len = match write(&mut out) {
            Ok(len) => len,
            Err(WriteError::NotAnswerable) => {
                assert_eq!(mti, None);
                return None;
            }
            Err(error) => {
                assert!(!self.is_of_1987(), "{dialect:?}: {error}");
                return None;
            }
        };
        self.check_room(&out[..len], &write);
        let written = Written::read(dialect, out[..len].to_vec());
        assert_eq!(Some(written.view().mti()), mti);
        Some(written)
    }

    /// In less room it is the same or nothing.
    fn check_room(&self, whole: &[u8], write: impl Fn(&mut [u8]) -> Result<usize, WriteError>) {
        let room = self.room % (whole.len() + 1);
        let mut out = vec![0; room];
        let written = write(&mut out);
        if room < whole.len() {
            assert_eq!(written, Err(WriteError::Full));
        } else {
            assert_eq!((written, &out[..]), (Ok(room), whole));
        }
    }

    /// The fields of an answer are those of 1987, which the switch writes.
    fn is_of_1987(&self) -> bool {
        carries_leg(self.dialect) && carries(self.dialect, &[(38, b"000000"), (39, b"00")])
    }
}

/// Whether the dialect has the fields of a leg as they are written.
fn carries_leg(dialect: &'static Dialect) -> bool {
    carries(
        dialect,
        &[(7, b"0101000000"), (11, b"000000"), (33, b"999")],
    )
}

fn carries(dialect: &'static Dialect, fields: &[(u8, &[u8])]) -> bool {
    let mut out = [0; 256];
    let mut writer = Writer::new(dialect, Mti::FINANCIAL_REQUEST, &mut out);
    fields
        .iter()
        .all(|(number, value)| writer.put(*number, value).is_ok())
}

/// A message that was written by us.
struct Written {
    bytes: Vec<u8>,
    index: FieldIndex,
}

impl Written {
    /// It has no fault.
    #[track_caller]
    fn read(dialect: &'static Dialect, bytes: Vec<u8>) -> Self {
        let mut index = FieldIndex::new();
        assert_eq!(dialect.parse(&bytes, &mut index), Ok(()), "{dialect:?}");
        Self { bytes, index }
    }

    fn view(&self) -> MessageRef<'_> {
        MessageRef::new(&self.bytes, &self.index)
    }

    /// These fields stand byte for byte as in the other message.
    #[track_caller]
    fn check_echo(&self, message: MessageRef<'_>, fields: Bitmap) {
        for number in fields {
            assert_eq!(self.view().field(number), message.field(number), "{number}");
        }
    }

    #[track_caller]
    fn check_code(&self, code: ResponseCode) {
        let told = code.written_in(self.view().dialect().version().code_edition());
        // An acknowledgement is told as such.
        if code != ResponseCode::APPROVED || told == code {
            check_field(self.view(), 39, told.digits().as_bytes());
        }
    }
}

/// Of another edition: what names the transaction and what it is about says the same.
fn check_across(message: MessageRef<'_>, written: MessageRef<'_>) {
    assert!(
        written
            .present()
            .intersection([64, 90, 95, 128].into_iter().collect())
            .is_empty()
    );
    let Ok(request) = translate::request(message) else {
        return;
    };
    let read = translate::request(written).expect("what could be read is one in its edition");
    assert_eq!(read.class, request.class);
    assert_eq!(read.amount, request.amount);
    assert_eq!(read.processing_code, request.processing_code);
    assert_eq!(read.account, request.account);
    assert_eq!(read.trace.rrn, request.trace.rrn);
    let told = (request.trace.local_date, request.trace.local_time);
    if !told.0.is_empty() && !told.1.is_empty() {
        assert_eq!((read.trace.local_date, read.trace.local_time), told);
    }
}

#[track_caller]
fn check_currency(message: MessageRef<'_>, expected: Currency) {
    let mut scratch = [0; 3];
    let text = message.decode(49, &mut scratch).expect("it was read");
    assert_eq!(Currency::read(text), Ok(expected));
}

/// Where a network message of this version says what it is about.
fn code_field(version: u8) -> u8 {
    if matches!(version, b'1' | b'2') {
        24
    } else {
        70
    }
}

#[track_caller]
fn check_field(message: MessageRef<'_>, number: u8, expected: &[u8]) {
    let mut scratch = [0; 64];
    let value = message.decode(number, &mut scratch).expect("it is there");
    assert_eq!(value, expected, "{:?} field {number}", message.dialect());
}

/// The account stands in DE2 and in DE35, where they are there.
fn check_account(message: MessageRef<'_>, digits: &[u8]) {
    let mut scratch = [0; 64];
    if message.present().contains(2) {
        check_field(message, 2, digits);
    }
    if let Some(track) = message.decode(35, &mut scratch) {
        assert!(track.starts_with(digits) && !track[digits.len()].is_ascii_digit());
    }
}

/// What is kept of an answer is a row of fields that the dialect replays, without the secrets of
/// the card however they are wrapped.
fn check_kept(message: MessageRef<'_>, mut fields: &[u8]) {
    // Another edition than 1987 says so first.
    if let [0, 0, 1, b'1' | b'2', rest @ ..] = fields {
        fields = rest;
    }
    while let [number, high, low, rest @ ..] = fields {
        assert!(message.dialect().replay().contains(*number));
        let (value, behind) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        if *number == 55 {
            check_no_secret(value);
        }
        fields = behind;
    }
    assert_eq!(fields, b"", "a field is cut");
}

/// Reads on behind what is malformed, as a careless reader would.
fn check_no_secret(row: &[u8]) {
    for element in tlv::elements(row).map_while(Result::ok) {
        assert!(
            !SECRET_TAGS.contains(&element.tag),
            "{:X} is kept",
            element.tag
        );
        if element.is_constructed() {
            check_no_secret(element.value);
        }
    }
}

/// Authentication data is zeros, everything else as it was.
fn check_scrubbed(dialect: &'static Dialect, bytes: &[u8], index: &FieldIndex) {
    let mut scrubbed = bytes.to_vec();
    translate::scrub_sad(&mut scrubbed, index);
    let message = MessageRef::new(bytes, index);
    let mut expected = bytes.to_vec();
    for number in dialect.sad().intersection(message.present()) {
        let place = message.value_place(number).expect("it is there");
        expected[place].fill(0);
    }
    assert_eq!(scrubbed, expected, "{dialect:?}");
}

fn leg() -> IssuerLeg {
    IssuerLeg {
        route: RouteId(0),
        candidate: 0,
        issuer: IssuerId(0),
        link: LinkId(0),
        stan: Stan::new(700_001).expect("six digits"),
        transmitted: TransmissionTime::from_number(601_120_001),
    }
}

fn forwarding() -> InstitutionId {
    Text::new("DE33", b"999").expect("digits")
}

const CODES: [ResponseCode; 8] = [
    ResponseCode::APPROVED,
    ResponseCode::PARTIAL_APPROVAL,
    ResponseCode::DO_NOT_HONOUR,
    ResponseCode::FORMAT_ERROR,
    ResponseCode::APPROVED,
    ResponseCode::PARTIAL_APPROVAL,
    ResponseCode::DO_NOT_HONOUR,
    ResponseCode::FORMAT_ERROR,
];
/// Account number, tracks, their discretionary data (security.md §2).
const SECRET_TAGS: [u32; 6] = [0x5A, 0x56, 0x57, 0x9F1F, 0x9F20, 0x9F6B];
/// More than any message that is tried here.
const ROOM: usize = 32 * 1024;
