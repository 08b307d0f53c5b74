//! Collects every fault of a configuration, so that one run names them all.

use std::cell::RefCell;
use std::fmt;

/// Where a value was written, or would have been.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// At this byte of the file.
    File(usize),
    /// In this environment variable.
    Environment(String),
    /// In this argument of the command line.
    Argument(&'static str),
    /// Nowhere: the section is left out.
    Absent,
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
    file: String,
    line_starts: Vec<usize>,
    problems: RefCell<Vec<(Origin, String)>>,
}

impl Report {
    /// For the text of `file`.
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let after_newlines = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            file: file.to_owned(),
            line_starts: std::iter::once(0).chain(after_newlines).collect(),
            problems: RefCell::new(Vec::new()),
        }
    }

    /// Notes a fault.
    pub(crate) fn add(&self, origin: &Origin, text: impl Into<String>) {
        let mut problems = self.problems.borrow_mut();
        problems.push((origin.clone(), text.into()));
    }

    /// How people find `origin`: `file:line:column`, or the variable's name.
    pub(crate) fn place(&self, origin: &Origin) -> String {
        match origin {
            Origin::File(offset) => {
                let line = self.line_starts.partition_point(|start| start <= offset);
                let start = self.line_starts.get(line.saturating_sub(1));
                let column = offset.saturating_sub(start.copied().unwrap_or(0)) + 1;
                format!("{}:{line}:{column}", self.file)
            }
            Origin::Environment(name) => format!("environment variable {name}"),
            Origin::Argument(name) => format!("argument {name}"),
            Origin::Absent => self.file.clone(),
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
