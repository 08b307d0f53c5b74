//! Is this host fit? Asked before any executor: glommio panics or exits with a text about an old
//! kernel where io_uring is denied, which is the first thing that most people in containers would
//! see (faults 91). Every fault is one sentence with its cause, and what to do about it.

use std::io;
use std::path::PathBuf;

use io_uring::{IoUring, Probe, opcode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

mod filesystem;
mod memory;
#[cfg(test)]
mod tests;

pub use self::memory::forbid_core_files;
use crate::config::Config;
use crate::limits::{DESCRIPTORS_RESERVED, MEMLOCK_PER_EXECUTOR};

/// What is asked of the host.
#[derive(Clone, Debug)]
pub struct Needs {
    /// Executors.
    pub shards: u16,
    /// Descriptors.
    pub descriptors: u64,
    /// Where the journal is, or will be.
    pub journal: PathBuf,
    /// Whether file systems that were not tried are accepted.
    pub any_filesystem: bool,
    /// Whether no memory may be swapped out.
    pub lock_memory: bool,
}

impl Needs {
    /// What `config` asks for, with so many shards.
    #[must_use]
    pub fn of(config: &Config, shards: u16) -> Self {
        let messages = config.limits.sessions_max.saturating_add(config.links());
        let gateways = config.gateways.iter();
        let gateways = gateways.map(|gateway| gateway.connections.all);
        let issuers = config.issuers.iter().filter_map(|issuer| {
            let http = issuer.http.as_ref()?;
            Some(
                http.connections_max
                    .saturating_mul(usize::from(issuer.links)),
            )
        });
        // What speaks ISO 8583 has its socket and the writer's second descriptor of it; HTTP has
        // one.
        let connections = gateways
            .chain(issuers)
            .fold(messages.saturating_mul(2), usize::saturating_add);
        let connections = u64::try_from(connections).unwrap_or(u64::MAX);
        Self {
            shards,
            descriptors: connections.saturating_add(DESCRIPTORS_RESERVED),
            journal: config.journal.dir.clone(),
            any_filesystem: config.journal.allow_any_filesystem,
            lock_memory: config.node.lock_memory,
        }
    }
}

/// Why this host cannot run the switch.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A sysctl forbids io_uring.
    #[error(
        "io_uring is switched off on this machine (io_uring_setup: EPERM; kernel {kernel}, \
         kernel.io_uring_disabled={value}).\n  Run:  sysctl kernel.io_uring_disabled=0{group}"
    )]
    Sysctl {
        /// Its value.
        value: u8,
        /// The running kernel.
        kernel: String,
        /// What else helps.
        group: &'static str,
    },
    /// A seccomp profile forbids io_uring.
    #[error(
        "io_uring is blocked by a seccomp profile (io_uring_setup: EPERM; kernel {kernel}, \
         kernel.io_uring_disabled={value}).\n  Docker and Kubernetes block it by default: give the \
         container a profile that allows io_uring_setup, io_uring_enter and io_uring_register \
         (docker run --security-opt seccomp=FILE --ulimit memlock=-1 …; Kubernetes seccompProfile: \
         Localhost). A systemd unit needs @aio in SystemCallFilter=."
    )]
    Seccomp {
        /// The running kernel.
        kernel: String,
        /// The sysctl, which is not the cause.
        value: String,
    },
    /// The kernel has no io_uring, or a profile says so.
    #[error(
        "this kernel has no io_uring (io_uring_setup: ENOSYS; kernel {kernel}).\n  Use a kernel \
        from \
         5.15 on, best a current 6.6 or 6.12, built with CONFIG_IO_URING; or the seccomp \
         profile of \
         the container answers ENOSYS: give it one that allows io_uring_setup, io_uring_enter and \
         io_uring_register."
    )]
    NoSuchCall {
        /// The running kernel.
        kernel: String,
    },
    /// Making a ring failed for another reason.
    #[error("io_uring_setup failed: {error} (kernel {kernel}).\n  Look for the reason in dmesg.")]
    Ring {
        /// Why.
        error: String,
        /// The running kernel.
        kernel: String,
    },
    /// The kernel is too old.
    #[error(
        "io_uring of this kernel ({kernel}) lacks {}.\n  Use a kernel from 5.15 on, best a current \
         6.6 or 6.12.", operations.join(", ")
    )]
    Operations {
        /// What is missing.
        operations: Vec<&'static str>,
        /// The running kernel.
        kernel: String,
    },
    /// Too little memory may be locked.
    #[error(
        "{limit} bytes of memory may be locked, {shards} shards need {needed}.\n  Set \
         LimitMEMLOCK=infinity in the unit, --ulimit memlock=-1 for a container, or ulimit -l \
         unlimited in the shell."
    )]
    Memlock {
        /// The hard limit.
        limit: u64,
        /// What is needed.
        needed: u64,
        /// For how many.
        shards: u16,
    },
    /// Not all memory may be locked.
    #[error(
        "node.lock_memory wants all memory locked, and {limit} bytes may be.\n  Set \
         LimitMEMLOCK=infinity in the unit, --ulimit memlock=-1 for a container, or ulimit -l \
         unlimited in the shell; or turn swap off and leave lock_memory out."
    )]
    AllMemory {
        /// The hard limit.
        limit: u64,
    },
    /// Locking memory failed for another reason.
    #[error(
        "node.lock_memory wants all memory locked: mlockall: {error}.\n  A seccomp profile may \
         deny it; or turn swap off and leave lock_memory out."
    )]
    Unlockable {
        /// Why.
        error: String,
    },
    /// Too few descriptors may be open.
    #[error(
        "{limit} files may be open, limits.sessions_max, the links, connections_max of each \
         gateway and of issuers over HTTP need {needed}.\n  Set LimitNOFILE=1048576 in the unit, \
         --ulimit nofile=1048576 for a container, or lower sessions_max or connections_max."
    )]
    OpenFiles {
        /// The hard limit.
        limit: u64,
        /// What is needed.
        needed: u64,
    },
    /// The journal's folder is in memory.
    #[error(
        "the journal {} would lie on {name}, which is memory: it is lost with the machine.\n  \
        Choose \
         a folder on ext4 or xfs for node.state_dir or journal.dir.", path.display()
    )]
    InMemory {
        /// The journal.
        path: PathBuf,
        /// The file system.
        name: String,
    },
    /// The journal's file system was not tried.
    #[error(
        "the journal {} would lie on {name}; durability was tried on ext4 and xfs only.\n  \
        Choose a \
         folder on one of those, or set journal.allow_any_filesystem = true and answer for what a \
         sync means there.", path.display()
    )]
    UntriedFileSystem {
        /// The journal.
        path: PathBuf,
        /// The file system.
        name: String,
    },
    /// The journal's folder cannot be looked at.
    #[error("the journal {} cannot be made: {error}.\n  Make its folder, for the user that runs \
             njia.", path.display())]
    NoFolder {
        /// The journal.
        path: PathBuf,
        /// Why.
        error: String,
    },
}

/// Checks everything; soft limits are raised as far as the hard ones allow, and memory is locked
/// where that is asked for.
///
/// # Errors
/// All that is unfit.
pub fn check(needs: &Needs) -> Result<(), Vec<Unfit>> {
    let results = [
        check_memlock(needs.shards),
        check_ring(),
        check_descriptors(needs.descriptors),
        filesystem::check(&needs.journal, needs.any_filesystem),
        memory::lock(needs.lock_memory),
    ];
    let faults: Vec<Unfit> = results.into_iter().filter_map(Result::err).collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// A ring of eight entries is made, asked what it can do, and closed again.
fn check_ring() -> Result<(), Unfit> {
    let ring = IoUring::new(RING_ENTRIES).map_err(|error| explain(&error, &Kernel::running()))?;
    let mut probe = Probe::new();
    ring.submitter()
        .register_probe(&mut probe)
        .map_err(|error| explain(&error, &Kernel::running()))?;
    let missing = missing(|code| probe.is_supported(code));
    if missing.is_empty() {
        return Ok(());
    }
    Err(Unfit::Operations {
        operations: missing,
        kernel: Kernel::running().release,
    })
}

fn missing(is_supported: impl Fn(u8) -> bool) -> Vec<&'static str> {
    let missing = OPERATIONS.iter().filter(|(code, _)| !is_supported(*code));
    missing.map(|(_, name)| *name).collect()
}

/// What helps to tell the causes of a refused ring apart.
#[derive(Clone, Debug)]
struct Kernel {
    release: String,
    /// `kernel.io_uring_disabled`; kernels before 6.6 have none.
    disabled: Option<u8>,
}

impl Kernel {
    fn running() -> Self {
        let sysctl = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?;
            Some(text.trim().to_owned())
        };
        Self {
            release: sysctl("osrelease").unwrap_or_else(|| "of unknown release".to_owned()),
            disabled: sysctl("io_uring_disabled").and_then(|text| text.parse().ok()),
        }
    }
}

/// The table of causes.
fn explain(error: &io::Error, kernel: &Kernel) -> Unfit {
    let release = kernel.release.clone();
    match error.raw_os_error() {
        Some(EPERM | EACCES) => match kernel.disabled {
            Some(2) => Unfit::Sysctl {
                value: 2,
                kernel: release,
                group: "",
            },
            Some(1) => Unfit::Sysctl {
                value: 1,
                kernel: release,
                group: ", or run njia in the group that kernel.io_uring_group names",
            },
            value => Unfit::Seccomp {
                kernel: release,
                value: value.map_or_else(|| "unknown".to_owned(), |value| value.to_string()),
            },
        },
        Some(ENOSYS) => Unfit::NoSuchCall { kernel: release },
        Some(ENOMEM) => Unfit::Memlock {
            limit: getrlimit(Resource::Memlock).current.unwrap_or(u64::MAX),
            needed: MEMLOCK_PER_EXECUTOR,
            shards: 1,
        },
        _ => Unfit::Ring {
            error: error.to_string(),
            kernel: release,
        },
    }
}

fn check_memlock(shards: u16) -> Result<(), Unfit> {
    let needed = MEMLOCK_PER_EXECUTOR.saturating_mul(u64::from(shards));
    raise(Resource::Memlock, needed).map_err(|limit| Unfit::Memlock {
        limit,
        needed,
        shards,
    })
}

fn check_descriptors(needed: u64) -> Result<(), Unfit> {
    raise(Resource::Nofile, needed).map_err(|limit| Unfit::OpenFiles { limit, needed })
}

/// Raises the soft limit to the hard one when it is below `needed`. The error is the limit that is
/// left, `None` means unlimited.
fn raise(resource: Resource, needed: u64) -> Result<(), u64> {
    let limit = getrlimit(resource);
    let enough = |value: Option<u64>| value.is_none_or(|value| value >= needed);
    if enough(limit.current) {
        return Ok(());
    }
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    match setrlimit(resource, raised) {
        Ok(()) if enough(limit.maximum) => Ok(()),
        Ok(()) => Err(limit.maximum.unwrap_or(u64::MAX)),
        Err(_) => Err(limit.current.unwrap_or(u64::MAX)),
    }
}

const RING_ENTRIES: u32 = 8;
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const ENOSYS: i32 = 38;

/// What glommio submits.
const OPERATIONS: [(u8, &str); 23] = [
    (opcode::Nop::CODE, "NOP"),
    (opcode::Readv::CODE, "READV"),
    (opcode::Writev::CODE, "WRITEV"),
    (opcode::Fsync::CODE, "FSYNC"),
    (opcode::ReadFixed::CODE, "READ_FIXED"),
    (opcode::WriteFixed::CODE, "WRITE_FIXED"),
    (opcode::PollAdd::CODE, "POLL_ADD"),
    (opcode::PollRemove::CODE, "POLL_REMOVE"),
    (opcode::SendMsg::CODE, "SENDMSG"),
    (opcode::RecvMsg::CODE, "RECVMSG"),
    (opcode::Timeout::CODE, "TIMEOUT"),
    (opcode::TimeoutRemove::CODE, "TIMEOUT_REMOVE"),
    (opcode::Accept::CODE, "ACCEPT"),
    (opcode::LinkTimeout::CODE, "LINK_TIMEOUT"),
    (opcode::Connect::CODE, "CONNECT"),
    (opcode::Fallocate::CODE, "FALLOCATE"),
    (opcode::OpenAt::CODE, "OPENAT"),
    (opcode::Close::CODE, "CLOSE"),
    (opcode::Statx::CODE, "STATX"),
    (opcode::Read::CODE, "READ"),
    (opcode::Write::CODE, "WRITE"),
    (opcode::Send::CODE, "SEND"),
    (opcode::Recv::CODE, "RECV"),
];
