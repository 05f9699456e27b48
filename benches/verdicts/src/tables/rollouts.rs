//! Whole rollouts: waves, minutes, and how many more requests of users failed than with stable alone.

use rand::rngs::Xoshiro256PlusPlus as Random;
use sluice::judge::{Evidence, Judge, Poll, Verdict};

use crate::goals::Goals;
use crate::lab::{Delays, Lab, Share, Table, percent, progress, prose, whole};
use crate::tables::advance::{EXCLUSIONS, excluding};
use crate::traffic::{bad, requests};

/// Sluice's waves in percent; each has an exclusion of [`EXCLUSIONS`].
const WAVES: [f64; 4] = [0.01, 0.05, 0.25, 0.5];
const POLL: f64 = 15.0;
const MIN_BAKE: f64 = 120.0;
const MAX_BAKE: f64 = 4.0 * 3600.0;
/// Both others look once a minute at the last minute.
const MINUTE: f64 = 60.0;

/// What is rolled out into what.
#[derive(Debug, Clone, Copy)]
struct Service {
    /// Requests per second.
    rate: f64,
    stable: f64,
    canary: f64,
    /// The limit of the fixed thresholds.
    limit: f64,
}

const SERVICES: [Service; 9] = [
    Service { rate: 20.0, stable: 0.001, canary: 0.001, limit: 0.01 },
    Service { rate: 20.0, stable: 0.001, canary: 0.01, limit: 0.01 },
    Service { rate: 200.0, stable: 0.001, canary: 0.001, limit: 0.01 },
    Service { rate: 200.0, stable: 0.001, canary: 0.01, limit: 0.01 },
    Service { rate: 200.0, stable: 0.01, canary: 0.02, limit: 0.02 },
    Service { rate: 20.0, stable: 0.01, canary: 0.02, limit: 0.02 },
    Service { rate: 2000.0, stable: 0.001, canary: 0.05, limit: 0.01 },
    Service { rate: 2.0, stable: 0.01, canary: 0.01, limit: 0.05 },
    Service { rate: 2.0, stable: 0.01, canary: 0.1, limit: 0.05 },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    RolledBack,
    Promoted,
    Held,
}

/// One rollout as it goes.
struct Rollout<'a> {
    service: Service,
    random: &'a mut Random,
    seconds: f64,
    excess: f64,
}

/// One rollout at its end.
#[derive(Debug, Clone, Copy)]
struct Outcome {
    end: End,
    minutes: f64,
    excess: f64,
    /// A wave passed without being Safe.
    unsafe_step: bool,
}

impl<'a> Rollout<'a> {
    fn new(service: Service, random: &'a mut Random) -> Self {
        Self { service, random, seconds: 0.0, excess: 0.0 }
    }

    /// Serves for some time with this share of the canary.
    fn serve(&mut self, weight: f64, seconds: f64) -> Poll {
        let Service { rate, stable, canary, .. } = self.service;
        let n_c = requests(self.random, rate * seconds * weight);
        let n_s = requests(self.random, rate * seconds * (1.0 - weight));
        self.seconds += seconds;
        self.excess += n_c as f64 * (canary - stable);
        Poll::new(bad(self.random, n_c, canary), n_c, bad(self.random, n_s, stable), n_s)
    }

    fn end(&self, end: End, unsafe_step: bool) -> Outcome {
        Outcome { end, minutes: self.seconds / 60.0, excess: self.excess, unsafe_step }
    }

    /// Waves by evidence: Harm ends the run, Safe and the least time end a wave.
    fn sluice(mut self, judges: &[Judge]) -> Outcome {
        let (mut evidence, mut unsafe_step) = (Evidence::default(), false);
        for (weight, judge) in WAVES.iter().zip(judges) {
            evidence.next_wave();
            let begin = self.seconds;
            loop {
                let poll = self.serve(*weight, POLL);
                judge.look(&mut evidence, &poll);
                let baked = self.seconds - begin;
                match judge.verdict(&evidence) {
                    Verdict::Harm => return self.end(End::RolledBack, unsafe_step),
                    Verdict::Safe if baked >= MIN_BAKE => break,
                    Verdict::Safe | Verdict::Undecided if baked >= MAX_BAKE => return self.end(End::Held, unsafe_step),
                    Verdict::Safe | Verdict::Undecided => {}
                }
            }
            unsafe_step |= judge.capital(&evidence).safe < judge.safe_at();
        }
        self.end(End::Promoted, unsafe_step)
    }

    /// As Flagger: 5 % more each minute whose errors are below the limit, up to 50 %; the fifth breach rolls back.
    fn flagger(mut self) -> Outcome {
        let (mut weight, mut breaches) = (0.05, 0);
        loop {
            let Poll { canary, .. } = self.serve(weight, MINUTE);
            if canary.bad as f64 > self.service.limit * canary.requests as f64 {
                breaches += 1;
                if breaches >= 5 {
                    return self.end(End::RolledBack, false);
                }
            } else if weight > 0.499 {
                return self.end(End::Promoted, false);
            } else if canary.requests > 0 {
                weight += 0.05;
            }
        }
    }

    /// As Argo Rollouts: 5, 25 and 50 % for 5 minutes each, with an analysis in the background; the fourth breach aborts.
    fn argo(mut self) -> Outcome {
        let mut breaches = 0;
        for weight in [0.05, 0.25, 0.5] {
            for _ in 0..5 {
                let Poll { canary, .. } = self.serve(weight, MINUTE);
                breaches += u32::from(canary.bad as f64 > self.service.limit * canary.requests as f64);
                if breaches > 3 {
                    return self.end(End::RolledBack, false);
                }
            }
        }
        self.end(End::Promoted, false)
    }
}

fn mean_excess(outcomes: &[Outcome]) -> f64 {
    outcomes.iter().map(|outcome| outcome.excess).sum::<f64>() / outcomes.len().max(1) as f64
}

fn text(outcomes: &[Outcome]) -> String {
    let share = |end| Share::of(outcomes, |outcome| outcome.end == end).ratio();
    let minutes = Delays::new(outcomes.iter().map(|outcome| Some(outcome.minutes))).median();
    let held = if share(End::Held) > 0.0 { format!(", {:.1}% held", 100.0 * share(End::Held)) } else { String::new() };
    format!("{:.1}%{held}, {minutes:.1} min, {}", 100.0 * share(End::RolledBack), whole(mean_excess(outcomes)))
}

pub(crate) fn print(lab: &Lab, goals: &mut Goals) {
    progress("whole rollouts");
    println!("## Whole rollouts\n");
    prose(&format!(
        "Share of rollouts that were taken back, median minutes, and failed requests beyond those that stable would have \
         had, mean, until the end of the rollout (a bad version that is promoted goes on failing); {} runs per cell. \
         Sluice: waves of 1, 5, 25 and 50 %, polls of 15 s, at least 2 minutes and at most 4 hours each, exclusions (10x or \
         5%), (5x or 2%), (3x or 1%), (2x or 0.5%), phi 1. Flagger-like: each minute 5 % more up to 50 %, 5 failures. \
         Argo-like: 5, 25 and 50 % for 5 minutes each, one sample a minute, failureLimit 3.",
        lab.few()
    ));
    let judges = EXCLUSIONS.map(|(ratio, floor)| excluding(ratio, floor));
    let mut table = Table::new(&[
        "Requests per second, change (limit)",
        "Sluice",
        "Flagger-like",
        "Argo-like",
        "of Flagger's excess",
    ]);
    let mut unsafe_steps = 0;
    let mut rollouts = 0;
    for service in SERVICES {
        let Service { rate, stable, canary, limit } = service;
        let name = format!("{rate}, {} -> {}", percent(stable), percent(canary));
        let ours =
            lab.simulate(&format!("{name} sluice"), lab.few(), |random| Rollout::new(service, random).sluice(&judges));
        let flagger =
            lab.simulate(&format!("{name} flagger"), lab.few(), |random| Rollout::new(service, random).flagger());
        let argo = lab.simulate(&format!("{name} argo"), lab.few(), |random| Rollout::new(service, random).argo());
        let times = mean_excess(&flagger) / mean_excess(&ours);
        let part = if canary > stable { format!("1/{times:.1}") } else { "-".to_owned() };
        table.row(&[format!("{name} ({})", percent(limit)), text(&ours), text(&flagger), text(&argo), part]);
        unsafe_steps += ours.iter().filter(|outcome| outcome.unsafe_step).count();
        rollouts += ours.len();
        if canary > stable && rate == 200.0 && stable < 0.005 {
            let what = "excess errors of the Flagger-like rule, of Sluice's, 200 requests/s, 0.1% -> 1%";
            goals.add(what, "at least 5 times".to_owned(), format!("{times:.1} times"), times >= 5.0);
        }
    }
    table.print();
    let measured = format!("{unsafe_steps} of {rollouts} rollouts");
    goals.add("waves passed or promoted without Safe", "none".to_owned(), measured, unsafe_steps == 0);
}
