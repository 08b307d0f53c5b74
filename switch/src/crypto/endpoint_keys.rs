//! The MAC keys of one endpoint as one shard has them: those in use, those that follow, those that
//! still check.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use domain::time::Instant;
use iso8583::error::{MacError, MacRule};
use iso8583::mti::Class;
use iso8583::{Dialect, MessageRef, mac};
use persistence::key_file::KeyDirection;
use transaction::network::KeyRoll;

use super::key_change::{KeyScope, NewKey};
use super::key_store::RestoredKey;
use super::mac::{EndpointMac, SoftwareMac};
use crate::config::Config;
pub(crate) use crate::control::shared::EndpointId as Endpoint;

/// One endpoint's keys. No borrow of them lasts longer than a call.
#[derive(Debug)]
pub(crate) struct EndpointKeys {
    receive: RefCell<KeyRoll<Arc<SoftwareMac>>>,
    send: RefCell<KeyRoll<Arc<SoftwareMac>>>,
    overlap: Duration,
    network: bool,
}

impl EndpointKeys {
    /// Those that are configured.
    pub(crate) fn new(mac: &EndpointMac) -> Self {
        let change = mac.change.as_ref();
        let overlap = change.map_or(Duration::ZERO, |change| change.overlap);
        let roll = |key: &Arc<SoftwareMac>| RefCell::new(KeyRoll::new(Arc::clone(key), overlap));
        Self {
            receive: roll(&mac.receive),
            send: roll(&mac.send),
            overlap,
            network: mac.network,
        }
    }

    /// A key that was stored is in force, since before the start.
    fn restore(&self, restored: &RestoredKey, now: Instant) {
        let before = restored.before.as_ref();
        let before = before.map(|(key, left)| (Arc::clone(key), now.after(*left)));
        let roll = KeyRoll::resumed(Arc::clone(&restored.key), before, self.overlap);
        match restored.direction {
            KeyDirection::Receive => self.receive.replace(roll),
            KeyDirection::Send => self.send.replace(roll),
        };
    }

    /// For messages of this class: nothing where they have no MAC.
    pub(crate) fn of(&self, class: Class) -> Option<&Self> {
        (self.network || class != Class::Network).then_some(self)
    }

    /// Checks what has come.
    ///
    /// # Errors
    /// As [`mac::verify`]; never for a message whose class has no MAC.
    pub(crate) fn check(&self, message: MessageRef<'_>, now: Instant) -> Result<(), MacError> {
        match self.of(message.mti().class()) {
            Some(keys) => check_with(&keys.receive.borrow(), message, now),
            None => Ok(()),
        }
    }

    /// Checks what has left from here and is given back.
    ///
    /// # Errors
    /// As [`EndpointKeys::check`].
    pub(crate) fn check_own(&self, message: MessageRef<'_>, now: Instant) -> Result<(), MacError> {
        match self.of(message.mti().class()) {
            Some(keys) => check_with(&keys.send.borrow(), message, now),
            None => Ok(()),
        }
    }

    /// Whether a key that is brought is in force already: whoever brings it did not read that it
    /// was taken. Taken once more it would be the key before itself.
    pub(crate) fn is_in_force(&self, brought: &NewKey) -> bool {
        let digest = brought.key.digest();
        self.rolls(brought.scope)
            .all(|roll| roll.borrow().current().digest() == digest)
    }

    /// What makes the MAC of an answer to a network message of `at`: who still speaks under the key
    /// before knows no other one. Where only our own key changes, who brings the one in force again
    /// is such a side.
    pub(crate) fn answering(
        &self,
        request: MessageRef<'_>,
        brought: Option<&NewKey>,
        at: Instant,
    ) -> Arc<SoftwareMac> {
        let (receive, send) = (self.receive.borrow(), self.send.borrow());
        let is_behind = match brought {
            Some(brought) if brought.scope == KeyScope::Send => self.is_in_force(brought),
            Some(_) | None => receive
                .previous(at)
                .is_some_and(|before| mac::verify(request, &**before).is_ok()),
        };
        let before = send.previous(at).filter(|_| is_behind);
        Arc::clone(before.unwrap_or_else(|| send.current()))
    }

    /// A new key: it checks from here on.
    pub(crate) fn offer(&self, new: &NewKey) {
        self.rolls(new.scope)
            .for_each(|roll| roll.borrow_mut().offer(Arc::clone(&new.key)));
    }

    /// The new key is not to be.
    pub(crate) fn withdraw(&self) {
        self.rolls(KeyScope::Both)
            .for_each(|roll| roll.borrow_mut().withdraw());
    }

    /// The new key makes MACs from here on.
    pub(crate) fn use_next(&self, now: Instant) {
        for roll in self.rolls(KeyScope::Both) {
            roll.borrow_mut().use_next(now);
        }
    }

    /// Forgets keys whose overlap has ended: they are zeroed with their last owner.
    pub(crate) fn expire(&self, now: Instant) {
        self.rolls(KeyScope::Both)
            .for_each(|roll| roll.borrow_mut().expire(now));
    }

    fn rolls(&self, scope: KeyScope) -> impl Iterator<Item = &RefCell<KeyRoll<Arc<SoftwareMac>>>> {
        let (receive, send) = match scope {
            KeyScope::Both => (true, true),
            KeyScope::Receive => (true, false),
            KeyScope::Send => (false, true),
        };
        let receive = receive.then_some(&self.receive);
        receive.into_iter().chain(send.then_some(&self.send))
    }
}

/// The likeliest key first. A MAC that is missing is missing under every key.
fn check_with(
    keys: &KeyRoll<Arc<SoftwareMac>>,
    message: MessageRef<'_>,
    now: Instant,
) -> Result<(), MacError> {
    let mut told = None;
    for key in keys.checking(now) {
        match mac::verify(message, &**key) {
            Err(error) if error.rule == MacRule::Wrong => {
                told.get_or_insert(error);
            }
            decided => return decided,
        }
    }
    told.map_or(Ok(()), Err)
}

/// Appends the MAC of an endpoint that has one to the message of `len` bytes in `out`, and says how
/// long it is then; `None` when there is no room, or a field above 128: such a message cannot
/// leave.
pub(crate) fn append(
    keys: Option<&EndpointKeys>,
    dialect: &'static Dialect,
    out: &mut [u8],
    len: usize,
) -> Option<usize> {
    match keys {
        Some(keys) => mac::append(dialect, &**keys.send.borrow().current(), out, len).ok(),
        None => Some(len),
    }
}

/// All keys of one shard.
#[derive(Clone, Debug)]
pub(crate) struct KeyTable {
    listeners: Vec<Option<Rc<EndpointKeys>>>,
    issuers: Vec<Option<Rc<EndpointKeys>>>,
}

impl KeyTable {
    /// Those that are configured, and those that were brought and stored before this start.
    pub(crate) fn new(config: &Config, restored: &[RestoredKey], now: Instant) -> Self {
        let keys = |mac: &Option<Arc<EndpointMac>>| {
            let mac = mac.as_deref()?;
            Some(Rc::new(EndpointKeys::new(mac)))
        };
        let listeners = config.listeners.iter().map(|listener| keys(&listener.mac));
        let issuers = config.issuers.iter().map(|issuer| keys(&issuer.mac));
        let table = Self {
            listeners: listeners.collect(),
            issuers: issuers.collect(),
        };
        for one in restored {
            if let Some(keys) = table.of(one.endpoint) {
                keys.restore(one, now);
            }
        }
        table
    }

    /// Those of one endpoint; `None` when its messages carry no MAC.
    pub(crate) fn of(&self, endpoint: Endpoint) -> Option<&Rc<EndpointKeys>> {
        let keys = match endpoint {
            Endpoint::Listener(id) => self.listeners.get(usize::from(id.0)),
            Endpoint::Issuer(id) => self.issuers.get(usize::from(id.0)),
        };
        keys?.as_ref()
    }

    /// Forgets keys whose overlap has ended.
    pub(crate) fn expire(&self, now: Instant) {
        let all = self.listeners.iter().chain(&self.issuers).flatten();
        all.for_each(|keys| keys.expire(now));
    }
}

#[cfg(test)]
mod tests {
    use iso8583::{FieldIndex, Mti, Writer};

    use persistence::key_file::WrappedMacKey;

    use super::*;
    use crate::crypto::mac::{MacAlgorithm, MacLen};

    const ASCII: &Dialect = Dialect::ISO87_ASCII;

    fn key(byte: u8) -> Arc<SoftwareMac> {
        let key = SoftwareMac::new(MacAlgorithm::AesCmac, MacLen::Eight, &[byte; 16]);
        Arc::new(key.unwrap())
    }

    fn keys() -> EndpointKeys {
        let roll = |byte| RefCell::new(KeyRoll::new(key(byte), Duration::from_secs(300)));
        EndpointKeys {
            receive: roll(1),
            send: roll(2),
            overlap: Duration::from_secs(300),
            network: false,
        }
    }

    fn new_key(scope: KeyScope) -> NewKey {
        let stored = WrappedMacKey {
            wrapped: vec![0; 16].into(),
            check: vec![0; 3].into(),
        };
        NewKey {
            key: key(3),
            scope,
            stored,
        }
    }

    fn message(mti: &[u8; 4]) -> (Vec<u8>, usize) {
        let mut out = vec![0; 128];
        let mut writer = Writer::new(ASCII, Mti::new(*mti).unwrap(), &mut out);
        writer.put(11, b"000001").unwrap();
        let len = writer.finish().unwrap();
        (out, len)
    }

    fn made_with(byte: u8, mti: &[u8; 4]) -> Vec<u8> {
        let (mut out, len) = message(mti);
        let len = mac::append(ASCII, &*key(byte), &mut out, len).unwrap();
        out.truncate(len);
        out
    }

    /// Which of the keys 1 to 4 may have made what comes, and which makes what leaves.
    #[track_caller]
    fn check(keys: &EndpointKeys, now: Instant, receives: &[u8], sends: u8) {
        let is_taken = |byte: &u8| {
            let bytes = made_with(*byte, b"0200");
            let mut index = FieldIndex::new();
            ASCII.parse(&bytes, &mut index).unwrap();
            keys.check(MessageRef::new(&bytes, &index), now).is_ok()
        };
        let taken: Vec<u8> = (1..=4).filter(is_taken).collect();
        assert_eq!(taken, receives);
        let (mut out, len) = message(b"0200");
        let len = append(Some(keys), ASCII, &mut out, len).unwrap();
        assert_eq!(out[..len], made_with(sends, b"0200"));
    }

    #[test]
    fn a_new_key_checks_at_once_and_makes_after_it_was_acknowledged() {
        let (keys, then) = (keys(), Instant::ZERO);
        let new = new_key(KeyScope::Both);
        check(&keys, then, &[1], 2);
        keys.offer(&new);
        check(&keys, then, &[1, 3], 2);
        keys.withdraw();
        check(&keys, then, &[1], 2);
        keys.offer(&new);
        keys.use_next(then);
        check(&keys, then, &[1, 3], 3);
        let later = then.after(Duration::from_secs(300));
        check(&keys, later, &[3], 3);
        keys.expire(later);
        check(&keys, later, &[3], 3);
    }

    #[test]
    fn one_direction_may_change_alone() {
        for (scope, receives, sends) in [
            (KeyScope::Receive, [1, 3].as_slice(), 2),
            (KeyScope::Send, [1].as_slice(), 3),
        ] {
            let keys = keys();
            keys.offer(&new_key(scope));
            keys.use_next(Instant::ZERO);
            check(&keys, Instant::ZERO, receives, sends);
        }
    }

    #[test]
    fn a_stored_key_is_in_force_and_the_one_before_it_checks_for_the_rest_of_the_overlap() {
        let (keys, then) = (keys(), Instant::from_millis(1_000));
        let left = Duration::from_secs(7);
        for (direction, before) in [
            (KeyDirection::Receive, Some((key(1), left))),
            (KeyDirection::Send, None),
        ] {
            let restored = RestoredKey {
                endpoint: Endpoint::Issuer(domain::ids::IssuerId(0)),
                direction,
                key: key(3),
                before,
            };
            keys.restore(&restored, then);
        }
        check(&keys, then, &[1, 3], 3);
        check(&keys, then.after(left), &[3], 3);
    }

    /// Under which of the keys 1 to 3 an echo under each of them is answered.
    #[track_caller]
    fn check_answering(scope: KeyScope, now: Instant, under: [u8; 3]) {
        let (keys, brought) = (keys(), new_key(scope));
        assert!(!keys.is_in_force(&brought));
        keys.offer(&brought);
        keys.use_next(Instant::ZERO);
        assert!(keys.is_in_force(&brought));
        let answered = |brought: Option<&NewKey>, byte| {
            let bytes = made_with(byte, b"0800");
            let mut index = FieldIndex::new();
            ASCII.parse(&bytes, &mut index).unwrap();
            keys.answering(MessageRef::new(&bytes, &index), brought, now)
                .digest()
        };
        let [first, third, again] = under.map(|byte| key(byte).digest());
        assert_eq!(answered(None, 1), first);
        assert_eq!(answered(None, 3), third);
        assert_eq!(answered(Some(&brought), 1), again);
    }

    #[test]
    fn who_speaks_under_the_key_before_is_answered_under_it() {
        let overlap = Instant::ZERO.after(Duration::from_secs(300));
        check_answering(KeyScope::Both, Instant::ZERO, [2, 3, 2]);
        check_answering(KeyScope::Both, overlap, [3, 3, 3]);
        check_answering(KeyScope::Receive, Instant::ZERO, [2, 2, 2]);
        // Its messages do not say which of ours it knows; that it brings the key again does.
        check_answering(KeyScope::Send, Instant::ZERO, [3, 3, 2]);
        check_answering(KeyScope::Send, overlap, [3, 3, 3]);
    }

    #[test]
    fn a_mac_that_is_missing_is_missing_under_every_key() {
        let keys = keys();
        keys.offer(&new_key(KeyScope::Both));
        let told = |bytes: &[u8]| {
            let mut index = FieldIndex::new();
            ASCII.parse(bytes, &mut index).unwrap();
            let message = MessageRef::new(bytes, &index);
            let checked = keys.check(message, Instant::ZERO);
            checked.map_err(|error| error.rule)
        };
        let (out, len) = message(b"0200");
        assert_eq!(told(&out[..len]), Err(MacRule::Missing));
        assert_eq!(told(&made_with(4, b"0200")), Err(MacRule::Wrong));
        let (out, len) = message(b"0800");
        assert_eq!(
            told(&out[..len]),
            Ok(()),
            "network messages carry none here"
        );
    }
}
