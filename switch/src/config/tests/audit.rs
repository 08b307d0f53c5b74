//! `[audit]`: left out it writes nothing; its key is a reference, as every secret.

use super::*;

fn with(lines: &str) -> Result<Config, Vec<String>> {
    let text = format!("{EXAMPLE}\n[audit]\n{lines}\n");
    let config = Config::parse("njia.toml", &text, &environment(&[]));
    config.map_err(|errors| errors.problems().iter().map(ToString::to_string).collect())
}

#[test]
fn the_audit_log_lies_in_the_state_directory_unless_it_is_told_where() {
    let state = example(&[("NJIA__NODE__STATE_DIR", "/state")]);
    assert!(state.audit.is_none());
    let audit = with("key = \"env:KEY\"").unwrap();
    let (audit, node) = (audit.audit.unwrap(), audit.node);
    assert_eq!(audit.file, node.state_dir.join("audit.jsonl"));
    assert_eq!(audit.file_bytes_max, 64 << 20);
    let told = with("key = \"env:KEY\"\nfile = \"/log/a.jsonl\"\nfile_bytes_max = 65_536");
    let told = told.unwrap().audit.unwrap();
    assert_eq!(
        (told.file.clone(), told.file_bytes_max),
        (PathBuf::from("/log/a.jsonl"), 65_536)
    );
}

#[test]
fn an_audit_log_without_a_key_by_reference_is_refused() {
    for (lines, told) in [
        ("", "key"),
        (&*format!("key = \"{KEY}\""), "literal secret"),
        ("key = \"env:NONE\"", "NONE"),
        ("key = \"env:KEY\"\nfile = \"a.jsonl\"", "absolute"),
        ("key = \"env:KEY\"\nfile_bytes_max = 1", "file_bytes_max"),
        ("key = \"env:KEY\"\nmode = 1", "mode"),
    ] {
        let faults = with(lines).map(|_| ()).unwrap_err();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(
            faults[0].contains(told) && !faults[0].contains(KEY),
            "{faults:?}"
        );
    }
}
