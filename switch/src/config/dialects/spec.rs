//! A dialect that is being put together: rows that own their names and what they hold.

use std::borrow::Cow;
use std::collections::BTreeMap;

use iso8583::Dialect;
use iso8583::bitmap::Bitmap;
use iso8583::charset::Charset;
use iso8583::class::Class;
use iso8583::composite::Composite;
use iso8583::dialect::{BitmapForm, Form, MtiForm};
use iso8583::error::DialectError;
use iso8583::field::{Coding, Count, Encoding, FieldSpec, Length, Prefix};
use iso8583::requirement::{Condition, MtiPattern, Requirement};

/// What becomes a [`Dialect`].
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: String,
    /// 0 for messages; for what a field holds one more than where the field is.
    pub(super) depth: usize,
    pub(super) form: Form,
    pub(super) custom: Custom,
    /// By number.
    pub(super) rows: BTreeMap<u8, Row>,
    pub(super) rules: Vec<MessageRule>,
}

/// How rows are written that do not say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Custom {
    pub(super) charset: Charset,
    pub(super) prefix: Prefix,
}

/// One row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Without its name, and without what it holds where that is not [`Holds::Known`].
    pub(super) field: FieldSpec,
    pub(super) name: Cow<'static, str>,
    pub(super) holds: Holds,
}

/// What a value holds.
#[derive(Clone, Debug)]
pub(super) enum Holds {
    /// What needs no dialect, or has a built-in one.
    Known(Composite),
    /// Sub-fields behind a bitmap.
    Bitmapped(Box<Spec>),
    /// Sub-fields one after the other.
    Positional(Box<Spec>),
}

/// As [`Requirement`].
#[derive(Clone, Debug)]
pub(super) struct MessageRule {
    pub(super) mti: MtiPattern,
    pub(super) mandatory: Bitmap,
    pub(super) one_of: Vec<Bitmap>,
    pub(super) conditions: Vec<Condition>,
}

impl Spec {
    /// A copy of a dialect that exists.
    pub(super) fn of(dialect: &'static Dialect) -> Self {
        let row = |field: &FieldSpec| (field.number, Row::of(*field));
        let rows: BTreeMap<u8, Row> = dialect.rows().map(row).collect();
        Self {
            name: dialect.name().to_owned(),
            depth: 0,
            form: dialect.form(),
            custom: Custom::of(rows.values().map(|row| &row.field)),
            rows,
            rules: dialect.requirements().iter().map(MessageRule::of).collect(),
        }
    }

    /// Writes everything that is text in another character set: type indicator, hexadecimal
    /// bitmaps, length prefixes, rows. What is packed or binary stays, and so does what is of class
    /// b: those bytes are passed through and nobody knows that they are text.
    pub(super) fn recode(&mut self, charset: Charset) {
        if let MtiForm::Text(_) = self.form.mti {
            self.form.mti = MtiForm::Text(charset);
        }
        if let BitmapForm::Hex(_) = self.form.bitmap {
            self.form.bitmap = BitmapForm::Hex(charset);
        }
        self.custom.charset = charset;
        self.custom.prefix.coding = recoded(self.custom.prefix.coding, charset);
        for row in self.rows.values_mut() {
            row.recode(charset);
        }
    }

    /// Leaves out the fields that the bitmaps of the form cannot announce.
    pub(super) fn drop_unannounced(&mut self) {
        let form = self.form;
        let number = |error| matches!(error, DialectError::Number(_));
        self.rows
            .retain(|_, row| !row.check(form).is_err_and(number));
    }

    /// Whether it can be made; nothing stays of it.
    ///
    /// # Errors
    /// As [`Spec::make`].
    pub(super) fn check(&self) -> Result<(), DialectError> {
        let rows: Vec<FieldSpec> = self.rows.values().map(Row::outline).collect();
        Dialect::new("", self.form, &rows, &[])?;
        self.rows.values().try_for_each(|row| match &row.holds {
            Holds::Known(_) => Ok(()),
            Holds::Bitmapped(spec) | Holds::Positional(spec) => spec.check(),
        })
    }

    /// Makes the dialect, for as long as the process lasts.
    ///
    /// # Errors
    /// A row cannot be; the rows have been checked one by one, so this is an error of the reader.
    pub(super) fn make(&self) -> Result<&'static Dialect, DialectError> {
        let rows: Result<Vec<FieldSpec>, DialectError> =
            self.rows.values().map(Row::make).collect();
        let rules: Vec<Requirement> = self.rules.iter().map(MessageRule::make).collect();
        let name = String::leak(self.name.clone());
        let dialect = Dialect::new(name, self.form, &rows?, Vec::leak(rules))?;
        Ok(Box::leak(Box::new(dialect)))
    }
}

impl Custom {
    /// That of the first text, and of the first length prefix.
    pub(super) fn of<'r>(mut rows: impl Iterator<Item = &'r FieldSpec> + Clone) -> Self {
        let charset = rows.clone().find_map(|row| match row.encoding {
            Encoding::Text(charset) if row.class != Class::B => Some(charset),
            _ => None,
        });
        let prefix = rows.find_map(|row| match row.length {
            Length::Var { .. } => Some(row.prefix),
            Length::Fixed(_) => None,
        });
        let charset = charset.unwrap_or(Charset::Ascii);
        let coding = recoded(Coding::Ascii, charset);
        Self {
            charset,
            prefix: prefix.unwrap_or_else(|| Prefix::new(coding, Count::Units)),
        }
    }
}

impl Row {
    fn of(field: FieldSpec) -> Self {
        Self {
            field,
            name: Cow::Borrowed(field.name),
            holds: Holds::Known(field.composite),
        }
    }

    fn recode(&mut self, charset: Charset) {
        let field = &mut self.field;
        field.prefix.coding = recoded(field.prefix.coding, charset);
        field.encoding = match field.encoding {
            Encoding::Text(_) if field.class != Class::B => Encoding::Text(charset),
            Encoding::Packed(packed, _) => Encoding::Packed(packed, charset),
            Encoding::Hex(_) => Encoding::Hex(charset),
            same @ (Encoding::Text(_) | Encoding::Binary) => same,
        };
        self.holds = match self.nested() {
            Some(Holds::Bitmapped(mut spec)) => {
                spec.recode(charset);
                Holds::Bitmapped(spec)
            }
            Some(Holds::Positional(mut spec)) => {
                spec.recode(charset);
                Holds::Positional(spec)
            }
            Some(Holds::Known(_)) | None => return,
        };
    }

    /// The sub-fields, owned, where there are some.
    pub(super) fn nested(&self) -> Option<Holds> {
        match &self.holds {
            Holds::Known(Composite::Bitmapped(dialect)) => {
                Some(Holds::Bitmapped(Box::new(Spec::of(dialect))))
            }
            Holds::Known(Composite::Positional(dialect)) => {
                Some(Holds::Positional(Box::new(Spec::of(dialect))))
            }
            Holds::Known(_) => None,
            own @ (Holds::Bitmapped(_) | Holds::Positional(_)) => Some(own.clone()),
        }
    }

    /// Whether a dialect of that form can have it. Only its name and its own sub-fields are not
    /// made, which have been checked on their own.
    pub(super) fn check(&self, form: Form) -> Result<(), DialectError> {
        Dialect::new("", form, &[self.outline()], &[]).map(|_| ())
    }

    /// The row with something in place of its sub-fields.
    fn outline(&self) -> FieldSpec {
        let composite = match self.holds {
            Holds::Known(composite) => composite,
            Holds::Bitmapped(_) => Composite::Bitmapped(Dialect::ISO87_ASCII),
            Holds::Positional(_) => Composite::Positional(Dialect::ISO87_ASCII),
        };
        self.field.holding(composite)
    }

    fn make(&self) -> Result<FieldSpec, DialectError> {
        let composite = match &self.holds {
            Holds::Known(composite) => *composite,
            Holds::Bitmapped(spec) => Composite::Bitmapped(spec.make()?),
            Holds::Positional(spec) => Composite::Positional(spec.make()?),
        };
        let mut field = self.field.holding(composite);
        field.name = match &self.name {
            Cow::Borrowed(name) => name,
            Cow::Owned(name) => String::leak(name.clone()),
        };
        Ok(field)
    }
}

impl MessageRule {
    fn of(requirement: &Requirement) -> Self {
        Self {
            mti: requirement.mti,
            mandatory: requirement.mandatory,
            one_of: requirement.one_of.to_vec(),
            conditions: requirement.conditions.to_vec(),
        }
    }

    fn make(&self) -> Requirement {
        Requirement {
            mti: self.mti,
            mandatory: self.mandatory,
            one_of: Vec::leak(self.one_of.clone()),
            conditions: Vec::leak(self.conditions.clone()),
        }
    }
}

/// Digits in another character set.
const fn recoded(coding: Coding, charset: Charset) -> Coding {
    match (coding, charset) {
        (Coding::Packed | Coding::Binary, _) => coding,
        (Coding::Ascii | Coding::Ebcdic, Charset::Ascii) => Coding::Ascii,
        (Coding::Ascii | Coding::Ebcdic, Charset::Cp037 | Charset::Cp500 | Charset::Cp1047) => {
            Coding::Ebcdic
        }
    }
}
