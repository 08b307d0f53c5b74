//! What the watermark's file cannot be used for.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a watermark cannot be read, written or believed.
#[derive(Debug, Error)]
pub enum EventsError {
    /// The file cannot be read or written.
    #[error("cannot {operation} {}", .path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is not what the publisher writes.
    #[error(
        "{} is damaged: {what}; without it every record that the journal still holds is published \
         again, with the same ids: remove it if receivers may get them twice", .path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}
