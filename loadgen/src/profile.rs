//! How the offered rate changes over a run: `hold:10000@60s`, `ramp:1000..15000@60s`.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::numeric::whole;
use crate::units::parse_duration;

/// A piecewise linear rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    pieces: Vec<Piece>,
}

/// One stretch: the rate goes in a straight line from `from` to `to`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece {
    /// Transactions per second at its begin.
    from: f64,
    /// Transactions per second at its end.
    to: f64,
    /// Seconds.
    seconds: f64,
}

impl Profile {
    /// One rate for the whole run.
    #[must_use]
    pub fn hold(rate: f64, duration: Duration) -> Self {
        Self {
            pieces: vec![Piece::hold(rate, duration.as_secs_f64())],
        }
    }

    /// Reads pieces divided by commas: `hold:RATE@TIME`, `ramp:A..B@TIME`, `step:A..B/STEP@TIME`
    /// (each step lasts TIME), `pause@TIME`.
    ///
    /// # Errors
    /// An unknown piece, a rate that is not positive, or a piece without a time.
    pub fn parse(text: &str) -> Result<Self> {
        let mut pieces = Vec::new();
        for piece in text.split(',') {
            parse_piece(piece.trim(), &mut pieces)
                .with_context(|| format!("the profile piece `{piece}` cannot be read"))?;
        }
        Ok(Self { pieces })
    }

    /// The same profile after `warmup` at its first rate.
    #[must_use]
    pub fn after_warmup(&self, warmup: Duration) -> Self {
        let first = self.pieces.first().map_or(0.0, |piece| piece.from.max(1.0));
        let mut pieces = vec![Piece::hold(first, warmup.as_secs_f64())];
        pieces.extend_from_slice(&self.pieces);
        Self { pieces }
    }

    /// The same times with this share of each rate.
    #[must_use]
    pub fn scaled(&self, share: f64) -> Self {
        let pieces = self.pieces.iter().map(|piece| Piece {
            from: piece.from * share,
            to: piece.to * share,
            ..*piece
        });
        Self {
            pieces: pieces.collect(),
        }
    }

    /// How long it lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        let seconds: f64 = self.pieces.iter().map(|piece| piece.seconds).sum();
        Duration::from_nanos(whole(seconds * 1e9))
    }

    /// How many transactions it offers on average.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.pieces.iter().map(Piece::offered).sum()
    }

    /// Walks from a number of transactions to the moment at which the profile has offered that
    /// many.
    #[must_use]
    pub fn moments(&self) -> Moments<'_> {
        Moments {
            pieces: &self.pieces,
            offered: 0.0,
            seconds: 0.0,
        }
    }
}

impl Piece {
    const fn hold(rate: f64, seconds: f64) -> Self {
        Self {
            from: rate,
            to: rate,
            seconds,
        }
    }

    fn offered(&self) -> f64 {
        (self.from + self.to) / 2.0 * self.seconds
    }

    /// Seconds into the piece at which `offered` transactions have been offered in it.
    fn moment(&self, offered: f64) -> f64 {
        let slope = (self.to - self.from) / self.seconds;
        // The root of from·t + slope·t²/2 = offered in the form that does not cancel.
        let root = (self.from * self.from + 2.0 * slope * offered)
            .max(0.0)
            .sqrt();
        2.0 * offered / (self.from + root)
    }
}

/// See [`Profile::moments`]. Asked with growing numbers only.
#[derive(Debug)]
pub struct Moments<'a> {
    pieces: &'a [Piece],
    offered: f64,
    seconds: f64,
}

impl Moments<'_> {
    /// Seconds from the begin until `offered` transactions have been offered; `None` past the end.
    pub fn at(&mut self, offered: f64) -> Option<f64> {
        while let Some((piece, rest)) = self.pieces.split_first() {
            let within = offered - self.offered;
            if within < piece.offered() {
                return Some(self.seconds + piece.moment(within));
            }
            self.offered += piece.offered();
            self.seconds += piece.seconds;
            self.pieces = rest;
        }
        None
    }
}

fn parse_piece(piece: &str, pieces: &mut Vec<Piece>) -> Result<()> {
    let (shape, time) = piece
        .split_once('@')
        .context("it lacks its time: write it behind an @")?;
    let seconds = parse_duration(time)?.as_secs_f64();
    if seconds <= 0.0 {
        bail!("its time is zero");
    }
    match shape.split_once(':') {
        None if shape == "pause" => pieces.push(Piece::hold(0.0, seconds)),
        Some(("hold", rate)) => pieces.push(Piece::hold(parse_rate(rate)?, seconds)),
        Some(("ramp", range)) => {
            let (from, to) = parse_range(range)?;
            pieces.push(Piece { from, to, seconds });
        }
        Some(("step", range)) => parse_steps(range, seconds, pieces)?,
        _ => bail!("write hold:RATE@TIME, ramp:A..B@TIME, step:A..B/STEP@TIME or pause@TIME"),
    }
    Ok(())
}

fn parse_steps(text: &str, seconds: f64, pieces: &mut Vec<Piece>) -> Result<()> {
    let (range, step) = text.split_once('/').context("a step lacks its size")?;
    let ((from, to), step) = (parse_range(range)?, parse_rate(step)?);
    if to < from || (to - from) / step > 10_000.0 {
        bail!("steps go upward, and there are at most 10,000 of them");
    }
    let mut rate = from;
    while rate <= to {
        pieces.push(Piece::hold(rate, seconds));
        rate += step;
    }
    Ok(())
}

fn parse_range(text: &str) -> Result<(f64, f64)> {
    let (from, to) = text.split_once("..").context("a range is written A..B")?;
    Ok((parse_rate(from)?, parse_rate(to)?))
}

fn parse_rate(text: &str) -> Result<f64> {
    let rate: f64 = text
        .trim()
        .parse()
        .with_context(|| format!("`{text}` is not a rate"))?;
    if !(rate > 0.0 && rate <= 10_000_000.0) {
        bail!("the rate {text} is not between 0 and 10,000,000 per second");
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_adds_up() {
        let profile = Profile::parse("ramp:1000..3000@10s,hold:3000@5s,pause@1s").unwrap();
        assert_eq!(profile.duration(), Duration::from_secs(16));
        assert!((profile.expected() - 35_000.0).abs() < 1e-6);
        let steps = Profile::parse("step:100..300/100@2s").unwrap();
        assert!((steps.expected() - 1_200.0).abs() < 1e-6);
    }

    #[test]
    fn moments_invert_the_offered_number() {
        let profile = Profile::parse("ramp:1000..3000@10s,hold:3000@5s").unwrap();
        let mut moments = profile.moments();
        assert!(moments.at(0.0).unwrap().abs() < 1e-9);
        // After 5 s of the ramp: 1000·5 + 200·25/2.
        assert!((moments.at(7_500.0).unwrap() - 5.0).abs() < 1e-9);
        assert!((moments.at(20_000.0).unwrap() - 10.0).abs() < 1e-9);
        assert!((moments.at(23_000.0).unwrap() - 11.0).abs() < 1e-9);
        assert_eq!(moments.at(35_000.0), None);
    }

    #[test]
    fn unreadable_pieces_are_refused() {
        for wrong in [
            "",
            "hold:10",
            "hold:-1@1s",
            "ramp:1@1s",
            "pause@0s",
            "spike:1@1s",
        ] {
            assert!(Profile::parse(wrong).is_err(), "{wrong}");
        }
    }
}
