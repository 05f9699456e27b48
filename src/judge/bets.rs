//! The harm test and the fuse: capital that bets against "the canary is no worse than it may be".
//!
//! Two processes side by side, each a mixture over the rungs of the ladder: `relative` bets that the canary's rate is
//! above `ratio` times stable's, `floor` that it is above a fixed share. Each factor has mean at most 1 under its null
//! for every base rate and every share of traffic, changing from poll to poll as they like (docs/verdicts.md, "Why it
//! may be looked at at any time"). Must not know what follows from the capital.
//!
//! Numbers: a factor is computed as the exponential of a sum of logarithms. Its relative error is at most
//! (2 T + 4) × 2⁻⁵², T being the sum of the absolute values of what is added up (not |ln L|: both sides may be large and
//! cancel). Then come one addition and one multiplication of positive numbers, so after n polls a capital is off by a
//! relative n × (2 max T + 8) × 2⁻⁵² at most (10⁻⁹ after 1,000 polls of 100 errors each). What would overflow is cut, a
//! factor at e⁷⁰⁰ and a bet at `MOST`, and what falls below `LEAST` is 0: this makes capital smaller, which can only delay
//! a verdict and never forge one. Left alone it would forge one: 0 times infinity is no number.

use super::{LADDER, Poll, RUNGS, Stakes, float};

/// Stakes after the first poll: a defect that comes late finds capital that was not lost yet.
const TRICKLE: f64 = 1.0 / 256.0;
/// Up to this poll both kinds of stakes are the same.
const LASTING: u32 = 256;
/// The part of the capital that is staked at once.
const FIRST_STAKE: f64 = 0.5;
/// Alternatives of the floor end here: beyond it a bet would lose everything on one good request.
const HIGHEST_RATE: f64 = 0.9;
/// A bet is cut here.
pub(super) const MOST: f64 = 1e300;
/// A bet below this is lost. The smallest floats are rounded up as often as down: such a bet would stop shrinking.
const LEAST: f64 = 1e-300;
/// ln of where a factor is cut, so that it stays finite.
const MOST_LOG: f64 = 700.0;

/// What a null fixes, computed once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Table {
    /// r0, the canary may have this many times stable's rate, and rungs above it.
    ratios: Ratios,
    /// ln of what one bad canary request multiplies the floor's bets by.
    floor_bad: [f64; RUNGS],
    /// ln of what one good canary request multiplies the floor's bets by.
    floor_good: [f64; RUNGS],
    /// 1/phi: counts that scatter more than by chance are believed less (Jensen: the mean stays at most 1).
    power: f64,
    /// ln of the most that one poll may multiply a bet by: no single poll decides.
    cap: f64,
    stakes: Stakes,
}

impl Table {
    /// With `capped_for` = alpha one poll multiplies a bet by at most alpha^(-1/3): four polls are needed.
    pub(super) fn new(ratio: f64, floor: f64, dispersion: f64, capped_for: Option<f64>, stakes: Stakes) -> Self {
        let rate = |rung: f64| (floor * rung).min(HIGHEST_RATE);
        Self {
            ratios: Ratios::new(ratio, LADDER.map(|rung| ratio * rung)),
            floor_bad: LADDER.map(|rung| (rate(rung) / floor).ln()),
            floor_good: LADDER.map(|rung| (-rate(rung)).ln_1p() - (-floor).ln_1p()),
            power: 1.0 / dispersion,
            cap: capped_for.map_or(MOST_LOG, |alpha| -alpha.ln() / 3.0),
            stakes,
        }
    }

    /// The factor by which a bet grows whose logarithm was `log`.
    fn factor(&self, log: f64) -> f64 {
        (log * self.power).min(self.cap).exp()
    }
}

/// A null about how many times stable's rate the canary's is, and what is bet on instead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ratios {
    pub(super) null: f64,
    pub(super) alternatives: [f64; RUNGS],
    /// ln of each alternative by the null.
    steps: [f64; RUNGS],
}

impl Ratios {
    pub(super) fn new(null: f64, alternatives: [f64; RUNGS]) -> Self {
        Self { null, alternatives, steps: alternatives.map(|alternative| (alternative / null).ln()) }
    }

    /// ln of what a poll multiplies each bet by, given how many bad requests there were in all:
    /// (θ1/θ0)^x_c × ((1−θ1)/(1−θ0))^x_s with θ(r) = r w / (r w + 1 − w), the share of bad requests that then fall on the
    /// canary. The common factors cancel. Without stable there is nothing to compare with: 0, exactly, as without bad
    /// requests.
    pub(super) fn logs(&self, poll: &Poll) -> [f64; RUNGS] {
        let (canary, stable) = (float(poll.canary.bad), float(poll.stable.bad));
        let (share, all) = (poll.share(), canary + stable);
        if poll.stable.requests == 0 || all == 0.0 {
            return [0.0; RUNGS];
        }
        // r w + 1 − w, as 1 + w (r − 1) so that nothing is lost where w is small.
        let level = |ratio: f64| (share * (ratio - 1.0)).ln_1p();
        let null = level(self.null);
        let mut logs = self.alternatives.map(|alternative| all * (null - level(alternative)));
        for (log, step) in logs.iter_mut().zip(self.steps) {
            *log += canary * step;
        }
        logs
    }
}

/// What the bets on both sides stand at.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bets {
    /// Polls seen; the cash that is not staked yet follows from it.
    pub(super) polls: u32,
    pub(super) relative: [f64; RUNGS],
    pub(super) floor: [f64; RUNGS],
}

impl Bets {
    /// One poll: a stake is laid, every bet grows or shrinks. Without canary requests every factor is 1.
    pub(super) fn look(&mut self, table: &Table, poll: &Poll) {
        let cash = |polls: u32| cash(polls, table.stakes);
        let stake = (cash(self.polls) - cash(self.polls.saturating_add(1))) / float(RUNGS as u64);
        self.polls = self.polls.saturating_add(1);
        let bad = float(poll.canary.bad.min(poll.canary.requests));
        let good = float(poll.canary.requests) - bad;
        for (bet, log) in self.relative.iter_mut().zip(table.ratios.logs(poll)) {
            *bet = kept((*bet + stake) * table.factor(log));
        }
        for ((bet, on_bad), on_good) in self.floor.iter_mut().zip(table.floor_bad).zip(table.floor_good) {
            *bet = kept((*bet + stake) * table.factor(bad * on_bad + good * on_good));
        }
    }

    /// The capital of the relative and of the floor process.
    pub(super) fn wealth(&self, stakes: Stakes) -> (f64, f64) {
        let cash = cash(self.polls, stakes);
        (cash + self.relative.iter().sum::<f64>(), cash + self.floor.iter().sum::<f64>())
    }
}

/// A bet within what is kept.
fn kept(bet: f64) -> f64 {
    if bet < LEAST { 0.0 } else { bet.min(MOST) }
}

/// What is not staked after so many polls: half at first, then 1/256 of the rest at each, or 1/i at poll i if that lasts.
fn cash(polls: u32, stakes: Stakes) -> f64 {
    let trickled = |polls: u32| match polls.checked_sub(1) {
        None => 1.0,
        Some(later) => (1.0 - FIRST_STAKE) * (f64::from(later) * (-TRICKLE).ln_1p()).exp(),
    };
    match stakes {
        // The product of all 1 − 1/i from 257 to n is 256/n.
        Stakes::Lasting if polls > LASTING => trickled(LASTING) * f64::from(LASTING) / f64::from(polls),
        Stakes::Lasting | Stakes::Published => trickled(polls),
    }
}
