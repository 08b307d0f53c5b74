//! The raw configuration: the TOML tree with the place of each value, and the environment laid over
//! it. Says nothing yet about which keys exist.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::report::{FileId, Origin, Report};

/// Keys and their values.
pub(crate) type Table = BTreeMap<String, Node>;

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) origin: Origin,
    pub(crate) value: Value,
}

/// What was written.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// A variable's text: it becomes what its key asks for; lists are separated by commas.
    Variable(String),
    /// A kind that no key takes.
    Other(&'static str),
}

impl Value {
    /// What people call this kind of value.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Variable(_) => "a variable",
            Self::Other(kind) => kind,
        }
    }
}

/// The variables of a process, as far as they are text.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// What this process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self(std::env::vars_os().filter_map(text).collect())
    }

    /// Exactly these.
    #[must_use]
    pub fn of(pairs: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self(pairs.iter().map(owned).collect())
    }

    /// The value of one.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Those that set a key: the name, and the path in lower case.
    fn overrides(&self) -> impl Iterator<Item = (&str, Vec<String>, &str)> {
        self.0.iter().filter_map(|(name, value)| {
            let path = name.strip_prefix("NJIA__")?;
            let parts = path.split("__").map(str::to_ascii_lowercase).collect();
            Some((name.as_str(), parts, value.as_str()))
        })
    }
}

/// Parses the `text` of a file; syntax errors go to the report, what could be read is returned.
pub(crate) fn parse(text: &str, file: FileId, report: &Report) -> Table {
    let reader = Reader { file, report };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        let offset = error.span().map_or(text.len(), |span| span.start);
        report.add(&reader.origin(offset), error.message());
    }
    reader.table(table.into_inner())
}

/// Lays `NJIA__SECTION__KEY` and `NJIA__ISSUER__NAME__KEY` over the tree.
pub(crate) fn overlay(root: &mut Table, environment: &Environment, report: &Report) {
    for (name, path, text) in environment.overrides() {
        let node = Node {
            origin: Origin::Environment(name.to_owned()),
            value: Value::Variable(text.to_owned()),
        };
        set(root, &path, node, report);
    }
}

/// Puts `node` at `path`; the second part of a path into a list of named tables is the name.
pub(crate) fn set(root: &mut Table, path: &[String], node: Node, report: &Report) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let first = &written_key(root, first);
    if rest.is_empty() {
        root.insert(first.clone(), node);
        return;
    }
    let origin = node.origin.clone();
    let below = root.entry(first.clone()).or_insert_with(|| Node {
        origin: origin.clone(),
        value: Value::Table(Table::new()),
    });
    match &mut below.value {
        Value::Table(table) => set(table, rest, node, report),
        Value::List(list) => {
            if let Some((table, key)) = named(list, rest, &origin, report) {
                set(table, key, node, report);
            }
        }
        other => report.add(
            &origin,
            format!("`{first}` is {}, it has no keys", other.kind()),
        ),
    }
}

/// The key that a variable's part means: a name with a `-`, as of a dialect, is written with `_`.
fn written_key(table: &Table, part: &str) -> String {
    let name = part.replace('_', "-");
    if table.contains_key(&name) {
        return name;
    }
    part.to_owned()
}

/// The table of a list that bears the name in the first part of `path`, and the rest of the path.
fn named<'n, 'p>(
    list: &'n mut [Node],
    path: &'p [String],
    origin: &Origin,
    report: &Report,
) -> Option<(&'n mut Table, &'p [String])> {
    let (name, key) = path.split_first()?;
    let name = name.replace('_', "-");
    let tables = list.iter_mut().filter_map(|node| match &mut node.value {
        Value::Table(table) => Some(table),
        _ => None,
    });
    let mut known = Vec::new();
    for table in tables {
        match table.get("name").map(|node| &node.value) {
            Some(Value::Text(text)) if *text == name => return Some((table, key)),
            Some(Value::Text(text)) => known.push(text.clone()),
            _ => {}
        }
    }
    report.add(
        origin,
        format!("nothing is named `{name}`; known: {}", known.join(", ")),
    );
    None
}

/// Turns the parser's tree into ours.
struct Reader<'r> {
    file: FileId,
    report: &'r Report,
}

impl Reader<'_> {
    const fn origin(&self, offset: usize) -> Origin {
        Origin::File(self.file, offset)
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
            let origin = match value.get_ref() {
                // A table is found by its header, everything else by its key.
                DeValue::Table(_) => self.origin(value.span().start),
                _ => self.origin(key.span().start),
            };
            let key: std::borrow::Cow<'_, str> = key.into_inner();
            let value = self.value(value.into_inner(), &origin);
            (key.into_owned(), Node { origin, value })
        };
        table.into_iter().map(entry).collect()
    }

    fn value(&self, value: DeValue<'_>, origin: &Origin) -> Value {
        match value {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Boolean(boolean) => Value::Boolean(boolean),
            DeValue::Integer(integer) => {
                match i64::from_str_radix(integer.as_str(), integer.radix()) {
                    Ok(number) => Value::Integer(number),
                    Err(_) => {
                        self.report.add(origin, "the number does not fit 64 bits");
                        Value::Integer(0)
                    }
                }
            }
            DeValue::Array(items) => {
                let node = |item: Spanned<DeValue<'_>>| {
                    let origin = self.origin(item.span().start);
                    let value = self.value(item.into_inner(), &origin);
                    Node { origin, value }
                };
                Value::List(items.into_iter().map(node).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
            DeValue::Float(_) => Value::Other("a number with a fraction"),
            DeValue::Datetime(_) => Value::Other("a date"),
        }
    }
}
