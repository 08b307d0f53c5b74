//! `njia inspect transaction`: from the journal, from PostgreSQL, and from both.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use njia_tests::e2e::desk::{answered, with_field};
use njia_tests::e2e::scene::{ALONE, SHORT, Scene, asked};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Build, alone, away_from_midnight, eventually};
use njia_tests::postgres::{Cluster, Stop};
use serde_json::Value;

use super::{PIN_BLOCK, TRACK, Told, assert_masked, objects, told};

const SCHEMA: &str = "njia_inspect";

fn transaction(more: &[&str], place: &[&str], environment: &[(String, String)]) -> Told {
    let mut command = Command::new(Build::Product.njia());
    command
        .args(["inspect", "transaction"])
        .args(more)
        .args(place)
        .envs(environment.iter().cloned());
    told(&mut command)
}

/// An approval, a decline, and one that was not answered in time: three transactions.
fn lived(scene: &Scene, link: &mut njia_tests::e2e::Session) {
    let mut session = scene.session();
    for (stan, code) in [("000041", "00"), ("000042", "51")] {
        let purchase = with_field(&purchase(stan), 35, TRACK);
        session.send(&with_field(&purchase, 52, PIN_BLOCK)).unwrap();
        let request = asked(link, "0200");
        link.send(&answered(&request, code)).unwrap();
        assert_eq!(session.receive().unwrap().text(39), code);
    }
    late(scene, link, "000043");
}

/// Its reversal is acknowledged.
fn late(scene: &Scene, link: &mut njia_tests::e2e::Session, stan: &str) {
    let mut session = scene.session();
    session.send(&purchase(stan)).unwrap();
    asked(link, "0200");
    assert_eq!(session.receive().unwrap().text(39), "91");
    let reversal = link.receive().unwrap();
    assert!(reversal.mti().starts_with("042"), "{}", reversal.mti());
    link.send(&answered(&reversal, "00")).unwrap();
    let done = || scene.metric("njia_saf_depth", &[]) == 0.0;
    assert!(
        eventually(Duration::from_secs(60), done),
        "{}",
        scene.node.log()
    );
}

fn types(object: &Value) -> Vec<&str> {
    let records = object["records"].as_array().unwrap().iter();
    records
        .map(|record| record["type"].as_str().unwrap())
        .collect()
}

/// The life of the one that timed out, wherever it is read.
#[track_caller]
fn check_late(found: &Value) {
    assert_eq!(types(found), ["intent", "outcome", "saf_owed", "saf_done"]);
    assert_eq!(found["state"], "timed_out");
    assert_eq!(found["reversal"], "acknowledged");
    assert_eq!(found["records"][0]["acquirer"], "acquirer-1");
    assert_eq!(found["records"][0]["account"], "506100******7890");
    assert_eq!(found["records"][2]["cause"], "timeout");
}

#[test]
fn a_life_is_told_from_the_journal_alone() {
    let _machine = alone();
    away_from_midnight();
    let (scene, mut link) = Scene::open("inspect-life", &[ALONE, SHORT]);
    lived(&scene, &mut link);
    let dir = scene.node.journal().to_owned();
    let place = ["--journal", dir.to_str().unwrap()];
    let look = |more: &[&str]| transaction(more, &place, &[]);
    let settled = || {
        let found = look(&["--stan", "43", "--json"]);
        found.out.contains("saf_done")
    };
    assert!(eventually(Duration::from_secs(60), settled));
    let one = objects(&look(&["--stan", "43", "--json"]).good());
    assert_eq!(one.len(), 1);
    check_late(&one[0]);
    let id = one[0]["transaction"].as_str().unwrap();
    assert_eq!(objects(&look(&[id, "--json"]).good()), one);
    assert_eq!(
        objects(&look(&["--rrn", "000000000043", "--json"]).good()),
        one
    );
    let text = look(&[id]).good();
    for said in [
        ": timed_out, code 91, reversal acknowledged\n",
        " +0 ms intent acquirer=acquirer-1 ",
        " saf_done result=acknowledged code=00 attempts=1 [1/",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    // The bank has one link, and all of it was asked today.
    let today = &one[0]["admitted"].as_str().unwrap()[..10];
    let named = ["--acquirer", "acquirer-1", "--date", today];
    let of_day = |stan: &str| look(&[&["--stan", stan][..], &named].concat());
    assert!(of_day("42").good().contains(": answered, code 51\n"));
    check_unknown(
        &look(&["--stan", "43", "--date", "2001-01-01"]),
        " with STAN 000043 of 2001-01-01",
    );
    check_unknown(
        &look(&["--stan", "43", "--acquirer", "nobody"]),
        " of acquirer nobody",
    );
    check_unknown(&look(&["--rrn", "999999999999"]), " with RRN 999999999999");
    let other = "019b76da-a800-7abc-8050-00090000004d";
    check_unknown(&look(&[other]), other);
    let several = a_second_one(&scene, &mut link, &look);
    // A card's number where an id should stand is not repeated.
    let wrong = look(&[super::PAN]);
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    for text in [text, several, wrong.err, one[0].to_string()] {
        assert_masked(&text);
    }
    scene.close_with(link);
}

/// The same STAN a second time: another DE37 makes it another transaction.
fn a_second_one(
    scene: &Scene,
    link: &mut njia_tests::e2e::Session,
    look: &dyn Fn(&[&str]) -> Told,
) -> String {
    let mut session = scene.session();
    session
        .send(&with_field(&purchase("000041"), 37, "000000990041"))
        .unwrap();
    let request = asked(link, "0200");
    link.send(&answered(&request, "00")).unwrap();
    assert_eq!(session.receive().unwrap().text(39), "00");
    let several = look(&["--stan", "41"]).good();
    assert!(
        several.starts_with("2 transactions fit; ask for one by its id\n"),
        "{several}"
    );
    assert_eq!(
        several.matches("account=506100******7890").count(),
        2,
        "{several}"
    );
    assert_eq!(objects(&look(&["--stan", "41", "--json"]).good()).len(), 2);
    several
}

#[track_caller]
fn check_unknown(found: &Told, named: &str) {
    assert_eq!(
        (found.code, found.out.as_str()),
        (Some(66), ""),
        "{found:?}"
    );
    assert!(found.err.contains("there is no transaction"), "{found:?}");
    assert!(found.err.contains(named), "{found:?}");
}

#[test]
fn a_life_is_told_from_postgres_and_what_is_newer_from_the_journal() {
    let _machine = alone();
    let mut cluster = Cluster::start().unwrap();
    let url = cluster.url();
    let more = [
        ALONE,
        SHORT,
        ("NJIA__POSTGRES__URL", url.as_str()),
        ("NJIA__POSTGRES__SCHEMA", SCHEMA),
        ("NJIA__POSTGRES__MIGRATE", "true"),
    ];
    let (scene, mut link) = Scene::open("inspect-postgres", &more);
    lived(&scene, &mut link);
    let copied = || {
        let lag = scene.metric("njia_applier_lag_records", &[]);
        lag == 0.0 && scene.metric("njia_applier_rows_total", &["inserted"]) >= 8.0
    };
    assert!(
        eventually(Duration::from_secs(60), copied),
        "{}",
        scene.node.log()
    );

    let state = scene.node.journal().parent().unwrap().to_owned();
    let looks = Looks::at(&state, &url);
    let look = |more: &[&str]| looks.look(more);
    let held = objects(&look(&["--stan", "43", "--json"]).good());
    check_late(&held[0]);
    assert_eq!(from_disk(&held[0]), 0, "{held:?}");
    let id = held[0]["transaction"].as_str().unwrap();
    assert!(look(&[id]).good().contains("[postgresql "));
    check_unknown(&look(&["--rrn", "999999999999"]), " with RRN");

    cluster.stop(Stop::Immediate).unwrap();
    late(&scene, &mut link, "000044");
    let away = look(&["--stan", "43", "--json"]);
    assert_eq!(away.code, Some(0), "{away:?}");
    assert!(away.err.contains("the journal alone is read"), "{away:?}");
    check_late(&objects(&away.out)[0]);
    assert_eq!(from_disk(&objects(&away.out)[0]), 4);
    // PostgreSQL comes back, and nobody is there to copy what is newer.
    let kept = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(&state)
        .arg(kept.path())
        .status();
    assert!(copied.unwrap().success());
    scene.close_with(link);
    cluster.resume().unwrap();
    let looks = Looks::at(&kept.path().join("state"), &url);
    let newer = objects(&looks.look(&["--stan", "44", "--json"]).good());
    check_late(&newer[0]);
    assert_eq!(from_disk(&newer[0]), 4, "{newer:?}");
    let held = objects(&looks.look(&["--stan", "43", "--json"]).good());
    check_late(&held[0]);
    assert_eq!(from_disk(&held[0]), 0, "{held:?}");
}

/// Records that were read from files.
fn from_disk(found: &Value) -> usize {
    let records = found["records"].as_array().unwrap().iter();
    records
        .filter(|record| record.get("offset").is_some())
        .count()
}

/// Who looks, with the configuration of the switch.
struct Looks {
    folder: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Looks {
    fn at(state: &Path, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut defaults = Command::new(Build::Product.njia());
        let defaults = defaults.args(["config", "defaults"]).output().unwrap();
        fs::write(folder.path().join("njia.toml"), defaults.stdout).unwrap();
        let set = [
            ("NJIA__NODE__STATE_DIR", state.to_str().unwrap()),
            ("NJIA__POSTGRES__URL", url),
            ("NJIA__POSTGRES__SCHEMA", SCHEMA),
            ("NJIA__ISSUER__BANK__ADDRESSES", "127.0.0.1:1"),
            ("NJIA__ISSUER__MOMO__ADDRESSES", "127.0.0.1:1"),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            folder,
            environment: set.into_iter().map(owned).collect(),
        }
    }

    fn look(&self, more: &[&str]) -> Told {
        let config = self.folder.path().join("njia.toml");
        transaction(more, &["-c", config.to_str().unwrap()], &self.environment)
    }
}
