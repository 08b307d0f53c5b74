//! What can go wrong with a journal, by who has to act.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::manifest::NAMES_MAX;
use crate::recovery::{Label, Refusal};

/// An error with its causes, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}

/// A journal cannot be opened, read or written. Cheap to clone: the error that ends a journal is
/// told to everybody who waits for it.
#[derive(Clone, Debug, Error)]
pub enum JournalError {
    /// Another process holds it (J01).
    #[error("the journal in {path} is in use by another process: stop that one, then start again")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is not fit to hold a journal (J02).
    #[error("{path} cannot hold a journal: {unfit}")]
    Unfit {
        /// The directory.
        path: PathBuf,
        /// Why.
        unfit: Unfit,
    },
    /// What lies on disk must not be written to (J04 to J19). Nothing was changed.
    #[error(
        "the journal in {path} is refused ({}): {refusal}; no record was changed, keep the files \
         and look at them with njia inspect journal", refusal.label()
    )]
    Refused {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// The manifest is of another node.
    #[error("the journal in {path} belongs to node {recorded}, this is node {configured}")]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// As the manifest has it.
        recorded: u16,
        /// As the configuration has it.
        configured: u16,
    },
    /// More acquirers or issuers than one journal can number.
    #[error(
        "the journal in {path} has no id for {kind} `{name}`: it has numbered {NAMES_MAX}, those \
         that were removed included; give it a name that was removed, or start on an empty \
         directory when nothing is owed any more"
    )]
    NamesFull {
        /// The directory.
        path: PathBuf,
        /// Acquirer or issuer.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// A setting that the journal cannot work with.
    #[error("journal setting {key}: {what}")]
    Misconfigured {
        /// The setting.
        key: &'static str,
        /// What it must be.
        what: &'static str,
    },
    /// An operation on a file failed while the journal was opened or read.
    #[error("could not {operation} {path}")]
    Io {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// The running journal met an error. It is final: nothing more becomes durable, and the process
    /// has to end.
    #[error(
        "the journal is dead: could not {operation} {path}; nothing more is acknowledged, restart \
         to recover"
    )]
    Dead {
        /// What was attempted.
        operation: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: Arc<io::Error>,
    },
    /// The journal was closed while somebody waited for it.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source: Arc::new(source),
        }
    }

    pub(crate) fn refused(path: &Path, refusal: Refusal) -> Self {
        Self::Refused {
            path: path.to_owned(),
            refusal,
        }
    }

    /// The row of the decision table in `docs/journal-format.md`, where one applies.
    #[must_use]
    pub const fn label(&self) -> Option<Label> {
        match self {
            Self::InUse { .. } => Some(Label::J01),
            Self::Unfit { .. } => Some(Label::J02),
            Self::Refused { refusal, .. } => Some(refusal.label()),
            Self::OtherNode { .. }
            | Self::NamesFull { .. }
            | Self::Misconfigured { .. }
            | Self::Io { .. }
            | Self::Dead { .. }
            | Self::Closed => None,
        }
    }

    /// The exit code that tells an operator and systemd what happened: 65 refused, 69 the host is
    /// not fit, 74 an error of the device, 75 in use, 78 the configuration.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Refused { .. } | Self::OtherNode { .. } => 65,
            Self::Unfit { .. } => 69,
            Self::Io { .. } | Self::Dead { .. } | Self::Closed => 74,
            Self::InUse { .. } => 75,
            Self::NamesFull { .. } | Self::Misconfigured { .. } => 78,
        }
    }
}

/// Why a directory cannot hold a journal (J02).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// Direct I/O was asked for and dropped: what is written would stay in memory.
    #[error("files there do not keep O_DIRECT (tmpfs does not): choose a directory on a disk")]
    NotDirect,
    /// The file system is not one that the journal was tried on.
    #[error(
        "file system type {magic:#x} is not ext4 or xfs: choose another directory, or allow other \
         file systems in the configuration"
    )]
    FileSystem {
        /// As `statfs` gives it.
        magic: u64,
    },
    /// The directory is another user's.
    #[error("it belongs to user {owner}, this process runs as user {user}")]
    Owner {
        /// Who owns the directory.
        owner: u32,
        /// Who runs this process.
        user: u32,
    },
    /// It cannot be made or opened by this user, or it is no directory.
    #[error(
        "{reason}; it must be a directory that the user of this process may write to, so chown it \
         or choose another"
    )]
    Unusable {
        /// What the system said.
        reason: String,
    },
    /// What was written there did not come back.
    #[error("a probe block did not read back as it was written")]
    Probe,
}
