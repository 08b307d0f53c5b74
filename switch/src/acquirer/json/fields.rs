//! Reads the fields of one object: each by its rule, all faults collected, what was not asked for
//! refused. A pointer is made of names of this API and positions; a text of the request is never
//! in a fault.

use super::problem::{ErrorCode, FieldError};
use super::strict::Node;

/// What is wrong with one field: how GSMA names it, and what it must be.
pub(super) type Wrong = (ErrorCode, &'static str);

/// Faults so far.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<FieldError>);

impl Faults {
    pub(super) fn add(&mut self, pointer: String, (error_code, detail): Wrong) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(FieldError {
                pointer,
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
    at: String,
    entries: &'a [(String, Node)],
    asked: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `None`, with a fault, when `node` is no object.
    pub(super) fn of(node: &'a Node, at: String, faults: &mut Faults) -> Option<Self> {
        let Node::Object(entries) = node else {
            faults.add(at, (ErrorCode::FormatError, "must be an object"));
            return None;
        };
        Some(Self {
            at,
            entries,
            asked: Vec::new(),
        })
    }

    pub(super) fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }

    /// Whether the field is there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    /// The field, if it is there.
    pub(super) fn node(&mut self, name: &'static str) -> Option<&'a Node> {
        self.asked.push(name);
        let found = self.entries.iter().find(|(key, _)| key == name);
        found.map(|(_, node)| node)
    }

    /// The field, which must be there.
    pub(super) fn mandatory(
        &mut self,
        name: &'static str,
        faults: &mut Faults,
    ) -> Option<&'a Node> {
        let node = self.node(name);
        if node.is_none() {
            let wrong = (ErrorCode::MandatoryValueNotSupplied, "must be there");
            faults.add(self.pointer(name), wrong);
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
        name: &str,
        node: &'a Node,
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
        read.map_err(|wrong| faults.add(self.pointer(name), wrong))
            .ok()
    }

    /// Refuses what was not asked for. Its name is the request's: it is not repeated.
    pub(super) fn finish(self, faults: &mut Faults) {
        let is_known = |key: &str| self.asked.contains(&key);
        if !self.entries.iter().all(|(key, _)| is_known(key)) {
            let wrong = (ErrorCode::FormatError, "has a field that is not known");
            faults.add(self.at, wrong);
        }
    }
}

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
