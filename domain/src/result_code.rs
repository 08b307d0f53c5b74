//! What a response code means, and how the editions of the standard write it (semantics.md §9).

use crate::response_code::ResponseCode;

/// Which edition of the standard a code is written in: two letters or digits, three digits, four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeEdition {
    /// 1987: `an2`, as 51.
    An2,
    /// 1993: `n3`, as 116.
    N3,
    /// 2003: `n4`, as 1016.
    N4,
}

/// What is done with a code, whatever it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CodeClass {
    /// Money has moved or is held.
    Approved,
    /// It has not, and will not.
    Declined,
    /// As declined, and the card is to be kept.
    PickUp,
    /// Nobody has decided: the same may be asked again, or of somebody else.
    Retryable,
    /// Acknowledges a reversal, an advice, or what is no transaction. Never an approval.
    Administrative,
}

macro_rules! result_codes {
    ($($(#[$doc:meta])* $name:ident = $an2:literal $n3:literal,)*) => {
        /// The meanings that both editions have a code for, and `Other` for all further codes,
        /// which are kept as they came.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ResultCode {
            $($(#[$doc])* $name,)*
            /// A code without a pair in the other edition, or that nobody knows.
            Other(ResponseCode),
        }

        /// Rows of semantics.md §9.2. Of two with one code of 1993 the first is what that code is
        /// in 1987.
        const PAIRS: &[Pair] = &[
            $(Pair { meaning: ResultCode::$name, an2: *$an2, n3: $n3 },)*
        ];
    };
}

struct Pair {
    meaning: ResultCode,
    an2: [u8; 2],
    n3: u16,
}

result_codes! {
    /// Approved.
    Approved = b"00" 0,
    /// Refer to the issuer.
    ReferToIssuer = b"01" 107,
    /// Refer to the issuer, special condition.
    ReferToIssuerSpecial = b"02" 108,
    /// Invalid merchant.
    InvalidMerchant = b"03" 109,
    /// Pick up the card.
    PickUp = b"04" 200,
    /// Do not honour.
    DoNotHonour = b"05" 100,
    /// Pick up, special condition.
    PickUpSpecial = b"07" 207,
    /// Approved with identification.
    ApprovedWithIdentification = b"08" 1,
    /// The request is in progress.
    InProgress = b"09" 923,
    /// Approved for a part of the amount.
    PartialApproval = b"10" 2,
    /// Approved, very important person.
    VipApproval = b"11" 3,
    /// Invalid transaction.
    InvalidTransaction = b"12" 902,
    /// Invalid amount.
    InvalidAmount = b"13" 110,
    /// Invalid card number.
    InvalidCard = b"14" 111,
    /// Approved, update track 3.
    ApprovedUpdateTrack3 = b"16" 4,
    /// Enter it again.
    ReEnter = b"19" 903,
    /// The fee cannot be accepted.
    FeeUnacceptable = b"23" 113,
    /// The original is not found.
    OriginalNotFound = b"25" 914,
    /// Format error.
    FormatError = b"30" 904,
    /// Expired card, pick up.
    ExpiredPickUp = b"33" 201,
    /// Suspected fraud, pick up.
    FraudPickUp = b"34" 202,
    /// Contact the acquirer, pick up.
    ContactAcquirerPickUp = b"35" 203,
    /// Restricted card, pick up.
    RestrictedPickUp = b"36" 204,
    /// Call security, pick up.
    SecurityPickUp = b"37" 205,
    /// PIN tries exceeded, pick up.
    PinTriesPickUp = b"38" 206,
    /// The function is not supported.
    FunctionNotSupported = b"40" 115,
    /// Lost card, pick up.
    LostPickUp = b"41" 208,
    /// Stolen card, pick up.
    StolenPickUp = b"43" 209,
    /// Insufficient funds.
    InsufficientFunds = b"51" 116,
    /// No account of the type that was asked for: cheque account.
    NoChequeAccount = b"52" 114,
    /// As before: savings account.
    NoSavingsAccount = b"53" 114,
    /// As before: credit account.
    NoCreditAccount = b"39" 114,
    /// Expired card.
    ExpiredCard = b"54" 101,
    /// Wrong PIN.
    WrongPin = b"55" 117,
    /// No record of the card.
    NoCardRecord = b"56" 118,
    /// Not permitted to the cardholder.
    NotPermittedToCard = b"57" 119,
    /// Not permitted to the terminal.
    NotPermittedToTerminal = b"58" 120,
    /// Suspected fraud.
    SuspectedFraud = b"59" 102,
    /// Contact the acquirer.
    ContactAcquirer = b"60" 103,
    /// Exceeds the amount limit.
    ExceedsAmountLimit = b"61" 121,
    /// Restricted card.
    RestrictedCard = b"62" 104,
    /// Security violation.
    SecurityViolation = b"63" 122,
    /// Exceeds the frequency limit.
    ExceedsFrequencyLimit = b"65" 123,
    /// Call the acquirer's security.
    CallSecurity = b"66" 105,
    /// PIN tries exceeded.
    PinTriesExceeded = b"75" 106,
    /// The response was received too late.
    ReceivedTooLate = b"68" 911,
    /// Cut-off in progress.
    CutOff = b"90" 906,
    /// Issuer or switch inoperative.
    IssuerInoperative = b"91" 907,
    /// Cannot route.
    CannotRoute = b"92" 908,
    /// No such issuer.
    NoSuchIssuer = b"15" 908,
    /// Violation of law.
    ViolationOfLaw = b"93" 124,
    /// Duplicate transmission.
    Duplicate = b"94" 913,
    /// Reconcile error.
    ReconcileError = b"95" 915,
    /// System malfunction.
    Malfunction = b"96" 909,
    /// Error.
    Error = b"06" 909,
    /// Invalid response.
    InvalidResponse = b"20" 909,
    /// No action taken.
    NoActionTaken = b"21" 909,
    /// Suspected malfunction.
    SuspectedMalfunction = b"22" 909,
}

impl ResultCode {
    /// The meaning of a code as the standard has it, whatever its edition.
    #[must_use]
    pub fn of(code: ResponseCode) -> Self {
        let of_pair = |pair: Option<&Pair>| pair.map(|pair| pair.meaning);
        let known = match code.edition() {
            CodeEdition::An2 => of_pair(PAIRS.iter().find(|pair| pair.an2 == *code.as_bytes())),
            // 911 is a timeout, for which 1987 has no code of its own (semantics.md R1).
            CodeEdition::N3 | CodeEdition::N4 => action_of(code)
                .filter(|n3| *n3 != ISSUER_TIMED_OUT)
                .and_then(|n3| of_pair(PAIRS.iter().find(|pair| pair.n3 == n3))),
        };
        known.unwrap_or(Self::Other(code))
    }

    /// How an edition writes it. What it has no code for becomes one of the same class; where it
    /// has no such class, a decline. An approval comes of nothing else.
    #[must_use]
    pub fn written_in(self, edition: CodeEdition) -> ResponseCode {
        let is_1987 = edition == CodeEdition::An2;
        let code = if let Self::Other(code) = self {
            if code.edition() == edition {
                return code;
            }
            if is_1987 {
                return other_in_1987(code);
            }
            other_action(code)
        } else {
            let pair = PAIRS.iter().find(|pair| pair.meaning == self);
            let (an2, n3) = pair.map_or((*b"05", 100), |pair| (pair.an2, pair.n3));
            if is_1987 {
                return ResponseCode::of_an2(an2);
            }
            n3
        };
        match edition {
            CodeEdition::N4 => ResponseCode::of_n4(with_zero(code)),
            CodeEdition::An2 | CodeEdition::N3 => ResponseCode::of_n3(code),
        }
    }
}

impl CodeClass {
    /// The class of a code as the standard has it. What is unknown is a decline.
    #[must_use]
    pub fn of(code: ResponseCode) -> Self {
        match code.edition() {
            CodeEdition::An2 => of_1987(code.as_bytes()),
            CodeEdition::N3 => of_action(code.number()),
            CodeEdition::N4 => match action_of(code) {
                Some(action) => of_action(action),
                // Of what has no code in 1993 the first digit says the class.
                None if code.number() >= 9000 => Self::Declined,
                None => of_action(first_digit(code).saturating_mul(100)),
            },
        }
    }
}

const fn of_1987(code: &[u8; 2]) -> CodeClass {
    match code {
        b"00" | b"08" | b"10" | b"11" | b"16" => CodeClass::Approved,
        b"04" | b"07" | b"33" | b"34" | b"35" | b"36" | b"37" | b"38" | b"41" | b"43" | b"67" => {
            CodeClass::PickUp
        }
        b"09" | b"68" | b"90" | b"91" | b"96" => CodeClass::Retryable,
        _ => CodeClass::Declined,
    }
}

const fn of_action(code: u16) -> CodeClass {
    match code {
        0..=99 => CodeClass::Approved,
        200..=299 => CodeClass::PickUp,
        300..=901 => CodeClass::Administrative,
        906 | 907 | 909..=912 | 923 => CodeClass::Retryable,
        _ => CodeClass::Declined,
    }
}

/// 1987 for a code of another edition that has no pair (the last paragraph of semantics.md §9.2).
fn other_in_1987(code: ResponseCode) -> ResponseCode {
    let an2 = match action_of(code) {
        Some(481) => b"25",
        Some(501) => b"95",
        Some(905) => b"92",
        Some(910..=912) => b"91",
        Some(916..=922) => b"96",
        Some(126..=128) => b"63",
        Some(125) => b"14",
        Some(129) => b"59",
        _ => match CodeClass::of(code) {
            CodeClass::Approved | CodeClass::Administrative => b"00",
            CodeClass::PickUp => b"04",
            CodeClass::Retryable => b"96",
            CodeClass::Declined => match first_digit(code) {
                9 => b"96",
                _ => b"05",
            },
        },
    };
    ResponseCode::of_an2(*an2)
}

/// 1993 for a code of another edition that has no pair.
fn other_action(code: ResponseCode) -> u16 {
    match CodeClass::of(code) {
        _ if action_of(code).is_some() => action_of(code).unwrap_or(100),
        CodeClass::Approved => 0,
        CodeClass::PickUp => 200,
        CodeClass::Retryable => 909,
        CodeClass::Administrative => first_digit(code).saturating_mul(100),
        CodeClass::Declined => match first_digit(code) {
            9 if code.edition() == CodeEdition::N4 => 909,
            _ => 100,
        },
    }
}

/// The three digits of 1993. Four have a zero behind the first, as 1016 for 116; others of them
/// have no code in 1993.
fn action_of(code: ResponseCode) -> Option<u16> {
    let number = code.number();
    match code.edition() {
        CodeEdition::An2 => None,
        CodeEdition::N3 => Some(number),
        CodeEdition::N4 => (number % 1000 < 100).then(|| first_and_last(number)),
    }
}

/// 1016 to 116.
const fn first_and_last(number: u16) -> u16 {
    (number / 1000)
        .saturating_mul(100)
        .saturating_add(number % 100)
}

/// 116 to 1016.
const fn with_zero(action: u16) -> u16 {
    (action / 100)
        .saturating_mul(1000)
        .saturating_add(action % 100)
}

const fn first_digit(code: ResponseCode) -> u16 {
    match code.edition() {
        CodeEdition::An2 => 0,
        CodeEdition::N3 => code.number() / 100,
        CodeEdition::N4 => code.number() / 1000,
    }
}

const ISSUER_TIMED_OUT: u16 = 911;

#[cfg(test)]
mod tests;
