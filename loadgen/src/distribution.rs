//! Shapes of random values, as scenarios and simulators write them: `lognormal(20ms, 0.4)`.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::numeric::whole;
use crate::random::Random;
use crate::units::parse_duration;

/// A random value that is never negative. Times are in nanoseconds, amounts in minor units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    /// Always the same.
    Fixed(f64),
    /// Equally likely between two bounds.
    Uniform {
        /// The smallest.
        low: f64,
        /// The largest.
        high: f64,
    },
    /// The logarithm is normal: what latencies and amounts look like.
    Lognormal {
        /// Half of all values lie below it.
        median: f64,
        /// Deviation of the logarithm.
        sigma: f64,
    },
}

impl Distribution {
    /// Draws a value.
    pub fn sample(&self, random: &mut Random) -> f64 {
        match self {
            Self::Fixed(value) => *value,
            Self::Uniform { low, high } => low + (high - low) * random.unit(),
            Self::Lognormal { median, sigma } => median * (sigma * random.normal()).exp(),
        }
    }

    /// Draws a time.
    pub fn sample_nanos(&self, random: &mut Random) -> u64 {
        whole(self.sample(random))
    }

    /// Always this time.
    #[must_use]
    pub fn fixed_time(duration: Duration) -> Self {
        Self::Fixed(duration.as_secs_f64() * 1e9)
    }

    /// Reads a shape whose values are times: `20ms`, `uniform(1s, 5s)`, `lognormal(20ms, 0.4)`.
    ///
    /// # Errors
    /// An unknown shape, or a parameter that is not a time.
    pub fn parse_time(text: &str) -> Result<Self> {
        Self::parse(text, |time| Ok(parse_duration(time)?.as_secs_f64() * 1e9))
    }

    /// Reads a shape whose values are plain numbers: `1500`, `lognormal(45000, 0.8)`.
    ///
    /// # Errors
    /// An unknown shape, or a parameter that is not a number.
    pub fn parse_number(text: &str) -> Result<Self> {
        Self::parse(text, |number| {
            number
                .trim()
                .parse::<f64>()
                .with_context(|| format!("`{number}` is not a number"))
        })
    }

    fn parse(text: &str, value: impl Fn(&str) -> Result<f64>) -> Result<Self> {
        let text = text.trim();
        let Some((shape, rest)) = text.split_once('(') else {
            return Ok(Self::Fixed(value(text)?));
        };
        let parameters = rest
            .strip_suffix(')')
            .with_context(|| format!("`{text}` lacks its closing bracket"))?;
        let (first, second) = parameters
            .split_once(',')
            .with_context(|| format!("`{text}` needs two parameters"))?;
        match shape.trim() {
            "uniform" => Self::uniform(value(first)?, value(second)?),
            "lognormal" => Self::lognormal(value(first)?, second),
            other => bail!(
                "`{other}` is not a shape: write a value, uniform(a, b) or lognormal(median, sigma)"
            ),
        }
    }

    fn uniform(low: f64, high: f64) -> Result<Self> {
        if low > high {
            bail!("uniform: the first bound is above the second");
        }
        Ok(Self::Uniform { low, high })
    }

    fn lognormal(median: f64, sigma: &str) -> Result<Self> {
        let sigma: f64 = sigma
            .trim()
            .parse()
            .with_context(|| format!("lognormal: `{sigma}` is not a deviation"))?;
        if !(0.0..=5.0).contains(&sigma) {
            bail!("lognormal: the deviation is not between 0 and 5");
        }
        Ok(Self::Lognormal { median, sigma })
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(value) => write!(f, "{value}"),
            Self::Uniform { low, high } => write!(f, "uniform({low}, {high})"),
            Self::Lognormal { median, sigma } => write!(f, "lognormal({median}, {sigma})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_read_and_wrong_ones_refused() {
        assert_eq!(
            Distribution::parse_time("uniform(1s, 5s)").unwrap(),
            Distribution::Uniform {
                low: 1e9,
                high: 5e9
            }
        );
        assert_eq!(
            Distribution::parse_number("lognormal(45000, 0.8)").unwrap(),
            Distribution::Lognormal {
                median: 45_000.0,
                sigma: 0.8
            }
        );
        assert_eq!(
            Distribution::parse_number("12").unwrap(),
            Distribution::Fixed(12.0)
        );
        for wrong in ["normal(1ms, 2)", "uniform(5s, 1s)", "lognormal(1ms", "fast"] {
            assert!(Distribution::parse_time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn half_of_a_lognormal_lies_below_its_median() {
        let shape = Distribution::parse_time("lognormal(20ms, 0.4)").unwrap();
        let mut random = Random::new(3);
        let below = (0..100_000)
            .filter(|_| shape.sample(&mut random) < 20e6)
            .count();
        assert!((49_000..51_000).contains(&below), "{below}");
    }
}
