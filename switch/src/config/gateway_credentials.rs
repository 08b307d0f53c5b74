//! How a gateway shows who it is: API keys, or keys that it signs with. They are read again at
//! SIGHUP, so that one may follow another without a restart.

use std::sync::Arc;

use domain::time::WallTime;

use super::secret::{SecretBytes, Vault};
use super::section::Section;
use crate::acquirer::read_time;

/// What one gateway may show.
#[derive(Debug, Default)]
pub struct Credentials {
    /// Each that is good shows who it is.
    pub api_keys: Vec<ApiKey>,
    /// Where there are any, each request is signed by one of them.
    pub signing_keys: Vec<SigningKey>,
}

/// One API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// SHA-256 of it: it is nowhere itself.
    pub sha256: [u8; 32],
    /// Until when it is good; `None` for as long as it stands here.
    pub not_after: Option<WallTime>,
}

/// One key that requests are signed with (HMAC-SHA-256).
#[derive(Debug)]
pub struct SigningKey {
    /// As each signature names it.
    pub id: String,
    /// 32 to 64 bytes.
    pub(crate) secret: SecretBytes,
    /// Until when it is good; `None` for as long as it stands here.
    pub not_after: Option<WallTime>,
}

impl Credentials {
    /// What the two sets ask for is the same: who has sent a key goes on sending one.
    #[must_use]
    pub fn is_of_kind(&self, other: &Self) -> bool {
        self.api_keys.is_empty() == other.api_keys.is_empty()
            && self.signing_keys.is_empty() == other.signing_keys.is_empty()
    }
}

/// Reads them. `needs` says whether there must be any.
pub(super) fn credentials(section: &Section<'_>, needs: Needs, vault: &Vault<'_>) -> Credentials {
    let plain = section.list("api_keys_sha256", sha256);
    let plain = plain.into_iter().map(|sha256| ApiKey {
        sha256,
        not_after: None,
    });
    let tables = section.tables("api_key");
    let api_keys: Vec<ApiKey> = plain
        .chain(tables.into_iter().filter_map(api_key))
        .collect();
    let tables = section.tables("signing_key").into_iter();
    let signing_keys: Vec<SigningKey> = tables
        .filter_map(|section| signing_key(section, vault))
        .collect();
    let (keys, signs) = (has_any(section), section.has("signing_key"));
    if keys && signs {
        let text = "`signing_key` and API keys are one or the other";
        section.fault_at("signing_key", text);
    } else if !keys && !signs && needs == Needs::Some {
        let text = "`api_keys_sha256` is missing; or write [[gateway.api_key]], or \
                    [[gateway.signing_key]]";
        section.fault(text);
    }
    if section.has("api_keys_sha256") && section.count("api_keys_sha256") == 0 {
        section.fault_at("api_keys_sha256", "`api_keys_sha256` may not be empty");
    }
    check_count(section, "api_key", api_keys.len(), API_KEYS_MAX);
    check_count(section, "signing_key", signing_keys.len(), SIGNING_KEYS_MAX);
    let mut ids: Vec<&str> = signing_keys.iter().map(|key| key.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() < signing_keys.len() {
        section.fault_at("signing_key", "`id` is that of another signing key");
    }
    Credentials {
        api_keys,
        signing_keys,
    }
}

/// Whether a gateway could come without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Some,
    /// Its certificate says who it is.
    Nothing,
}

fn has_any(section: &Section<'_>) -> bool {
    section.has("api_keys_sha256") || section.has("api_key")
}

fn check_count(section: &Section<'_>, key: &'static str, count: usize, most: usize) {
    if count > most {
        section.fault(format!(
            "there are {count} of `{key}`, at most {most} are possible"
        ));
    }
}

fn api_key(section: Section<'_>) -> Option<ApiKey> {
    let sha256 = section.required("sha256", sha256);
    let not_after = section.parsed("not_after", moment);
    section.finish();
    Some(ApiKey {
        sha256: sha256?,
        not_after,
    })
}

fn signing_key(section: Section<'_>, vault: &Vault<'_>) -> Option<SigningKey> {
    let id = section.required("id", |text| {
        let is_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if (1..=ID_LEN_MAX).contains(&text.len()) && text.bytes().all(is_id) {
            return Ok(text.to_owned());
        }
        Err(format!(
            "takes 1 to {ID_LEN_MAX} letters, digits, `-`, `_` and `.`"
        ))
    });
    let secret = section.required("secret", |reference| {
        let secret = vault.bytes(reference)?;
        if !(SECRET_LEN_MIN..=SECRET_LEN_MAX).contains(&secret.expose().len()) {
            return Err(format!(
                "({reference}) must hold {SECRET_LEN_MIN} to {SECRET_LEN_MAX} bytes as pairs of \
                 hexadecimal digits"
            ));
        }
        Ok(secret)
    });
    let not_after = section.parsed("not_after", moment);
    section.finish();
    Some(SigningKey {
        id: id?,
        secret: secret?,
        not_after,
    })
}

fn moment(text: &str) -> Result<WallTime, String> {
    read_time(text)
        .ok_or_else(|| "takes a time as of RFC 3339, as `2027-06-30T00:00:00Z`".to_owned())
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let wrong = || "takes the SHA-256 of an API key, 64 hexadecimal digits".to_owned();
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut hash = [0; 32];
    for (at, byte) in hash.iter_mut().enumerate() {
        let digits = text.get(at * 2..at * 2 + 2).ok_or_else(wrong)?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(hash)
}

/// API keys of one gateway: each is compared with what is shown.
const API_KEYS_MAX: usize = 16;
/// Keys that one gateway signs with: the one in force, and those beside it while it changes.
const SIGNING_KEYS_MAX: usize = 4;
/// Of the id of a signing key.
const ID_LEN_MAX: usize = 32;
/// Of a secret; HMAC-SHA-256 makes no more of a longer one.
const SECRET_LEN_MIN: usize = 32;
const SECRET_LEN_MAX: usize = 64;

/// The credentials of all gateways, in the order of the configuration.
#[derive(Clone, Debug)]
pub struct CredentialSet(pub(crate) Vec<(String, Arc<Credentials>)>);

impl CredentialSet {
    /// Those that a gateway of this name has.
    #[must_use]
    pub(crate) fn named(&self, name: &str) -> Option<&Arc<Credentials>> {
        let mut all = self.0.iter();
        all.find(|(known, _)| known == name).map(|(_, held)| held)
    }
}
