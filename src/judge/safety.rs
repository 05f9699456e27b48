//! Evidence to advance: capital that bets against "the canary has at least the regression that is to be excluded".
//!
//! The same factors as in `bets`, with alternatives below the null; the whole stake is laid at the start of a wave and
//! no poll is capped. The null is "rate at least r2 times stable's and at least floor2", so the mean of both sides
//! counts. Kept as logarithms and sums: a regression that is clearly there drives a bet far below what a float holds,
//! and a wave may turn good again. Must not know what follows from the capital.

use super::bets::Ratios;
use super::{LADDER, Poll, RUNGS, float};

/// What is to be excluded, computed once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Exclusion {
    pub(super) ratios: Ratios,
    pub(super) on_bad: [f64; RUNGS],
    pub(super) on_good: [f64; RUNGS],
    pub(super) power: f64,
}

impl Exclusion {
    pub(super) fn new(ratio: f64, floor: f64, dispersion: f64) -> Self {
        Self {
            ratios: Ratios::new(ratio, LADDER.map(|rung| ratio / rung)),
            on_bad: LADDER.map(|rung| -f64::ln(rung)),
            on_good: LADDER.map(|rung| (-floor / rung).ln_1p() - (-floor).ln_1p()),
            power: 1.0 / dispersion,
        }
    }
}

/// What was seen in this wave.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Safety {
    /// ln of each bet that the canary's rate is a rung below r2 times stable's.
    pub(super) relative: [f64; RUNGS],
    /// Bad and good canary requests; the bets on the floor follow from these.
    pub(super) bad: u64,
    pub(super) good: u64,
}

impl Safety {
    pub(super) fn look(&mut self, exclusion: &Exclusion, poll: &Poll) {
        if poll.canary.requests == 0 {
            return;
        }
        let bad = poll.canary.bad.min(poll.canary.requests);
        self.bad = self.bad.saturating_add(bad);
        self.good = self.good.saturating_add(poll.canary.requests.saturating_sub(bad));
        for (log, more) in self.relative.iter_mut().zip(exclusion.ratios.logs(poll)) {
            *log += exclusion.power * more;
        }
    }

    /// The mean of all bets.
    pub(super) fn wealth(&self, exclusion: &Exclusion) -> f64 {
        self.wealth_with(exclusion, [0.0; RUNGS], 0.0, 0.0)
    }

    /// The same after more evidence, given as logarithms of the relative bets and as requests.
    pub(super) fn wealth_with(&self, exclusion: &Exclusion, relative: [f64; RUNGS], bad: f64, good: f64) -> f64 {
        let (bad, good) = (float(self.bad) + bad, float(self.good) + good);
        let relative = self.relative.iter().zip(relative).map(|(log, more)| (log + more).exp());
        let floor = exclusion.on_bad.iter().zip(exclusion.on_good);
        let floor = floor.map(|(on_bad, on_good)| (exclusion.power * (bad * on_bad + good * on_good)).exp());
        let sum: f64 = relative.chain(floor).sum();
        (sum / (2.0 * float(RUNGS as u64))).min(f64::MAX)
    }
}
