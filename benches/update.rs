//! How long the judge takes: one poll through all processes, kept evidence, and a whole cluster of Rollouts.
//!
//! `naive` is the same rule with a power per factor, as one would write it down first; it is measured in the same run,
//! because a ratio says more than nanoseconds of somebody's machine. The goal is 2 microseconds for an update.
#![allow(clippy::arithmetic_side_effects, clippy::expect_used)] // a benchmark may panic

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use sluice::judge::{Evidence, Judge, Policy, Poll, Verdict};

const POLL: Poll = Poll::new(2, 100, 9, 900);
/// Polls that evidence has seen before it is measured.
const BEFORE: usize = 100;

fn main() {
    divan::main();
}

fn judge() -> Judge {
    Judge::new(Policy::default()).expect("the default is sound")
}

fn evidence() -> Evidence {
    let (judge, mut evidence) = (judge(), Evidence::default());
    for _ in 0..BEFORE {
        judge.look(&mut evidence, &Poll::new(1, 100, 9, 900));
    }
    evidence
}

/// A poll taken in by the harm test, the fuse and safety, and the verdict.
#[divan::bench]
fn update(bencher: Bencher<'_, '_>) {
    let (judge, mut evidence) = (judge(), evidence());
    bencher.bench_local(|| {
        judge.look(&mut evidence, black_box(&POLL));
        judge.verdict(&evidence)
    });
}

/// A poll without an error, which most are.
#[divan::bench]
fn update_without_errors(bencher: Bencher<'_, '_>) {
    let (judge, mut evidence) = (judge(), evidence());
    bencher.bench_local(|| {
        judge.look(&mut evidence, black_box(&Poll::new(0, 100, 0, 900)));
        judge.verdict(&evidence)
    });
}

/// The same with a power per factor.
#[divan::bench]
fn update_naive(bencher: Bencher<'_, '_>) {
    let mut naive = naive::Naive::default();
    for _ in 0..BEFORE {
        naive.look(&Poll::new(1, 100, 9, 900));
    }
    let (judge, evidence) = (judge(), evidence());
    let (found, expected) = (naive.harm(), judge.capital(&evidence).harm);
    assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}: not the same rule");
    bencher.bench_local(|| {
        naive.look(black_box(&POLL));
        naive.verdict()
    });
}

/// Evidence written to a status and read from it again.
#[divan::bench]
fn text_and_back(bencher: Bencher<'_, '_>) {
    let evidence = evidence();
    bencher.bench_local(|| Evidence::from_text(&black_box(&evidence).to_text()));
}

/// One poll of each of 10,000 Rollouts.
#[divan::bench(sample_count = 20)]
fn ten_thousand_rollouts(bencher: Bencher<'_, '_>) {
    let (judge, mut rollouts) = (judge(), vec![evidence(); 10_000]);
    bencher.counter(ItemsCount::new(rollouts.len())).bench_local(|| {
        let harm = rollouts.iter_mut().filter_map(|evidence| {
            judge.look(evidence, black_box(&POLL));
            (judge.verdict(evidence) == Verdict::Harm).then_some(())
        });
        harm.count()
    });
}

mod naive {
    //! The rule of docs/verdicts.md as it is written there, for the default policy.

    use super::{Poll, Verdict};

    const LADDER: [f64; 8] = [1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 30.0, 100.0];

    /// A process of bets on one side of one null.
    struct Process {
        cash: f64,
        bets: [f64; 8],
        first: bool,
        most: f64,
    }

    impl Process {
        fn new(most: f64) -> Self {
            Self { cash: 1.0, bets: [0.0; 8], first: true, most }
        }

        fn look(&mut self, factor: impl Fn(f64) -> f64) {
            let stake = if std::mem::take(&mut self.first) { 0.5 } else { self.cash / 256.0 };
            self.cash -= stake;
            for (bet, rung) in self.bets.iter_mut().zip(LADDER) {
                *bet = (*bet + stake / 8.0) * factor(rung).min(self.most);
            }
        }

        fn wealth(&self) -> f64 {
            self.cash + self.bets.iter().sum::<f64>()
        }
    }

    fn relative(null: f64, to: f64, poll: &Poll) -> f64 {
        let theta = |ratio: f64| ratio * poll.share() / (ratio * poll.share() + 1.0 - poll.share());
        (theta(to) / theta(null)).powf(poll.canary.bad as f64)
            * ((1.0 - theta(to)) / (1.0 - theta(null))).powf(poll.stable.bad as f64)
    }

    fn floor(null: f64, to: f64, poll: &Poll) -> f64 {
        (to / null).powf(poll.canary.bad as f64)
            * ((1.0 - to) / (1.0 - null)).powf((poll.canary.requests - poll.canary.bad) as f64)
    }

    pub(super) struct Naive {
        harm: [Process; 2],
        fuse: [Process; 2],
        safe: [[f64; 8]; 2],
    }

    impl Default for Naive {
        fn default() -> Self {
            let process = Process::new;
            let cap = 0.01_f64.powf(-1.0 / 3.0);
            Self { harm: [process(cap), process(cap)], fuse: [process(1e300), process(1e300)], safe: [[1.0; 8]; 2] }
        }
    }

    impl Naive {
        pub(super) fn look(&mut self, poll: &Poll) {
            let nulls = [(&mut self.harm, 1.25, 0.001), (&mut self.fuse, 10.0, 0.2)];
            for ([by_ratio, by_floor], ratio, rate) in nulls {
                by_ratio.look(|rung| relative(ratio, ratio * rung, poll));
                by_floor.look(|rung| floor(rate, (rate * rung).min(0.9), poll));
            }
            let [by_ratio, by_floor] = &mut self.safe;
            for ((by_ratio, by_floor), rung) in by_ratio.iter_mut().zip(by_floor).zip(LADDER) {
                *by_ratio *= relative(2.0, 2.0 / rung, poll);
                *by_floor *= floor(0.005, 0.005 / rung, poll);
            }
        }

        pub(super) fn harm(&self) -> f64 {
            let [by_ratio, by_floor] = &self.harm;
            by_ratio.wealth().min(by_floor.wealth())
        }

        pub(super) fn verdict(&self) -> Verdict {
            let [by_ratio, by_floor] = &self.fuse;
            if self.harm() >= 1.0 / 0.009 || by_ratio.wealth().min(by_floor.wealth()) >= 1_000.0 {
                Verdict::Harm
            } else if self.safe.iter().flatten().sum::<f64>() / 16.0 >= 20.0 {
                Verdict::Safe
            } else {
                Verdict::Undecided
            }
        }
    }
}
