//! Until when the certificates of a link are good. At their end the link is drained and connects
//! anew; where files were read again since it began, its turn comes within the hour before, one
//! link after the other, so that an issuer never loses all of them at once.

use std::sync::Arc;
use std::time::Duration;

use domain::time::WallTime;
use rustls::pki_types::CertificateDer;

use super::{IssuerSide, material};

/// What a link began with.
#[derive(Debug)]
pub(crate) struct Term {
    side: Arc<IssuerSide>,
    /// The first end of a certificate that either side has shown; `None` where that was over when
    /// the link began: to connect once more would bring the same.
    until: Option<WallTime>,
}

impl Term {
    /// Of a link that begins at `now` with what `side` says and `shown` by the issuer.
    pub(super) fn begin(
        side: &Arc<IssuerSide>,
        shown: &[CertificateDer<'_>],
        now: WallTime,
    ) -> Self {
        let theirs = shown.iter().filter_map(material::good_until);
        let until = theirs.chain(side.own_until).min();
        Self {
            side: Arc::clone(side),
            until: until.filter(|until| now < *until),
        }
    }

    /// Whether the link has to connect anew. `newest` is what links begin with now, `place` any
    /// number that tells it from the other links of its issuer.
    pub(crate) fn is_over(&self, newest: &Arc<IssuerSide>, place: u16, now: WallTime) -> bool {
        let Some(until) = self.until else {
            return false;
        };
        if until <= now {
            return true;
        }
        let is_renewed = !Arc::ptr_eq(&self.side, newest);
        let share = u32::from(STEPS.saturating_sub(place % STEPS));
        let ahead = EARLY.saturating_mul(share) / u32::from(STEPS);
        is_renewed && until <= now.after(ahead)
    }
}

/// How long before the end the first link has its turn.
const EARLY: Duration = Duration::from_secs(3_600);
/// Moments in that time at which a link may have it.
const STEPS: u16 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::Authority;

    fn at(minutes: u64) -> WallTime {
        Authority::begin().after(Duration::from_secs(minutes * 60))
    }

    #[test]
    fn a_link_connects_anew_at_the_first_end_of_a_certificate() {
        let authority = Authority::new();
        let theirs = authority.issue("issuer", Authority::begin(), at(60));
        let side = Arc::new(authority.issuer_side(Some(at(120))));
        let term = Term::begin(&side, &theirs.chain, at(0));
        assert!(!term.is_over(&side, 0, at(59)));
        assert!(term.is_over(&side, 0, at(60)));
        let own_first = Arc::new(authority.issuer_side(Some(at(30))));
        let term = Term::begin(&own_first, &theirs.chain, at(0));
        assert!(!term.is_over(&own_first, 0, at(29)));
        assert!(term.is_over(&own_first, 0, at(30)));
    }

    #[test]
    fn with_new_files_the_links_have_their_turns_before_the_end() {
        let authority = Authority::new();
        let (old, new) = (
            Arc::new(authority.issuer_side(Some(at(120)))),
            Arc::new(authority.issuer_side(Some(at(9_000)))),
        );
        let term = Term::begin(&old, &[], at(0));
        assert!(!term.is_over(&new, 0, at(59)));
        assert!(term.is_over(&new, 0, at(60)));
        let turns: Vec<usize> = (60..=119)
            .map(|minute| {
                (0..64)
                    .filter(|place| term.is_over(&new, *place, at(minute)))
                    .count()
            })
            .collect();
        let most = turns.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(most < Some(4), "few at once: {turns:?}");
        assert!(!term.is_over(&old, 0, at(119)), "nothing new to begin with");
    }

    #[test]
    fn what_was_over_at_the_beginning_is_no_reason_to_begin_again() {
        let authority = Authority::new();
        let side = Arc::new(authority.issuer_side(Some(at(10))));
        let term = Term::begin(&side, &[], at(10));
        assert!(!term.is_over(&side, 0, at(11)));
    }
}
