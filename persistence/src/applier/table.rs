//! Columns of the tables that batches fill. Both strategies make their statements and parameters
//! from these.

use tokio_postgres::types::Type;

/// One column: its name, and the type in which its cells are encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    pub(crate) name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Bool,
    Bytes,
    Date,
    Int2,
    Int4,
    Int8,
    Text,
    Time,
    Uuid,
}

impl Column {
    pub(crate) const fn bool(name: &'static str) -> Self {
        Self::new(name, Kind::Bool)
    }

    pub(crate) const fn bytes(name: &'static str) -> Self {
        Self::new(name, Kind::Bytes)
    }

    pub(crate) const fn date(name: &'static str) -> Self {
        Self::new(name, Kind::Date)
    }

    pub(crate) const fn int2(name: &'static str) -> Self {
        Self::new(name, Kind::Int2)
    }

    pub(crate) const fn int4(name: &'static str) -> Self {
        Self::new(name, Kind::Int4)
    }

    pub(crate) const fn int8(name: &'static str) -> Self {
        Self::new(name, Kind::Int8)
    }

    pub(crate) const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    pub(crate) const fn time(name: &'static str) -> Self {
        Self::new(name, Kind::Time)
    }

    pub(crate) const fn uuid(name: &'static str) -> Self {
        Self::new(name, Kind::Uuid)
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }

    /// The type of one cell.
    pub(crate) const fn cell(&self) -> Type {
        match self.kind {
            Kind::Bool => Type::BOOL,
            Kind::Bytes => Type::BYTEA,
            Kind::Date => Type::DATE,
            Kind::Int2 => Type::INT2,
            Kind::Int4 => Type::INT4,
            Kind::Int8 => Type::INT8,
            Kind::Text => Type::TEXT,
            Kind::Time => Type::TIMESTAMPTZ,
            Kind::Uuid => Type::UUID,
        }
    }

    /// The type of an array of its cells.
    pub(crate) const fn array(&self) -> Type {
        match self.kind {
            Kind::Bool => Type::BOOL_ARRAY,
            Kind::Bytes => Type::BYTEA_ARRAY,
            Kind::Date => Type::DATE_ARRAY,
            Kind::Int2 => Type::INT2_ARRAY,
            Kind::Int4 => Type::INT4_ARRAY,
            Kind::Int8 => Type::INT8_ARRAY,
            Kind::Text => Type::TEXT_ARRAY,
            Kind::Time => Type::TIMESTAMPTZ_ARRAY,
            Kind::Uuid => Type::UUID_ARRAY,
        }
    }
}

/// The names of `columns`, each after `prefix`, as a statement lists them.
pub(crate) fn names<'c>(columns: impl IntoIterator<Item = &'c Column>, prefix: &str) -> String {
    let names: Vec<String> = columns
        .into_iter()
        .map(|column| format!("{prefix}{}", column.name))
        .collect();
    names.join(", ")
}
