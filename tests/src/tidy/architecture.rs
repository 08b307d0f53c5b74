//! ARCHITECTURE.md names every folder of ours and every outside crate, and stays short.

use super::manifest;
use super::source::{Finding, words};
use super::tree::Package;

const LINES_MAX: usize = 300;
const PATH: &str = "ARCHITECTURE.md";

/// Crates and folders that the page does not name.
#[must_use]
pub fn unnamed(packages: &[Package], page: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in packages {
        let mut names = vec![format!("{}/", package.folder)];
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            names.extend(manifest::dependencies(package, section));
        }
        for name in names {
            if words(page, &name).next().is_none() {
                let text = format!("{} depends on {name}: give it a line", package.folder);
                findings.push(Finding {
                    path: PATH.to_owned(),
                    line: 0,
                    text,
                });
            }
        }
    }
    findings
}

/// The page when it is too long to be read.
#[must_use]
pub fn too_long(page: &str) -> Vec<Finding> {
    let lines = page.lines().count();
    let text = format!("{lines} lines, bound {LINES_MAX}");
    let finding = Finding {
        path: PATH.to_owned(),
        line: lines,
        text,
    };
    if lines > LINES_MAX {
        vec![finding]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_without_a_line_is_found() {
        let manifest = "[dependencies]\nserde = \"1\"\nserde_json = \"1\"";
        let manifest = manifest.parse().expect("the sample is TOML");
        let packages = [Package {
            folder: "router".to_owned(),
            manifest,
        }];
        assert_eq!(
            unnamed(&packages, "`router/` uses `serde` and `serde_json`"),
            []
        );
        assert_eq!(unnamed(&packages, "`router/` uses `serde_json`").len(), 1);
    }

    #[test]
    fn a_long_page_is_found() {
        assert_eq!(too_long(&"a\n".repeat(LINES_MAX)), []);
        assert_eq!(too_long(&"a\n".repeat(LINES_MAX + 1)).len(), 1);
    }
}
