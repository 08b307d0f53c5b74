//! The admin listener behind TLS: metrics and health for whoever has a certificate, and nobody
//! else.

use std::fs;
use std::process::Command;

use njia_tests::certificates::{Authority, Pair};
use njia_tests::e2e::{Build, Issuers, Node, folder};

use crate::rig::{HERE, PATIENCE, configuration, copied};

/// The status of a question, 0 where there was no answer, and what it says.
fn ask(url: &str, authority: &Authority, own: Option<&Pair>) -> (u16, String) {
    let mut command = Command::new("curl");
    command.args([
        "-sS",
        "--max-time",
        "20",
        "-w",
        "\n%{http_code}",
        "--cacert",
    ]);
    command.arg(authority.root());
    if let Some(own) = own {
        command.arg("--cert").arg(&own.certificate);
        command.arg("--key").arg(&own.key);
    }
    let output = command.arg(url).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

#[test]
fn the_admin_listener_may_have_tls() {
    let authority = Authority::new().unwrap();
    let folder = folder(env!("CARGO_TARGET_TMPDIR"), "tls-admin");
    let issuers = Issuers::start(&folder, PATIENCE / 30_000).unwrap();
    let own = copied(&authority.issue("switch", HERE).unwrap(), &folder, "own");
    let config = configuration(&folder, &authority, &own, &issuers, ("", ""));
    let text = fs::read_to_string(&config).unwrap();
    let tls = format!(
        "\n[admin.tls]\ncertificate = \"file:{}\"\nkey = \"file:{}\"\ntrust = \"file:{}\"\n",
        own.certificate.display(),
        own.key.display(),
        authority.root().display()
    );
    fs::write(&config, text + &tls).unwrap();
    let state = folder.join("state");
    let node = Node::configured(Build::Product, &config, &state, &[]).unwrap();
    let (_, port) = node.admin().rsplit_once(':').unwrap();
    let url = format!("https://localhost:{port}/metrics");
    let scraper = authority.issue("prometheus", "DNS:prometheus").unwrap();
    let (status, page) = ask(&url, &authority, Some(&scraper));
    assert_eq!(status, 200);
    assert!(page.contains("name=\"admin/listener\""), "its own expiry");
    let stranger = Authority::new()
        .unwrap()
        .issue("prometheus", "DNS:prometheus");
    let others = [None, Some(stranger.unwrap())];
    for own in &others {
        assert_eq!(ask(&url, &authority, own.as_ref()).0, 0, "{own:?}");
    }
    let clear = format!("http://localhost:{port}/metrics");
    assert_eq!(ask(&clear, &authority, Some(&scraper)).0, 0);
    assert_eq!(ask(&url, &authority, Some(&scraper)).0, 200, "it goes on");
    assert!(node.terminate().unwrap().success());
    issuers.finish().unwrap();
    fs::remove_dir_all(&folder).unwrap();
}
