//! The table of steps and what follows from it, as text.

use std::fmt::Write as _;

use super::options::Options;
use super::step::{Step, Target};

/// Collects steps and puts them into words.
#[derive(Debug)]
pub struct Report<'a> {
    options: &'a Options,
    steps: Vec<Step>,
    limits: Vec<(Target, Option<u32>)>,
}

impl<'a> Report<'a> {
    /// Without steps.
    #[must_use]
    pub fn new(options: &'a Options) -> Self {
        Self {
            options,
            steps: Vec::new(),
            limits: Vec::new(),
        }
    }

    /// What is compared, and the head of the table.
    #[must_use]
    pub fn head(&self) -> String {
        let Options {
            executors,
            links,
            connections,
            step,
            latency,
            ..
        } = self.options;
        format!(
            "{executors} executor(s), {links} links to each of 2 issuers ({latency}), \
             {connections} sessions, {step} s a step\n\n\
             target    offered/s  verdict    p50 ms    p99 ms  CPU us/txn\n"
        )
    }

    /// One row of the table.
    #[must_use]
    pub fn line(&self, step: &Step) -> String {
        let Step {
            target,
            rate,
            verdict,
            p50_ms,
            p99_ms,
            cpu_us,
        } = step;
        format!(
            "{target:<8}  {rate:>9}  {verdict:<7}  {:>8}  {:>8}  {:>10}\n",
            figure(*p50_ms),
            figure(*p99_ms),
            figure(*cpu_us),
        )
    }

    /// Enters a step.
    pub fn add(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Enters the highest rate that `target` held.
    pub fn limit(&mut self, target: Target, held: Option<u32>) {
        self.limits.push((target, held));
    }

    /// Both limits, CPU per transaction, the ratios, and a warning where they mean less.
    #[must_use]
    pub fn conclusion(&self) -> String {
        let mut text = String::from("\n");
        let [base, other] = self.options.pair.targets();
        let (Some(first), Some(second)) = (self.held(base), self.held(other)) else {
            text.push_str("a target held no rate: there is nothing to compare\n");
            return text;
        };
        let bound = self.options.p99_ms;
        let share = f64::from(second) * 100.0 / f64::from(first);
        let _ = writeln!(
            text,
            "highest rate held at p99 < {bound} ms: {base} {first}/s, {other} {second}/s: \
             {share:.0} % of the {base}"
        );
        for (what, rates) in [("at its limit", [first, second]), self.common()] {
            text.push_str(&self.cpu_line(what, rates));
        }
        for (target, _) in &self.limits {
            if self.is_generator_bound(*target) {
                let _ = writeln!(
                    text,
                    "{target}: the load generator could not offer more; its limit lies higher"
                );
            }
        }
        text
    }

    fn cpu_line(&self, what: &str, rates: [u32; 2]) -> String {
        let cpu = |target, rate| self.find(target, rate).and_then(|step| step.cpu_us);
        let [base, other] = self.options.pair.targets();
        match (cpu(base, rates[0]), cpu(other, rates[1])) {
            (Some(first), Some(second)) => format!(
                "CPU per transaction {what}: {base} {first:.1} us at {}/s, \
                 {other} {second:.1} us at {}/s: {:.1} times the {base}\n",
                rates[0],
                rates[1],
                second / first,
            ),
            _ => String::new(),
        }
    }

    /// The highest rate that was offered to both and held by both.
    fn common(&self) -> (&'static str, [u32; 2]) {
        let [base, other] = self.options.pair.targets();
        let held = self.held(other).unwrap_or_default();
        let rates = self.steps.iter().filter(|step| step.target == base);
        let rates = rates.map(|step| step.rate).filter(|rate| *rate <= held);
        let is_offered = |rate: &u32| self.find(other, *rate).is_some();
        let rate = rates.filter(is_offered).max().unwrap_or_default();
        ("at the same rate", [rate, rate])
    }

    fn held(&self, target: Target) -> Option<u32> {
        self.limits
            .iter()
            .find(|(known, _)| *known == target)
            .and_then(|(_, held)| *held)
    }

    fn find(&self, target: Target, rate: u32) -> Option<&Step> {
        self.steps
            .iter()
            .find(|step| step.target == target && step.rate == rate)
    }

    /// Whether the lowest rate that was not held was not offered either.
    fn is_generator_bound(&self, target: Target) -> bool {
        let held = self.held(target).unwrap_or_default();
        let above = self
            .steps
            .iter()
            .filter(|step| step.target == target && step.rate > held);
        above
            .min_by_key(|step| step.rate)
            .is_some_and(|step| step.verdict == "INVALID")
    }
}

fn figure(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn step(target: Target, rate: u32, verdict: &str, cpu_us: f64) -> Step {
        let verdict = verdict.to_owned();
        Step {
            target,
            rate,
            verdict,
            p50_ms: Some(5.0),
            p99_ms: None,
            cpu_us: Some(cpu_us),
        }
    }

    #[test]
    fn limits_are_set_side_by_side() {
        let options = Options::parse_from(["limit"]);
        let mut report = Report::new(&options);
        report.add(step(Target::Relay, 10_000, "PASS", 8.0));
        report.add(step(Target::Relay, 80_000, "PASS", 4.0));
        report.add(step(Target::Relay, 160_000, "INVALID", 4.0));
        report.add(step(Target::Switch, 10_000, "PASS", 20.0));
        report.add(step(Target::Switch, 40_000, "PASS", 12.0));
        report.add(step(Target::Switch, 80_000, "FAIL", 12.0));
        report.limit(Target::Relay, Some(80_000));
        report.limit(Target::Switch, Some(40_000));
        let text = report.conclusion();
        assert!(
            text.contains("relay 80000/s, switch 40000/s: 50 % of the relay"),
            "{text}"
        );
        assert!(
            text.contains("switch 12.0 us at 40000/s: 3.0 times"),
            "{text}"
        );
        assert!(
            text.contains("switch 20.0 us at 10000/s: 2.5 times"),
            "{text}"
        );
        assert!(
            text.contains("relay: the load generator could not offer more"),
            "{text}"
        );
        assert!(!text.contains("switch: the load generator"), "{text}");
    }

    #[test]
    fn each_pair_has_its_own_names() {
        for (pair, line) in [
            ("tls", "switch 20000/s, tls 15000/s: 75 % of the switch"),
            ("gateway", "echo 20000/s, gateway 15000/s: 75 % of the echo"),
        ] {
            let options = Options::parse_from(["limit", "--pair", pair]);
            let mut report = Report::new(&options);
            let [base, other] = options.pair.targets();
            report.limit(base, Some(20_000));
            report.limit(other, Some(15_000));
            let text = report.conclusion();
            assert!(text.contains(line), "{text}");
        }
    }

    #[test]
    fn a_target_that_holds_nothing_is_not_compared() {
        let options = Options::parse_from(["limit"]);
        let mut report = Report::new(&options);
        report.limit(Target::Relay, Some(1_000));
        report.limit(Target::Switch, None);
        assert!(report.conclusion().contains("nothing to compare"));
    }

    #[test]
    fn an_unknown_figure_is_a_dash() {
        let options = Options::parse_from(["limit"]);
        let line = Report::new(&options).line(&step(Target::Relay, 1, "FAIL", 1.25));
        assert_eq!(
            line.split_whitespace().collect::<Vec<_>>(),
            ["relay", "1", "FAIL", "5.0", "-", "1.2"]
        );
    }
}
