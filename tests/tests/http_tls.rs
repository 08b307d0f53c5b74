//! An issuer over HTTP and the endpoint of its tokens, both over TLS: each has to show a
//! certificate that is trusted, of its own name, or nothing is sent to it.

use std::sync::Arc;

use njia_tests::certificates::{Authority, server};
use njia_tests::e2e::json_bank::JsonBank;
use njia_tests::e2e::scene::{next, told};
use njia_tests::e2e::session::purchase;
use njia_tests::e2e::{Session, alone};
use rustls::ServerConfig;
use stage::{Stage, effect};

#[path = "http_pending/stage.rs"]
mod stage;

/// Who shows a certificate of `authority` for these names.
fn of(authority: &Authority, names: &str) -> Arc<ServerConfig> {
    server(&authority.issue("bank", names).unwrap()).unwrap()
}

/// What makes an issuer in clear one over TLS, whose tokens are at this port of `localhost`.
fn secured(text: &str, authority: &Authority, tokens: u16) -> String {
    let (clear, sealed) = ("[issuer.http]\nbase_url = \"http:", "base_url = \"https:");
    let trust = authority.root().display().to_string();
    let tls = format!("[issuer.tls]\ntrust = \"file:{trust}\"\nserver_name = \"bank.example\"\n");
    let auth = "kind = \"basic\"\nuser = \"njia\"";
    let oauth2 = format!(
        "kind = \"oauth2\"\ntoken_url = \"https://localhost:{tokens}/token\"\nclient_id = \"njia\""
    );
    assert!(text.contains(clear) && text.contains(auth), "{text}");
    text.replacen(clear, &format!("{tls}[issuer.http]\n{sealed}"), 1)
        .replacen(auth, &oauth2, 1)
}

#[test]
fn a_payment_and_its_token_go_over_tls() {
    let _machine = alone();
    let authority = Authority::new().unwrap();
    let bank = JsonBank::start_secure(of(&authority, "DNS:bank.example,DNS:localhost")).unwrap();
    bank.demand_tokens("3600");
    let port = bank.address().port();
    let stage = Stage::over(
        bank,
        "http-tls",
        (60_000, "poll_schedule_s = [1]"),
        |text| secured(&text, &authority, port),
    );
    stage.await_that("it has a token", || {
        let name = "njia_issuer_token_expiry_timestamp_seconds";
        stage.node.metric(name, &["bank"]).unwrap() > 0.0
    });
    let mut session = Session::connect(stage.node.listener()).unwrap();
    session.send(&purchase("000001")).unwrap();
    assert_eq!(next(&mut session), told("0210", "000001", "00"));
    assert_eq!(stage.effects(), [effect("submit")]);
    let head = stage.bank.heads().remove(0);
    assert!(head.contains("Authorization: Bearer t-1\r\n"), "{head}");
    assert_eq!(stage.bank.tokens_asked().len(), 1);
    stage.close();
}

/// Whom a stranger vouches for, and who is vouched for under another name: neither is told the
/// secret, and without a token nothing is asked of the issuer.
#[test]
fn a_token_is_not_asked_of_who_shows_no_good_certificate() {
    let _machine = alone();
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let wrong = [
        (of(&stranger, "DNS:localhost"), "BadSignature"),
        (
            of(&authority, "DNS:bank.example"),
            "certificate not valid for name",
        ),
    ];
    for (shown, cause) in wrong {
        let bank = JsonBank::start_secure(of(&authority, "DNS:bank.example")).unwrap();
        let tokens = JsonBank::start_secure(shown).unwrap();
        tokens.demand_tokens("3600");
        let port = tokens.address().port();
        let stage = Stage::over(
            bank,
            "http-tls-tokens",
            (60_000, "poll_schedule_s = [1]"),
            |text| secured(&text, &authority, port),
        );
        stage.await_that("it is said why", || stage.node.log().contains(cause));
        let mut session = Session::connect(stage.node.listener()).unwrap();
        session.send(&purchase("000001")).unwrap();
        assert_eq!(next(&mut session), told("0210", "000001", "91"), "{cause}");
        assert_eq!(tokens.tokens_asked(), Vec::<(String, String)>::new());
        assert_eq!(stage.bank.heads(), Vec::<String>::new());
        stage.close();
    }
}
