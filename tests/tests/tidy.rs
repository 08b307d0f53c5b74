//! The house rules over the whole workspace; the checks themselves are in `njia_tests::tidy`.

use std::sync::OnceLock;

use njia_tests::tidy::{
    Finding, SourceFile, Tree, architecture, banned, expect_none, faults, headings, length,
    lexicon, manifest, places, purity,
};

fn tree() -> &'static Tree {
    static TREE: OnceLock<Tree> = OnceLock::new();
    TREE.get_or_init(Tree::load)
}

#[track_caller]
fn check_sources(check: impl FnMut(&SourceFile) -> Vec<Finding>) {
    expect_none(&tree().sources.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn the_whole_workspace_is_read() {
    let tree = tree();
    assert!(
        tree.packages.len() >= 10,
        "{} packages",
        tree.packages.len()
    );
    for package in &tree.packages {
        let holds = |source: &SourceFile| package.holds(&source.path);
        assert!(
            tree.sources.iter().any(holds),
            "no source below {}",
            package.folder
        );
    }
}

#[test]
fn lines_fit_in_100_columns() {
    let sources = tree()
        .sources
        .iter()
        .map(|source| (&source.path, &source.text));
    let texts = tree().texts.iter().map(|(path, text)| (path, text));
    let findings = sources
        .chain(texts)
        .flat_map(|(path, text)| length::columns(path, text));
    expect_none(&findings.collect::<Vec<_>>());
}

#[test]
fn functions_fit_in_70_lines() {
    let exceptions = length::exceptions(&tree().read("tests/long_functions.txt"));
    expect_none(&length::functions(&tree().sources, &exceptions));
}

#[test]
fn files_fit_in_700_lines() {
    expect_none(&length::files(&tree().sources));
}

#[test]
fn pure_crates_are_pure() {
    check_sources(purity::impure);
    check_sources(purity::head);
}

#[test]
fn arrows_between_our_crates_are_drawn() {
    let findings = tree().packages.iter().flat_map(|package| {
        let mut findings = manifest::arrows(package);
        findings.extend(manifest::pure_outside(package, &purity::PURE_CRATES));
        findings.extend(manifest::reader_only(package));
        findings
    });
    expect_none(&findings.collect::<Vec<_>>());
}

#[test]
fn runtimes_and_libraries_stay_in_their_places() {
    check_sources(|source| {
        let mut findings = places::kept_out(source, &places::CONTROL_WITHOUT);
        findings.extend(
            places::CONFINED
                .iter()
                .flat_map(|rule| places::confined(source, rule)),
        );
        findings
    });
}

#[test]
fn the_clock_is_read_in_two_files() {
    check_sources(places::clocks);
}

#[test]
fn unsafe_stands_in_sys_alone() {
    check_sources(places::unsafe_code);
}

#[test]
fn fixed_crates_are_used() {
    expect_none(&manifest::unused_fixed(&tree().sources));
}

#[test]
fn no_work_is_marked_as_unfinished() {
    check_sources(banned::macros);
}

#[test]
fn no_truth_is_dropped() {
    check_sources(banned::bare_matches);
}

#[test]
fn tests_assert_outcomes_and_run() {
    check_sources(banned::weak_tests);
}

#[test]
fn each_crate_says_what_it_is() {
    check_sources(headings::headings);
    check_sources(headings::module_doc);
}

#[test]
fn each_file_is_reached_by_a_mod() {
    let lost = tree().unreached.iter().map(|path| Finding {
        path: path.clone(),
        line: 0,
        text: "no `mod` reaches this file".to_owned(),
    });
    expect_none(&lost.collect::<Vec<_>>());
}

#[test]
fn the_map_names_each_crate() {
    let page = tree().read("ARCHITECTURE.md");
    expect_none(&architecture::unnamed(&tree().packages, &page));
    expect_none(&architecture::too_long(&page));
}

#[test]
fn one_word_per_idea() {
    let banned = lexicon::words_not_to_use(&tree().read("LEXICON.md"));
    assert!(
        !banned.is_empty(),
        "LEXICON.md rules no word out: the table was not found"
    );
    let below_src =
        |source: &&SourceFile| source.path.contains("/src/") && !source.path.starts_with("tests/");
    let sources = tree().sources.iter().filter(below_src);
    let findings = sources.flat_map(|source| lexicon::synonyms(source, &banned));
    expect_none(&findings.collect::<Vec<_>>());
}

#[test]
fn each_metric_has_a_line_in_the_docs() {
    let names = |source: &&SourceFile| source.path == "switch/src/metrics/names.rs";
    let names = tree()
        .sources
        .iter()
        .find(names)
        .expect("metric names have one file");
    expect_none(&lexicon::metrics_without_page(
        names,
        &tree().read("docs/metrics.md"),
    ));
}

#[test]
fn citations_name_rules_that_exist() {
    let page = tree().read("docs/rules.md");
    expect_none(&lexicon::unknown_rules(&page, &tree().sources));
    for rule in lexicon::uncited_rules(&page, &tree().sources) {
        println!("{rule}");
    }
}

#[test]
fn each_test_of_a_fault_is_listed_and_each_that_is_listed_exists() {
    let page = tree().read("docs/faults.md");
    check_sources(|source| faults::without_page(source, &page));
    let stale = faults::without_test(&tree().sources, &page);
    assert!(stale.is_empty(), "docs/faults.md lists {stale:?}");
}
