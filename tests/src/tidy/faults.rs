//! Tests of faults and the page that lists them.

use super::source::{Finding, SourceFile};

/// Tests that are named after a fault and that `page` does not list.
#[must_use]
pub fn without_page(source: &SourceFile, page: &str) -> Vec<Finding> {
    let listed: Vec<&str> = listed(page).collect();
    let unlisted = |(_, name): &(usize, &str)| !listed.contains(name);
    let found = tests(source).filter(unlisted);
    found
        .map(|(offset, name)| source.finding(offset, format!("{name} is not in docs/faults.md")))
        .collect()
}

/// Names that `page` lists and no source has.
#[must_use]
pub fn without_test<'p>(sources: &[SourceFile], page: &'p str) -> Vec<&'p str> {
    let known: Vec<&str> = sources
        .iter()
        .flat_map(|source| tests(source).map(|(_, name)| name))
        .collect();
    listed(page).filter(|name| !known.contains(name)).collect()
}

fn listed(page: &str) -> impl Iterator<Item = &str> {
    let items = page.lines().filter_map(|line| line.strip_prefix("- `"));
    items.filter_map(|item| item.strip_suffix('`'))
}

/// Functions called `fault_` and three digits, where their names begin.
fn tests(source: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let text = &source.text;
    text.match_indices(PREFIX).filter_map(move |(at, _)| {
        let offset = at + "fn ".len();
        let name = text[offset..].split('(').next()?;
        let digits = name.get("fault_".len()..)?.get(..3)?;
        let is_row = digits.bytes().all(|digit| digit.is_ascii_digit());
        is_row.then_some((offset, name))
    })
}

/// Put together, so that this very file has no such function.
const PREFIX: &str = concat!("fn ", "fault_");

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: &str) -> SourceFile {
        SourceFile::new("a.rs", &format!("#[test]\n{PREFIX}{name}() {{}}\n"))
    }

    #[test]
    fn a_test_and_its_line_belong_together() {
        let sample = source("007_it_holds");
        let page = "- `fault_007_it_holds`\n";
        assert!(without_page(&sample, page).is_empty());
        assert_eq!(without_page(&sample, "- `fault_008_it_holds`\n").len(), 1);
        assert!(without_test(&[sample], page).is_empty());
        assert_eq!(
            without_test(&[source("008_x")], page),
            ["fault_007_it_holds"]
        );
        assert!(without_page(&source("finding"), "").is_empty());
    }
}
