//! What authenticates the messages of a listener or an issuer: a table `mac`, with a key for each
//! direction.

use std::cell::RefCell;
use std::sync::Arc;

use domain::ResponseCode;
use domain::result_code::CodeEdition;
use iso8583::Dialect;
use transaction::network::KeyPolicy;
use zeroize::Zeroizing;

use super::Keys;
use super::secret::Vault;
use super::section::Section;
use crate::crypto::key_change::{Kek, KeyChange, KeyScope};
use crate::crypto::mac::{EndpointMac, MacAlgorithm, MacLen, MacPadding, SoftwareMac};

/// Reads the tables `mac` of one configuration.
pub(super) struct Macs<'a> {
    vault: &'a Vault<'a>,
    is_admitted: bool,
    /// None serves twice.
    known: RefCell<Vec<Known>>,
}

/// A key that has a use.
struct Known {
    key: Zeroizing<Vec<u8>>,
    is_des: bool,
    place: String,
}

impl Known {
    /// DES leaves the last bit of each byte out: keys that differ in it alone are one.
    fn is_same(&self, other: &Self) -> bool {
        let used = if self.is_des || other.is_des { !1 } else { !0 };
        let mut pairs = self.key.iter().zip(other.key.iter());
        self.key.len() == other.key.len() && pairs.all(|(one, two)| one & used == two & used)
    }
}

impl<'a> Macs<'a> {
    /// Reads secrets by their references.
    pub(super) const fn vault(&self) -> &'a Vault<'a> {
        self.vault
    }

    /// `places` are those of the token key, the key of account numbers and the hash key.
    pub(super) fn new(vault: &'a Vault<'a>, keys: &Keys, places: [String; 3]) -> Self {
        let of_keys = [&keys.token_key, &keys.pan_key, &keys.hash_key];
        let known = of_keys.into_iter().zip(places).map(|(key, place)| Known {
            key: Zeroizing::new(key.expose().to_vec()),
            is_des: false,
            place,
        });
        Self {
            vault,
            is_admitted: keys.software_mac,
            known: RefCell::new(known.collect()),
        }
    }

    /// The table `mac` of an endpoint of that dialect. `None` without one, or with a fault.
    pub(super) fn read(
        &self,
        endpoint: &Section<'_>,
        dialect: &'static Dialect,
        asks: Asks,
    ) -> Option<Arc<EndpointMac>> {
        let section = endpoint.optional_section("mac")?;
        if !self.is_admitted {
            section.fault(
                "`mac` needs `keys.software_mac = true`: its keys lie in this process, not in an \
                 HSM",
            );
        }
        if !iso8583::mac::is_carried_by(dialect) {
            let name = dialect.name();
            section.fault(format!(
                "DE64 and DE128 of `{name}` cannot hold a MAC, or a field above 128 is repeated in \
                 answers, which can have none then"
            ));
        }
        let kind = algorithm(&section).zip(length(&section));
        let receive = self.engine(&section, "receive_key", kind);
        let send = self.engine(&section, "send_key", kind);
        let network = section.flag("network", true);
        let change = section.optional_section("key_change");
        let change = change.map(|change| self.change(change, dialect, kind, asks));
        section.finish();
        Some(Arc::new(EndpointMac {
            receive: Arc::new(receive?),
            send: Arc::new(send?),
            network,
            change: change.flatten(),
        }))
    }

    /// The table `mac.key_change`. `None` with a fault.
    fn change(
        &self,
        section: Section<'_>,
        dialect: &'static Dialect,
        kind: Option<(MacAlgorithm, MacLen)>,
        asks: Asks,
    ) -> Option<KeyChange> {
        let kek = self.kek(&section, kind.map(|(algorithm, _)| algorithm));
        let key_field = key_field(&section, "key_field", KEY_FIELD, dialect);
        let beside = key_field.unwrap_or(KEY_FIELD);
        let check_field = self::key_field(&section, "check_field", beside, dialect);
        let scope = section.parsed("keys", |text| match text {
            "both" => Ok(KeyScope::Both),
            "receive" => Ok(KeyScope::Receive),
            "send" => Ok(KeyScope::Send),
            _ => Err("takes \"both\", \"receive\" or \"send\"".to_owned()),
        });
        let change = KeyChange {
            kek: kek?,
            key_field: key_field?,
            check_field: check_field?,
            check_len: section.number("check_bytes", 3..=8, 3_u8).into(),
            scope: scope.unwrap_or(KeyScope::Both),
            overlap: section.seconds("overlap_s", 0..=86_400, 300),
            ask: asked(&section, asks),
        };
        section.finish();
        Some(change)
    }

    fn kek(&self, section: &Section<'_>, algorithm: Option<MacAlgorithm>) -> Option<Kek> {
        let key = section.required("kek", |reference| self.vault.bytes(reference))?;
        let algorithm = algorithm?;
        let is_des = algorithm != MacAlgorithm::AesCmac;
        let kek = Kek::new(algorithm, key.expose());
        let lengths = if is_des { "16 or 24" } else { "16, 24 or 32" };
        let fault = kek.is_none().then(|| format!("takes {lengths} bytes"));
        self.note(section, "kek", key.expose(), is_des, fault);
        kek
    }

    fn engine(
        &self,
        section: &Section<'_>,
        name: &'static str,
        kind: Option<(MacAlgorithm, MacLen)>,
    ) -> Option<SoftwareMac> {
        let key = section.required(name, |reference| self.vault.bytes(reference))?;
        let engine = kind.map(|(algorithm, len)| SoftwareMac::new(algorithm, len, key.expose()));
        let is_des = kind.is_some_and(|(algorithm, _)| algorithm != MacAlgorithm::AesCmac);
        let fault = engine.as_ref().and_then(|engine| engine.as_ref().err());
        self.note(
            section,
            name,
            key.expose(),
            is_des,
            fault.map(ToString::to_string),
        );
        engine?.ok()
    }

    /// Takes note of a key, and tells what is wrong with it: no key serves twice.
    fn note(
        &self,
        section: &Section<'_>,
        name: &str,
        key: &[u8],
        is_des: bool,
        fault: Option<String>,
    ) {
        let read = Known {
            key: Zeroizing::new(key.to_vec()),
            is_des,
            place: section.place_of(name),
        };
        let mut known = self.known.borrow_mut();
        let same = known.iter().find(|other| other.is_same(&read));
        let twice = || {
            let Known { place, .. } = same?;
            Some(format!("is the key at {place} too: each use has its own"))
        };
        if let Some(fault) = fault.or_else(twice) {
            section.fault_at(name, format!("`{name}` {fault}"));
        }
        known.push(read);
    }
}

/// Whether an endpoint may ask for keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asks {
    /// It is told them.
    Never,
    /// Where its table says so.
    IfTold,
}

/// When keys are asked for.
fn asked(section: &Section<'_>, asks: Asks) -> Option<KeyPolicy> {
    if asks == Asks::Never {
        return None;
    }
    let policy = KeyPolicy {
        retry: section.seconds("retry_s", 1..=3_600, 60),
        renew: section.seconds("renew_s", 60..=2_592_000, 86_400),
    };
    section.flag("ask", false).then_some(policy)
}

/// A field that may hold a key or its check value, and that the dialect has.
fn key_field(
    section: &Section<'_>,
    name: &'static str,
    default: u8,
    dialect: &'static Dialect,
) -> Option<u8> {
    let number = section.number(name, 2..=128, default);
    if !KEY_FIELDS.contains(&number) {
        section.fault_at(name, format!("`{name}` takes 48, 53, 62, 96, 120 or 125"));
        return None;
    }
    if dialect.field(number).is_none() {
        let dialect = dialect.name();
        section.fault_at(name, format!("`{dialect}` has no DE{number}"));
        return None;
    }
    Some(number)
}

/// Where keys stand in the messages of the networks that are known.
const KEY_FIELDS: [u8; 6] = [48, 53, 62, 96, 120, 125];
const KEY_FIELD: u8 = 48;

fn algorithm(section: &Section<'_>) -> Option<MacAlgorithm> {
    let padding = match section.number("padding", 1..=2, 2_u8) {
        1 => MacPadding::Method1,
        _ => MacPadding::Method2,
    };
    let algorithm = section.required("algorithm", |text| match text {
        "alg1" => Ok(MacAlgorithm::Cbc(padding)),
        "retail" => Ok(MacAlgorithm::Retail(padding)),
        "aes-cmac" => Ok(MacAlgorithm::AesCmac),
        _ => Err("takes \"retail\", \"alg1\" or \"aes-cmac\"".to_owned()),
    });
    if algorithm == Some(MacAlgorithm::AesCmac) && section.has("padding") {
        section.fault_at(
            "padding",
            "`padding` is not for aes-cmac, which pads by itself",
        );
    }
    algorithm
}

fn length(section: &Section<'_>) -> Option<MacLen> {
    match section.number("length", 4..=8, 8_u8) {
        4 => Some(MacLen::Four),
        8 => Some(MacLen::Eight),
        _ => {
            section.fault_at("length", "`length` takes 4 or 8");
            None
        }
    }
}

/// DE39 for a request whose MAC is missing or wrong; `None` drops it in silence. Left out it is
/// what the edition has for it: 63, in 1993 916.
pub(super) fn failure_answer(listener: &Section<'_>, dialect: &Dialect) -> Option<ResponseCode> {
    let answer = listener.parsed("mac_failure_answer", |text| {
        if text == "none" {
            return Ok(None);
        }
        let edition = dialect.version().code_edition();
        let code = ResponseCode::read(text.as_bytes()).ok();
        let code = code.filter(|code| [CodeEdition::An2, edition].contains(&code.edition()));
        let code = code.map(ResponseCode::internal);
        match code.filter(|code| !code.is_approval()) {
            Some(code) => Ok(Some(code)),
            None => Err("takes \"none\" or a response code that does not approve".to_owned()),
        }
    });
    answer.unwrap_or_else(|| match dialect.version().code_edition() {
        CodeEdition::An2 => Some(ResponseCode::SECURITY_VIOLATION),
        CodeEdition::N3 | CodeEdition::N4 => ResponseCode::read(b"916").ok(),
    })
}
