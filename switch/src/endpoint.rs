//! The configuration's endpoints as the data plane uses them: names resolved to the codec's tables.

use domain::ids::InstitutionId;
use iso8583::{Dialect, Framing};

use crate::config::Config;

/// How an issuer is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IssuerWire {
    pub(crate) dialect: &'static Dialect,
    pub(crate) framing: Framing,
    /// DE33 of what is forwarded.
    pub(crate) institution: InstitutionId,
}

/// By [`domain::ids::IssuerId`].
pub(crate) fn issuer_wires(config: &Config) -> Vec<IssuerWire> {
    let wire = |issuer: &crate::config::Issuer| IssuerWire {
        dialect: dialect(&issuer.dialect),
        framing: codec_framing(issuer.framing),
        institution: issuer.institution,
    };
    config.issuers.iter().map(wire).collect()
}

/// The codec's table for a configured dialect.
#[expect(
    clippy::expect_used,
    reason = "a configuration that exists names dialects that exist"
)]
pub(crate) fn dialect(name: &str) -> &'static Dialect {
    Dialect::by_name(name).expect("invariant: the configuration has checked the dialect's name")
}

/// The codec's word for a configured framing.
pub(crate) const fn codec_framing(framing: crate::config::Framing) -> Framing {
    match framing {
        crate::config::Framing::Be16 => Framing::Be16,
    }
}
