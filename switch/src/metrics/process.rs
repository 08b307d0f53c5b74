//! What the kernel knows of this process, read at the scrape.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::exposition::Source;
use super::fold::Sample;
use super::names::FamilyId;

/// The `process_*` families. What cannot be read is told as zero.
#[derive(Debug)]
pub(crate) struct Process;

impl Source for Process {
    fn samples(&self, family: FamilyId) -> Option<Vec<Sample>> {
        let value = match family {
            FamilyId::ProcessCpu => Stat::read().map(|stat| stat.cpu_nanos),
            FamilyId::ProcessOpenFds => open_descriptors(),
            FamilyId::ProcessMaxFds => getrlimit(Resource::Nofile).current,
            FamilyId::ProcessResident => Stat::read().map(|stat| stat.resident_bytes),
            FamilyId::ProcessStart => Stat::read().and_then(|stat| stat.start_nanos()),
            _ => return None,
        };
        Some(vec![Sample::number(value.unwrap_or(0))])
    }
}

/// The part of `/proc/self/stat` that is shown.
struct Stat {
    cpu_nanos: u64,
    resident_bytes: u64,
    /// Since the kernel's start.
    started_nanos: u64,
}

impl Stat {
    fn read() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// proc(5): the fields after the command, which stands in parentheses and may hold anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, after) = text.rsplit_once(')')?;
        let fields: Vec<&str> = after.split_whitespace().collect();
        let number = |position: usize| fields.get(position)?.parse::<u64>().ok();
        let page = u64::try_from(rustix::param::page_size()).ok()?;
        Some(Self {
            cpu_nanos: ticks_to_nanos(number(11)?.checked_add(number(12)?)?)?,
            resident_bytes: number(21)?.checked_mul(page)?,
            started_nanos: ticks_to_nanos(number(19)?)?,
        })
    }

    /// Since the Unix epoch.
    fn start_nanos(&self) -> Option<u64> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = line.trim().parse().ok()?;
        boot.checked_mul(1_000_000_000)?
            .checked_add(self.started_nanos)
    }
}

fn ticks_to_nanos(ticks: u64) -> Option<u64> {
    let per_second = rustix::param::clock_ticks_per_second();
    ticks.checked_mul(1_000_000_000)?.checked_div(per_second)
}

fn open_descriptors() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    // The directory itself is open while it is counted.
    u64::try_from(entries.count().saturating_sub(1)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_spaces_and_parentheses() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194304 90 0 0 0 150 50 0 0 20 0 3 0 200 9999 11 18446";
        let stat = Stat::parse(text).unwrap();
        let hz = rustix::param::clock_ticks_per_second();
        assert_eq!(stat.cpu_nanos, 200 * 1_000_000_000 / hz);
        assert_eq!(stat.resident_bytes, 11 * rustix::param::page_size() as u64);
        assert!(Stat::parse("7 (a").is_none());
    }

    #[test]
    fn this_process_is_known_to_the_kernel() {
        for name in [
            FamilyId::ProcessOpenFds,
            FamilyId::ProcessMaxFds,
            FamilyId::ProcessResident,
        ] {
            let samples = Process.samples(name).unwrap();
            assert_ne!(samples, [Sample::number(0)], "{name:?}");
        }
        let start = Process.samples(FamilyId::ProcessStart).unwrap();
        assert_ne!(start, [Sample::number(0)]);
        assert!(Process.samples(FamilyId::Requests).is_none());
    }
}
