//! Columns, functions and files have a bound.

use super::blank;
use super::source::{Finding, SourceFile, words};

/// Columns of a line; a line with a URL, a row of a table and quoted output may be longer.
pub const COLUMNS_MAX: usize = 100;
/// Lines of a function, from `fn` to its closing brace.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Production lines of a file.
pub const FILE_LINES_MAX: usize = 700;
/// Tables of constants may be longer than [`FILE_LINES_MAX`].
const TABLES: [&str; 1] = ["iso8583/src/dialects/"];

/// Lines of `text` that are too wide.
#[must_use]
pub fn columns(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_prose = path.ends_with(".md");
    let mut quoted = false;
    for (index, line) in text.lines().enumerate() {
        if is_prose && line.trim_start().starts_with("```") {
            quoted = !quoted;
        }
        let width = line.chars().count();
        let text_of = line
            .trim_start()
            .trim_start_matches(['/', '!'])
            .trim_start();
        let is_row = (is_prose || text_of.len() < line.len()) && text_of.starts_with('|');
        let is_exempt = line.contains("://") || is_row || (is_prose && quoted);
        if width > COLUMNS_MAX && !is_exempt {
            let text = format!("{width} columns, {COLUMNS_MAX} are allowed");
            findings.push(Finding {
                path: path.to_owned(),
                line: index + 1,
                text,
            });
        }
    }
    findings
}

/// A function with its length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Byte offset of `fn`.
    pub offset: usize,
    pub lines: usize,
}

/// All functions of a file that have a body, those of tests included.
#[must_use]
pub fn functions_of(code: &str) -> Vec<Function> {
    let mut functions = Vec::new();
    for offset in words(code, "fn ") {
        let (end, has_body) = blank::item_end(code, offset);
        if has_body {
            let lines = code[offset..end].matches('\n').count() + 1;
            let name = code[offset + 3..].trim_start();
            let name = name
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            let name = name.unwrap_or_default().to_owned();
            functions.push(Function {
                name,
                offset,
                lines,
            });
        }
    }
    functions
}

/// One line of `tests/long_functions.txt`: a function that may be long, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    pub path: String,
    pub name: String,
    pub lines: usize,
}

/// Reads `path name lines` per line; `#` begins a comment.
///
/// # Panics
/// When a line has another form.
#[must_use]
pub fn exceptions(text: &str) -> Vec<Exception> {
    let lines = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let [path, name, lines] = line.split_whitespace().collect::<Vec<_>>()[..] else {
                panic!("long_functions.txt: expected `path name lines`, found `{line}`");
            };
            let lines = lines
                .parse()
                .expect("long_functions.txt: the third word is a number");
            Exception {
                path: path.to_owned(),
                name: name.to_owned(),
                lines,
            }
        })
        .collect()
}

/// Functions that are too long, and exceptions that are not needed or could be smaller.
#[must_use]
pub fn functions(sources: &[SourceFile], exceptions: &[Exception]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut used = vec![false; exceptions.len()];
    for source in sources {
        let long = functions_of(&source.code)
            .into_iter()
            .filter(|f| f.lines > FUNCTION_LINES_MAX);
        for function in long {
            let known = exceptions
                .iter()
                .position(|known| known.path == source.path && known.name == function.name);
            let bound = known.map_or(FUNCTION_LINES_MAX, |index| exceptions[index].lines);
            if let Some(index) = known {
                used[index] = true;
            }
            if function.lines != bound {
                let text = format!(
                    "fn {} has {} lines, bound {bound}",
                    function.name, function.lines
                );
                findings.push(source.finding(function.offset, text));
            }
        }
    }
    for (exception, _) in exceptions.iter().zip(used).filter(|(_, used)| !used) {
        let text = format!("fn {} is not long: take it off the list", exception.name);
        findings.push(Finding {
            path: exception.path.clone(),
            line: 0,
            text,
        });
    }
    findings
}

/// Files with too many production lines.
#[must_use]
pub fn files(sources: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in sources.iter().filter(|source| !source.is_below(&TABLES)) {
        let lines = production_lines(source);
        if lines > FILE_LINES_MAX {
            findings.push(source.finding(0, format!("{lines} lines, bound {FILE_LINES_MAX}")));
        }
    }
    findings
}

/// Lines of a file without those that only tests build; all lines of a file of tests.
fn production_lines(source: &SourceFile) -> usize {
    if source.production.is_empty() {
        return source.text.lines().count();
    }
    let lines = source
        .text
        .lines()
        .zip(source.code.lines())
        .zip(source.production.lines());
    lines
        .filter(|((_, code), production)| code.trim().is_empty() || code == production)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long_function(lines: usize) -> SourceFile {
        let body = "    a();\n".repeat(lines - 2);
        SourceFile::new(
            "a/src/b.rs",
            &format!("impl X {{\nfn long() {{\n{body}}}\n}}"),
        )
    }

    #[test]
    fn a_wide_line_is_found() {
        let wide = "x".repeat(COLUMNS_MAX + 1);
        assert_eq!(columns("a.rs", &format!("a\n{wide}\n"))[0].line, 2);
        assert_eq!(columns("a.rs", &"é".repeat(COLUMNS_MAX)), []);
        assert_eq!(columns("a.rs", &format!("// https://{wide}")), []);
        assert_eq!(columns("a.rs", &format!("|{wide}")).len(), 1);
        assert_eq!(columns("a.md", &format!("|{wide}|\n```\n{wide}\n```")), []);
        assert_eq!(columns("a.md", &format!("```\n```\n{wide}")).len(), 1);
    }

    #[test]
    fn a_long_function_is_found() {
        assert_eq!(functions(&[long_function(70)], &[]), []);
        assert_eq!(functions(&[long_function(71)], &[])[0].line, 2);
    }

    #[test]
    fn an_exception_may_only_shrink() {
        let listed = exceptions("# why\na/src/b.rs long 75 # because\n");
        assert_eq!(functions(&[long_function(75)], &listed), []);
        for lines in [70, 74, 76] {
            assert_eq!(
                functions(&[long_function(lines)], &listed).len(),
                1,
                "{lines} lines"
            );
        }
    }

    #[test]
    fn a_long_file_is_found_without_its_tests() {
        let line = "const A: u8 = 1;\n";
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(50));
        let fits = format!("{}{tests}", line.repeat(FILE_LINES_MAX));
        assert_eq!(files(&[SourceFile::new("a/src/b.rs", &fits)]), []);
        let long = line.repeat(FILE_LINES_MAX + 1);
        assert_eq!(files(&[SourceFile::new("a/src/b.rs", &long)]).len(), 1);
        assert_eq!(
            files(&[SourceFile::new("iso8583/src/dialects/b.rs", &long)]),
            []
        );
    }
}
