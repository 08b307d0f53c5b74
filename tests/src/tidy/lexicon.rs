//! Words that LEXICON.md rules out, metric names without a page, rules without code or test.

use std::collections::BTreeSet;

use super::source::{Finding, SourceFile, line_of, words};

/// The words in backquotes at the start of each row of the table "Words not to use".
#[must_use]
pub fn words_not_to_use(lexicon: &str) -> Vec<String> {
    let table = lexicon
        .lines()
        .skip_while(|line| *line != "## Words not to use")
        .skip(1);
    let rows = table.take_while(|line| !line.starts_with("## "));
    rows.filter_map(|row| row.strip_prefix("| "))
        .filter_map(|row| row.split('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

/// Ruled-out words in identifiers, comments and texts of production code, in any case.
#[must_use]
pub fn synonyms(source: &SourceFile, banned: &[String]) -> Vec<Finding> {
    let lower = source.text.to_ascii_lowercase();
    let found = banned.iter().flat_map(|word| {
        lower
            .match_indices(word.as_str())
            .map(move |(offset, _)| (offset, word))
    });
    found
        .map(|(offset, word)| source.finding(offset, format!("`{word}`: see LEXICON.md")))
        .collect()
}

/// Names that begin with `njia_` in literals of `names` but not in `page`.
#[must_use]
pub fn metrics_without_page(names: &SourceFile, page: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (offset, _) in names.text.match_indices("\"njia_") {
        let name = names.text[offset + 1..]
            .split('"')
            .next()
            .unwrap_or_default();
        if words(page, name).next().is_none() {
            findings.push(names.finding(offset, format!("{name} is not in docs/metrics.md")));
        }
    }
    findings
}

/// Citations of rules that `page` does not hold.
#[must_use]
pub fn unknown_rules(page: &str, sources: &[SourceFile]) -> Vec<Finding> {
    let known = rule_ids(page);
    let mut findings = Vec::new();
    for source in sources {
        for (offset, id) in citations(source) {
            if !known.contains(id) {
                findings.push(source.finding(offset, format!("docs/rules.md has no rule {id}")));
            }
        }
    }
    findings
}

/// Rules of `page` that no code or no test cites: work to be done, not a fault.
#[must_use]
pub fn uncited_rules(page: &str, sources: &[SourceFile]) -> Vec<Finding> {
    let (mut kept, mut tested) = (BTreeSet::new(), BTreeSet::new());
    for source in sources {
        for (offset, id) in citations(source) {
            let place = if is_production(source, offset) {
                &mut kept
            } else {
                &mut tested
            };
            place.insert(id);
        }
    }
    let mut findings = Vec::new();
    for id in rule_ids(page) {
        let line = line_of(page, page.find(&heading(id)).unwrap_or_default());
        for (cited, place) in [(&kept, "code"), (&tested, "test")] {
            if !cited.contains(id) {
                let text = format!("rule {id} is cited by no {place}");
                findings.push(Finding {
                    path: "docs/rules.md".to_owned(),
                    line,
                    text,
                });
            }
        }
    }
    findings
}

/// Ids in rows `| T-07 | …` of the page.
fn rule_ids(page: &str) -> BTreeSet<&str> {
    let cells = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    cells.filter(|cell| is_rule_id(cell)).collect()
}

fn heading(id: &str) -> String {
    format!("| {id} ")
}

/// A capital letter, a hyphen, two digits.
fn is_rule_id(cell: &str) -> bool {
    let [letter, b'-', digits @ ..] = cell.as_bytes() else {
        return false;
    };
    letter.is_ascii_uppercase() && digits.len() == 2 && digits.iter().all(u8::is_ascii_digit)
}

/// Lines that are a citation and nothing else, as (offset, id).
fn citations(source: &SourceFile) -> Vec<(usize, &str)> {
    let mut offset = 0;
    let mut found = Vec::new();
    for line in source.text.split_inclusive('\n') {
        if let Some(id) = line.trim().strip_prefix("//= docs/rules.md#") {
            found.push((offset, id));
        }
        offset += line.len();
    }
    found
}

/// Whether the code that follows the citation at `offset` is built outside tests.
fn is_production(source: &SourceFile, offset: usize) -> bool {
    let is_code = |c: char| !c.is_whitespace();
    let Some(next) = source.code[offset..].find(is_code) else {
        return false;
    };
    source
        .production
        .get(offset + next..)
        .is_some_and(|rest| rest.starts_with(is_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ruled_out_is_found() {
        let before =
            "# L\n| `acquirer` | x |\n## Words not to use\n\n| word | write |\n|---|---|\n";
        let after = "| `upstream`, `downstream` | issuer |\n## Next\n| `stan` | y |\n";
        let lexicon = format!("{before}{after}");
        let banned = words_not_to_use(&lexicon);
        assert_eq!(banned, ["upstream", "downstream"]);
        let bad = SourceFile::new("a/src/b.rs", "// x\nstruct UpstreamLink;");
        assert_eq!(synonyms(&bad, &banned)[0].line, 2);
        assert_eq!(
            synonyms(
                &SourceFile::new("a/src/b.rs", "struct IssuerLink;"),
                &banned
            ),
            []
        );
    }

    #[test]
    fn a_metric_without_a_page_is_found() {
        let names = SourceFile::new("a.rs", "const A: &str = \"njia_a_total\";");
        assert_eq!(metrics_without_page(&names, "`njia_a_total`"), []);
        assert_eq!(metrics_without_page(&names, "`njia_a_total_b`").len(), 1);
    }

    #[test]
    fn a_rule_without_code_or_test_is_found() {
        let mark = "//= docs/rules.md#";
        let page = "# Rules\n| rule | says |\n|---|---|\n| T-01 | One |\n| T-02 | Two |\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{mark}T-01\nfn b() {{}} }}");
        let source = SourceFile::new("a/src/b.rs", &format!("{mark}T-01\nfn a() {{}}\n{tests}"));
        let uncited = uncited_rules(page, std::slice::from_ref(&source));
        assert_eq!(uncited.len(), 2, "T-02 has neither: {uncited:?}");
        assert_eq!(uncited[0].line, 5);
        assert_eq!(unknown_rules(page, &[source]), []);
        let unknown = SourceFile::new("a/src/c.rs", &format!("{mark}T-09\nfn a() {{}}"));
        assert_eq!(unknown_rules(page, &[unknown]).len(), 1);
    }
}
