//! Reads the switch's own metrics.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The admin listener of a switch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Metrics {
    admin: SocketAddr,
}

/// One scrape.
#[derive(Debug, Default)]
pub(super) struct Samples {
    samples: Vec<(String, f64)>,
}

impl Metrics {
    pub(super) const fn new(admin: SocketAddr) -> Self {
        Self { admin }
    }

    pub(super) fn read(&self) -> Result<Samples> {
        let limit = Duration::from_secs(5);
        let mut socket = TcpStream::connect_timeout(&self.admin, limit)
            .context("the switch's metrics cannot be reached")?;
        socket.set_read_timeout(Some(limit))?;
        let admin = self.admin;
        // HTTP/1.0: an answer in chunks would have to be joined.
        write!(socket, "GET /metrics HTTP/1.0\r\nHost: {admin}\r\n\r\n")?;
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("the switch's metrics are no HTTP answer")?;
        if head.split(' ').nth(1) != Some("200") {
            bail!(
                "the switch refuses its metrics: {}",
                head.lines().next().unwrap_or_default()
            );
        }
        Ok(Samples::parse(body))
    }
}

impl Samples {
    /// Lines that are no samples, such as comments, are left out.
    fn parse(text: &str) -> Self {
        let samples = text
            .lines()
            .filter(|line| line.starts_with("njia_"))
            .filter_map(|line| {
                let (series, value) = line.rsplit_once(' ')?;
                Some((series.to_owned(), value.trim().parse().ok()?))
            })
            .collect();
        Self { samples }
    }

    /// The sum of a metric over all its series.
    pub(super) fn sum(&self, metric: &str) -> f64 {
        let of = |series: &str| series.split('{').next() == Some(metric);
        let samples = self.samples.iter().filter(|(series, _)| of(series));
        samples.map(|(_, value)| value).sum()
    }

    /// Nothing is in flight, and no reversal is owed.
    pub(super) fn is_settled(&self) -> bool {
        self.sum("njia_saf_depth") < 0.5 && self.sum("njia_inflight_transactions") < 0.5
    }

    /// The state of each breaker, by its labels without the state.
    pub(super) fn breakers(&self) -> BTreeMap<String, String> {
        let mut states = BTreeMap::new();
        for (series, value) in &self.samples {
            let Some(labels) = series.strip_prefix("njia_breaker_state{") else {
                continue;
            };
            if *value < 0.5 {
                continue;
            }
            let (mut name, mut state) = (Vec::new(), String::new());
            for label in labels.trim_end_matches('}').split(',') {
                match label.split_once('=') {
                    Some(("state", value)) => state = value.trim_matches('"').to_owned(),
                    Some((_, value)) => name.push(value.trim_matches('"').to_owned()),
                    None => {}
                }
            }
            states.insert(name.join(" "), state);
        }
        states
    }

    /// How often breakers went into a state.
    pub(super) fn transitions(&self, to: &str) -> f64 {
        let wanted = format!("to=\"{to}\"");
        let samples = self.samples.iter().filter(|(series, _)| {
            series.starts_with("njia_breaker_transitions_total{") && series.contains(&wanted)
        });
        samples.map(|(_, value)| value).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_summed() {
        let samples = Samples::parse(
            "# HELP njia_saf_depth owed\n\
             njia_saf_depth{issuer=\"bank\"} 2\n\
             njia_saf_depth{issuer=\"momo\"} 3\n\
             njia_saf_depth_other 7\n\
             njia_breaker_state{route=\"bank-cards\",state=\"closed\"} 0\n\
             njia_breaker_state{route=\"bank-cards\",state=\"open\"} 1\n\
             njia_breaker_transitions_total{route=\"a\",to=\"open\"} 2\n\
             njia_breaker_transitions_total{route=\"b\",to=\"open\"} 1\n",
        );
        assert!((samples.sum("njia_saf_depth") - 5.0).abs() < 1e-9);
        assert!(!samples.is_settled());
        assert_eq!(samples.breakers()["bank-cards"], "open");
        assert!((samples.transitions("open") - 3.0).abs() < 1e-9);
        assert!(Samples::default().is_settled());
    }
}
