//! Random traffic with fixed seeds: requests by Poisson, errors by chance. Portable: the same on every machine.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Binomial, Distribution as _, Poisson};

use super::*;

/// Traffic of a canary and of stable beside it.
pub(super) struct Traffic {
    random: Xoshiro256PlusPlus,
    canary: Poisson<f64>,
    stable: Poisson<f64>,
}

impl Traffic {
    /// So many canary requests in a poll on average, which are this share of all.
    pub(super) fn new(seed: u64, per_poll: f64, share: f64) -> Self {
        Self {
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
            canary: Poisson::new(per_poll).unwrap(),
            stable: Poisson::new(per_poll * (1.0 - share) / share).unwrap(),
        }
    }

    /// A poll in which the versions fail with these rates.
    pub(super) fn poll(&mut self, canary: f64, stable: f64) -> Poll {
        let (n_c, n_s) = (self.requests(self.canary), self.requests(self.stable));
        Poll::new(self.bad(n_c, canary), n_c, self.bad(n_s, stable), n_s)
    }

    /// A poll of ten pods, one of them the canary, each with as many requests. Each pod has a burst of 8 errors on
    /// average in one of a hundred polls, whatever its version. The first pod is the canary.
    pub(super) fn bursts(&mut self, rate: f64) -> [PodCount; 10] {
        std::array::from_fn(|_| {
            let requests = self.requests(self.canary);
            let burst = if self.random.random_bool(0.01) { self.requests(Poisson::new(8.0).unwrap()) } else { 0 };
            PodCount { requests, bad: self.bad(requests, rate).saturating_add(burst).min(requests) }
        })
    }

    fn requests(&mut self, mean: Poisson<f64>) -> u64 {
        mean.sample(&mut self.random) as u64
    }

    fn bad(&mut self, requests: u64, rate: f64) -> u64 {
        Binomial::new(requests, rate).unwrap().sample(&mut self.random)
    }
}

/// The poll of a canary pod and of its neighbours.
pub(super) fn poll_of(pods: &[PodCount; 10]) -> Poll {
    let (canary, stable) = pods.split_first().unwrap();
    let sum = |count: fn(&PodCount) -> u64| stable.iter().map(count).sum();
    Poll::new(canary.bad, canary.requests, sum(|pod| pod.bad), sum(|pod| pod.requests))
}
