//! All dialects of a configuration, which may extend one another: each is read after its base.

use std::collections::BTreeMap;

use iso8583::Dialect;

use super::spec::{Custom, Spec};
use super::{DialectFile, form, no_such, row, rules};
use crate::config::report::Report;
use crate::config::section::Section;
use crate::limits::{DIALECTS_MAX, LABEL_LEN_MAX};

/// The dialects of a file and of those that it names. Faults go to the report.
pub(super) fn specs(root: &Section<'_>, files: &[DialectFile], report: &Report) -> Vec<Spec> {
    let mut family = Family::default();
    family.add_all(&root.section("dialects"));
    for file in files {
        let root = Section::root(&file.table, report);
        family.add_all(&root.section("dialects"));
        root.finish();
    }
    if family.names.len() > DIALECTS_MAX {
        root.fault_at(
            "dialects",
            format!("there are more than {DIALECTS_MAX} dialects"),
        );
        return Vec::new();
    }
    let names = family.names.clone();
    names.iter().map(|name| family.spec(name)).collect()
}

/// The dialects that are read and those that are still to be read.
#[derive(Default)]
struct Family<'a> {
    /// In the order of the files.
    names: Vec<&'a str>,
    members: BTreeMap<&'a str, Member<'a>>,
    /// What is being read, each the base of the one before.
    path: Vec<&'a str>,
}

enum Member<'a> {
    Unread(Section<'a>),
    Reading,
    Read(Spec),
}

impl<'a> Family<'a> {
    fn add_all(&mut self, dialects: &Section<'a>) {
        for (name, section) in dialects.tables_by_key() {
            if let Err(fault) = legal(name) {
                section.fault(fault);
            }
            if let Some(Member::Unread(other)) = self.members.get(name) {
                let place = other.place();
                section.fault(format!("another dialect is named `{name}` too, at {place}"));
                continue;
            }
            self.names.push(name);
            self.members.insert(name, Member::Unread(section));
        }
    }

    /// Reads a member, and what it extends before.
    fn spec(&mut self, name: &'a str) -> Spec {
        let section = match self.members.insert(name, Member::Reading) {
            Some(Member::Unread(section)) => section,
            Some(Member::Read(spec)) => {
                self.members.insert(name, Member::Read(spec.clone()));
                return spec;
            }
            Some(Member::Reading) | None => return stand_in(),
        };
        self.path.push(name);
        let base = self.base(&section).unwrap_or_else(stand_in);
        self.path.pop();
        let spec = read(section, name, base);
        self.members.insert(name, Member::Read(spec.clone()));
        spec
    }

    /// What a dialect extends; a fault without.
    fn base(&mut self, section: &Section<'a>) -> Option<Spec> {
        let base = section.required("extends", |text| self.named(text))?;
        Some(match base {
            Base::BuiltIn(dialect) => Spec::of(dialect),
            Base::Own(name) => self.spec(name),
        })
    }

    fn named(&self, text: &str) -> Result<Base<'a>, String> {
        if let Some(dialect) = Dialect::by_name(text) {
            return Ok(Base::BuiltIn(dialect));
        }
        let Some((name, _)) = self.members.get_key_value(text) else {
            let mut known = super::names_of(Dialect::ALL);
            known.extend(&self.names);
            return Err(no_such("names", text, &known));
        };
        let Some(from) = self.path.iter().position(|other| other == name) else {
            return Ok(Base::Own(name));
        };
        let circle = self.path.get(from..).unwrap_or_default().join("` to `");
        Err(format!("leads in a circle: `{circle}` to `{name}`"))
    }
}

/// What a dialect extends.
enum Base<'a> {
    BuiltIn(&'static Dialect),
    Own(&'a str),
}

fn read(section: Section<'_>, name: &str, base: Spec) -> Spec {
    let mut spec = base;
    name.clone_into(&mut spec.name);
    form::read(&section, &mut spec);
    row::read_all(&section.section("fields"), &mut spec);
    rules::read(&section, &mut spec);
    // Rows are checked where they are named; those of the base change with the set.
    if section.has("charset")
        && let Err(error) = spec.check()
    {
        section.fault_at("charset", error.to_string());
    }
    section.finish();
    spec.custom = Custom::of(spec.rows.values().map(|row| &row.field));
    spec
}

/// Takes the place of a base that does not exist, so that reading goes on.
fn stand_in() -> Spec {
    Spec::of(Dialect::ISO87_ASCII)
}

fn legal(name: &str) -> Result<(), String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=LABEL_LEN_MAX).contains(&name.len()) || !name.bytes().all(legal) {
        return Err(format!(
            "`{name}` cannot be the name of a dialect: take 1 to {LABEL_LEN_MAX} of a-z, 0-9, `-`"
        ));
    }
    if Dialect::by_name(name).is_some() {
        return Err(format!(
            "`{name}` is a built-in dialect: take another name, and write `extends` = \"{name}\""
        ));
    }
    Ok(())
}
