//! Ids by name: records hold ids, and the journal remembers which name each of them belongs to. The
//! order of tables in the file, and tables that come or go, change no id that was given before.

use std::sync::Arc;
use std::time::Duration;

use domain::ids::{AcquirerId, InstitutionId, IssuerId, LinkId, Stan};
use iso8583::header::HeaderBytes;
use iso8583::translate::{NetworkCodes, ReversalForm};
use persistence::manifest::{NAME_LEN_MAX, NAMES_MAX, PartyNames};
use router::RouteTable;
use router::error::TableError;
use router::links::EjectionPolicy;
use transaction::matching::EchoFields;
use transaction::network::LinkPolicy;

use super::routes::spec;
use super::{Acquirer, Breaker, Config, Issuer, LinkGroup, ReversalStan, ReversalSwitches, Wire};
use crate::limits::{LABEL_LEN_MAX, LABELS_MAX};

const _: () = assert!(
    LABELS_MAX == NAMES_MAX && LABEL_LEN_MAX == NAME_LEN_MAX,
    "the journal can number every acquirer and issuer that a configuration may hold"
);

impl Config {
    /// The names of acquirers and issuers, in the order of the file.
    #[must_use]
    pub fn party_names(&self) -> PartyNames {
        let acquirers = self.acquirers.iter();
        let issuers = self.issuers.iter();
        PartyNames {
            acquirers: acquirers.map(|acquirer| acquirer.name.clone()).collect(),
            issuers: issuers.map(|issuer| issuer.name.clone()).collect(),
        }
    }

    /// The same configuration with the ids of `known`, which holds all of its names. Names of
    /// `known` that are not configured keep their place: as acquirers without a listener, and as
    /// issuers that have been removed.
    ///
    /// # Errors
    /// The routes do not make a table with other ids, which they do with any.
    pub fn numbered(mut self, known: &PartyNames) -> Result<Self, Vec<TableError>> {
        if self.party_names() == *known {
            return Ok(self);
        }
        let names = self.party_names();
        let acquirer = |id: AcquirerId| AcquirerId(moved(id.0, &names.acquirers, &known.acquirers));
        let issuer = |id: IssuerId| IssuerId(moved(id.0, &names.issuers, &known.issuers));
        for listener in &mut self.listeners {
            listener.acquirer = acquirer(listener.acquirer);
        }
        for gateway in &mut self.gateways {
            gateway.acquirer = acquirer(gateway.acquirer);
        }
        for route in &mut self.routes {
            for candidate in route.candidates.iter_mut().flatten() {
                candidate.issuer = issuer(candidate.issuer);
            }
            for named in &mut route.conditions.acquirers {
                *named = acquirer(*named);
            }
        }
        self.stand_in = self.stand_in.numbered(acquirer, issuer)?;
        let of_file = std::mem::take(&mut self.acquirers);
        // One that the file does not have has no listener.
        let found = |name: &String| of_file.iter().find(|acquirer| acquirer.name == *name);
        self.acquirers = (0..)
            .map(AcquirerId)
            .zip(&known.acquirers)
            .map(|(id, name)| Acquirer {
                id,
                name: name.clone(),
                inflight_max: found(name).map_or(1, |acquirer| acquirer.inflight_max),
                fee_basis_points: found(name).map_or(0, |acquirer| acquirer.fee_basis_points),
            })
            .collect();
        self.issuers = issuers_by_id(self.issuers, &known.issuers);
        self.route_table = Arc::new(RouteTable::build(self.routes.iter().map(spec).collect())?);
        Ok(self)
    }
}

/// The id that the name at `id` of the file is known by.
fn moved(id: u16, names: &[String], known: &[String]) -> u16 {
    let name = names.get(usize::from(id));
    let position = known.iter().position(|other| Some(other) == name);
    debug_assert!(
        position.is_some(),
        "invariant: the journal knows every name"
    );
    position.map_or(id, |position| u16::try_from(position).unwrap_or(id))
}

/// Issuers in the order of their ids, with their links numbered anew in that order.
fn issuers_by_id(mut configured: Vec<Issuer>, known: &[String]) -> Vec<Issuer> {
    let mut first_link = 0_u16;
    let mut issuers = Vec::with_capacity(known.len());
    for (id, name) in (0..).map(IssuerId).zip(known) {
        let position = configured.iter().position(|issuer| issuer.name == *name);
        let mut issuer = match position {
            Some(position) => configured.swap_remove(position),
            None => Issuer::removed(name.clone()),
        };
        issuer.id = id;
        issuer.first_link = LinkId(first_link);
        first_link = first_link.saturating_add(issuer.links);
        issuers.push(issuer);
    }
    issuers
}

impl Issuer {
    /// Holds the id of an issuer that the journal knows and the file does not: no route names it,
    /// nothing connects to it.
    fn removed(name: String) -> Self {
        const NO_TIME: Duration = Duration::from_secs(1);
        Self {
            id: IssuerId(0),
            name,
            addresses: Vec::new(),
            links: 0,
            first_link: LinkId(0),
            inflight_max: 1,
            breaker: Breaker {
                failure_percent: 50,
                slow_percent: 80,
                slow: NO_TIME,
                window: NO_TIME,
                calls_min: 20,
                open: NO_TIME,
                open_max: NO_TIME,
                probes: 1,
                echo: None,
            },
            ejection: EjectionPolicy {
                failures: None,
                first: NO_TIME,
                max: NO_TIME,
            },
            stan_base: 1,
            stan_size: Stan::MAX,
            network_codes: NetworkCodes::GENERIC,
            link: LinkPolicy {
                sign_on: false,
                key: None,
                echo_idle: NO_TIME,
                echo_missed: 1,
                answer_timeout: NO_TIME,
                sign_on_attempts: 1,
                sign_on_retry: NO_TIME,
                mismatches_max: 1,
            },
            match_fields: EchoFields::DEFAULT_KEY,
            link_group: LinkGroup::Link,
            hold_on_cutover: false,
            reconcile: None,
            institution: InstitutionId::EMPTY,
            wire: Wire::plain(0),
            request_header: HeaderBytes::NONE,
            connect_timeout: NO_TIME,
            reconnect_max: NO_TIME,
            reversal_timeout: Duration::ZERO,
            reversal: ReversalSwitches {
                form: ReversalForm::Advice,
                stan: ReversalStan::Same,
                cancel_on_late_decline: false,
            },
            fail_in_flight_on_link_loss: false,
            saf_before_live: false,
            demands_authorisation: false,
            mac: None,
            tls: None,
            http: None,
        }
    }

    /// Whether the file does not have it: only the journal knows its name.
    #[must_use]
    pub const fn is_removed(&self) -> bool {
        self.links == 0
    }

    /// STANs of requests and advices, from `stan_base` on.
    #[must_use]
    pub const fn request_stans(&self) -> u32 {
        match self.reversal.stan {
            ReversalStan::Same => self.stan_size,
            ReversalStan::New => self.stan_size / 2,
        }
    }

    /// DE11 of the reversal of what had this STAN. One from a time when reversals had that of their
    /// original may lie in the second half: it keeps it.
    #[must_use]
    pub fn reversal_stan(&self, original: Stan) -> Stan {
        let half = self.request_stans();
        let beyond = original.number().checked_sub(self.stan_base);
        if self.reversal.stan == ReversalStan::Same || beyond.is_none_or(|at| at >= half) {
            return original;
        }
        let own = original.number().saturating_add(half);
        Stan::new(own).unwrap_or(original)
    }

    /// STANs of each of its links.
    #[must_use]
    pub fn stans_each(&self) -> u32 {
        self.request_stans() / u32::from(self.links).max(1)
    }

    /// The link whose STANs hold `stan`. Links are numbered at each start, so this, and not a link
    /// that a record names, leads from a recovered leg to its link.
    #[must_use]
    pub fn link_of(&self, stan: Stan) -> Option<LinkId> {
        let beyond = stan.number().checked_sub(self.stan_base)?;
        let half = self.request_stans();
        let beyond = match self.reversal.stan {
            ReversalStan::New if beyond >= half => beyond.saturating_sub(half),
            ReversalStan::New | ReversalStan::Same => beyond,
        };
        let position = beyond.checked_div(self.stans_each())?;
        self.link_ids().nth(usize::try_from(position).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EXAMPLE, Environment};

    const MOMO: &str = "[[issuer]]\nname = \"momo\"\naddresses = [\"127.0.0.1:9102\"]\n\
                        institution = \"100001\"\n\n";
    const CARD: &str = "[[issuer]]\nname = \"card\"\naddresses = [\"127.0.0.1:9103\"]\n\
                        institution = \"100001\"\nlinks = 2\n\n";

    fn parsed(text: &str) -> Config {
        let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        let environment = Environment::of(&[
            ("KEY", key),
            ("NJIA__KEYS__TOKEN_KEY", "env:KEY"),
            ("NJIA__KEYS__PAN_KEY", "env:KEY"),
            ("NJIA__KEYS__HASH_KEY", "env:KEY"),
        ]);
        Config::parse("njia.toml", text, &environment).unwrap()
    }

    /// The example with `before` in front of its first issuer, and without its second one.
    fn example(before: &str) -> String {
        assert!(EXAMPLE.contains(MOMO));
        let bank = "[[issuer]]\nname = \"bank\"";
        let text = EXAMPLE.replacen(MOMO, "", 1);
        text.replacen(bank, &format!("{before}{bank}"), 1)
    }

    fn known(issuers: &[&str]) -> PartyNames {
        PartyNames {
            acquirers: vec!["acquirer-1".to_owned()],
            issuers: issuers.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// Every id leads to the name that the journal knows it by, and routes lead to the names that
    /// the file says.
    #[track_caller]
    fn check(config: &Config, known: &PartyNames, candidates: &[&[&str]]) {
        assert_eq!(config.party_names(), *known);
        let name = |id: &IssuerId| config.issuers[usize::from(id.0)].name.as_str();
        let mut links = 0;
        for (id, issuer) in (0..).zip(&config.issuers) {
            assert_eq!(
                (issuer.id, issuer.first_link),
                (IssuerId(id), LinkId(links))
            );
            links += issuer.links;
        }
        assert_eq!(usize::from(links), config.links());
        let laid_out = config.route_table.routes().iter();
        for ((route, laid_out), expected) in config.routes.iter().zip(laid_out).zip(candidates) {
            let configured = route.candidates.iter().flatten();
            let configured: Vec<IssuerId> = configured.map(|one| one.issuer).collect();
            let named: Vec<&str> = configured.iter().map(name).collect();
            assert_eq!(named, *expected);
            assert_eq!(laid_out.candidates(), configured);
        }
    }

    #[test]
    fn issuers_that_are_swapped_in_the_file_keep_their_ids() {
        let known = known(&["bank", "momo"]);
        let config = parsed(&example(MOMO));
        assert_eq!(config.issuers[0].name, "momo");
        let config = config.numbered(&known).unwrap();
        check(&config, &known, &[&["bank", "momo"], &["momo", "bank"]]);
        let addresses: Vec<u16> = config
            .issuers
            .iter()
            .map(|issuer| issuer.addresses[0].port())
            .collect();
        assert_eq!(addresses, [9101, 9102]);
    }

    #[test]
    fn an_issuer_before_the_others_in_the_file_gets_the_next_id() {
        let known = known(&["bank", "momo", "card"]);
        let config = parsed(&example(&format!("{CARD}{MOMO}")));
        let config = config.numbered(&known).unwrap();
        check(&config, &known, &[&["bank", "momo"], &["momo", "bank"]]);
        assert_eq!(config.issuers[2].first_link, LinkId(8));
    }

    #[test]
    fn the_id_of_an_issuer_that_is_removed_is_not_given_to_another() {
        let mut known = known(&["gone", "momo", "bank"]);
        let text = EXAMPLE.replacen("name = \"acquirer-1\"", "name = \"other\"", 1);
        let text = text.replacen("acquirer = \"acquirer-1\"", "acquirer = \"other\"", 1);
        let text = text.replacen("acquirers = []", "acquirers = [\"other\"]", 1);
        known.acquirers.push("other".to_owned());
        let config = parsed(&text).numbered(&known).unwrap();
        check(&config, &known, &[&["bank", "momo"], &["momo", "bank"]]);
        let removed: Vec<bool> = config.issuers.iter().map(Issuer::is_removed).collect();
        assert_eq!(removed, [true, false, false]);
        assert_eq!(config.listeners[0].acquirer, AcquirerId(1));
        let [first, ..] = config.routes.as_slice() else {
            panic!("the example has routes");
        };
        assert_eq!(first.conditions.acquirers, [AcquirerId(1)], "by name too");
    }

    #[test]
    fn who_is_stood_in_for_goes_by_name() {
        const RULE: &str = "\n[[stand_in]]\nname = \"floor\"\nissuer = \"bank\"\n\
                            prefixes = [\"4\"]\nacquirers = [\"acquirer-1\"]\n\
                            [stand_in.floor_limits]\nKES = 500_000\n";
        let mut known = known(&["momo", "bank"]);
        known.acquirers.insert(0, "gone".to_owned());
        let config = parsed(&format!("{EXAMPLE}{RULE}"));
        let config = config.numbered(&known).unwrap();
        let [rule] = config.stand_in.rules.as_slice() else {
            panic!("one rule");
        };
        assert_eq!(rule.issuer, IssuerId(1));
        assert_eq!(rule.conditions.acquirers, [AcquirerId(1)]);
        let [laid_out] = config.stand_in.table.routes() else {
            panic!("one route");
        };
        assert_eq!(laid_out.candidates(), [IssuerId(1)]);
    }

    #[test]
    fn a_stan_leads_to_the_link_that_holds_it() {
        let config = parsed(EXAMPLE);
        let link_of =
            |issuer: usize, stan| config.issuers[issuer].link_of(Stan::new(stan).unwrap());
        let each = config.issuers[0].stans_each();
        assert_eq!(link_of(0, 0), None);
        assert_eq!(link_of(0, 1), Some(LinkId(0)));
        assert_eq!(link_of(0, each), Some(LinkId(0)));
        assert_eq!(link_of(0, each + 1), Some(LinkId(1)));
        assert_eq!(link_of(1, each + 1), Some(LinkId(5)));
        assert_eq!(
            link_of(1, 4 * each + 1),
            None,
            "what is left over after dealing"
        );
    }
}
