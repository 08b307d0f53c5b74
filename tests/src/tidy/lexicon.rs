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

/// Rules of `page` (`### T-07 …`) that no code or no test cites, and citations of no rule.
#[must_use]
pub fn rules(page: &str, sources: &[SourceFile]) -> Vec<Finding> {
    let known: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let (mut kept, mut tested) = (BTreeSet::new(), BTreeSet::new());
    let mut findings = Vec::new();
    for source in sources {
        for (offset, id) in citations(source) {
            if !known.contains(id) {
                findings.push(source.finding(offset, format!("docs/rules.md has no rule {id}")));
            }
            if source
                .production
                .get(..=offset)
                .is_some_and(|p| in_production(source, p))
            {
                kept.insert(id);
            } else {
                tested.insert(id);
            }
        }
    }
    for id in known {
        let offset = page.find(&format!("### {id}")).unwrap_or_default();
        for (cited, place) in [(&kept, "code"), (&tested, "test")] {
            if !cited.contains(id) {
                let text = format!("rule {id} is cited by no {place}");
                let (path, line) = ("docs/rules.md".to_owned(), line_of(page, offset));
                findings.push(Finding { path, line, text });
            }
        }
    }
    findings
}

/// `//= docs/rules.md#T-07` lines, as (offset, id).
fn citations(source: &SourceFile) -> Vec<(usize, &str)> {
    let mark = "//= docs/rules.md#";
    source
        .text
        .match_indices(mark)
        .filter_map(|(offset, _)| {
            let id = source.text[offset + mark.len()..]
                .split_whitespace()
                .next()?;
            Some((offset, id))
        })
        .collect()
}

/// Whether the code that follows the citation is built outside tests.
fn in_production(source: &SourceFile, before: &str) -> bool {
    let from = before.len();
    let next = source.code[from..]
        .find(|c: char| !c.is_whitespace())
        .map(|at| from + at);
    next.is_some_and(|at| !source.production[at..].starts_with(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_ruled_out_is_found() {
        let lexicon = "# L\n| `acquirer` | x |\n## Words not to use\n\n| word | write |\n|---|---|\n\
                       | `upstream`, `downstream` | issuer |\n## Next\n| `stan` | y |\n";
        let banned = words_not_to_use(lexicon);
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
        let page = "# Rules\n### T-01 One\n### T-02 Two\n";
        let code = format!(
            "{mark}T-01\nfn a() {{}}\n#[cfg(test)]\nmod tests {{\n{mark}T-01\nfn b() {{}} }}"
        );
        let source = SourceFile::new("a/src/b.rs", &code);
        let findings = rules(page, std::slice::from_ref(&source));
        assert_eq!(findings.len(), 2, "T-02 has neither: {findings:?}");
        let unknown = SourceFile::new("a/src/c.rs", &format!("{mark}T-09\nfn a() {{}}"));
        assert_eq!(rules(page, &[source, unknown]).len(), 3);
    }
}
