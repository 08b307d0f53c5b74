//! Who may name what: runtimes, clocks, locks, `unsafe`.

use super::source::{Finding, SourceFile, words};

/// A name and the only places where it may stand.
#[derive(Clone, Copy, Debug)]
pub struct Confined {
    pub names: &'static [&'static str],
    /// Folders end in `/`.
    pub places: &'static [&'static str],
    pub reason: &'static str,
}

/// Holds for production code and tests alike.
pub const CONFINED: [Confined; 8] = [
    Confined {
        names: &["glommio"],
        places: &[
            "switch/src/",
            "persistence/src/journal/",
            "persistence/src/journal.rs",
            "benches/",
        ],
        reason: "the data plane's runtime is replaced in these places alone",
    },
    Confined {
        names: &["tokio"],
        places: &[
            "switch/src/control/",
            "switch/src/control.rs",
            "persistence/src/applier/",
            "persistence/src/applier.rs",
            "loadgen/src/",
            "tests/",
        ],
        reason: "the control plane's runtime stays out of the data plane",
    },
    Confined {
        names: &["tokio_postgres", "refinery"],
        places: &[
            "switch/src/control/",
            "persistence/src/applier/",
            "persistence/src/applier.rs",
            "loadgen/src/",
            "tests/",
        ],
        reason: "only the applier and the audit speak to PostgreSQL",
    },
    Confined {
        names: &["rdkafka"],
        places: &[
            "persistence/src/events/",
            "persistence/src/events.rs",
            "tests/",
        ],
        reason: "events leave by one module, in builds that ask for them",
    },
    Confined {
        names: &["rkyv"],
        places: &["persistence/src/record.rs", "persistence/src/record/"],
        reason: "the format of payloads is known in one module",
    },
    Confined {
        names: &["parking_lot"],
        places: &[
            "switch/src/control/",
            "switch/src/control.rs",
            "loadgen/src/",
        ],
        reason: "a shard owns its state and takes no lock",
    },
    Confined {
        names: &["hdrhistogram"],
        places: &["loadgen/src/"],
        reason: "latency is judged by the load generator",
    },
    Confined {
        names: &["criterion"],
        places: &["benches/"],
        reason: "measurements stay out of the product",
    },
];

/// glommio is not for the control plane, although that lies below `switch/src/`.
pub const CONTROL_WITHOUT: Confined = Confined {
    names: &["glommio"],
    places: &["switch/src/control/", "switch/src/control.rs"],
    reason: "the control plane has a runtime of its own",
};

/// Where the clock may be read; tests and benches may measure.
const CLOCKS: [&str; 4] = [
    "switch/src/clock.rs",
    "loadgen/src/clock.rs",
    "tests/",
    "benches/",
];
/// Where `unsafe` may stand: system calls, and the allocator that counts in a test.
const UNSAFE_PACKAGES: [&str; 2] = ["switch/src/", "persistence/src/"];
const UNSAFE_IN_TESTS: [&str; 3] = [
    "tests/tests/allocation.rs",
    "tests/src/allocation.rs",
    "benches/examples/peer_allocations.rs",
];

/// Names that stand outside their places.
#[must_use]
pub fn confined(source: &SourceFile, rule: &Confined) -> Vec<Finding> {
    if source.is_below(rule.places) {
        Vec::new()
    } else {
        named(source, rule)
    }
}

/// Names that stand inside places which must do without them.
#[must_use]
pub fn kept_out(source: &SourceFile, rule: &Confined) -> Vec<Finding> {
    if source.is_below(rule.places) {
        named(source, rule)
    } else {
        Vec::new()
    }
}

fn named(source: &SourceFile, rule: &Confined) -> Vec<Finding> {
    let names = rule.names.iter().flat_map(|name| {
        words(&source.code, name)
            .filter(|offset| !is_member(&source.code, *offset))
            .map(move |offset| (offset, name))
    });
    names
        .map(|(offset, name)| source.finding(offset, format!("{name}: {}", rule.reason)))
        .collect()
}

/// Whether the word at `offset` is a field or method of something else, not a crate.
fn is_member(code: &str, offset: usize) -> bool {
    let before = code[..offset].trim_end();
    before.ends_with('.') || (before.ends_with("::") && before.len() > 2 && !is_rooted(before))
}

/// Whether `before` ends in a `::` that begins a path.
fn is_rooted(before: &str) -> bool {
    let head = before.trim_end_matches("::");
    !head.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '>')
}

/// Reads of the clock outside the two clock modules.
#[must_use]
pub fn clocks(source: &SourceFile) -> Vec<Finding> {
    if source.is_below(&CLOCKS) {
        return Vec::new();
    }
    let reads = ["Instant::now", "SystemTime::now"];
    let found = reads
        .iter()
        .flat_map(|read| words(&source.production, read));
    found
        .map(|offset| source.finding(offset, "time is an argument; clock.rs reads it"))
        .collect()
}

/// `unsafe` outside the two `sys.rs`.
#[must_use]
pub fn unsafe_code(source: &SourceFile) -> Vec<Finding> {
    let is_sys = source.is_below(&UNSAFE_PACKAGES) && source.path.ends_with("/sys.rs");
    if is_sys || source.is_below(&UNSAFE_IN_TESTS) {
        return Vec::new();
    }
    words(&source.code, "unsafe")
        .map(|offset| source.finding(offset, "unsafe belongs in the crate's sys.rs"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile::new(path, text)
    }

    fn confined_count(path: &str, text: &str) -> usize {
        CONFINED
            .iter()
            .map(|rule| confined(&file(path, text), rule).len())
            .sum()
    }

    #[test]
    fn a_runtime_outside_its_place_is_found() {
        assert_eq!(confined_count("domain/src/a.rs", "use glommio::Task;"), 1);
        assert_eq!(
            confined_count("switch/src/shard.rs", "use glommio::Task;"),
            0
        );
        assert_eq!(
            confined_count("switch/src/shard.rs", "fn a() { tokio::spawn(b) }"),
            1
        );
        assert_eq!(
            confined_count("persistence/src/reader.rs", "use glommio::io;"),
            1
        );
        assert_eq!(confined_count("loadgen/src/main.rs", "use tokio::net;"), 0);
        assert_eq!(
            confined_count("switch/src/shard.rs", "use parking_lot::Mutex;"),
            1
        );
        assert_eq!(
            confined_count("persistence/src/batch.rs", "use ::rkyv::Archive;"),
            1
        );
        assert_eq!(
            confined_count("router/src/a.rs", "x.criterion = a::criterion; // glommio"),
            0
        );
        assert_eq!(
            confined_count("switch/src/control/events.rs", "use rdkafka::Message;"),
            1
        );
        let control = file("switch/src/control/admin.rs", "use glommio::Task;");
        assert_eq!(kept_out(&control, &CONTROL_WITHOUT).len(), 1);
    }

    #[test]
    fn a_clock_outside_its_module_is_found() {
        let text =
            "fn a() { Instant::now(); }\n#[cfg(test)]\nmod tests { fn b() { Instant::now(); } }";
        assert_eq!(clocks(&file("switch/src/shard.rs", text)).len(), 1);
        assert_eq!(clocks(&file("switch/src/clock.rs", text)), []);
    }

    #[test]
    fn unsafe_outside_sys_is_found() {
        let text = "#![forbid(unsafe_code)]\nfn a() { unsafe { b() } }";
        assert_eq!(unsafe_code(&file("switch/src/shard.rs", text)).len(), 1);
        assert_eq!(unsafe_code(&file("loadgen/src/sys.rs", text)).len(), 1);
        assert_eq!(unsafe_code(&file("switch/src/sys.rs", text)), []);
    }
}
