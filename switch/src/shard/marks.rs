//! What an engine is told before the first record of its journal, and what is told to the next one:
//! that which the records that are carried over do not say.

use std::collections::BTreeMap;

use domain::ids::{IssuerId, LinkId, Stan};
use domain::record::{Advised, Intent, LeftBehind, Record};
use persistence::checkpoint::Covered;
use persistence::identity::Identity;
use persistence::manifest::LATEST_STANS_MAX;
use persistence::marks::{LatestStans, Marks};
use transaction::Engine;

use super::build::stan_range;
use super::setup::relinked;
use crate::config::{Config, Issuer};
use crate::limits::{LINKS_MAX, SHARDS_MAX};

const _: () = assert!(
    LINKS_MAX as usize <= Covered::LATEST_STANS_MAX
        && LINKS_MAX as usize * SHARDS_MAX as usize <= LATEST_STANS_MAX,
    "what is told of every link has room in a checkpoint, and of every shard in a manifest"
);

/// Tells the engine of the shard that `identity` names what was known when the number of shards
/// changed, and then what its newest checkpoint knows.
//= docs/rules.md#M-08
pub(super) fn begin(
    engine: &mut Engine,
    config: &Config,
    identity: &Identity,
    (of_manifest, newest): (&Marks, Option<&Covered>),
) {
    let own = newest.map(|covered| &covered.marks);
    let behind = of_manifest.left_behind;
    let behind = behind.max(own.map_or_else(LeftBehind::default, |own| own.left_behind));
    if behind != LeftBehind::default() {
        engine.begin_behind(behind);
    }
    for (link, stans) in by_link(config, &of_manifest.latest_stans) {
        let range = stan_range(config, link, identity.shard, identity.shards);
        if let Some(stan) = range.and_then(|range| range.go_on_behind(&stans)) {
            engine.begin_after(link, stan);
        }
    }
    for (link, stans) in own.map_or_else(BTreeMap::new, |own| by_link(config, &own.latest_stans)) {
        // Links may have been other ones when it was made: then several may be of one now.
        if let Some(stan) = stans.last() {
            engine.begin_after(link, *stan);
        }
    }
}

/// The numbers that the shard of this engine has given out last, before its recovery has ended.
pub(super) fn latest_stans(config: &Config, engine: &Engine) -> LatestStans {
    let issuer_of = |link: LinkId| -> Option<IssuerId> {
        let has = |issuer: &&Issuer| issuer.link_ids().any(|own| own == link);
        config.issuers.iter().find(has).map(|issuer| issuer.id)
    };
    let latest = engine.latest_stans();
    let named = latest.filter_map(|(link, stan)| Some((issuer_of(link)?, stan)));
    let mut stans: LatestStans = named.collect();
    stans.sort_unstable();
    stans
}

/// The record with its leg on the link that holds its STAN in this start.
pub(super) fn relinked_record<'a>(config: &Config, record: &Record<'a>) -> Record<'a> {
    match record {
        Record::Intent(intent) => Record::Intent(Intent {
            leg: relinked(config, &intent.leg),
            ..*intent
        }),
        Record::Advised(advised) => Record::Advised(Advised {
            leg: advised.leg.map(|leg| relinked(config, &leg)),
            ..*advised
        }),
        Record::Refused(_)
        | Record::Outcome(_)
        | Record::SafOwed(_)
        | Record::SafDone(_)
        | Record::Tombstone(_)
        | Record::LateResponse(_)
        | Record::AdviceDone(_)
        | Record::Operated(_)
        | Record::Day(_)
        | Record::Totals(_)
        | Record::Reconciled(_)
        | Record::ReconciliationOwed(_)
        | Record::ReconciliationDone(_) => *record,
    }
}

fn by_link(config: &Config, stans: &[(IssuerId, Stan)]) -> BTreeMap<LinkId, Vec<Stan>> {
    let mut by_link: BTreeMap<LinkId, Vec<Stan>> = BTreeMap::new();
    for (issuer, stan) in stans {
        let issuer = config.issuers.get(usize::from(issuer.0));
        if let Some(link) = issuer.and_then(|issuer| issuer.link_of(*stan)) {
            by_link.entry(link).or_default().push(*stan);
        }
    }
    by_link
}

#[cfg(test)]
mod tests {
    use domain::ids::{Lsn, NodeId, ShardId};
    use domain::time::WallTime;
    use persistence::identity::JournalUuid;

    use super::*;
    use crate::shard::build::engine_settings;
    use crate::shard::exchange::tests::config;

    const IDENTITY: Identity = Identity {
        journal: JournalUuid([1; 16]),
        node: NodeId(1),
        generation: 2,
        shard: ShardId(0),
        shards: 1,
    };

    fn covered(marks: Marks) -> Covered {
        Covered {
            identity: IDENTITY,
            segment: 2,
            next_lsn: Lsn(1),
            next_sequence: 1,
            chain: 0,
            files: 0,
            records: 0,
            marks,
        }
    }

    //= docs/rules.md#M-08
    #[test]
    fn a_checkpoint_knows_later_numbers_than_the_change_of_shards_before_it() {
        let config = config();
        let issuer = &config.issuers[0];
        let at = |offset: u32| {
            let stan = Stan::new(issuer.stan_base + offset).unwrap();
            Marks {
                latest_stans: vec![(issuer.id, stan)],
                ..Marks::default()
            }
        };
        let latest = |of_manifest: &Marks, newest: Option<&Covered>| {
            let settings = engine_settings(&config, ShardId(0), 1, 1, WallTime::default());
            let mut engine = Engine::new(settings);
            begin(&mut engine, &config, &IDENTITY, (of_manifest, newest));
            latest_stans(&config, &engine)
        };
        assert_eq!(latest(&Marks::default(), None), []);
        assert_eq!(latest(&at(7), None), at(7).latest_stans);
        let newest = covered(at(9));
        assert_eq!(latest(&at(7), Some(&newest)), at(9).latest_stans);
        let unmarked = covered(Marks::default());
        assert_eq!(latest(&at(7), Some(&unmarked)), at(7).latest_stans);
    }
}
