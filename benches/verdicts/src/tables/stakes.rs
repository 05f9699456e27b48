//! Whether a defect that comes late could be found sooner: the same bets with another schedule of stakes.
//!
//! Holds the harm test a second time, in its shortest form, because the schedule is fixed in the library; that both
//! agree on today's schedule is checked on every run. Without phi and without the fuse.

use sluice::judge::{Evidence, Policy, Poll};

use crate::lab::{Delays, Lab, Share, Table, percent, progress, prose};
use crate::rules::judge;
use crate::tables::rates::LOOKS;
use crate::traffic::{Pattern, Traffic};

const LADDER: [f64; 8] = [1.25, 1.6, 2.2, 3.5, 6.0, 12.0, 30.0, 100.0];
const TOLERANCE: f64 = 1.25;
const FLOOR: f64 = 0.001;
const HARM_AT: f64 = 1.0 / 0.009;

/// The part of the cash that is staked at poll i, which counts from 1.
type Schedule = fn(f64) -> f64;

const SCHEDULES: [(&str, Schedule); 3] = [
    ("cash / 256 (published)", |i| if i < 2.0 { 0.5 } else { 1.0 / 256.0 }),
    ("cash / max(256, i) (the operator)", |i| if i < 2.0 { 0.5 } else { 1.0 / i.max(256.0) }),
    ("cash / max(256, 2 i)", |i| if i < 2.0 { 0.5 } else { 1.0 / (2.0 * i).max(256.0) }),
];

/// Bets against both nulls.
struct Bets {
    schedule: Schedule,
    polls: f64,
    cash: f64,
    relative: [f64; 8],
    floor: [f64; 8],
}

impl Bets {
    fn new(schedule: Schedule) -> Self {
        Self { schedule, polls: 0.0, cash: 1.0, relative: [0.0; 8], floor: [0.0; 8] }
    }

    /// One poll; what the smaller of both capitals is then.
    fn look(&mut self, poll: &Poll) -> f64 {
        self.polls += 1.0;
        let stake = self.cash * (self.schedule)(self.polls);
        self.cash -= stake;
        let (share, x_c, x_s) = (poll.share(), poll.canary.bad as f64, poll.stable.bad as f64);
        let good = poll.canary.requests as f64 - x_c;
        let level = |ratio: f64| (share * (ratio - 1.0)).ln_1p();
        let factor = |log: f64| log.min(100_f64.ln() / 3.0).exp();
        for ((relative, floor), rung) in self.relative.iter_mut().zip(&mut self.floor).zip(LADDER) {
            let rate = (FLOOR * rung).min(0.9);
            let log = x_c * rung.ln() + (x_c + x_s) * (level(TOLERANCE) - level(TOLERANCE * rung));
            *relative = (*relative + stake / 8.0) * factor(log);
            let log = x_c * (rate / FLOOR).ln() + good * ((-rate).ln_1p() - (-FLOOR).ln_1p());
            *floor = (*floor + stake / 8.0) * factor(log);
        }
        self.cash + self.relative.iter().sum::<f64>().min(self.floor.iter().sum())
    }
}

/// Canary requests after the defect until each schedule would have rolled back; less than 0 if before it.
fn paths(lab: &Lab, cell: &str, runs: u64, traffic: &Traffic, from: usize, looks: usize) -> Vec<Vec<Option<f64>>> {
    let judge = judge(Policy::default());
    lab.simulate(cell, runs, |random| {
        let mut bets = SCHEDULES.map(|(_, schedule)| Bets::new(schedule));
        let (mut evidence, mut alarms, mut requests) = (Evidence::default(), vec![None; SCHEDULES.len()], 0);
        for number in 0..looks {
            let poll = traffic.poll(random, number);
            requests += if number < from { 0 } else { poll.canary.requests };
            for (place, (bets, alarm)) in bets.iter_mut().zip(&mut alarms).enumerate() {
                let capital = bets.look(&poll);
                if place == 0 && number < 50 {
                    judge.look(&mut evidence, &poll);
                    let harm = judge.capital(&evidence).harm;
                    assert!((capital / harm - 1.0).abs() < 1e-9, "{capital} is not {harm}");
                }
                if alarm.is_none() && capital >= HARM_AT {
                    *alarm = Some(if number < from { -1.0 } else { requests as f64 });
                }
            }
            if alarms.iter().all(Option::is_some) {
                break;
            }
        }
        alarms
    })
}

pub(crate) fn print(lab: &Lab) {
    progress("schedules of stakes");
    let runs = (lab.few() / 4).max(20);
    prose(&format!(
        "Late defects again, with other stakes. Any stakes that are fixed before the poll are as valid, and these do not \
         differ in the first 128 polls, so the published vectors are the same. With cash / max(256, i) the cash is never \
         spent: after i polls 256 / i of it is left. First the share taken back within {LOOKS} looks at the tolerance \
         (1% -> 1.25%, {} runs) and within 10,000 looks ({} runs), then canary requests from the defect to the rollback, \
         median (90th percentile), {runs} runs, 100 requests per poll, w 10 %.",
        lab.runs,
        lab.few()
    ));
    let mut head = vec!["Measured".to_owned()];
    head.extend(SCHEDULES.map(|(name, _)| name.to_owned()));
    let mut table = Table::new(&head.iter().map(String::as_str).collect::<Vec<_>>());
    for (looks, runs) in [(LOOKS, lab.runs), (10_000, lab.few())] {
        let edge = Traffic::steady(100.0, 0.1, 0.01, 0.01 * TOLERANCE);
        let found = paths(lab, &format!("stakes edge {looks}"), runs, &edge, 0, looks);
        let mut cells = vec![format!("taken back at the tolerance, {looks} looks")];
        cells.extend((0..SCHEDULES.len()).map(|place| Share::of(&found, |alarms| alarms[place].is_some()).text()));
        table.row(&cells);
    }
    for (stable, canary) in [(0.001, 0.01), (0.01, 0.02), (0.01, 0.05)] {
        for from in [0, 200, 1_000, 5_000, 20_000] {
            let traffic = Traffic { per_poll: 100.0, share: 0.1, pattern: Pattern::Late { stable, canary, from } };
            let change = format!("{} -> {} after {from} clean polls", percent(stable), percent(canary));
            let found = paths(lab, &format!("stakes {change}"), runs, &traffic, from, from + 10_000);
            let mut cells = vec![change];
            cells.extend((0..SCHEDULES.len()).map(|place| {
                let after =
                    found.iter().map(|alarms| alarms[place]).filter(|alarm| alarm.is_none_or(|after| after >= 0.0));
                Delays::new(after).text()
            }));
            table.row(&cells);
        }
    }
    table.print();
}
