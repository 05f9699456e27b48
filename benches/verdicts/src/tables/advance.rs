//! How many canary requests it takes until a wave is Safe, and how often Safe is wrong.

use sluice::judge::{Evidence, Forecast, Judge, Policy};

use crate::goals::Goals;
use crate::lab::{Delays, Lab, Share, Table, percent, progress, prose, whole};
use crate::rules::judge;
use crate::traffic::Traffic;

/// r2 and eps2.
pub(crate) const EXCLUSIONS: [(f64, f64); 4] = [(10.0, 0.05), (5.0, 0.02), (3.0, 0.01), (2.0, 0.005)];
const BASES: [f64; 3] = [0.0, 0.001, 0.01];
/// Looks of one wave.
const LOOKS: usize = 1_000;

pub(crate) fn excluding(ratio: f64, floor: f64) -> Judge {
    judge(Policy { exclude_ratio: ratio, exclude_floor: floor, ..Policy::default() })
}

fn runs(lab: &Lab, cell: &str, count: u64, judge: &Judge, traffic: &Traffic) -> Vec<Option<f64>> {
    lab.simulate(cell, count, |random| {
        let (mut evidence, mut requests) = (Evidence::default(), 0);
        for number in 0..LOOKS {
            let poll = traffic.poll(random, number);
            requests += poll.canary.requests;
            judge.look(&mut evidence, &poll);
            if judge.capital(&evidence).safe >= judge.safe_at() {
                return Some(requests as f64);
            }
        }
        None
    })
}

pub(crate) fn print(lab: &Lab, goals: &mut Goals) {
    progress("evidence to advance");
    println!("## Evidence to advance\n");
    prose(&format!(
        "Canary share 10 %, 10 canary requests per poll. Canary requests until Safe if the canary is as good as stable, \
         median (90th percentile), {} runs per cell, and the forecast. Then how often a canary was called safe within \
         {LOOKS} looks that is exactly as bad as what is excluded, {} runs per cell; up to 5 % is allowed.",
        lab.few(),
        lab.runs
    ));
    let mut head = vec!["Excluded".to_owned()];
    head.extend(BASES.map(|base| format!("to Safe, base {}", percent(base))));
    head.extend(BASES.map(|base| format!("forecast, base {}", percent(base))));
    head.extend(BASES.map(|base| format!("wrongly Safe, base {}", percent(base))));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    let mut wrong = Vec::new();
    for (ratio, floor) in EXCLUSIONS {
        let judge = excluding(ratio, floor);
        let name = format!("{ratio}x or {}", percent(floor));
        let mut cells = vec![name.clone()];
        for base in BASES {
            let same = Traffic::steady(10.0, 0.1, base, base);
            cells.push(Delays::new(runs(lab, &format!("safe {name} {base}"), lab.few(), &judge, &same)).text());
        }
        for base in BASES {
            let forecast = Forecast::new(&judge, base, 0.1).safe_from_start();
            cells.push(forecast.map_or_else(|| "never".to_owned(), |requests| whole(requests as f64)));
        }
        for base in BASES {
            let edge = Traffic::steady(10.0, 0.1, base, (ratio * base).max(floor));
            let found = runs(lab, &format!("unsafe {name} {base}"), lab.runs, &judge, &edge);
            let share = Share::of(&found, Option::is_some);
            cells.push(share.text());
            wrong.push(share);
        }
        table.row(&cells);
    }
    table.print();
    goals.worst("wrongly Safe exactly at what is excluded", &wrong, 0.05);
}
