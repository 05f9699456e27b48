//! How often a version that is no worse is taken back: equal rates, and the worst rate that is tolerated.

use crate::goals::Goals;
use crate::lab::{Lab, Share, Table, percent, progress, prose};
use crate::rules::{Rule, Sluice, Threshold, ZTest, race};
use crate::traffic::Traffic;

pub(crate) const LOOKS: usize = 1_000;
const TOLERANCE: f64 = 1.25;

/// Base rate, canary requests in a poll, limit of the fixed thresholds.
const SETTINGS: [(f64, f64, f64); 6] = [
    (0.001, 20.0, 0.01),
    (0.001, 100.0, 0.01),
    (0.001, 1000.0, 0.01),
    (0.01, 20.0, 0.05),
    (0.01, 100.0, 0.02),
    (0.01, 1000.0, 0.02),
];

/// The rules that are compared in every table.
pub(crate) fn field(limit: f64) -> Vec<Box<dyn Rule>> {
    vec![
        Box::new(Threshold::argo(limit, 0)),
        Box::new(Threshold::argo(limit, 3)),
        Box::new(Threshold::flagger(limit)),
        Box::new(ZTest::five()),
        Box::new(ZTest::one()),
    ]
}

fn shares(lab: &Lab, cell: &str, traffic: &Traffic, rules: impl Fn() -> Vec<Box<dyn Rule>> + Sync) -> Vec<Share> {
    let runs = lab.simulate(cell, lab.runs, |random| race(traffic, random, LOOKS, &mut rules()));
    (0..rules().len()).map(|rule| Share::of(&runs, |alarms| alarms[rule].is_some())).collect()
}

pub(crate) fn print(lab: &Lab, goals: &mut Goals) {
    progress("false rollbacks");
    println!("## False rollbacks without a regression\n");
    prose(&format!(
        "Canary share 10 %, one look per poll, {LOOKS} looks, {} runs per cell. Share of runs that were taken back.",
        lab.runs
    ));
    let mut table = Table::new(&[
        "Base rate, canary requests per poll (limit)",
        "Argo-like, first failure",
        "Argo-like, failureLimit 3",
        "Flagger-like",
        "z-test p < .05",
        "z-test p < .01",
        "Sluice",
    ]);
    let mut equal = Vec::new();
    for (rate, per_poll, limit) in SETTINGS {
        let traffic = Traffic::steady(per_poll, 0.1, rate, rate);
        let with_sluice = || {
            let mut rules = field(limit);
            rules.push(Box::new(Sluice::new(1.0, true)));
            rules
        };
        let found = shares(lab, &format!("equal {rate} {per_poll}"), &traffic, with_sluice);
        let mut cells = vec![format!("{}, {per_poll} ({})", percent(rate), percent(limit))];
        cells.extend(found.iter().map(|share| share.text()));
        table.row(&cells);
        equal.extend(found.last().copied());
    }
    table.print();
    boundary(lab, goals, equal);
}

/// Sluice alone in more settings, also exactly at what is tolerated.
fn boundary(lab: &Lab, goals: &mut Goals, mut equal: Vec<Share>) {
    prose(&format!(
        "Sluice in more settings; \"boundary\" is a canary that fails exactly {TOLERANCE} times as often, where up to 1 % is allowed."
    ));
    let mut table = Table::new(&[
        "Base rate, canary requests per poll, share",
        "equal",
        "equal, no cap",
        "boundary",
        "boundary, no cap",
    ]);
    let mut edge = Vec::new();
    for share in [0.05, 0.5] {
        for (rate, per_poll) in [(0.001, 20.0), (0.001, 100.0), (0.01, 20.0), (0.01, 100.0), (0.01, 1000.0)] {
            let rules =
                || -> Vec<Box<dyn Rule>> { vec![Box::new(Sluice::new(1.0, true)), Box::new(Sluice::new(1.0, false))] };
            let cell = format!("{rate} {per_poll} {share}");
            let same = shares(lab, &format!("same {cell}"), &Traffic::steady(per_poll, share, rate, rate), rules);
            let worse = Traffic::steady(per_poll, share, rate, TOLERANCE * rate);
            let worst = shares(lab, &format!("boundary {cell}"), &worse, rules);
            let mut cells = vec![format!("{}, {per_poll}, {}", percent(rate), percent(share))];
            cells.extend(same.iter().chain(&worst).map(|share| share.text()));
            table.row(&cells);
            equal.extend(same.first());
            edge.extend(worst.first());
        }
    }
    table.print();
    goals.worst("false rollback at equal rates over 1,000 looks", &equal, 0.001);
    goals.worst("false rollback exactly at the tolerance over 1,000 looks", &edge, 0.01);
}
