//! Keys that are read again while shards, played here, are slow with those before.

use domain::ids::NodeId;
use domain::pan::TokenKeyId;

use super::*;
use crate::clock::Clock;
use crate::config::{Environment, SecretKey, Source, create_missing_keys};

/// Two shards on an empty journal; the first key has the id 1.
struct Bench {
    keeper: Arc<KeysKeeper>,
    shared: Arc<Shared>,
    config: Arc<Config>,
    asked: Arc<Mutex<Vec<u32>>>,
    _folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        create_missing_keys(folder.path()).unwrap();
        let source = Source::Default {
            state_dir: folder.path(),
        };
        let config = Arc::new(Config::load(source, &Environment::of(&[])).unwrap());
        let shared = Shared::new(2, config.issuers.len(), Clock::start());
        let manifest = Manifest::open_or_create(&config.journal.dir, NodeId(1), 2).unwrap();
        for identity in shared
            .shards
            .iter()
            .map(|shard| manifest.identity(shard.id))
        {
            let dir = persistence::layout::shard_dir(
                manifest.root(),
                identity.generation,
                identity.shard,
            );
            std::fs::create_dir_all(dir).unwrap();
        }
        let asked = Arc::new(Mutex::new(vec![1]));
        let (told, of_start) = (Arc::clone(&asked), Arc::clone(&config));
        let reread = KeysReader::new(move || Ok(keys(&of_start, &told.lock())));
        let keeper = KeysKeeper::new(reread, &config, &shared, &manifest);
        shared.node().set_listening();
        for shard in &shared.shards {
            shard.keys.tell(Aim { id: 1, left: 7 });
        }
        Self {
            keeper,
            shared,
            config,
            asked,
            _folder: folder,
        }
    }

    /// SIGHUP on a file with these keys, the one in force first.
    #[track_caller]
    fn check(&self, ids: &[u32], refused: Option<&str>) {
        *self.asked.lock() = ids.to_vec();
        let told = self.keeper.taken_up().map_err(|error| error.to_string());
        match (told, refused) {
            (Ok(id), None) => assert_eq!(Some(&id), ids.first()),
            (Err(told), Some(text)) => assert!(told.contains(text), "{told}"),
            (told, refused) => panic!("{told:?}, not {refused:?}"),
        }
    }

    fn news(&self, shard: usize) -> &KeysNews {
        &self.shared.shards[shard].keys
    }

    /// What is offered to a shard, which takes it up.
    fn taken(&self, shard: usize) -> Option<u32> {
        let mut taken = None;
        self.news(shard).take(|keys| {
            let id = keys.pan_key_id;
            taken = Some(id);
            Aim { id, left: 6 }
        });
        taken
    }
}

fn keys(of_start: &Config, ids: &[u32]) -> Keys {
    let same = |key: &SecretKey| SecretKey::new(*key.expose());
    let key = |id: u32| match id {
        1 => same(&of_start.keys.pan_key),
        id => SecretKey::new([u8::try_from(id).unwrap(); 32]),
    };
    let old = ids[1..].iter().map(|id| (*id, key(*id)));
    Keys {
        token_key: same(&of_start.keys.token_key),
        token_key_id: TokenKeyId::FIRST,
        token_keys_old: Vec::new(),
        pan_key: key(ids[0]),
        pan_key_id: ids[0],
        pan_keys_old: old.collect(),
        pan_key_until: None,
        hash_key: same(&of_start.keys.hash_key),
        software_mac: false,
    }
}

/// What is derived under an old token key is known by it alone, and no segment's header names it:
/// a start without it would be refused.
#[test]
fn old_token_keys_are_those_of_the_start() {
    let of = |number: u8, key: u8| {
        let id = TokenKeyId(std::num::NonZeroU8::new(number).unwrap());
        (id, SecretKey::new([key; 32]))
    };
    let bench = Bench::new();
    let with = |old: Vec<(TokenKeyId, SecretKey)>| Keys {
        token_keys_old: old,
        ..keys(&bench.config, &[1])
    };
    let before = with(vec![of(2, 2), of(3, 3)]);
    let check = |old, missing: Option<&str>| {
        let refused = check_continuity(&before, &with(old)).map_err(|error| error.to_string());
        match (refused, missing) {
            (Ok(()), None) => {}
            (Err(told), Some(id)) => assert!(told.contains(&format!("token key {id}")), "{told}"),
            (told, missing) => panic!("{told:?}, not {missing:?}"),
        }
    };
    check(vec![of(2, 2), of(3, 3)], None);
    check(vec![of(3, 3), of(2, 2)], None);
    check(vec![of(3, 3)], Some("2"));
    check(vec![], Some("2"));
    check(vec![of(2, 2), of(3, 4)], Some("3"));
    check(vec![of(2, 2), of(3, 3), of(4, 4)], Some("4"));
}

const PENDING: Option<&str> = Some("still taking a key up");

#[test]
fn no_key_is_let_go_while_a_shard_takes_one_up() {
    let bench = Bench::new();
    bench.check(&[2, 1], None);
    bench.check(&[1], PENDING);
    assert_eq!((bench.taken(0), bench.taken(1)), (Some(2), Some(2)));
    bench.check(&[1], PENDING);
    bench.news(0).settle();
    bench.check(&[2], PENDING);
    bench.check(&[3, 2], PENDING);
    bench.news(1).settle();
    bench.check(&[2], None);
}

/// The segment that a shard begins may name the key that was undone.
#[test]
fn an_undone_key_is_kept_until_no_segment_can_name_it_any_more() {
    let bench = Bench::new();
    bench.check(&[2, 1], None);
    assert_eq!((bench.taken(0), bench.taken(1)), (Some(2), Some(2)));
    bench.check(&[1, 2], None);
    bench.check(&[1], PENDING);
    assert_eq!((bench.taken(0), bench.taken(1)), (Some(1), Some(1)));
    bench.check(&[1], PENDING);
    bench.news(0).settle();
    bench.news(1).settle();
    bench.check(&[1], None);
}

#[test]
fn an_undone_key_that_no_shard_has_taken_is_offered_no_more() {
    let bench = Bench::new();
    bench.check(&[2, 1], None);
    bench.check(&[1, 2], None);
    assert_eq!(bench.taken(0), Some(1));
    assert_eq!(bench.taken(0), None);
}

#[test]
fn the_same_key_is_offered_again_to_the_shard_that_could_not_take_it_up() {
    let bench = Bench::new();
    bench.check(&[2, 1], None);
    assert_eq!(bench.taken(0), Some(2));
    let before = Aim { id: 1, left: 7 };
    bench.news(1).take(|_| before);
    bench.news(0).settle();
    bench.news(1).settle();
    bench.check(&[2, 1], None);
    assert_eq!((bench.taken(0), bench.taken(1)), (None, Some(2)));
    bench.check(&[2, 1], None);
    assert_eq!((bench.taken(0), bench.taken(1)), (None, None));
}

#[test]
fn a_key_for_which_a_shard_has_no_room_is_refused_up_front() {
    let bench = Bench::new();
    let full = Some("shard 1 has taken up as many keys");
    bench.news(1).tell(Aim { id: 1, left: 1 });
    bench.check(&[2, 1], None);
    bench.check(&[3, 2, 1], full);
    bench.check(&[2, 1], None);
    bench.news(1).take(|_| Aim { id: 2, left: 0 });
    bench.check(&[3, 2, 1], full);
    bench.check(&[2, 1], None);
    assert_eq!(
        bench.taken(0),
        Some(2),
        "what was refused was offered to nobody"
    );
    assert_eq!(bench.shared.keys(&bench.config).pan_key_id, 2);
}

#[test]
fn no_checkpoint_gets_its_name_while_keys_are_judged_and_put() {
    let bench = Bench::new();
    let (shared, config) = (&bench.shared, &bench.config);
    let held = shared.under_key(config, 1, || shared.is_keys_turn_held());
    assert_eq!(held, Some(true));
    let put = shared.put_keys(|| {
        assert!(shared.is_keys_turn_held());
        Ok::<_, KeysRefused>(Arc::new(keys(config, &[2, 1])))
    });
    assert_eq!(put.unwrap().pan_key_id, 2);
    let named = shared.under_key(config, 1, || unreachable!("sealed under the key before"));
    assert_eq!(named, None::<()>);
    assert!(!shared.is_keys_turn_held());
}
