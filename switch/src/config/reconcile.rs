//! What an endpoint says of totals.

use domain::reconciliation::ReconSign;

use super::section::Section;

/// `reconcile` and `recon_sign` of a listener.
pub(super) fn listener(section: &Section<'_>) -> Option<ReconSign> {
    let is_kept = section.flag("reconcile", false);
    let sign = sign(section);
    is_kept.then_some(sign)
}

fn sign(section: &Section<'_>) -> ReconSign {
    let sign = section.parsed("recon_sign", |text| match text {
        "credit-reversal" => Ok(ReconSign::CreditReversal),
        "reversed-credit" => Ok(ReconSign::ReversedCredit),
        _ => Err("takes \"credit-reversal\" or \"reversed-credit\"".to_owned()),
    });
    sign.unwrap_or(ReconSign::CreditReversal)
}
