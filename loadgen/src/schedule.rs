//! When each transaction is meant to be sent: computed before the run, from a seed.
//!
//! A transaction is due at its time whether or not earlier ones were answered (open loop), so a
//! target that stalls cannot slow its own measurement down.

use std::str::FromStr;

use anyhow::{Result, bail};

use crate::numeric::{index, real, whole};
use crate::profile::Profile;
use crate::random::Random;

/// How arrivals are spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Independent arrivals: what many cardholders look like. The default.
    Poisson,
    /// Even spacing: hides queueing, so it must be asked for.
    Constant,
    /// Groups of this many at Poisson moments.
    Burst(u32),
}

impl FromStr for Arrival {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.split_once(':') {
            None if text == "poisson" => Ok(Self::Poisson),
            None if text == "constant" => Ok(Self::Constant),
            Some(("burst", size)) => match size.parse() {
                Ok(size @ 1..=100_000) => Ok(Self::Burst(size)),
                _ => bail!("a burst has 1 to 100,000 transactions"),
            },
            _ => bail!("`{text}` is not an arrival: poisson, constant or burst:N"),
        }
    }
}

/// Which part of the offered load one generator thread sends.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// This thread, from 0.
    pub thread: u32,
    /// Threads in all.
    pub threads: u32,
}

/// Intended times of one generator thread, ascending, in nanoseconds from the begin of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    times: Vec<u64>,
}

impl Schedule {
    /// Lays out `profile` for one thread. The threads together offer the whole profile: thinned
    /// Poisson processes add up to one Poisson process.
    #[must_use]
    pub fn build(profile: &Profile, arrival: Arrival, share: Share, seed: u64) -> Self {
        let threads = f64::from(share.threads.max(1));
        let mut random = Random::stream(seed, 0x5C4E_D01E ^ u64::from(share.thread));
        let mut moments = profile.moments();
        let mut times = Vec::with_capacity(index(whole(profile.expected() / threads * 1.02)));
        let mut offered = match arrival {
            Arrival::Constant => f64::from(share.thread),
            Arrival::Poisson | Arrival::Burst(_) => step(arrival, &mut random) * threads,
        };
        while let Some(seconds) = moments.at(offered) {
            let time = whole(seconds * 1e9);
            match arrival {
                Arrival::Burst(size) => times.extend((0..size).map(|_| time)),
                Arrival::Poisson | Arrival::Constant => times.push(time),
            }
            offered += step(arrival, &mut random) * threads;
        }
        Self { times }
    }

    /// The times.
    #[must_use]
    pub fn times(&self) -> &[u64] {
        &self.times
    }

    /// How many lie before `nanos`.
    #[must_use]
    pub fn before(&self, nanos: u64) -> u64 {
        crate::numeric::count(self.times.partition_point(|time| *time < nanos))
    }
}

/// Transactions offered between one moment of sending and the next.
fn step(arrival: Arrival, random: &mut Random) -> f64 {
    match arrival {
        Arrival::Constant => 1.0,
        Arrival::Poisson => random.exponential(),
        Arrival::Burst(size) => random.exponential() * real(u64::from(size)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ALONE: Share = Share {
        thread: 0,
        threads: 1,
    };

    fn gaps(schedule: &Schedule) -> (f64, f64) {
        let gaps: Vec<f64> = schedule
            .times()
            .windows(2)
            .map(|pair| real(pair[1] - pair[0]))
            .collect();
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        (mean, variance)
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let profile = Profile::hold(5_000.0, Duration::from_secs(2));
        let build = |seed| Schedule::build(&profile, Arrival::Poisson, ALONE, seed);
        assert_eq!(build(42), build(42));
        assert_ne!(build(42), build(43));
    }

    #[test]
    fn poisson_gaps_have_the_mean_and_the_variance_of_the_exponential() {
        let profile = Profile::hold(10_000.0, Duration::from_secs(20));
        let schedule = Schedule::build(&profile, Arrival::Poisson, ALONE, 42);
        let (mean, variance) = gaps(&schedule);
        assert!((mean / 1e5 - 1.0).abs() < 0.01, "mean {mean}");
        assert!((variance / 1e10 - 1.0).abs() < 0.03, "variance {variance}");
        let count = schedule.times().len() as f64;
        assert!((count - 200_000.0).abs() < 4.0 * 200_000_f64.sqrt());
        assert!(schedule.times().is_sorted());
    }

    #[test]
    fn constant_arrivals_are_evenly_spaced_over_all_threads() {
        let profile = Profile::hold(1_000.0, Duration::from_secs(1));
        let mut all: Vec<u64> = (0..3)
            .flat_map(|thread| {
                let share = Share { thread, threads: 3 };
                Schedule::build(&profile, Arrival::Constant, share, 1)
                    .times()
                    .to_vec()
            })
            .collect();
        all.sort_unstable();
        assert_eq!(all.len(), 1_000);
        let uneven = all
            .windows(2)
            .filter(|pair| (pair[1] - pair[0]).abs_diff(1_000_000) > 2)
            .count();
        assert_eq!(uneven, 0);
    }

    #[test]
    fn threads_together_offer_the_whole_profile() {
        let profile = Profile::parse("ramp:1000..9000@10s").unwrap();
        let total: usize = (0..4)
            .map(|thread| {
                let share = Share { thread, threads: 4 };
                Schedule::build(&profile, Arrival::Poisson, share, 42)
                    .times()
                    .len()
            })
            .sum();
        assert!((total as f64 - 50_000.0).abs() < 4.0 * 50_000_f64.sqrt());
    }

    #[test]
    fn bursts_come_in_groups() {
        let profile = Profile::hold(1_000.0, Duration::from_secs(10));
        let schedule = Schedule::build(&profile, Arrival::Burst(20), ALONE, 42);
        let groups = schedule.times().chunk_by(|a, b| a == b);
        assert!(groups.clone().all(|group| group.len() == 20));
        assert!((400..600).contains(&groups.count()));
    }

    #[test]
    fn arrivals_are_named() {
        assert_eq!("poisson".parse::<Arrival>().unwrap(), Arrival::Poisson);
        assert_eq!("burst:20".parse::<Arrival>().unwrap(), Arrival::Burst(20));
        assert!("burst:0".parse::<Arrival>().is_err());
        assert!("even".parse::<Arrival>().is_err());
    }
}
