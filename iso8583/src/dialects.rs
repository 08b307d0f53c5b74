//! The built-in dialects: tables only.

pub(crate) mod iso87;
