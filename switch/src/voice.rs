//! How a session or a link speaks of itself: network messages out and in, with their MACs.

use std::rc::Rc;
use std::sync::Arc;

use domain::ids::Stan;
use domain::time::WallTime;
use iso8583::mti::{Class, Function};
use iso8583::translate::{self, NetworkCodes, NetworkKind, NetworkRefusal, NetworkRequest};
use iso8583::{Dialect, MessageRef, mac};

use crate::crypto::endpoint_keys::{self, EndpointKeys};
use crate::crypto::key_change::{KeyRefused, NewKey};
use crate::crypto::mac::EndpointMac;
use crate::frame::{Casing, Frame};

/// What network messages of one endpoint are made with.
#[derive(Clone, Debug)]
pub(crate) struct Voice {
    pub(crate) dialect: &'static Dialect,
    pub(crate) codes: NetworkCodes,
    /// As configured, with how keys are changed.
    pub(crate) mac: Option<Arc<EndpointMac>>,
    /// As they are.
    pub(crate) keys: Option<Rc<EndpointKeys>>,
}

/// A network message by who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It asks something of us.
    Asks(NetworkKind),
    /// It answers what we have asked; whether it says yes.
    Answers(NetworkKind, bool),
}

/// What a message about keys brings.
#[derive(Clone, Debug)]
pub(crate) enum KeyMessage {
    /// A key that was verified.
    New(NewKey),
    /// One that is not taken.
    Refused(KeyRefused),
    /// None: it asks for one.
    None,
    /// Keys of this endpoint are not changed.
    Unserved,
}

impl KeyMessage {
    fn brought(self) -> Option<NewKey> {
        match self {
            Self::New(key) => Some(key),
            Self::Refused(_) | Self::None | Self::Unserved => None,
        }
    }
}

/// What a network message is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// 00, or 800.
    Accepted,
    /// A no.
    Refused(NetworkRefusal),
}

impl Voice {
    /// What a network message says. One that does not say what it is about is an answer to nothing,
    /// or asks something else.
    pub(crate) fn said(&self, message: MessageRef<'_>) -> Said {
        let kind = translate::network(message, &self.codes).unwrap_or(NetworkKind::Other);
        match message.mti().function() {
            Function::Request | Function::Advice | Function::Notification => Said::Asks(kind),
            Function::RequestResponse | Function::AdviceResponse | Function::Reserved => {
                Said::Answers(kind, translate::network_accepted(message))
            }
        }
    }

    /// Looks at what a message about keys brings.
    pub(crate) fn key_in(&self, message: MessageRef<'_>) -> KeyMessage {
        let Some((mac, change)) = self.mac.as_ref().and_then(|mac| {
            let change = mac.change.as_ref()?;
            Some((mac, change))
        }) else {
            return KeyMessage::Unserved;
        };
        if !change.is_offered(message) {
            return KeyMessage::None;
        }
        match change.open(message, mac.receive.kind()) {
            Ok(key) => KeyMessage::New(key),
            Err(refused) => KeyMessage::Refused(refused),
        }
    }

    /// Frames a network message of ours; `None` when the dialect has none.
    pub(crate) fn ask(
        &self,
        kind: NetworkKind,
        stan: Stan,
        wall: WallTime,
        casing: Casing,
        out: &mut [u8],
    ) -> Option<usize> {
        let request = NetworkRequest {
            code: self.codes.code(kind)?,
            stan,
            at: wall,
        };
        casing.write(out, |body| {
            let len = translate::write_network(self.dialect, &request, body).ok()?;
            endpoint_keys::append(self.network_keys(), self.dialect, body, len)
        })
    }

    /// Frames the answer to a network message, in the casing of the message.
    pub(crate) fn answer(&self, request: &Frame, told: Told, out: &mut [u8]) -> Option<usize> {
        let (dialect, message) = (self.dialect, request.message());
        request.casing.reply().write(out, |body| {
            let written = match told {
                Told::Accepted => translate::write_network_answer(dialect, message, body),
                Told::Refused(why) => translate::write_network_refusal(dialect, message, why, body),
            };
            let len = written.ok()?;
            let Some(keys) = self.network_keys() else {
                return Some(len);
            };
            let brought = match self.said(message) {
                Said::Asks(NetworkKind::KeyChange) => self.key_in(message).brought(),
                Said::Asks(_) | Said::Answers(..) => None,
            };
            let key = keys.answering(message, brought.as_ref(), request.received);
            mac::append(dialect, &*key, body, len).ok()
        })
    }

    fn network_keys(&self) -> Option<&EndpointKeys> {
        self.keys.as_ref()?.of(Class::Network)
    }
}

impl Told {
    /// What a key that was not taken is answered.
    pub(crate) const fn of_key(refused: KeyRefused) -> Self {
        match refused {
            KeyRefused::Format(_) => Self::Refused(NetworkRefusal::Format),
            KeyRefused::Check | KeyRefused::Weak => Self::Refused(NetworkRefusal::Security),
        }
    }
}

/// The STANs of network messages: they have nothing to do with those of transactions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NetworkStan(u32);

impl NetworkStan {
    /// The next one.
    pub(crate) fn next(&mut self) -> Stan {
        self.0 = self.0 % Stan::MAX + 1;
        Stan::new(self.0).unwrap_or_default()
    }
}
