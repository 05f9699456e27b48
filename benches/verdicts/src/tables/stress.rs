//! What real services do: outages of something shared, errors in bursts, defects that come late, little traffic.

use crate::goals::Goals;
use crate::lab::{Lab, Share, Table, progress, prose};
use crate::rules::{Sluice, race};
use crate::tables::rates::{LOOKS, field};
use crate::traffic::{Pattern, Traffic};

pub(crate) fn print(lab: &Lab, goals: &mut Goals) {
    progress("stress");
    println!("## Stress without a regression\n");
    prose(&format!(
        "Canary share 10 %, {LOOKS} looks, {} runs per cell. Share of runs that were taken back. \"plain\" is Sluice's \
         rule without phi and without the cap on a poll, \"both\" is Sluice.",
        lab.runs
    ));
    let steady = |per_poll, pattern| Traffic { per_poll, share: 0.1, pattern };
    let strong = Pattern::Bursts { rate: 0.001, chance: 0.01, mean: 8.0 };
    let weak = Pattern::Bursts { rate: 0.001, chance: 0.002, mean: 4.0 };
    let cells = [
        (
            "shared outage, both x20 for 30 polls, base 1%",
            steady(100.0, Pattern::Outage { rate: 0.01, factor: 20.0 }),
            0.02,
        ),
        (
            "shared outage, both x20 for 30 polls, base 0.1%",
            steady(100.0, Pattern::Outage { rate: 0.001, factor: 20.0 }),
            0.01,
        ),
        ("bursts of 8 errors in 1% of the polls of each of 10 pods", steady(100.0, strong), 0.02),
        ("bursts of 4 errors in 0.2% of them", steady(100.0, weak), 0.02),
        ("little traffic: 2 requests per poll, base 1%", Traffic::steady(2.0, 0.1, 0.01, 0.01), 0.05),
    ];
    let mut table = Table::new(&[
        "Stress (limit)",
        "Argo-like, first failure",
        "Argo-like, failureLimit 3",
        "Flagger-like",
        "z .05",
        "z .01",
        "plain",
        "phi",
        "cap",
        "both",
        "phi measured",
    ]);
    let mut found = Vec::new();
    for (name, traffic, limit) in cells {
        let runs = lab.simulate(name, lab.runs, |random| {
            let phi = traffic.phi(random);
            let mut rules = field(limit);
            for (phi, cap) in [(1.0, false), (phi, false), (1.0, true), (phi, true)] {
                rules.push(Box::new(Sluice::new(phi, cap)));
            }
            (phi, race(&traffic, random, LOOKS, &mut rules))
        });
        let rules = runs.first().map_or(0, |(_, alarms)| alarms.len());
        let shares: Vec<Share> =
            (0..rules).map(|rule| Share::of(&runs, |(_, alarms)| alarms[rule].is_some())).collect();
        let phi = runs.iter().map(|(phi, _)| phi).sum::<f64>() / runs.len() as f64;
        let mut cells = vec![format!("{name} ({}%)", limit * 100.0)];
        cells.extend(shares.iter().map(|share| share.text()));
        cells.push(format!("{phi:.1}"));
        table.row(&cells);
        found.extend(shares.last().copied());
    }
    table.print();
    goals.worst("false rollback under outages, bursts and little traffic", &found, 0.001);
}
