//! The exit codes of the process, as operators and systemd read them.

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Done, or drained.
    Done,
    /// Something else went wrong.
    Other,
    /// The command line was not understood.
    Usage,
    /// A report found that two sides differ.
    Differs,
    /// The journal is refused; files are untouched.
    JournalRefused,
    /// What was looked for is not there.
    NotFound,
    /// This host cannot run it: io_uring, locked memory, file system.
    HostUnfit,
    /// The journal could not be written or synced.
    JournalFailed,
    /// Another process holds the journal.
    JournalLocked,
    /// The configuration is refused.
    ConfigRefused,
}

impl ExitCode {
    /// As the shell sees it (sysexits.h where it has a word).
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Other => 1,
            Self::Usage => 2,
            Self::Differs => 3,
            Self::JournalRefused => 65,
            Self::NotFound => 66,
            Self::HostUnfit => 69,
            Self::JournalFailed => 74,
            Self::JournalLocked => 75,
            Self::ConfigRefused => 78,
        }
    }

    /// The code that `number` stands for; every other number is [`ExitCode::Other`].
    #[must_use]
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::Done,
            2 => Self::Usage,
            3 => Self::Differs,
            65 => Self::JournalRefused,
            66 => Self::NotFound,
            69 => Self::HostUnfit,
            74 => Self::JournalFailed,
            75 => Self::JournalLocked,
            78 => Self::ConfigRefused,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back() {
        for number in [0_u8, 1, 2, 3, 65, 66, 69, 74, 75, 78] {
            assert_eq!(ExitCode::of(number).number(), i32::from(number));
        }
        assert_eq!(ExitCode::of(134), ExitCode::Other);
    }
}
