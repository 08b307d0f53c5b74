//! The configuration's endpoints as the data plane uses them: names resolved to the codec's tables.

use domain::ids::InstitutionId;
use iso8583::Dialect;
use iso8583::translate::ReasonField;

use crate::config::Config;
use crate::frame::Casing;

/// How an issuer is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IssuerWire {
    pub(crate) dialect: &'static Dialect,
    /// Around what is sent to it first.
    pub(crate) casing: Casing,
    /// DE33 of what is forwarded.
    pub(crate) institution: InstitutionId,
    /// Where it reads why a message was sent.
    pub(crate) reason_field: Option<ReasonField>,
}

/// By [`domain::ids::IssuerId`].
pub(crate) fn issuer_wires(config: &Config) -> Vec<IssuerWire> {
    let wire = |issuer: &crate::config::Issuer| IssuerWire {
        dialect: issuer.wire.dialect,
        casing: Casing {
            framing: issuer.wire.framing,
            header: issuer.request_header,
        },
        institution: issuer.institution,
        reason_field: issuer.wire.reason_field,
    };
    config.issuers.iter().map(wire).collect()
}
