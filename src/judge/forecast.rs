//! What to expect: how many requests a verdict takes, and how small a regression can be seen.
//!
//! Follows the expected path of each process instead of a random one; medians of real runs lie near it (compare the
//! tables of docs/verdicts.md). For messages and plans only. Must not be asked for a verdict.

use super::safety::Safety;
use super::{Evidence, Judge, LADDER, RUNGS, float};

/// What a judge can be expected to say of traffic with a known rate of bad requests.
#[derive(Debug, Clone, Copy)]
pub struct Forecast<'a> {
    judge: &'a Judge,
    /// Stable's share of bad requests.
    rate: f64,
    /// The canary's share of the requests.
    share: f64,
}

/// More requests than anyone waits for.
const NEVER: f64 = 1e9;

impl<'a> Forecast<'a> {
    /// For stable's rate of bad requests and the canary's share of traffic.
    pub fn new(judge: &'a Judge, rate: f64, share: f64) -> Self {
        Self { judge, rate: rate.clamp(0.0, 1.0), share: share.clamp(0.001, 0.999) }
    }

    /// How many more canary requests it takes until Safe, if the canary is as good as stable; `None` if it never is.
    pub fn until_safe(&self, evidence: &Evidence) -> Option<u64> {
        self.safe_after(&evidence.safety)
    }

    /// The same from the start of a wave.
    pub fn safe_from_start(&self) -> Option<u64> {
        self.safe_after(&Safety::default())
    }

    fn safe_after(&self, from: &Safety) -> Option<u64> {
        let exclusion = &self.judge.exclusion;
        // Bad requests of both versions per canary request.
        let bad = self.rate / self.share;
        let level = |ratio: f64| (self.share * (ratio - 1.0)).ln_1p();
        let mut growth = LADDER.map(|rung| self.rate * -rung.ln());
        for (log, alternative) in growth.iter_mut().zip(exclusion.ratios.alternatives) {
            *log = exclusion.power * (*log + bad * (level(exclusion.ratios.null) - level(alternative)));
        }
        let enough = |requests: f64| {
            let relative = growth.map(|log| log * requests);
            let wealth = from.wealth_with(exclusion, relative, requests * self.rate, requests * (1.0 - self.rate));
            wealth >= self.judge.safe_at()
        };
        smallest(enough)
    }

    /// The smallest rate of bad requests of the canary that is found as harm within so many canary requests in polls of
    /// `per_poll`; `None` if not even a total failure is.
    pub fn detects(&self, requests: f64, per_poll: f64) -> Option<f64> {
        let found = |rate: f64| self.harm_after(rate, per_poll).is_some_and(|needed| needed <= requests);
        if !found(1.0) {
            return None;
        }
        // Rates are searched on a scale of logarithms: 40 halvings are far finer than anybody reads.
        let (mut low, mut high) = (self.rate.max(1e-6).ln(), 0.0_f64);
        for _ in 0..40 {
            let middle = f64::midpoint(low, high);
            if found(middle.exp()) { high = middle } else { low = middle }
        }
        Some(high.exp())
    }

    /// Canary requests until a canary with this rate is found as harm: ln(2 J / alpha) over the growth of the best bet,
    /// the slower of both processes, no faster than the cap on a poll lets it.
    pub fn harm_after(&self, canary_rate: f64, per_poll: f64) -> Option<f64> {
        let policy = self.judge.policy();
        let level = |ratio: f64| (self.share * (ratio - 1.0)).ln_1p();
        let stable_bad = self.rate * (1.0 - self.share) / self.share;
        let best = |logs: [f64; RUNGS]| logs.into_iter().fold(f64::NEG_INFINITY, f64::max) / policy.dispersion;
        let relative = best(LADDER.map(|rung| {
            canary_rate * rung.ln()
                + (canary_rate + stable_bad) * (level(policy.tolerance) - level(policy.tolerance * rung))
        }));
        let floor = best(LADDER.map(|rung| {
            let rate = (policy.floor * rung).min(0.9);
            canary_rate * (rate / policy.floor).ln() + (1.0 - canary_rate) * ((-rate).ln_1p() - (-policy.floor).ln_1p())
        }));
        let most = -policy.alpha.ln() / 3.0 / per_poll.max(1e-9);
        let growth = relative.min(floor).min(most);
        let needed = (2.0 * float(RUNGS as u64) * self.judge.harm_at()).ln();
        (growth > 0.0).then(|| needed / growth).filter(|requests| *requests < NEVER)
    }
}

/// The smallest whole number for which a condition holds that holds for all larger ones too.
fn smallest(holds: impl Fn(f64) -> bool) -> Option<u64> {
    let mut high = 1_u64;
    while !holds(float(high)) {
        high = high.saturating_mul(2);
        if float(high) > NEVER {
            return None;
        }
    }
    let mut low = high.wrapping_div(2);
    while high.saturating_sub(low) > 1 {
        let middle = low.midpoint(high);
        if holds(float(middle)) { high = middle } else { low = middle }
    }
    Some(high)
}
