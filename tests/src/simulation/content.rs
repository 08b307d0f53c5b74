//! What an advice says beyond its facts, and how connections end.

/// Further fields of an advice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    bytes: [u8; CONTENT_MAX],
    len: usize,
}

const CONTENT_MAX: usize = 64;

impl Content {
    pub(super) fn new(fields: &[u8]) -> Self {
        let mut bytes = [0; CONTENT_MAX];
        bytes[..fields.len()].copy_from_slice(fields);
        let len = fields.len();
        Self { bytes, len }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", String::from_utf8_lossy(self.as_bytes()))
    }
}

/// A direction of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    ToIssuer,
    ToSwitch,
}

/// How a connection to an issuer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// Nothing that is on its way arrives.
    Reset,
    /// The issuer has ended its direction: it still reads.
    IssuerEnds,
    /// Our direction has ended: what the issuer says still arrives.
    WeEnd,
}
