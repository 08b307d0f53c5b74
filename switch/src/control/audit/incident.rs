//! What is written down: closed sets of words, and who did what from where.

use std::net::IpAddr;

use domain::ids::{AcquirerId, IssuerId};
use iso8583::error::{MacError, MacRule};

use super::chain::shown;
use crate::config::{Config, ListenerId};
use crate::metrics::GatewayRefusal;
use crate::tls::HandshakeError;

macro_rules! words {
    ($(#[$note:meta])* $name:ident { $($case:ident = $word:literal,)+ }) => {
        $(#[$note])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub(crate) enum $name { $($case,)+ }

        impl $name {
            pub(crate) const fn word(self) -> &'static str {
                match self { $(Self::$case => $word,)+ }
            }
        }
    };
}

words! {
    /// What happened.
    What {
        LogOpened = "log_opened",
        LogClosed = "log_closed",
        LogRepaired = "log_repaired",
        LogReplaced = "log_replaced",
        EventsLost = "events_lost",
        Authentication = "authentication",
        Permission = "permission",
        Tls = "tls",
        Mac = "mac",
        KeyChange = "key_change",
        OperatorAdmission = "operator_admission",
        SafRetry = "saf_retry",
        SafDrop = "saf_drop",
        Drain = "drain",
        Stop = "stop",
        Reload = "reload",
    }
}

words! {
    /// What became of it.
    Fate {
        Done = "done",
        Refused = "refused",
        Failed = "failed",
    }
}

words! {
    /// Why, or with what.
    Why {
        None = "none",
        First = "first",
        AfterClose = "after_close",
        AfterCrash = "after_crash",
        AfterFailure = "after_failure",
        TornTail = "torn_tail",
        UnknownTail = "unknown_tail",
        FileGone = "file_gone",
        QueueFull = "queue_full",
        Unwritten = "unwritten",
        CredentialMissing = "credential_missing",
        CredentialUnknown = "credential_unknown",
        CredentialExpired = "credential_expired",
        SignatureMalformed = "signature_malformed",
        SignatureStale = "signature_stale",
        SignatureWrong = "signature_wrong",
        NonceReplayed = "nonce_replayed",
        SignatureForgotten = "signature_forgotten",
        CertificateUnknown = "certificate_unknown",
        Type = "type",
        Currency = "currency",
        Amount = "amount",
        Callback = "callback",
        Institution = "institution",
        ForgedAddress = "forged_address",
        CertificateRefused = "certificate_refused",
        HandshakeFailed = "handshake_failed",
        HandshakeTimeout = "handshake_timeout",
        HandshakeLimit = "handshake_limit",
        MacMissing = "mac_missing",
        MacWrong = "mac_wrong",
        KeyUnusable = "key_unusable",
        Busy = "busy",
        User = "user",
        Request = "request",
        State = "state",
        NoAnswer = "no_answer",
        Unusable = "unusable",
    }
}

words! {
    /// What of a gateway was asked for. The path itself may hold an account.
    Place {
        Connection = "",
        Transactions = " /v1/transactions",
        Transaction = " /v1/transactions/{id}",
        Reversals = " /v1/transactions/{id}/reversals",
        Gsma = " /gsma",
        Elsewhere = " other",
    }
}

/// Who is proven to act: not who somebody claims to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Unknown,
    Gateway(u16),
    Acquirer(AcquirerId),
    Issuer(IssuerId),
    /// Several, in one line.
    Various,
}

/// Of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    Gateway(u16, Place),
    Listener(ListenerId),
    Issuer(IssuerId),
    /// The listener for metrics and health.
    Admin,
    /// The listener for callbacks of issuers.
    IssuerCallbacks,
    /// Of several, in one line.
    Various,
}

/// What peers do: small, so that a shard hands it over without a thought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Incident {
    pub(crate) what: What,
    pub(crate) who: Who,
    pub(crate) from: Option<IpAddr>,
    pub(crate) object: Object,
    pub(crate) fate: Fate,
    pub(crate) why: Why,
}

/// What operators and the switch itself do: each is a line of its own.
#[derive(Clone, Debug)]
pub(crate) struct Act {
    pub(crate) what: What,
    pub(crate) who: String,
    pub(crate) from: String,
    pub(crate) object: String,
    pub(crate) fate: Fate,
    pub(crate) why: Why,
    pub(crate) count: u64,
}

/// What configuration calls them.
#[derive(Debug, Default)]
pub(super) struct Names {
    gateways: Vec<String>,
    listeners: Vec<String>,
    acquirers: Vec<String>,
    issuers: Vec<String>,
}

impl Incident {
    /// A handshake without an end. Who it would have been with is not known, but for an issuer
    /// that was called.
    pub(crate) const fn tls(object: Object, from: Option<IpAddr>, error: HandshakeError) -> Self {
        Self {
            what: What::Tls,
            who: Who::Unknown,
            from,
            object,
            fate: Fate::Refused,
            why: match error {
                HandshakeError::Timeout => Why::HandshakeTimeout,
                HandshakeError::Limit => Why::HandshakeLimit,
                HandshakeError::Refused => Why::CertificateRefused,
                HandshakeError::Broken => Why::HandshakeFailed,
            },
        }
    }

    /// A message that nothing shows to come from whom it should.
    pub(crate) const fn mac(object: Object, from: Option<IpAddr>, error: MacError) -> Self {
        Self {
            what: What::Mac,
            who: Who::Unknown,
            from,
            object,
            fate: Fate::Refused,
            why: match error.rule {
                MacRule::Missing | MacRule::NotLast => Why::MacMissing,
                MacRule::Wrong => Why::MacWrong,
            },
        }
    }

    /// What a gateway is refused because of who it is or is not; the rest of refusals is load.
    pub(crate) const fn gateway(
        number: u16,
        (place, from): (Place, Option<IpAddr>),
        refusal: GatewayRefusal,
    ) -> Option<Self> {
        use GatewayRefusal as Refusal;
        let (what, why) = match refusal {
            Refusal::Certificate => (What::Authentication, Why::CertificateUnknown),
            Refusal::CredentialMissing => (What::Authentication, Why::CredentialMissing),
            Refusal::CredentialUnknown => (What::Authentication, Why::CredentialUnknown),
            Refusal::CredentialExpired => (What::Authentication, Why::CredentialExpired),
            Refusal::SignatureMalformed => (What::Authentication, Why::SignatureMalformed),
            Refusal::SignatureStale => (What::Authentication, Why::SignatureStale),
            Refusal::SignatureWrong => (What::Authentication, Why::SignatureWrong),
            Refusal::NonceReplayed => (What::Authentication, Why::NonceReplayed),
            Refusal::SignatureForgotten => (What::Authentication, Why::SignatureForgotten),
            Refusal::Type => (What::Permission, Why::Type),
            Refusal::Currency => (What::Permission, Why::Currency),
            Refusal::Amount => (What::Permission, Why::Amount),
            Refusal::ConnectionsFull
            | Refusal::AddressFull
            | Refusal::CertificateOver
            | Refusal::Tls
            | Refusal::AddressRate
            | Refusal::BeyondHorizon
            | Refusal::NoncesFull
            | Refusal::Rate
            | Refusal::PlacesFull => return None,
        };
        // A nonce is looked at behind a good signature; nothing before it proves anybody.
        let is_proven = matches!(
            refusal,
            Refusal::NonceReplayed | Refusal::SignatureForgotten
        ) || matches!(what, What::Permission);
        Some(Self {
            what,
            who: if is_proven {
                Who::Gateway(number)
            } else {
                Who::Unknown
            },
            from,
            object: Object::Gateway(number, place),
            fate: Fate::Refused,
            why,
        })
    }
}

impl Act {
    /// What the switch does of itself.
    pub(crate) fn of_switch(what: What, fate: Fate, why: Why) -> Self {
        Self {
            what,
            who: "switch".to_owned(),
            from: "switch".to_owned(),
            object: "log".to_owned(),
            fate,
            why,
            count: 1,
        }
    }

    /// What whoever may signal the process does. Nobody says who that is.
    pub(crate) fn by_signal(what: What, object: &str, fate: Fate, why: Why) -> Self {
        Self {
            who: "operator".to_owned(),
            from: "signal".to_owned(),
            object: object.to_owned(),
            ..Self::of_switch(what, fate, why)
        }
    }

    /// One part of the configuration was read again at SIGHUP.
    pub(crate) fn of_reload(part: &str, fate: Fate) -> Self {
        let why = match fate {
            Fate::Done => Why::None,
            Fate::Refused | Fate::Failed => Why::Unusable,
        };
        Self::by_signal(What::Reload, part, fate, why)
    }

    /// What a user of this machine does over the operators' socket.
    pub(crate) fn by_user(what: What, (uid, name): (u32, &str), object: &str, fate: Fate) -> Self {
        let name = if name.is_empty() { "?" } else { name };
        Self {
            who: format!("operator:{}({uid})", shown(name)),
            from: "socket".to_owned(),
            object: shown(object),
            ..Self::of_switch(what, fate, Why::None)
        }
    }

    pub(crate) fn because(self, why: Why) -> Self {
        Self { why, ..self }
    }
}

impl Names {
    pub(super) fn of(config: &Config) -> Self {
        let acquirer = |id: AcquirerId| {
            let known = config.acquirers.get(usize::from(id.0));
            known.map(|one| one.name.clone()).unwrap_or_default()
        };
        let listeners = config.listeners.iter();
        let issuers = config.issuers.iter();
        Self {
            gateways: config.gateways.iter().map(|one| one.name.clone()).collect(),
            listeners: listeners.map(|one| one.name.clone()).collect(),
            acquirers: (0..config.acquirers.len())
                .map(|id| acquirer(AcquirerId(u16::try_from(id).unwrap_or(u16::MAX))))
                .collect(),
            issuers: issuers.map(|one| one.name.clone()).collect(),
        }
    }

    pub(super) fn who(&self, who: Who) -> String {
        match who {
            Who::Unknown => "unknown".to_owned(),
            Who::Various => "various".to_owned(),
            Who::Gateway(number) => named("gateway", &self.gateways, usize::from(number)),
            Who::Acquirer(id) => named("acquirer", &self.acquirers, usize::from(id.0)),
            Who::Issuer(id) => named("issuer", &self.issuers, usize::from(id.0)),
        }
    }

    pub(super) fn object(&self, object: Object) -> String {
        match object {
            Object::Various => "various".to_owned(),
            Object::Admin => "listener:admin".to_owned(),
            Object::IssuerCallbacks => "listener:issuer_callbacks".to_owned(),
            Object::Gateway(number, place) => {
                let gateway = named("gateway", &self.gateways, usize::from(number));
                gateway + place.word()
            }
            Object::Listener(id) => named("listener", &self.listeners, usize::from(id.0)),
            Object::Issuer(id) => named("issuer", &self.issuers, usize::from(id.0)),
        }
    }
}

fn named(kind: &str, names: &[String], place: usize) -> String {
    let name = names.get(place).map_or("?", String::as_str);
    format!("{kind}:{name}")
}
