//! What of a gateway's refusals is written down: who it was not, and what it may not do.

use super::{Connection, GatewayContext};
use crate::acquirer::json::problem::{Problem, Slug};
use crate::control::audit::{Fate, Incident, Object, Place, What, Who, Why};

/// What is asked for, without what names it: that may be an account.
pub(super) fn place_of(path: &str, is_gsma: bool) -> Place {
    if is_gsma {
        return Place::Gsma;
    }
    match path.strip_prefix("/v1/transactions") {
        Some("") => Place::Transactions,
        Some(rest) if rest.ends_with("/reversals") => Place::Reversals,
        Some(rest) if rest.starts_with('/') => Place::Transaction,
        Some(_) | None => Place::Elsewhere,
    }
}

/// Hands a refusal over to the audit log, if it is of that kind.
pub(super) fn note(
    problem: &Problem,
    place: Place,
    connection: &Connection,
    context: &GatewayContext,
) {
    let (number, from) = (context.number, connection.address);
    let incident = match problem.refusal {
        Some(refusal) => Incident::gateway(number, (place, from), refusal),
        None if problem.slug == Slug::NotPermitted => Some(Incident {
            what: What::Permission,
            who: Who::Gateway(number),
            from,
            object: Object::Gateway(number, place),
            fate: Fate::Refused,
            why: Why::Callback,
        }),
        None => None,
    };
    if let Some(incident) = incident {
        context.audit.note(incident);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_told_without_what_it_names() {
        let place = |path: &str| place_of(path, false).word();
        assert_eq!(place("/v1/transactions"), " /v1/transactions");
        let of_one = place("/v1/transactions/4111111111111111");
        assert_eq!(of_one, " /v1/transactions/{id}");
        let reversal = place("/v1/transactions/4111111111111111/reversals");
        assert_eq!(reversal, " /v1/transactions/{id}/reversals");
        for other in ["/", "/v1/transactions4111111111111111", "/4111111111111111"] {
            assert_eq!(place(other), " other");
        }
        assert_eq!(place_of("/gsma/4111111111111111", true).word(), " /gsma");
    }
}
