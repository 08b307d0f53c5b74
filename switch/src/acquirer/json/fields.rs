//! Reads the fields of one object: each by its rule, all faults collected, what was not asked for
//! refused. A pointer is made of names of this API and positions; a text of the request is never
//! in a fault.

use std::fmt;

use super::problem::{ErrorCode, FieldError};
use super::strict::{Entry, Node};

/// What is wrong with one field: how GSMA names it, and what it must be.
pub(super) type Wrong = (ErrorCode, &'static str);

/// Where a value stands in its body. Text only where something is wrong with it: an RFC 6901
/// pointer.
#[derive(Clone, Copy, Debug)]
pub(super) enum At<'a> {
    Root,
    Field(&'a Self, &'static str),
    Place(&'a Self, usize),
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Field(of, name) => write!(f, "{of}/{name}"),
            Self::Place(of, place) => write!(f, "{of}/{place}"),
        }
    }
}

/// Faults so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn add(&mut self, at: At<'_>, (error_code, detail): Wrong) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(FieldError {
                pointer: at.to_string(),
                detail,
                error_code,
            });
        }
    }

    pub(super) fn into_errors(self) -> Vec<FieldError> {
        self.0
    }
}

/// A body has no more fields than so many by which it can be wrong; beyond it they say nothing new.
const FAULTS_MAX: usize = 64;

/// One object.
pub(super) struct Fields<'a> {
    at: At<'a>,
    entries: &'a [Entry<'a>],
    /// A bit for each of the first entries that was asked for.
    asked: u64,
}

impl<'a> Fields<'a> {
    /// `None`, with a fault, when `node` is no object.
    pub(super) fn of(node: &'a Node<'a>, at: At<'a>, faults: &mut Faults) -> Option<Self> {
        let Node::Object(entries) = node else {
            faults.add(at, (ErrorCode::FormatError, "must be an object"));
            return None;
        };
        Some(Self {
            at,
            entries,
            asked: 0,
        })
    }

    /// Where a field of this object stands.
    pub(super) const fn of_name(&self, name: &'static str) -> At<'_> {
        At::Field(&self.at, name)
    }

    /// Whether the field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    /// The field, if it is there.
    pub(super) fn node(&mut self, name: &'static str) -> Option<&'a Node<'a>> {
        let mut entries = self.entries.iter().enumerate();
        let (place, (_, node)) = entries.find(|(_, (key, _))| key == name)?;
        if place < ASKED_MAX {
            self.asked |= 1 << place;
        }
        Some(node)
    }

    /// The field, which must be there.
    pub(super) fn mandatory(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
    ) -> Option<&'a Node<'a>> {
        let node = self.node(name);
        if node.is_none() {
            let wrong = (ErrorCode::MandatoryValueNotSupplied, "must be there");
            faults.add(self.of_name(name), wrong);
        }
        node
    }

    /// Reads a string by a rule.
    pub(super) fn text<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&'a str) -> Result<T, Wrong>,
        faults: &mut Faults,
    ) -> Option<T> {
        let node = self.node(name)?;
        self.text_of(name, node, rule, faults)
    }

    /// Reads a string by a rule; it must be there.
    pub(super) fn mandatory_text<T>(
        &mut self,
        name: &'static str,
        rule: impl FnOnce(&'a str) -> Result<T, Wrong>,
        faults: &mut Faults,
    ) -> Option<T> {
        let node = self.mandatory(name, faults)?;
        self.text_of(name, node, rule, faults)
    }

    fn text_of<T>(
        &self,
        name: &'static str,
        node: &'a Node<'a>,
        rule: impl FnOnce(&'a str) -> Result<T, Wrong>,
        faults: &mut Faults,
    ) -> Option<T> {
        let read = match node {
            Node::Text(text) => rule(text),
            Node::Null
            | Node::Boolean
            | Node::Whole(_)
            | Node::Fraction
            | Node::List(_)
            | Node::Object(_) => Err((ErrorCode::FormatError, "must be a string")),
        };
        read.map_err(|wrong| faults.add(self.of_name(name), wrong))
            .ok()
    }

    /// Refuses what was not asked for. Its name is the request's: it is not repeated.
    pub(super) fn finish(self, faults: &mut Faults) {
        // No key stands twice, so as many were asked for as there are, or one is not known.
        let asked = usize::try_from(self.asked.count_ones());
        if asked != Ok(self.entries.len()) {
            let wrong = (ErrorCode::FormatError, "has a field that is not known");
            faults.add(self.at, wrong);
        }
    }
}

/// More fields than any object of this API has.
const ASKED_MAX: usize = u64::BITS as usize;

/// 1 to `max` characters without control characters.
pub(super) fn printable(text: &str, max: usize) -> Result<String, Wrong> {
    let len = text.chars().count();
    if len == 0 || len > max {
        return Err((ErrorCode::LengthError, "is too short or too long"));
    }
    if text.chars().any(char::is_control) {
        return Err((ErrorCode::FormatError, "has a control character"));
    }
    Ok(text.to_owned())
}
