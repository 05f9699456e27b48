//! Whether the same capitals could decide sooner: other thresholds, and other ways to put both processes together.

use sluice::judge::{Capital, Evidence, Policy};

use crate::lab::{Delays, Lab, Share, Table, progress, prose};
use crate::rules::judge;
use crate::tables::rates::LOOKS;
use crate::traffic::{Pattern, Traffic};

/// Whether the smaller of both capitals is asked, or the most that each has ever been.
#[derive(Debug, Clone, Copy)]
enum Of {
    Both,
    EachOnce,
}

struct Candidate {
    name: &'static str,
    of: Of,
    at: f64,
    fuse_at: f64,
}

const CANDIDATES: [Candidate; 8] = [
    Candidate { name: "Sluice: both at 111.1, fuse at 1,000", of: Of::Both, at: 1.0 / 0.009, fuse_at: 1_000.0 },
    Candidate { name: "each has once been at 111.1", of: Of::EachOnce, at: 1.0 / 0.009, fuse_at: 1_000.0 },
    Candidate { name: "both at 100, no fuse", of: Of::Both, at: 100.0, fuse_at: f64::INFINITY },
    Candidate { name: "both at 50", of: Of::Both, at: 50.0, fuse_at: 1_000.0 },
    Candidate { name: "both at 30", of: Of::Both, at: 30.0, fuse_at: 1_000.0 },
    Candidate { name: "both at 20", of: Of::Both, at: 20.0, fuse_at: 1_000.0 },
    Candidate { name: "each once at 50", of: Of::EachOnce, at: 50.0, fuse_at: 1_000.0 },
    Candidate { name: "each once at 30", of: Of::EachOnce, at: 30.0, fuse_at: 1_000.0 },
];

/// Canary requests until each candidate would have rolled back.
fn paths(lab: &Lab, cell: &str, runs: u64, traffic: &Traffic, phi: bool, looks: usize) -> Vec<Vec<Option<f64>>> {
    lab.simulate(cell, runs, |random| {
        let dispersion = if phi { traffic.phi(random) } else { 1.0 };
        let judge = judge(Policy { dispersion, ..Policy::default() });
        let (mut evidence, mut requests) = (Evidence::default(), 0);
        let (mut relative_once, mut floor_once) = (0.0_f64, 0.0_f64);
        let mut alarms = vec![None; CANDIDATES.len()];
        for number in 0..looks {
            let poll = traffic.poll(random, number);
            requests += poll.canary.requests;
            judge.look(&mut evidence, &poll);
            let Capital { relative, floor, harm, fuse, .. } = judge.capital(&evidence);
            (relative_once, floor_once) = (relative_once.max(relative), floor_once.max(floor));
            for (candidate, alarm) in CANDIDATES.iter().zip(&mut alarms) {
                let capital = match candidate.of {
                    Of::Both => harm,
                    Of::EachOnce => relative_once.min(floor_once),
                };
                if alarm.is_none() && (capital >= candidate.at || fuse >= candidate.fuse_at) {
                    *alarm = Some(requests as f64);
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
    progress("alternatives");
    println!("## Could the same capitals decide sooner?\n");
    prose(&format!(
        "The capitals are those of the published vectors; only when they decide is different. Guaranteed is what follows \
         from the threshold at any look, measured is the share taken back within {LOOKS} looks at the tolerance (w 10 %, {} \
         runs per cell), and under bursts of 8 errors with phi. \"Each once\" is as valid as \"both\": one of the two nulls \
         holds all the time, and its capital ever reaches K with a chance of 1/K at most. Then canary requests to the \
         rollback, median (90th percentile), w 10 %, 100 per poll, {} runs.",
        lab.runs,
        lab.few()
    ));
    let steady = |per_poll, stable, canary| Traffic::steady(per_poll, 0.1, stable, canary);
    let wrong = [
        ("1% -> 1.25%, 100/poll", steady(100.0, 0.01, 0.0125), false),
        ("1% -> 1.25%, 1000/poll", steady(1000.0, 0.01, 0.0125), false),
        ("0.08% -> 0.1%, 1000/poll", steady(1000.0, 0.0008, 0.001), false),
        (
            "bursts",
            Traffic { per_poll: 100.0, share: 0.1, pattern: Pattern::Bursts { rate: 0.001, chance: 0.01, mean: 8.0 } },
            true,
        ),
    ];
    let found = [
        ("0.1% -> 1%", steady(100.0, 0.001, 0.01)),
        ("0.1% -> 5%", steady(100.0, 0.001, 0.05)),
        ("1% -> 2%", steady(100.0, 0.01, 0.02)),
        ("0.2% -> 0.5%", steady(100.0, 0.002, 0.005)),
    ];
    let mut head = vec!["Decides when", "guaranteed"];
    head.extend(wrong.iter().map(|(name, _, _)| *name).chain(found.iter().map(|(name, _)| *name)));
    let mut table = Table::new(&head);
    let wrong = wrong.map(|(name, traffic, phi)| paths(lab, &format!("early {name}"), lab.runs, &traffic, phi, LOOKS));
    let found = found.map(|(name, traffic)| paths(lab, &format!("found {name}"), lab.few(), &traffic, false, 10_000));
    for (number, candidate) in CANDIDATES.iter().enumerate() {
        let mut cells =
            vec![candidate.name.to_owned(), format!("{:.1}%", 100.0 * (1.0 / candidate.at + 1.0 / candidate.fuse_at))];
        cells.extend(wrong.iter().map(|runs| Share::of(runs, |alarms| alarms[number].is_some()).text()));
        cells.extend(found.iter().map(|runs| Delays::new(runs.iter().map(|alarms| alarms[number])).text()));
        table.row(&cells);
    }
    table.print();
}
