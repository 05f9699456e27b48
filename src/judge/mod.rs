//! judge: from counts of requests to Harm, Safe or Undecided, with a stated error rate.
//!
//! Pure arithmetic on integers: no clock, no network, no Kubernetes type. The operator (`decide`), `sluice judge` and
//! the simulation behind `docs/verdicts.md` run this very code. One [`Judge`] holds what a policy fixes, one
//! [`Evidence`] what was seen; [`Judge::look`] brings one poll from the former to the latter and allocates nothing.
//!
//! `bets` is the harm test and the fuse, `safety` the evidence to advance, `dispersion` the allowance for bursts,
//! `forecast` what to expect, `split` whether the share is as meant, `codec` the form in which evidence is kept. Formulas: docs/verdicts.md.

mod bets;
mod codec;
mod dispersion;
mod forecast;
mod safety;
pub mod split;

pub use codec::{KEPT_LENGTH, LENGTH as EVIDENCE_LENGTH};
pub use dispersion::{Dispersion, PodCount};
pub use forecast::Forecast;

use bets::{Bets, Table};
use safety::{Exclusion, Safety};

/// How many times the null's rate each alternative stands for: from what is hardly seen to a total failure.
const LADDER: [f64; RUNGS] = [1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 30.0, 100.0];
const RUNGS: usize = 8;
/// The largest floor that leaves room for alternatives above it (`bets` cuts them at 0.9).
pub const LARGEST_FLOOR: f64 = 0.5;
/// The largest tolerance and excluded ratio: far above any use, and far below where products of it overflow.
pub const LARGEST_RATIO: f64 = 1000.0;
/// The part of alpha that the fuse may use up.
const FUSE_PART: f64 = 0.1;
/// The fuse's null: ten times stable's rate, and one in five.
const FUSE_RATIO: f64 = 10.0;
const FUSE_FLOOR: f64 = 0.2;

/// Requests of one version in one interval, and how many of them were bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Arm {
    /// Requests.
    pub requests: u64,
    /// Bad ones among them.
    pub bad: u64,
}

/// What one interval brought: requests of both versions in the same time, never counted before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Poll {
    /// The new version.
    pub canary: Arm,
    /// The version beside it.
    pub stable: Arm,
}

impl Poll {
    /// From canary errors and requests, stable errors and requests.
    pub const fn new(canary_bad: u64, canary: u64, stable_bad: u64, stable: u64) -> Self {
        Self { canary: Arm { requests: canary, bad: canary_bad }, stable: Arm { requests: stable, bad: stable_bad } }
    }

    /// Observed share of the canary in the requests of both. Never the configured weight: if that were wrong, the test
    /// would be. 0 without requests.
    pub fn share(&self) -> f64 {
        let (canary, stable) = (float(self.canary.requests), float(self.stable.requests));
        if canary > 0.0 { canary / (canary + stable) } else { 0.0 }
    }
}

/// What counts as harm and what as evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The canary may fail this many times as often as stable.
    pub tolerance: f64,
    /// A share of bad requests up to this is never harm.
    pub floor: f64,
    /// The most that the chance of a false harm may be over the whole run, however often it is looked at.
    pub alpha: f64,
    /// Safe excludes a canary that fails this many times as often as stable …
    pub exclude_ratio: f64,
    /// … and at least this often.
    pub exclude_floor: f64,
    /// The most that the chance may be to call such a canary safe.
    pub beta: f64,
    /// How much more than by chance the counts scatter; 1 for independent requests.
    pub dispersion: f64,
    /// How the capital that is not staked at once is spread over later polls.
    pub stakes: Stakes,
}

/// How capital is staked after the first poll. Any stakes that are fixed before the poll keep the promise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stakes {
    /// 1/256 of the cash at each poll: after thousands of polls next to nothing is left to find a late defect with.
    #[default]
    Published,
    /// The same for 256 polls, then 1/i of the cash at poll i: it never runs out.
    Lasting,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            tolerance: 1.25,
            floor: 0.001,
            alpha: 0.01,
            exclude_ratio: 2.0,
            exclude_floor: 0.005,
            beta: 0.05,
            dispersion: 1.0,
            stakes: Stakes::Published,
        }
    }
}

/// A number of a policy that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{field} is {value}, it must be {expected}")]
pub struct InvalidPolicy {
    /// The field.
    pub field: &'static str,
    /// What it is.
    pub value: f64,
    /// What it may be.
    pub expected: &'static str,
}

impl Policy {
    /// Whether the numbers make sense.
    pub fn validate(&self) -> Result<(), InvalidPolicy> {
        let share = |value: f64| value > 0.0 && value <= LARGEST_FLOOR;
        let ratio = |value: f64| (1.0..=LARGEST_RATIO).contains(&value);
        let checks = [
            ("tolerance", self.tolerance, ratio(self.tolerance), "between 1 and 1000"),
            ("floor", self.floor, share(self.floor), "above 0 and at most 0.5"),
            ("alpha", self.alpha, share(self.alpha), "above 0 and at most 0.5"),
            (
                "r2",
                self.exclude_ratio,
                ratio(self.exclude_ratio) && self.exclude_ratio > 1.0,
                "more than 1 and at most 1000",
            ),
            ("floor2", self.exclude_floor, share(self.exclude_floor), "above 0 and at most 0.5"),
            ("beta", self.beta, share(self.beta), "above 0 and at most 0.5"),
            ("phi", self.dispersion, self.dispersion >= 1.0 && self.dispersion.is_finite(), "1 or more"),
        ];
        match checks.into_iter().find(|(_, _, good, _)| !good) {
            Some((field, value, _, expected)) => Err(InvalidPolicy { field, value, expected }),
            None => Ok(()),
        }
    }
}

/// What the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The canary is worse than it may be.
    Harm,
    /// A regression of the size that is to be excluded is excluded.
    Safe,
    /// Neither yet.
    Undecided,
}

impl Verdict {
    /// One word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Harm => "Harm",
            Self::Safe => "Safe",
            Self::Undecided => "Undecided",
        }
    }
}

/// The capitals: what a gambler would own who bet against each null at fair odds, starting with 1. Where a null holds,
/// the chance ever to reach K is at most 1/K (Ville's inequality), so capital is evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Capital {
    /// Against "at most tolerance times stable's rate".
    pub relative: f64,
    /// Against "at most the floor".
    pub floor: f64,
    /// The smaller of both: harm must beat both nulls.
    pub harm: f64,
    /// Against "at least the excluded regression".
    pub safe: f64,
    /// As `harm`, for disasters.
    pub fuse: f64,
}

/// Everything seen so far, from which the capitals follow. Kept in status; see `codec` for its form.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Evidence {
    harm: Bets,
    fuse: Bets,
    safety: Safety,
}

impl Evidence {
    /// A wave begins: safety speaks of one wave only, harm of the whole run.
    pub fn next_wave(&mut self) {
        self.safety = Safety::default();
    }

    /// Whether nothing was seen yet.
    pub fn is_fresh(&self) -> bool {
        *self == Self::default()
    }

    /// The capital against harm, for show: it needs no more of a policy than this.
    pub fn harm(&self, stakes: Stakes) -> f64 {
        let (relative, floor) = self.harm.wealth(stakes);
        relative.min(floor)
    }

    /// How many polls the harm test has seen.
    pub const fn polls(&self) -> u32 {
        self.harm.polls
    }
}

/// A policy made ready for use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judge {
    policy: Policy,
    harm: Table,
    fuse: Table,
    exclusion: Exclusion,
}

impl Judge {
    /// Fails on a policy that makes no sense.
    pub fn new(policy: Policy) -> Result<Self, InvalidPolicy> {
        policy.validate()?;
        let Policy { tolerance, floor, alpha, exclude_ratio, exclude_floor, dispersion, stakes, .. } = policy;
        Ok(Self {
            policy,
            harm: Table::new(tolerance, floor, dispersion, Some(alpha), stakes),
            fuse: Table::new(FUSE_RATIO, FUSE_FLOOR, dispersion, None, stakes),
            exclusion: Exclusion::new(exclude_ratio, exclude_floor, dispersion),
        })
    }

    /// The policy.
    pub const fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Takes one poll in. Polls must not overlap.
    pub fn look(&self, evidence: &mut Evidence, poll: &Poll) {
        self.look_while_settling(evidence, poll);
        evidence.harm.look(&self.harm, poll);
        evidence.safety.look(&self.exclusion, poll);
    }

    /// Takes in a poll from a time in which the share was still changing: only a disaster is believed then.
    pub fn look_while_settling(&self, evidence: &mut Evidence, poll: &Poll) {
        evidence.fuse.look(&self.fuse, poll);
    }

    /// The capitals now.
    pub fn capital(&self, evidence: &Evidence) -> Capital {
        let stakes = self.policy.stakes;
        let ((relative, floor), fuse) = (evidence.harm.wealth(stakes), evidence.fuse.wealth(stakes));
        Capital {
            relative,
            floor,
            harm: relative.min(floor),
            safe: evidence.safety.wealth(&self.exclusion),
            fuse: fuse.0.min(fuse.1),
        }
    }

    /// The capital from which on it is harm.
    pub fn harm_at(&self) -> f64 {
        1.0 / (self.policy.alpha * (1.0 - FUSE_PART))
    }

    /// The fuse's capital from which on it is harm.
    pub fn fuse_at(&self) -> f64 {
        1.0 / (self.policy.alpha * FUSE_PART)
    }

    /// The capital from which on it is safe.
    pub fn safe_at(&self) -> f64 {
        1.0 / self.policy.beta
    }

    /// What the evidence says now.
    pub fn verdict(&self, evidence: &Evidence) -> Verdict {
        self.judge(&self.capital(evidence))
    }

    /// What these capitals say. Harm outweighs Safe.
    pub fn judge(&self, capital: &Capital) -> Verdict {
        if capital.harm >= self.harm_at() || capital.fuse >= self.fuse_at() {
            Verdict::Harm
        } else if capital.safe >= self.safe_at() {
            Verdict::Safe
        } else {
            Verdict::Undecided
        }
    }
}

/// Counts are far below 2^53, where every whole number is exact.
#[allow(clippy::cast_precision_loss)]
const fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
