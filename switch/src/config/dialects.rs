//! Dialects of the user: `[dialects.NAME]` tables, in the configuration or in files that it names.
//!
//! A table names the dialect that it extends and says what is otherwise. All of them are read and
//! checked before one of them is made, so a refused file leaves nothing behind. What is made stays
//! for as long as the process: a message and its index refer to their dialect as `'static`, the
//! built-in ones are, and the configuration is read once, so there is nothing to give back.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use iso8583::Dialect;

use super::document::{self, Table};
use super::report::{ConfigErrors, FileId, Report};
use super::section::{Section, nearest};
use super::wire::DEFAULT_DIALECT;
use crate::limits::{DIALECT_FILE_BYTES_MAX, DIALECT_FILES_MAX};

mod family;
mod form;
mod nested;
mod row;
mod rules;
mod spec;
mod tagged;
#[cfg(test)]
mod tests;
mod words;

use spec::Spec;

/// Reads the dialects of a file, and of the files that its `dialect_files` names, in the order of
/// their names within each. Other tables of a configuration are of no matter, so that it may be a
/// whole one; a table that none has is a fault.
///
/// # Errors
/// All faults at once; a file without a dialect is one.
pub fn load_file(path: &Path) -> Result<Vec<&'static Dialect>, ConfigErrors> {
    let name = path.display().to_string();
    let whole = |fault| ConfigErrors::whole(&name, fault);
    let text = read_text(path).map_err(whole)?;
    let report = Report::new(&name, &text);
    let table = document::parse(&text, FileId::FIRST, &report);
    let root = Section::root(&table, &report);
    let files = files(&root, folder_of(path), &report);
    let specs = family::specs(&root, &files, &report);
    if OF_CONFIGURATION.iter().any(|name| root.has(name)) {
        for name in OF_CONFIGURATION {
            root.pass_over(name);
        }
    }
    root.finish();
    report.finish()?;
    if specs.is_empty() {
        return Err(whole(NO_DIALECT.to_owned()));
    }
    let made = specs.iter().map(|spec| made(spec, &name));
    made.collect()
}

/// The dialect that an argument means: a built-in one by its name, or one of a file as `FILE:NAME`;
/// `FILE` alone where the file has one.
///
/// # Errors
/// There is none, or the file is refused.
pub fn find(argument: &str) -> Result<&'static Dialect, ConfigErrors> {
    if let Some(dialect) = Dialect::by_name(argument) {
        return Ok(dialect);
    }
    let whole = |fault| ConfigErrors::whole(argument, fault);
    let (path, name) = match argument.rsplit_once(':') {
        Some((path, name)) if !Path::new(argument).exists() => (path, Some(name)),
        _ => (argument, None),
    };
    if !Path::new(path).exists() {
        let known = names_of(Dialect::ALL);
        let fault = match nearest(argument, &known) {
            Some(near) => format!("is no dialect and no file; did you mean `{near}`?"),
            None => format!("is no dialect and no file; known: {}", known.join(", ")),
        };
        return Err(whole(fault));
    }
    let dialects = load_file(Path::new(path))?;
    let Some(name) = name else {
        return match *dialects {
            [dialect] => Ok(dialect),
            _ => Err(whole(format!(
                "holds more than one dialect; write {path}:NAME with one of {}",
                names_of(&dialects).join(", ")
            ))),
        };
    };
    let found = dialects.iter().find(|dialect| dialect.name() == name);
    let unknown = || whole(no_such("is", name, &names_of(&dialects)));
    found.copied().ok_or_else(unknown)
}

/// Checks the text of a dialect file, called `name` in faults. Nothing is made, so nothing stays.
///
/// # Errors
/// All faults at once.
pub fn check(name: &str, text: &str) -> Result<(), ConfigErrors> {
    let report = Report::new(name, text);
    let table = document::parse(text, FileId::FIRST, &report);
    let root = Section::root(&table, &report);
    let specs = family::specs(&root, &[], &report);
    root.finish();
    report.finish()?;
    debug_assert!(
        specs.iter().all(|spec| spec.check().is_ok()),
        "what passes can be made"
    );
    Ok(())
}

/// The dialects that endpoints of a configuration may name.
pub(super) struct Dialects {
    names: Vec<String>,
    /// Empty where a fault refuses the configuration.
    made: Vec<&'static Dialect>,
}

impl Dialects {
    /// Reads those of the configuration and of its dialect files.
    pub(super) fn read(root: &Section<'_>, files: &[DialectFile], report: &Report) -> Self {
        let before = report.count();
        let specs = family::specs(root, files, report);
        let names = specs.iter().map(|spec| spec.name.clone()).collect();
        if report.count() > before {
            return Self {
                names,
                made: Vec::new(),
            };
        }
        let told = |spec: &Spec| spec.make().map_err(|error| root.fault(error.to_string()));
        let made = specs.iter().filter_map(|spec| told(spec).ok()).collect();
        Self { names, made }
    }

    /// The key `dialect` of an endpoint.
    pub(super) fn of(&self, endpoint: &Section<'_>) -> &'static Dialect {
        let named = endpoint.parsed("dialect", |text| self.named(text));
        named.unwrap_or(DEFAULT_DIALECT)
    }

    fn named(&self, text: &str) -> Result<&'static Dialect, String> {
        let made = self.made.iter().find(|dialect| dialect.name() == text);
        if let Some(dialect) = made.copied().or_else(|| Dialect::by_name(text)) {
            return Ok(dialect);
        }
        // Its own faults have been told, and refuse the configuration.
        if self.names.iter().any(|name| name == text) {
            return Ok(DEFAULT_DIALECT);
        }
        let mut known = names_of(Dialect::ALL);
        known.extend(self.names.iter().map(String::as_str));
        Err(no_such("names", text, &known))
    }
}

/// A file that `dialect_files` names.
pub(super) struct DialectFile {
    table: Table,
    /// Belongs to the fingerprint of the configuration.
    pub(super) text: String,
}

/// The files of `dialect_files`; a relative path begins at `folder`.
pub(super) fn files(root: &Section<'_>, folder: &Path, report: &Report) -> Vec<DialectFile> {
    let file = |text: &str| {
        let path: PathBuf = folder.join(text);
        let name = path.display().to_string();
        let text = read_text(&path).map_err(|fault| format!("names {name}, which {fault}"))?;
        let id = report.add_file(&name, &text);
        let table = document::parse(&text, id, report);
        Ok(DialectFile { table, text })
    };
    if root.count("dialect_files") > DIALECT_FILES_MAX {
        let text = format!("`dialect_files` takes at most {DIALECT_FILES_MAX} files");
        root.fault_at("dialect_files", text);
        return Vec::new();
    }
    root.list("dialect_files", file)
}

/// The folder that relative paths of a file begin at.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new(""))
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let mut bounded = File::open(path)
        .map_err(|error| format!("cannot be read: {error}"))?
        .take(DIALECT_FILE_BYTES_MAX + 1);
    let len = bounded
        .read_to_string(&mut text)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if u64::try_from(len).is_ok_and(|len| len <= DIALECT_FILE_BYTES_MAX) {
        return Ok(text);
    }
    Err(format!("is longer than {DIALECT_FILE_BYTES_MAX} bytes"))
}

fn made(spec: &Spec, file: &str) -> Result<&'static Dialect, ConfigErrors> {
    // The rows have been checked one by one.
    let told = |error: iso8583::error::DialectError| ConfigErrors::whole(file, error.to_string());
    spec.make().map_err(told)
}

fn names_of<'d>(dialects: &[&'d Dialect]) -> Vec<&'d str> {
    dialects.iter().map(|dialect| dialect.name()).collect()
}

/// Why a name is refused.
fn no_such(verb: &str, text: &str, known: &[&str]) -> String {
    match nearest(text, known) {
        Some(near) => {
            format!("{verb} the dialect `{text}`, which does not exist; did you mean `{near}`?")
        }
        None => format!(
            "{verb} the dialect `{text}`, which does not exist; known: {}",
            known.join(", ")
        ),
    }
}

/// The tables of a configuration beside its dialects.
const OF_CONFIGURATION: [&str; 14] = [
    "node",
    "limits",
    "journal",
    "keys",
    "admin",
    "postgres",
    "duplicates",
    "saf",
    "risk",
    "acquirer",
    "listener",
    "issuer",
    "routing",
    "route",
];

const NO_DIALECT: &str = "holds no dialect: write a table [dialects.NAME]";
