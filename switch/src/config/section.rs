//! Reads the keys of one table: type, bounds, default; and refuses what it was not asked for.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Node, Table, Value};
use super::report::{Origin, Report};

/// A table being read. Every `read` names a key; [`Section::finish`] refuses the rest.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    path: String,
    table: Option<&'a Table>,
    origin: Origin,
    asked: RefCell<Vec<&'static str>>,
    report: &'a Report,
}

impl<'a> Section<'a> {
    /// The table of the whole file.
    pub(crate) const fn root(table: &'a Table, report: &'a Report) -> Self {
        Self {
            path: String::new(),
            table: Some(table),
            origin: Origin::Absent,
            asked: RefCell::new(Vec::new()),
            report,
        }
    }

    /// The table at `key`; an empty one when it is left out.
    pub(crate) fn section(&self, key: &'static str) -> Self {
        self.optional_section(key).unwrap_or_else(|| Section {
            path: self.path_of(key),
            table: None,
            origin: Origin::Absent,
            asked: RefCell::new(Vec::new()),
            report: self.report,
        })
    }

    /// The table at `key`, when there is one.
    pub(crate) fn optional_section(&self, key: &'static str) -> Option<Self> {
        let node = self.node(key)?;
        let section = Self::below(self.report, self.path_of(key), node);
        if section.is_none() {
            self.wrong(node, key, "a table");
        }
        section
    }

    /// Whether there is a table at `key`.
    pub(crate) fn is_table(&self, key: &'static str) -> bool {
        let node = self.node(key);
        node.is_some_and(|node| matches!(node.value, Value::Table(_)))
    }

    /// The tables of the list at `key`, `[[key]]` in the file.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Self> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            self.wrong(node, key, &format!("a list of tables, [[{key}]]"));
            return Vec::new();
        };
        let table = |item: &'a Node| {
            let section = Self::below(self.report, self.path_of(key), item);
            if section.is_none() {
                self.wrong(item, key, &format!("a list of tables, [[{key}]]"));
            }
            section
        };
        items.iter().filter_map(table).collect()
    }

    /// Every key of a table whose keys are data, with its value and its place.
    pub(crate) fn entries(&self) -> Vec<(&'a str, &'a Node)> {
        let table = self.table.into_iter().flatten();
        table.map(|(key, node)| (key.as_str(), node)).collect()
    }

    /// The tables of a table whose keys are data.
    pub(crate) fn tables_by_key(&self) -> Vec<(&'a str, Self)> {
        let table = |(key, node): (&'a str, &'a Node)| {
            let section = Self::below(self.report, self.path_of(key), node);
            if section.is_none() {
                self.wrong(node, key, "a table");
            }
            Some((key, section?))
        };
        self.entries().into_iter().filter_map(table).collect()
    }

    /// An integer within `bounds`, when it was written.
    pub(crate) fn optional_number(
        &self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
    ) -> Option<u64> {
        let node = self.node(key)?;
        self.number_in(node, key, &bounds)
    }

    /// An integer within `bounds`.
    pub(crate) fn number<T>(&self, key: &'static str, bounds: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let Some(node) = self.node(key) else {
            return default;
        };
        self.number_in(node, key, &bounds).unwrap_or(default)
    }

    /// An integer of `node` within `bounds`; notes a fault and gives nothing otherwise.
    pub(crate) fn number_in<T>(
        &self,
        node: &Node,
        key: &str,
        bounds: &RangeInclusive<T>,
    ) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + Display + Copy,
    {
        let number = match &node.value {
            Value::Integer(number) => Some(*number),
            Value::Variable(text) => text.trim().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.wrong(node, key, "an integer");
            return None;
        };
        let within = T::try_from(number)
            .ok()
            .filter(|number| bounds.contains(number));
        if within.is_none() {
            let (low, high) = (bounds.start(), bounds.end());
            let text = format!("`{key}` is {number}, it must be {low} to {high}");
            self.report.add(&node.origin, text);
        }
        within
    }

    /// A time in whole seconds; the key ends in `_s`.
    pub(crate) fn seconds(
        &self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        debug_assert!(key.ends_with("_s"));
        Duration::from_secs(self.number(key, bounds, default))
    }

    /// A time in milliseconds; the key ends in `_ms`.
    pub(crate) fn millis(
        &self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        debug_assert!(key.ends_with("_ms"));
        Duration::from_millis(self.number(key, bounds, default))
    }

    /// A time in microseconds; the key ends in `_us`.
    pub(crate) fn micros(
        &self,
        key: &'static str,
        bounds: RangeInclusive<u64>,
        default: u64,
    ) -> Duration {
        debug_assert!(key.ends_with("_us"));
        Duration::from_micros(self.number(key, bounds, default))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, key: &'static str, default: bool) -> bool {
        let Some(node) = self.node(key) else {
            return default;
        };
        let flag = match &node.value {
            Value::Boolean(flag) => Some(*flag),
            Value::Variable(text) => text.trim().parse().ok(),
            _ => None,
        };
        flag.unwrap_or_else(|| {
            self.wrong(node, key, "true or false");
            default
        })
    }

    /// A string, when there is one.
    pub(crate) fn text(&self, key: &'static str) -> Option<(String, Origin)> {
        let node = self.node(key)?;
        let text = text_of(node).map(|text| (text, node.origin.clone()));
        if text.is_none() {
            self.wrong(node, key, "a string");
        }
        text
    }

    /// A string, or an integer as its digits, when there is one.
    pub(crate) fn scalar(&self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        let text = match &node.value {
            Value::Integer(number) => Some(number.to_string()),
            _ => text_of(node),
        };
        if text.is_none() {
            self.wrong(node, key, "an integer or a string");
        }
        text
    }

    /// A string that must be there.
    pub(crate) fn required_text(&self, key: &'static str) -> Option<(String, Origin)> {
        if !self.has(key) {
            self.missing(key);
        }
        self.text(key)
    }

    /// A string turned into a value by `parse`, whose error text follows the key's name.
    pub(crate) fn parsed<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (text, origin) = self.text(key)?;
        self.told(&origin, key, parse(&text))
    }

    /// As [`Section::parsed`], for a key that must be there.
    pub(crate) fn required<T>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.missing(key);
        }
        self.parsed(key, parse)
    }

    /// The strings of a list, each turned into a value by `parse`.
    pub(crate) fn list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.node(key)
            .map_or_else(Vec::new, |node| self.list_in(node, key, &parse))
    }

    /// How many strings a list has, before one of them is looked at.
    pub(crate) fn count(&self, key: &'static str) -> usize {
        match self.node(key).map(|node| &node.value) {
            Some(Value::List(items)) => items.len(),
            Some(Value::Variable(texts)) => texts.split(',').count(),
            _ => 0,
        }
    }

    /// Takes note of a key that is somebody else's.
    pub(crate) fn pass_over(&self, key: &'static str) {
        self.node(key);
    }

    /// As [`Section::list`], of lists.
    pub(crate) fn lists<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<Vec<T>> {
        let Some(node) = self.node(key) else {
            return Vec::new();
        };
        let Value::List(items) = &node.value else {
            self.wrong(node, key, "a list of lists");
            return Vec::new();
        };
        let item = |item| self.list_in(item, key, &parse);
        items.iter().map(item).collect()
    }

    /// What stands at `key`, which has a form of its own.
    pub(crate) fn value(&self, key: &'static str) -> Option<&'a Node> {
        self.node(key)
    }

    /// The table that `node`, which is part of what stands at `key`, is.
    pub(crate) fn table_in<'n>(&self, node: &'n Node, key: &str) -> Option<Section<'n>>
    where
        'a: 'n,
    {
        let table = Section::below(self.report, self.path_of(key), node);
        if table.is_none() {
            self.wrong(node, key, "a table");
        }
        table
    }

    /// The string that `node`, which is part of what stands at `key`, is.
    pub(crate) fn text_in<T>(
        &self,
        node: &Node,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = text_of(node) else {
            self.wrong(node, key, "a string");
            return None;
        };
        self.told(&node.origin, key, parse(&text))
    }

    /// The strings of `node`, each turned into a value by `parse`.
    fn list_in<T>(
        &self,
        node: &Node,
        key: &str,
        parse: &impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let each = |text: &str, origin: &Origin| self.told(origin, key, parse(text));
        match &node.value {
            Value::Variable(texts) => {
                let items = texts.split(',').map(str::trim).filter(|t| !t.is_empty());
                items.filter_map(|text| each(text, &node.origin)).collect()
            }
            Value::List(items) => {
                let item = |item: &Node| match &item.value {
                    Value::Text(text) => each(text, &item.origin),
                    Value::Integer(number) => each(&number.to_string(), &item.origin),
                    _ => {
                        self.wrong(item, key, "a list of strings");
                        None
                    }
                };
                items.iter().filter_map(item).collect()
            }
            _ => {
                self.wrong(node, key, "a list");
                Vec::new()
            }
        }
    }

    /// As [`Section::list`], for a list that may not be empty.
    pub(crate) fn required_list<T>(
        &self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(node) = self.node(key) else {
            self.missing(key);
            return Vec::new();
        };
        let empty = match &node.value {
            Value::List(items) => items.is_empty(),
            Value::Variable(text) => text.trim().is_empty(),
            _ => false,
        };
        if empty {
            self.report
                .add(&node.origin, format!("`{key}` may not be empty"));
        }
        self.list(key, parse)
    }

    /// Notes a fault of this table.
    pub(crate) fn fault(&self, text: impl Into<String>) {
        self.report.add(&self.origin, text);
    }

    /// Notes a fault of one key, at the key when it was written.
    pub(crate) fn fault_at(&self, key: &str, text: impl Into<String>) {
        let node = self.table.and_then(|table| table.get(key));
        let origin = node.map_or(&self.origin, |node| &node.origin);
        self.report.add(origin, text);
    }

    /// Where the table stands, in words.
    pub(crate) fn place(&self) -> String {
        self.report.place(&self.origin)
    }

    /// Where `key` stands, in words.
    pub(crate) fn place_of(&self, key: &str) -> String {
        let node = self.table.and_then(|table| table.get(key));
        self.report
            .place(node.map_or(&self.origin, |node| &node.origin))
    }

    /// Whether the key was written.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Refuses each key that nobody asked for, with the nearest one that exists.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (key, node) in self.table.into_iter().flatten() {
            if asked.iter().any(|known| known == key) {
                continue;
            }
            let nearest = nearest(key, &asked);
            let hint = nearest.map_or_else(
                || format!("; known: {}", asked.join(", ")),
                |nearest| format!("; did you mean `{nearest}`?"),
            );
            let text = if self.path.is_empty() {
                format!("unknown section or key `{key}`{hint}")
            } else {
                format!("unknown key `{key}` in [{}]{hint}", self.path)
            };
            self.report.add(&node.origin, text);
        }
    }

    fn below(report: &'a Report, path: String, node: &'a Node) -> Option<Self> {
        let Value::Table(table) = &node.value else {
            return None;
        };
        Some(Section {
            path,
            table: Some(table),
            origin: node.origin.clone(),
            asked: RefCell::new(Vec::new()),
            report,
        })
    }

    fn node(&self, key: &'static str) -> Option<&'a Node> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        self.table.and_then(|table| table.get(key))
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn missing(&self, key: &str) {
        let text = format!("`{key}` is missing in [{}]", self.path);
        self.report.add(&self.origin, text);
    }

    fn wrong(&self, node: &Node, key: &str, wanted: &str) {
        let found = match &node.value {
            Value::Variable(_) => "this text".to_owned(),
            other => other.kind().to_owned(),
        };
        let text = format!("`{key}` takes {wanted}, not {found}");
        self.report.add(&node.origin, text);
    }

    fn told<T>(&self, origin: &Origin, key: &str, result: Result<T, String>) -> Option<T> {
        result
            .map_err(|text| self.report.add(origin, format!("`{key}` {text}")))
            .ok()
    }
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) | Value::Variable(text) => Some(text.clone()),
        _ => None,
    }
}

/// The known word closest to `word`, if it is close enough to be a typing error.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let scored = known
        .iter()
        .map(|known| (strsim::jaro_winkler(word, known), *known));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 > 0.75).then_some(best.1)
}
