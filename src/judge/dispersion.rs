//! How much more than by chance the errors of a service scatter between its pods and over time.
//!
//! Measured on stable before a rollout, so that it is known before the first poll. Errors that come in bursts carry
//! less evidence than their number says; `bets` and `safety` take the root of order phi of each factor. Pearson's
//! statistic over pods and polls, with two pseudo-counts against small samples. Must not look at the canary.

use super::float;

/// What one pod served in one interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PodCount {
    /// Requests.
    pub requests: u64,
    /// Bad ones among them.
    pub bad: u64,
}

/// Gathers the intervals of stable's pods.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Dispersion {
    squares: f64,
    expected: f64,
}

/// Pseudo-counts on both sides of the fraction.
const PRIOR: f64 = 2.0;

impl Dispersion {
    /// Takes in what the pods served in one interval. Fewer than two pods say nothing about scatter.
    pub fn add(&mut self, pods: &[PodCount]) {
        let (requests, bad) = pods.iter().fold((0.0, 0.0), |(n, x), pod| (n + float(pod.requests), x + float(pod.bad)));
        let serving = pods.iter().filter(|pod| pod.requests > 0).count();
        if serving < 2 {
            return;
        }
        let (rate, serving) = (bad / requests, float(serving as u64));
        let squares: f64 = pods.iter().map(|pod| (float(pod.bad) - float(pod.requests) * rate).powi(2)).sum();
        self.squares += squares * serving / (serving - 1.0);
        self.expected += bad;
    }

    /// phi: 1 for independent requests, never less.
    pub fn phi(&self) -> f64 {
        ((self.squares + PRIOR) / (self.expected + PRIOR)).max(1.0)
    }
}
