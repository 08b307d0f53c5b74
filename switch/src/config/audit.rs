//! `[audit]`: where it is written down who was refused and what operators have done.

use std::path::PathBuf;
use std::sync::Arc;

use super::load::absolute;
use super::secret::{SecretKey, Vault};
use super::section::Section;

/// The audit log.
#[derive(Debug)]
pub struct Audit {
    /// The file that is written; those before it lie beside it.
    pub file: PathBuf,
    /// Chains its lines.
    pub key: SecretKey,
    /// Bytes after which another file is begun.
    pub file_bytes_max: u64,
}

/// Reads the table; `None` where it is left out, and nothing is written down.
pub(super) fn audit(root: &Section<'_>, vault: &Vault<'_>) -> Option<Arc<Audit>> {
    let section = root.optional_section("audit")?;
    let file = section.parsed("file", absolute);
    let audit = Audit {
        file: file.unwrap_or_else(|| vault.state_dir.join("audit.jsonl")),
        key: section
            .required("key", |reference| vault.key(reference))
            // Never used: a missing key refuses the configuration.
            .unwrap_or_else(|| SecretKey::new([0; SecretKey::LEN])),
        file_bytes_max: section.number("file_bytes_max", 64 << 10..=1 << 40, 64 << 20),
    };
    section.finish();
    Some(Arc::new(audit))
}
