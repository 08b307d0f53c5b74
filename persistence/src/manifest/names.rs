//! The names behind the ids that records hold.

use std::path::Path;

use crate::error::JournalError;

/// Acquirers and issuers of one journal. The position of a name is its id in every record, for
/// good: a name that is configured no longer keeps its position, so that no other name gets it and
/// with it the reversals that are owed there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartyNames {
    /// By `AcquirerId`.
    pub acquirers: Vec<String>,
    /// By `IssuerId`.
    pub issuers: Vec<String>,
}

/// Names of one kind that a journal can number.
pub const NAMES_MAX: usize = 50;
/// Bytes of a name.
pub const NAME_LEN_MAX: usize = 32;

impl PartyNames {
    pub(super) const fn is_empty(&self) -> bool {
        self.acquirers.is_empty() && self.issuers.is_empty()
    }

    /// Numbers the names of `configured` that have no number, behind those that have one. Changes
    /// nothing when it fails.
    pub(super) fn learn(&mut self, configured: &Self, root: &Path) -> Result<(), JournalError> {
        let acquirers = learned(&self.acquirers, &configured.acquirers, "acquirer", root)?;
        let issuers = learned(&self.issuers, &configured.issuers, "issuer", root)?;
        *self = Self { acquirers, issuers };
        Ok(())
    }

    /// One line per name, with its id for people.
    pub(super) fn write(&self, text: &mut String) {
        for (kind, names) in [(ACQUIRER, &self.acquirers), (ISSUER, &self.issuers)] {
            for (id, name) in names.iter().enumerate() {
                text.push_str(&format!("{kind} {id} {name}\n"));
            }
        }
    }

    /// Whoever reads compares what was read with what would be written, so order and numbers need
    /// no look here.
    pub(super) fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut read = Self::default();
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let names = match words.next()? {
                ACQUIRER => &mut read.acquirers,
                ISSUER => &mut read.issuers,
                _ => return None,
            };
            let name = words.nth(1).filter(|name| is_name(name))?;
            if names.len() == NAMES_MAX || names.iter().any(|known| known == name) {
                return None;
            }
            names.push(name.to_owned());
        }
        Some(read)
    }
}

fn learned(
    known: &[String],
    configured: &[String],
    kind: &'static str,
    root: &Path,
) -> Result<Vec<String>, JournalError> {
    let mut names = known.to_vec();
    for name in configured {
        if !is_name(name) {
            return Err(JournalError::Misconfigured {
                key: kind,
                what: "must have a name of 1 to 32 printable characters without a space",
            });
        }
        if names.contains(name) {
            continue;
        }
        if names.len() == NAMES_MAX {
            return Err(JournalError::NamesFull {
                path: root.to_owned(),
                kind,
                name: name.clone(),
            });
        }
        names.push(name.clone());
    }
    Ok(names)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
}

const ACQUIRER: &str = "acquirer";
const ISSUER: &str = "issuer";
