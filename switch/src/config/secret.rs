//! Secrets by reference: what they are, and how they are read. A literal secret is refused.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::document::Environment;

/// A 256-bit key. Shows nothing of itself; zeroed when dropped; not `Clone`.
pub struct SecretKey(Zeroizing<[u8; Self::LEN]>);

impl SecretKey {
    /// Bytes of a key.
    pub const LEN: usize = 32;

    /// Takes the bytes.
    #[must_use]
    pub fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for `crypto.rs`, and for the configuration to compare.
    #[must_use]
    pub fn expose(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// What is wrong; never the text itself.
    pub(crate) fn from_hex(text: &str) -> Result<Self, String> {
        let refused = || "must hold 64 hexadecimal digits (32 bytes)".to_owned();
        let bytes = SecretBytes::from_hex(text).ok_or_else(refused)?;
        let bytes = bytes.expose().try_into().map_err(|_| refused())?;
        Ok(Self::new(bytes))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(set)")
    }
}

/// A key of any length. Shows nothing of itself; zeroed when dropped; not `Clone`.
pub(crate) struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// The bytes, for whoever computes with them.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Reads pairs of hexadecimal digits, at least one; `None` for anything else.
    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let (pairs, []) = text.trim().as_bytes().as_chunks::<2>() else {
            return None;
        };
        // Of its whole length at once: a vector that grows leaves copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
        for pair in pairs {
            let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
            bytes.push(u8::try_from(high? << 4 | low?).ok()?);
        }
        (!bytes.is_empty()).then_some(Self(bytes))
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(set)")
    }
}

/// A secret text. Shows nothing of itself; zeroed when dropped; not `Clone`.
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// The text, for the one who connects with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(set)")
    }
}

/// Where a secret is, so that it can be read again when it has been rotated.
#[derive(Clone, Debug)]
pub struct SecretPlace(Place);

#[derive(Clone)]
enum Place {
    /// The environment of a process does not change.
    Known(Zeroizing<String>),
    File(PathBuf),
}

impl SecretPlace {
    /// Reads it, without the line feed at its end.
    ///
    /// # Errors
    /// What is wrong; never the text itself.
    pub fn read(&self) -> Result<SecretText, String> {
        let text = match &self.0 {
            Place::Known(text) => text.clone(),
            Place::File(path) => file(path)?,
        };
        let trimmed = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
        if trimmed.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(SecretText(trimmed))
    }

    /// The file that holds it, where it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Known(_) => None,
            Place::File(path) => Some(path),
        }
    }

    /// One that is known: a variable, or what is no secret.
    pub(crate) fn known(text: &str) -> Self {
        Self(Place::Known(Zeroizing::new(text.to_owned())))
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(_) => f.write_str("(set)"),
            Self::File(path) => write!(f, "file:{}", path.display()),
        }
    }
}

/// Reads what references name.
#[derive(Debug)]
pub(crate) struct Vault<'a> {
    pub(crate) environment: &'a Environment,
    /// Relative `file:` references begin here.
    pub(crate) state_dir: &'a Path,
}

impl Vault<'_> {
    /// The key that `reference` names.
    pub(crate) fn key(&self, reference: &str) -> Result<SecretKey, String> {
        let text = self.text(reference)?;
        SecretKey::from_hex(text.expose()).map_err(|fault| format!("({reference}) {fault}"))
    }

    /// The key of any length that `reference` names.
    pub(crate) fn bytes(&self, reference: &str) -> Result<SecretBytes, String> {
        let text = self.text(reference)?;
        SecretBytes::from_hex(text.expose())
            .ok_or_else(|| format!("({reference}) must hold pairs of hexadecimal digits"))
    }

    /// The text that `reference` names, without the line feed at its end.
    pub(crate) fn text(&self, reference: &str) -> Result<SecretText, String> {
        let text = self.place(reference)?.read();
        text.map_err(|fault| match fault.as_str() {
            "is empty" => format!("({reference}) is empty"),
            _ => fault,
        })
    }

    /// Where the text is that `reference` names; it has not been read.
    pub(crate) fn place(&self, reference: &str) -> Result<SecretPlace, String> {
        match reference.split_once(':') {
            Some(("file", path)) => Ok(SecretPlace(Place::File(self.state_dir.join(path)))),
            Some(("env", name)) => Ok(SecretPlace::known(self.variable(name)?)),
            Some(("credential", name)) => Ok(SecretPlace(Place::File(self.credential(name)?))),
            // The text may be the secret: it is not repeated.
            _ => {
                Err("is a literal secret; write file:PATH, env:NAME or credential:NAME".to_owned())
            }
        }
    }

    fn variable(&self, name: &str) -> Result<&str, String> {
        let value = self.environment.value(name);
        value.ok_or_else(|| format!("names env:{name}, which is not set"))
    }

    fn credential(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.environment.value("CREDENTIALS_DIRECTORY");
        let folder = folder.ok_or_else(|| {
            format!("names credential:{name}, but systemd passed none (LoadCredential=)")
        })?;
        Ok(Path::new(folder).join(name))
    }
}

/// What a file holds that nobody else can read.
fn file(path: &Path) -> Result<Zeroizing<String>, String> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!(
            "names {shown}, which does not exist; the key of a MAC is the peer's, any other is \
             made with: openssl rand -hex 32 > {shown} && chmod 0400 {shown}"
        ),
        _ => format!("cannot read {shown}: {error}"),
    };
    let mode = std::fs::metadata(path)
        .map_err(unreadable)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "{shown} can be read by others (mode {:04o}); run: chmod 0400 {shown}",
            mode & 0o7777
        ));
    }
    std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .map_err(unreadable)
}

/// Whether `text` has the form of a reference.
pub(crate) fn is_reference(text: &str) -> bool {
    let kind = text.split_once(':').map(|(kind, _)| kind);
    matches!(kind, Some("file" | "env" | "credential"))
}
