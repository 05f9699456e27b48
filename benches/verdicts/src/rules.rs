//! The rules that are compared: Sluice's own code, and what others do, all fed the same polls.

use std::collections::VecDeque;

use rand::rngs::Xoshiro256PlusPlus as Random;
use sluice::judge::{Capital, Evidence, Judge, Policy, Poll};

use crate::traffic::Traffic;

/// Something that is shown polls and says when it would roll back.
pub(crate) trait Rule {
    fn look(&mut self, poll: &Poll) -> bool;
}

/// Sluice's rule, by the library that the operator runs.
pub(crate) struct Sluice {
    judge: Judge,
    evidence: Evidence,
    harm_at: f64,
    fuse_at: f64,
}

/// So small an alpha makes the cap on a poll so large that it is none; the thresholds stay those of the default.
const NO_CAP: f64 = 1e-300;

impl Sluice {
    /// With this phi, with or without the cap on a poll.
    pub(crate) fn new(phi: f64, cap: bool) -> Self {
        let policy = Policy { dispersion: phi, ..Policy::default() };
        let limits = judge(policy);
        let judge = if cap { limits } else { judge(Policy { alpha: NO_CAP, ..policy }) };
        Self { judge, evidence: Evidence::default(), harm_at: limits.harm_at(), fuse_at: limits.fuse_at() }
    }

    pub(crate) fn capital(&mut self, poll: &Poll) -> Capital {
        self.judge.look(&mut self.evidence, poll);
        self.judge.capital(&self.evidence)
    }
}

impl Rule for Sluice {
    fn look(&mut self, poll: &Poll) -> bool {
        let capital = self.capital(poll);
        capital.harm >= self.harm_at || capital.fuse >= self.fuse_at
    }
}

/// A judge of a policy that is known to be sound.
pub(crate) fn judge(policy: Policy) -> Judge {
    Judge::new(policy).expect("the policy is sound")
}

/// A fixed limit for the canary's share of errors in a sliding window, of which so many samples may breach.
pub(crate) struct Threshold {
    limit: f64,
    window: usize,
    allowed: u32,
    polls: VecDeque<(u64, u64)>,
    breaches: u32,
}

impl Threshold {
    pub(crate) fn new(limit: f64, window: usize, allowed: u32) -> Self {
        Self { limit, window, allowed, polls: VecDeque::new(), breaches: 0 }
    }

    /// As Argo Rollouts: a window of 5 polls, and by default the first breach fails.
    pub(crate) fn argo(limit: f64, failure_limit: u32) -> Self {
        Self::new(limit, 5, failure_limit)
    }

    /// As Flagger: each poll on its own, the fifth breach fails.
    pub(crate) fn flagger(limit: f64) -> Self {
        Self::new(limit, 1, 4)
    }
}

impl Rule for Threshold {
    fn look(&mut self, poll: &Poll) -> bool {
        self.polls.push_back((poll.canary.bad, poll.canary.requests));
        if self.polls.len() > self.window {
            self.polls.pop_front();
        }
        let (bad, requests) = self.polls.iter().fold((0, 0), |(bad, all), poll| (bad + poll.0, all + poll.1));
        if bad as f64 > self.limit * requests as f64 {
            self.breaches += 1;
        }
        self.breaches > self.allowed
    }
}

/// A test of two shares, repeated at each poll as if each were the only one: what many scripts do. Not valid.
pub(crate) struct ZTest {
    critical: f64,
    total: Poll,
}

impl ZTest {
    /// p < 0.05.
    pub(crate) fn five() -> Self {
        Self { critical: 1.644_853_6, total: Poll::default() }
    }

    /// p < 0.01.
    pub(crate) fn one() -> Self {
        Self { critical: 2.326_347_9, total: Poll::default() }
    }
}

impl Rule for ZTest {
    fn look(&mut self, poll: &Poll) -> bool {
        let Poll { canary, stable } = &mut self.total;
        canary.requests += poll.canary.requests;
        canary.bad += poll.canary.bad;
        stable.requests += poll.stable.requests;
        stable.bad += poll.stable.bad;
        if canary.requests < 50 || stable.requests == 0 {
            return false;
        }
        let [x_c, n_c, x_s, n_s] = [canary.bad, canary.requests, stable.bad, stable.requests].map(|count| count as f64);
        let rate = (x_c + x_s) / (n_c + n_s);
        let error = (rate * (1.0 - rate) * (1.0 / n_c + 1.0 / n_s)).sqrt();
        error > 0.0 && x_c / n_c - x_s / n_s > self.critical * error
    }
}

/// Where a rule would have rolled back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alarm {
    /// Polls seen.
    pub(crate) polls: usize,
    /// Canary requests served.
    pub(crate) requests: u64,
}

/// Shows the same polls to all rules; where each would have rolled back, if it would.
pub(crate) fn race(
    traffic: &Traffic,
    random: &mut Random,
    looks: usize,
    rules: &mut [Box<dyn Rule>],
) -> Vec<Option<Alarm>> {
    let mut alarms = vec![None; rules.len()];
    let mut requests = 0;
    for number in 0..looks {
        let poll = traffic.poll(random, number);
        requests += poll.canary.requests;
        for (rule, alarm) in rules.iter_mut().zip(&mut alarms) {
            if alarm.is_none() && rule.look(&poll) {
                *alarm = Some(Alarm { polls: number + 1, requests });
            }
        }
        if alarms.iter().all(Option::is_some) {
            break;
        }
    }
    alarms
}
