//! How often it is wrong and how long it takes, on random traffic with fixed seeds. The goals are the project's; the
//! tables of docs/verdict-tables.md are the same with many more runs.
//!
//! A test here must not take seconds without optimization, so runs are few: it notices a broken rule, not a slightly
//! worse one. Runs that cannot decide any more end early.

use super::traffic::{Traffic, poll_of};
use super::*;

/// Looks of one run.
const LOOKS: usize = 1_000;

/// How many of these runs are harm within 1,000 looks.
fn harms(judge: &Judge, runs: u64, mut traffic: impl FnMut(u64) -> Box<dyn FnMut(usize) -> Poll>) -> usize {
    let mut harm = |seed: u64| {
        let (mut evidence, mut poll) = (Evidence::default(), traffic(seed));
        (0..LOOKS).any(|look| {
            let poll = poll(look);
            evidence.harm.look(&judge.harm, &poll);
            evidence.fuse.look(&judge.fuse, &poll);
            // Safe is not asked here; it makes up a third of the work.
            let ((relative, floor), fuse) =
                (evidence.harm.wealth(Stakes::Published), evidence.fuse.wealth(Stakes::Published));
            relative.min(floor) >= judge.harm_at() || fuse.0.min(fuse.1) >= judge.fuse_at()
        })
    };
    (0..runs).filter(|seed| harm(*seed)).count()
}

fn constant(per_poll: f64, share: f64, canary: f64, stable: f64) -> impl FnMut(u64) -> Box<dyn FnMut(usize) -> Poll> {
    move |seed| {
        let mut traffic = Traffic::new(seed, per_poll, share);
        Box::new(move |_| traffic.poll(canary, stable))
    }
}

/// Goal: at most 0.1 %. None of these runs is one of them.
#[test]
fn equal_rates_are_no_harm() {
    let judge = Judge::new(Policy::default()).unwrap();
    for (rate, per_poll, share) in [(0.001, 20.0, 0.1), (0.001, 100.0, 0.1), (0.01, 100.0, 0.1), (0.1, 100.0, 0.5)] {
        assert_eq!(harms(&judge, 100, constant(per_poll, share, rate, rate)), 0, "{rate} {per_poll} {share}");
    }
}

/// Goal: at most alpha, 1 %, where the canary is exactly as bad as it may be.
#[test]
fn what_is_tolerated_is_no_harm() {
    let judge = Judge::new(Policy::default()).unwrap();
    for (rate, per_poll, share) in [(0.01, 100.0, 0.1), (0.02, 1000.0, 0.5)] {
        let found = harms(&judge, 150, constant(per_poll, share, 1.25 * rate, rate));
        assert!(found <= 1, "{found} of 150 at {rate} {per_poll} {share}");
    }
}

/// Goal: at most 0.1 %. Both versions fail twenty times as often for 30 polls: the database was away.
#[test]
fn a_shared_outage_is_no_harm() {
    let judge = Judge::new(Policy::default()).unwrap();
    let found = harms(&judge, 150, |seed| {
        let mut traffic = Traffic::new(seed, 100.0, 0.1);
        Box::new(move |look| {
            let rate = if (300..330).contains(&look) { 0.2 } else { 0.01 };
            traffic.poll(rate, rate)
        })
    });
    assert_eq!(found, 0);
}

/// Goal: at most 0.1 %. Errors come in bursts from single pods, the canary's too; phi is measured on stable before.
#[test]
fn bursts_are_no_harm_once_phi_is_measured() {
    let found = (0..100).filter(|seed| {
        let mut traffic = Traffic::new(*seed, 100.0, 0.1);
        let mut before = Dispersion::default();
        for _ in 0..240 {
            before.add(&traffic.bursts(0.001)[1..]);
        }
        assert!((2.0..9.0).contains(&before.phi()), "{}", before.phi());
        let judge = Judge::new(Policy { dispersion: before.phi(), ..Policy::default() }).unwrap();
        harms(&judge, 1, |_| {
            let mut traffic = Traffic::new(1_000 + seed, 100.0, 0.1);
            Box::new(move |_| poll_of(&traffic.bursts(0.001)))
        }) > 0
    });
    assert_eq!(found.count(), 0);
}

/// Goal: at most beta, 5 %, where the canary is exactly what is to be excluded; one wave of 300 polls. 4 % of these 400
/// runs are 16, and more than 31 of 400 have a chance below one in ten thousand if the true share is 4 %.
#[test]
fn what_is_to_be_excluded_is_rarely_safe() {
    for (policy, stable, canary) in [
        (Policy { exclude_ratio: 3.0, exclude_floor: 0.01, ..Policy::default() }, 0.01, 0.03),
        (Policy { exclude_ratio: 10.0, exclude_floor: 0.05, ..Policy::default() }, 0.0, 0.05),
    ] {
        let judge = Judge::new(policy).unwrap();
        let safe = |seed: &u64| {
            let (mut safety, mut traffic) = (Safety::default(), Traffic::new(*seed, 20.0, 0.1));
            (0..300).any(|_| {
                safety.look(&judge.exclusion, &traffic.poll(canary, stable));
                safety.wealth(&judge.exclusion) >= judge.safe_at()
            })
        };
        let found = (0..400).filter(safe).count();
        assert!(found <= 20, "{found} of 400 called safe at {stable} -> {canary}");
    }
}

/// Goal: median canary requests to Harm, w = 10 %, 100 in a poll.
#[test]
fn regressions_are_found_in_time() {
    let judge = Judge::new(Policy::default()).unwrap();
    for (stable, canary, most) in [(0.001, 0.01, 1_200), (0.001, 0.05, 450), (0.01, 0.02, 4_500)] {
        let mut delays: Vec<u64> = (0..101)
            .map(|seed| {
                let (mut evidence, mut traffic) = (Evidence::default(), Traffic::new(seed, 100.0, 0.1));
                let mut requests = 0;
                while judge.verdict(&evidence) != Verdict::Harm {
                    let poll = traffic.poll(canary, stable);
                    requests += poll.canary.requests;
                    judge.look(&mut evidence, &poll);
                    assert!(requests < 1_000_000, "never found");
                }
                requests
            })
            .collect();
        delays.sort_unstable();
        assert!(delays[50] <= most, "{stable} -> {canary}: median {} requests", delays[50]);
        // Four polls at least, unless it is a disaster.
        assert!(delays[0] > 300, "{stable} -> {canary}: {} requests", delays[0]);
    }
}
