//! Random traffic: requests by Poisson, errors by chance, and the ways in which real services differ from that.

use rand::RngExt as _;
use rand::rngs::Xoshiro256PlusPlus as Random;
use rand_distr::{Binomial, Distribution as _, Poisson};
use sluice::judge::{Dispersion, PodCount, Poll};

/// Pods; in patterns that know pods one of them is the canary.
const PODS: usize = 10;
/// Polls on which phi is measured before a rollout: one hour of 15 s.
const BEFORE: usize = 240;

/// How errors come.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pattern {
    /// Each request fails on its own.
    Steady { canary: f64, stable: f64 },
    /// Both versions fail `factor` times as often for 30 polls.
    Outage { rate: f64, factor: f64 },
    /// The canary is as good as stable until this poll.
    Late { stable: f64, canary: f64, from: usize },
    /// Each pod has a burst of `mean` errors in this share of its polls, whatever its version. The share of the canary
    /// is one pod of ten.
    Bursts { rate: f64, chance: f64, mean: f64 },
}

/// Traffic of a canary and of stable beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traffic {
    /// Canary requests in a poll on average.
    pub(crate) per_poll: f64,
    /// The canary's share of all requests.
    pub(crate) share: f64,
    pub(crate) pattern: Pattern,
}

impl Traffic {
    pub(crate) const fn steady(per_poll: f64, share: f64, stable: f64, canary: f64) -> Self {
        Self { per_poll, share, pattern: Pattern::Steady { canary, stable } }
    }

    /// One poll.
    pub(crate) fn poll(&self, random: &mut Random, number: usize) -> Poll {
        match self.pattern {
            Pattern::Steady { canary, stable } => self.independent(random, canary, stable),
            Pattern::Outage { rate, factor } => {
                let rate = if (300..330).contains(&number) { rate * factor } else { rate };
                self.independent(random, rate, rate)
            }
            Pattern::Late { stable, canary, from } => {
                self.independent(random, if number < from { stable } else { canary }, stable)
            }
            Pattern::Bursts { .. } => {
                let pods = self.pods(random, PODS, self.per_poll);
                let stable = pods.iter().skip(1);
                let (bad, requests) = stable.fold((0, 0), |(bad, all), pod| (bad + pod.bad, all + pod.requests));
                let canary = pods.first().copied().unwrap_or_default();
                Poll::new(canary.bad, canary.requests, bad, requests)
            }
        }
    }

    fn independent(&self, random: &mut Random, canary: f64, stable: f64) -> Poll {
        let n_c = requests(random, self.per_poll);
        let n_s = requests(random, self.per_poll * (1.0 - self.share) / self.share);
        Poll::new(bad(random, n_c, canary), n_c, bad(random, n_s, stable), n_s)
    }

    /// What the pods of one poll served.
    fn pods(&self, random: &mut Random, pods: usize, each: f64) -> Vec<PodCount> {
        let (rate, chance, mean) = match self.pattern {
            Pattern::Steady { stable, .. } | Pattern::Late { stable, .. } => (stable, 0.0, 0.0),
            Pattern::Outage { rate, .. } => (rate, 0.0, 0.0),
            Pattern::Bursts { rate, chance, mean } => (rate, chance, mean),
        };
        let pod = |_| {
            let n = requests(random, each);
            let burst = if random.random_bool(chance) { requests(random, mean) } else { 0 };
            PodCount { requests: n, bad: (bad(random, n, rate) + burst).min(n) }
        };
        (0..pods).map(pod).collect()
    }

    /// phi as the operator measures it on stable's pods in the hour before.
    pub(crate) fn phi(&self, random: &mut Random) -> f64 {
        let stable = self.per_poll * (1.0 - self.share) / self.share;
        let mut dispersion = Dispersion::default();
        for _ in 0..BEFORE {
            dispersion.add(&self.pods(random, PODS - 1, stable / (PODS - 1) as f64));
        }
        dispersion.phi()
    }
}

/// A number of requests with this mean.
pub(crate) fn requests(random: &mut Random, mean: f64) -> u64 {
    Poisson::new(mean).map_or(0, |poisson| poisson.sample(random) as u64)
}

/// How many of them fail.
pub(crate) fn bad(random: &mut Random, requests: u64, rate: f64) -> u64 {
    Binomial::new(requests, rate.min(1.0)).map_or(0, |binomial| binomial.sample(random))
}
