//! What becomes of memory: no core file has it, nobody but root reads it from outside, and where
//! that is asked for, no swap has it.

use std::fs;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

use super::{Unfit, raise};

/// It would hold card data and keys. Not dumpable is also: no debugger of the same user, and what
/// `/proc` shows of memory is root's. Before the first key is read.
pub fn forbid_core_files() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let limited = setrlimit(Resource::Core, none);
    let hidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    if let Err(error) = limited.and(hidden) {
        tracing::warn!(%error, "core files cannot be forbidden");
    }
}

/// Locks what there is and what is to come, each page when it is first used. A limit that is below
/// all memory would end the process at some later allocation: it is refused at once.
pub(super) fn lock(is_wanted: bool) -> Result<(), Unfit> {
    if !is_wanted {
        return Ok(());
    }
    if !may_lock_beyond_limits() {
        raise(Resource::Memlock, u64::MAX).map_err(|limit| Unfit::AllMemory { limit })?;
        if let Some(limit) = getrlimit(Resource::Memlock).current {
            return Err(Unfit::AllMemory { limit });
        }
    }
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    mlockall(all).map_err(|error| Unfit::Unlockable {
        error: error.to_string(),
    })
}

/// Whether the limit does not hold: `CAP_IPC_LOCK`, bit 14.
fn may_lock_beyond_limits() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    may_lock(&status)
}

fn may_lock(status: &str) -> bool {
    let mut lines = status.lines();
    let set = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok());
    set.is_some_and(|set| set & (1 << 14) != 0)
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn nobody_gets_a_core_file() {
        forbid_core_files();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }

    #[test]
    fn the_limit_holds_but_for_whoever_has_the_capability() {
        assert!(may_lock("Name:\tnjia\nCapEff:\t0000000000004000\n"));
        assert!(!may_lock(
            "CapEff:\t0000000000003fff\nCapBnd:\t0000000000004000\n"
        ));
        assert!(!may_lock(""));
    }
}
