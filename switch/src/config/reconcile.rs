//! What an endpoint says of totals.

use domain::reconciliation::ReconSign;
use iso8583::Mti;

use super::Reconcile;
use super::section::Section;

/// `reconcile` and `recon_sign` of a listener.
pub(super) fn listener(section: &Section<'_>) -> Option<ReconSign> {
    let is_kept = section.flag("reconcile", false);
    let sign = sign(section);
    is_kept.then_some(sign)
}

/// `reconcile`, `recon_sign`, `recon_mti` and `recon_grace_s` of an issuer.
pub(super) fn issuer(section: &Section<'_>) -> Option<Reconcile> {
    let is_kept = section.flag("reconcile", false);
    let mti = section.parsed("recon_mti", |text| match text {
        "0520" => Ok(Some(Mti::RECONCILIATION_ADVICE)),
        "0522" => Ok(Some(Mti::ISSUER_RECONCILIATION_ADVICE)),
        "none" => Ok(None),
        _ => Err("takes \"0520\", \"0522\" or \"none\"".to_owned()),
    });
    let reconcile = Reconcile {
        sign: sign(section),
        mti: mti.unwrap_or(Some(Mti::RECONCILIATION_ADVICE)),
        grace: section.seconds("recon_grace_s", 0..=86_400, 300),
    };
    is_kept.then_some(reconcile)
}

fn sign(section: &Section<'_>) -> ReconSign {
    let sign = section.parsed("recon_sign", |text| match text {
        "credit-reversal" => Ok(ReconSign::CreditReversal),
        "reversed-credit" => Ok(ReconSign::ReversedCredit),
        _ => Err("takes \"credit-reversal\" or \"reversed-credit\"".to_owned()),
    });
    sign.unwrap_or(ReconSign::CreditReversal)
}
