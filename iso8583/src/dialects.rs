//! The built-in dialects, as tables.

use crate::dialect::Dialect;

pub(crate) mod iso87;

/// All of them.
pub(crate) static ALL: [&Dialect; 2] = [&iso87::ASCII, &iso87::ASCII_HEX];
