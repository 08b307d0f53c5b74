//! Which journal a file belongs to.

use core::fmt;

use domain::ids::{NodeId, ShardId};

/// Names one journal of one node for good. LSNs start at 1 in each shard of it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalUuid(pub [u8; 16]);

impl JournalUuid {
    /// A new one, at random.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }

    /// Reads the hyphenated form, 36 characters; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 36 {
            return None;
        }
        let uuid = uuid::Uuid::try_parse(text).ok()?;
        Some(Self(uuid.into_bytes()))
    }
}

impl fmt::Display for JournalUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl fmt::Debug for JournalUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What every file of one shard's journal says about where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The journal.
    pub journal: JournalUuid,
    /// The machine.
    pub node: NodeId,
    /// Rises by one when the slots are dealt anew.
    pub generation: u32,
    /// The shard that alone writes it.
    pub shard: ShardId,
    /// Shards of this generation.
    pub shards: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_uuid_reads_what_it_shows_and_nothing_else() {
        let uuid = JournalUuid::random();
        assert_eq!(JournalUuid::parse(&uuid.to_string()), Some(uuid));
        assert_ne!(uuid, JournalUuid::random());
        for other in [
            "",
            "x",
            &uuid.to_string().replace('-', ""),
            &format!("{{{uuid}}}"),
        ] {
            assert_eq!(JournalUuid::parse(other), None, "{other}");
        }
    }
}
