//! What a failure of PostgreSQL means for the batch (journal.md §9).

use std::error::Error;
use std::fmt;
use std::io;

use tokio_postgres::error::DbError;

/// What kind of failure it is: the class of its SQLSTATE. A closed set: it becomes a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FailureClass {
    /// 08, every fault of the connection itself, and 40003.
    Connection = 0,
    /// 22, data exception.
    Data = 1,
    /// 23, integrity constraint violation.
    Integrity = 2,
    /// 25, invalid transaction state: the server is read-only.
    ReadOnly = 3,
    /// 28, invalid authorisation.
    Access = 4,
    /// 40, rollback: deadlock or serialization.
    Rollback = 5,
    /// 42, and 3D, 3F: a table, a column, a schema or a permission is missing.
    Schema = 6,
    /// 53, insufficient resources.
    Resources = 7,
    /// 55 and 57: a lock, a timeout, an operator.
    Operator = 8,
    /// `synchronous_commit` is off: an acknowledged batch could be lost.
    NotSynchronous = 9,
    /// Every other.
    Other = 10,
}

impl FailureClass {
    /// How many there are.
    pub const COUNT: usize = 11;
    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Connection,
        Self::Data,
        Self::Integrity,
        Self::ReadOnly,
        Self::Access,
        Self::Rollback,
        Self::Schema,
        Self::Resources,
        Self::Operator,
        Self::NotSynchronous,
        Self::Other,
    ];

    /// The label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "08",
            Self::Data => "22",
            Self::Integrity => "23",
            Self::ReadOnly => "25",
            Self::Access => "28",
            Self::Rollback => "40",
            Self::Schema => "42",
            Self::Resources => "53",
            Self::Operator => "57",
            Self::NotSynchronous => "not_synchronous",
            Self::Other => "other",
        }
    }

    fn of_sqlstate(code: &str) -> Self {
        match code.get(..2) {
            Some("08") => Self::Connection,
            Some("22") => Self::Data,
            Some("23") => Self::Integrity,
            // 25P03 ends the session that was idle in its transaction: the batch is simply due
            // again.
            Some("25") if code == "25P03" => Self::Operator,
            Some("25") => Self::ReadOnly,
            Some("28") => Self::Access,
            // 40003 says as little as a lost connection does: whether the statement was completed
            // is unknown.
            Some("40") if code == "40003" => Self::Connection,
            Some("40") => Self::Rollback,
            Some("42" | "3D" | "3F") => Self::Schema,
            Some("53") => Self::Resources,
            Some("55" | "57") => Self::Operator,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What to do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    /// The same batch again, after a back-off.
    Retry,
    /// One record of the batch is at fault: find it.
    Bisect,
    /// The same batch again, slowly: only a person can help. The journal absorbs.
    Pause,
}

/// A failure of PostgreSQL or of the way to it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) class: FailureClass,
    /// Whether the connection cannot be used again.
    pub(crate) connection_lost: bool,
    pub(crate) source: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A wait that was longer than its bound: nobody knows what the server still does.
    pub(crate) fn timed_out(what: &'static str) -> Self {
        Self {
            class: FailureClass::Connection,
            connection_lost: true,
            source: Box::new(io::Error::new(io::ErrorKind::TimedOut, what)),
        }
    }

    /// Whoever set it must be told; the server keeps it until then.
    pub(crate) fn not_synchronous() -> Self {
        Self {
            class: FailureClass::NotSynchronous,
            connection_lost: true,
            source: "synchronous_commit is off for this role or database; set it to on".into(),
        }
    }

    pub(crate) fn remedy(&self) -> Remedy {
        match self.class {
            FailureClass::Connection
            | FailureClass::Rollback
            | FailureClass::Resources
            | FailureClass::Operator => Remedy::Retry,
            FailureClass::Data | FailureClass::Integrity => Remedy::Bisect,
            FailureClass::ReadOnly
            | FailureClass::Access
            | FailureClass::Schema
            | FailureClass::NotSynchronous
            | FailureClass::Other => Remedy::Pause,
        }
    }

    /// Whether, as the answer to COMMIT, it proves that nothing was committed: only an error that
    /// the server itself reports, before it ends the session, and that it can decide on before it
    /// commits.
    pub(crate) fn proves_rollback(&self) -> bool {
        let decided = self.remedy() == Remedy::Bisect || self.class == FailureClass::Rollback;
        decided && !self.connection_lost
    }

    /// What the server said, when it was the server.
    pub(crate) fn server(&self) -> Option<&DbError> {
        self.source
            .downcast_ref::<tokio_postgres::Error>()
            .and_then(tokio_postgres::Error::as_db_error)
    }

    /// The SQLSTATE, or a word when the server did not say one.
    pub(crate) fn sqlstate(&self) -> &str {
        self.server().map_or("-----", |server| server.code().code())
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        let (class, connection_lost) = match error.as_db_error() {
            Some(server) => {
                let lost = server.severity() != "ERROR";
                (FailureClass::of_sqlstate(server.code().code()), lost)
            }
            None => (class_of_system(&error), true),
        };
        Self {
            class,
            connection_lost,
            source: Box::new(error),
        }
    }
}

/// `target_session_attrs=read-write` on a standby is reported as "permission denied" by the system.
fn class_of_system(error: &tokio_postgres::Error) -> FailureClass {
    let io = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>());
    match io.map(io::Error::kind) {
        Some(io::ErrorKind::PermissionDenied) => FailureClass::ReadOnly,
        _ => FailureClass::Connection,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The primary message alone: a detail may quote the row.
        match self.server() {
            Some(server) => write!(f, "{} {}", server.code().code(), server.message()),
            None => {
                write!(f, "{}", self.source)?;
                match self.source.source() {
                    Some(cause) => write!(f, ": {cause}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sqlstate: &str, class: FailureClass, remedy: Remedy) {
        let failure = Failure {
            class: FailureClass::of_sqlstate(sqlstate),
            connection_lost: false,
            source: "test".into(),
        };
        assert_eq!(
            (failure.class, failure.remedy()),
            (class, remedy),
            "{sqlstate}"
        );
    }

    #[test]
    fn every_class_of_the_table_has_its_remedy() {
        check("40001", FailureClass::Rollback, Remedy::Retry);
        check("40P01", FailureClass::Rollback, Remedy::Retry);
        check("40003", FailureClass::Connection, Remedy::Retry);
        check("08006", FailureClass::Connection, Remedy::Retry);
        check("57P01", FailureClass::Operator, Remedy::Retry);
        check("57014", FailureClass::Operator, Remedy::Retry);
        check("55P03", FailureClass::Operator, Remedy::Retry);
        check("25P03", FailureClass::Operator, Remedy::Retry);
        check("53100", FailureClass::Resources, Remedy::Retry);
        check("53300", FailureClass::Resources, Remedy::Retry);
        check("22021", FailureClass::Data, Remedy::Bisect);
        check("22001", FailureClass::Data, Remedy::Bisect);
        check("22003", FailureClass::Data, Remedy::Bisect);
        check("23505", FailureClass::Integrity, Remedy::Bisect);
        check("23514", FailureClass::Integrity, Remedy::Bisect);
        check("42703", FailureClass::Schema, Remedy::Pause);
        check("42501", FailureClass::Schema, Remedy::Pause);
        check("3F000", FailureClass::Schema, Remedy::Pause);
        check("28P01", FailureClass::Access, Remedy::Pause);
        check("25006", FailureClass::ReadOnly, Remedy::Pause);
        check("XX001", FailureClass::Other, Remedy::Pause);
        check("P0001", FailureClass::Other, Remedy::Pause);
    }

    #[test]
    fn only_what_is_decided_before_the_commit_proves_that_nothing_was_committed() {
        let check = |sqlstate, connection_lost, proves| {
            let failure = Failure {
                class: FailureClass::of_sqlstate(sqlstate),
                connection_lost,
                source: "test".into(),
            };
            assert_eq!(failure.proves_rollback(), proves, "{sqlstate}");
        };
        for sqlstate in ["40001", "40002", "40P01", "23505", "22003"] {
            check(sqlstate, false, true);
            check(sqlstate, true, false);
        }
        for sqlstate in ["40003", "08007", "53100", "57014", "42703", "XX000"] {
            check(sqlstate, false, false);
        }
    }

    #[test]
    fn classes_are_numbered_as_they_are_listed() {
        for (index, class) in FailureClass::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, index);
        }
    }
}
