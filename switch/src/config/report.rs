//! Collects every fault of a configuration, so that one run names them all.

use std::cell::RefCell;
use std::fmt;

/// Where a value was written, or would have been.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// At this byte of a file.
    File(FileId, usize),
    /// In this environment variable.
    Environment(String),
    /// In this argument of the command line.
    Argument(&'static str),
    /// Nowhere: the section is left out.
    Absent,
}

/// A file of the configuration, in the order of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileId(usize);

impl FileId {
    /// The file that names the others.
    pub(crate) const FIRST: Self = Self(0);
}

/// One fault: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    place: String,
    text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// A refused configuration: all its faults, in the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<Problem>);

impl ConfigErrors {
    /// One fault that has no place inside a file.
    pub(crate) fn whole(place: &str, text: String) -> Self {
        let place = place.to_owned();
        Self(vec![Problem { place, text }])
    }

    /// The faults.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.0
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.0 {
            writeln!(f, "{problem}")?;
        }
        let count = self.0.len();
        let noun = if count == 1 { "error" } else { "errors" };
        write!(f, "{count} {noun}; nothing was started")
    }
}

/// What is wrong so far. Reading goes on after a fault, with a stand-in value.
#[derive(Debug)]
pub(crate) struct Report {
    /// By [`FileId`].
    files: RefCell<Vec<Lines>>,
    problems: RefCell<Vec<(Origin, String)>>,
}

/// Where the lines of a file begin.
#[derive(Debug)]
struct Lines {
    file: String,
    starts: Vec<usize>,
}

impl Report {
    /// For the text of `file`, which is [`FileId::FIRST`].
    pub(crate) fn new(file: &str, text: &str) -> Self {
        Self {
            files: RefCell::new(vec![Lines::of(file, text)]),
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Faults may lie in the text of `file` too.
    pub(crate) fn add_file(&self, file: &str, text: &str) -> FileId {
        let mut files = self.files.borrow_mut();
        files.push(Lines::of(file, text));
        FileId(files.len() - 1)
    }

    /// Faults so far.
    pub(crate) fn count(&self) -> usize {
        self.problems.borrow().len()
    }

    /// Notes a fault.
    pub(crate) fn add(&self, origin: &Origin, text: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        problems.push((origin.clone(), text.into()));
    }

    /// How people find `origin`: `file:line:column`, or the variable's name.
    pub(crate) fn place(&self, origin: &Origin) -> String {
        match origin {
            Origin::File(file, offset) => {
                let files = self.files.borrow();
                let lines = files.get(file.0);
                lines.map_or_else(String::new, |lines| lines.place(*offset))
            }
            Origin::Environment(name) => format!("environment variable {name}"),
            Origin::Argument(name) => format!("argument {name}"),
            Origin::Absent => {
                let files = self.files.borrow();
                let first = files.first();
                first.map_or_else(String::new, |lines| lines.file.clone())
            }
        }
    }

    /// All faults, or none.
    pub(crate) fn finish(self) -> Result<(), ConfigErrors> {
        let mut problems = self.problems.take();
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(|a, b| a.0.cmp(&b.0));
        let told = problems.into_iter().map(|(origin, text)| Problem {
            place: self.place(&origin),
            text,
        });
        Err(ConfigErrors(told.collect()))
    }
}

impl Lines {
    fn of(file: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: file.to_owned(),
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    fn place(&self, offset: usize) -> String {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line.saturating_sub(1));
        let column = offset.saturating_sub(start.copied().unwrap_or(0)) + 1;
        format!("{}:{line}:{column}", self.file)
    }
}
