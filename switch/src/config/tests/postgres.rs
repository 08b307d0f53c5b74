//! `[postgres]`: secrets by reference, read again, and certificates that go together.

use persistence::applier::Strategy;

use super::*;

fn postgres_of(lines: &str, more: &[(&str, &str)]) -> Config {
    let text = format!("{EXAMPLE}\n[postgres]\n{lines}\n");
    Config::parse("njia.toml", &text, &environment(more)).unwrap()
}

/// The only fault of `[postgres]` with `lines` contains `told`.
#[track_caller]
fn check_refused(lines: &str, told: &str) {
    let text = format!("{EXAMPLE}\n[postgres]\n{lines}\n");
    let errors = Config::parse("njia.toml", &text, &environment(&[])).unwrap_err();
    let found = errors.to_string();
    assert_eq!(errors.problems().len(), 1, "{found}");
    assert!(found.contains(told), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
}

#[test]
fn a_connection_string_stands_in_the_file_when_it_holds_no_password() {
    let lines = "url = \"postgresql://u@db-1,db-2/d?sslmode=verify-full\"\n\
                 password = \"env:PGPASSWORD\"";
    let config = postgres_of(lines, &[("PGPASSWORD", "hunter2")]);
    let postgres = config.postgres.as_ref().unwrap();
    let password = postgres.password.as_ref().unwrap();
    assert_eq!(password.read().unwrap().expose(), "hunter2");
    assert!(!format!("{config:?}").contains("hunter2"));
    for literal in [
        "postgresql://u:hunter2@db/d",
        "host=db password=hunter2",
        "postgresql:///d?host=db&password=hunter2",
        "hunter2",
    ] {
        check_refused(&format!("url = \"{literal}\""), "`url` is a literal secret");
    }
    let url = "url = \"host=db user=u\"\n";
    check_refused(
        &format!("{url}password = \"hunter2\""),
        "`password` is a literal secret",
    );
}

#[test]
fn fault_040_a_password_in_a_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    let write = |text: &str, mode| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("first\n", 0o600);
    let lines = format!(
        "url = \"host=db user=u\"\npassword = \"file:{}\"",
        path.display()
    );
    let config = postgres_of(&lines, &[]);
    let password = config.postgres.as_ref().unwrap().password.as_ref().unwrap();
    assert_eq!(password.read().unwrap().expose(), "first");
    write("second\n", 0o600);
    assert_eq!(password.read().unwrap().expose(), "second");
    write("third\n", 0o644);
    assert!(password.read().unwrap_err().contains("read by others"));
}

#[test]
fn answers_wait_for_postgresql_only_where_there_is_one() {
    let url = "url = \"host=db user=u\"";
    let on = ("NJIA__NODE__DURABILITY", "postgres");
    assert_eq!(
        postgres_of(url, &[on]).node.durability,
        Durability::Postgres
    );
    assert_eq!(postgres_of(url, &[]).node.durability, Durability::Journal);
    let told = |variable| {
        let errors = Config::parse("njia.toml", EXAMPLE, &environment(&[variable])).unwrap_err();
        errors.to_string()
    };
    assert!(told(on).contains("`durability` is `postgres`, but there is no [postgres]"));
    let other = told(("NJIA__NODE__DURABILITY", "disk"));
    assert!(other.contains("`durability` takes journal or postgres"));
    check_refused(
        &format!("{url}\nshed_after_ms = 500\nanswer_wait_max_ms = 499"),
        "`answer_wait_max_ms` is below `shed_after_ms`",
    );
}

#[test]
fn rows_reach_the_tables_by_copy_unless_it_says_otherwise() {
    let strategy = |line: &str| {
        let config = postgres_of(&format!("url = \"host=db user=u\"\n{line}"), &[]);
        config.postgres.as_ref().unwrap().strategy
    };
    assert_eq!(strategy(""), Strategy::Copy);
    assert_eq!(strategy("strategy = \"copy\""), Strategy::Copy);
    assert_eq!(strategy("strategy = \"unnest\""), Strategy::Unnest);
    check_refused(
        "url = \"host=db user=u\"\nstrategy = \"insert\"",
        "`strategy` takes copy or unnest",
    );
}

#[test]
fn certificates_for_postgresql_go_together() {
    let url = "url = \"host=db user=u\"";
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key.pem");
    fs::write(&key, "a key").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    let (trust, key) = ("\"file:/etc/njia/ca.pem\"", key.display());
    let certificate = "\"file:/etc/njia/applier.pem\"";
    let whole = format!(
        "{url}\ntls = {{ trust = {trust}, certificate = {certificate}, key = \"file:{key}\" }}"
    );
    let config = postgres_of(&whole, &[]);
    let tls = config.postgres.as_ref().unwrap().tls.as_ref().unwrap();
    assert_eq!(tls.trust, Path::new("/etc/njia/ca.pem"));
    assert!(tls.identity.is_some());
    let check = |tls: &str, told: &str| check_refused(&format!("{url}\ntls = {tls}"), told);
    check("{}", "`trust`");
    check(
        "{ trust = \"/etc/njia/ca.pem\" }",
        "`trust` takes file:PATH",
    );
    let half = format!("{{ trust = {trust}, certificate = {certificate} }}");
    check(&half, "`certificate` and `key` go together");
    let absent = format!(
        "{{ trust = {trust}, certificate = {certificate}, key = \"file:/nowhere/key.pem\" }}"
    );
    check(&absent, "names /nowhere/key.pem, which does not exist");
}
