//! Where it does badly: settings in which it is wrong more often than elsewhere, late, or blind.

use crate::lab::{Delays, Lab, Share, Table, percent, progress, prose};
use crate::rules::{Rule, Sluice, Threshold, ZTest, race};
use crate::tables::rates::LOOKS;
use crate::traffic::{Pattern, Traffic};

pub(crate) fn print(lab: &Lab) {
    println!("## Where it does badly\n");

    wrong(lab);
    slow(lab);
    late(lab);
}

/// False rollbacks where what the rule leans on does not hold, or hardly.
fn wrong(lab: &Lab) {
    progress("where it does badly: false rollbacks");
    prose(&format!(
        "False rollbacks within {LOOKS} looks, 100 requests per poll and canary share 10 % unless said otherwise, {} runs \
         per cell. Rare strong bursts are the worst: the hour on which phi is measured often does not show them. A burst of 90 in a poll \
         of 100 is what the fuse is for: there a single poll decides.",
        lab.runs
    ));
    let bursts =
        |chance, mean| Traffic { per_poll: 100.0, share: 0.1, pattern: Pattern::Bursts { rate: 0.001, chance, mean } };
    let boundary = |per_poll, share, rate| Traffic::steady(per_poll, share, rate, 1.25 * rate);
    let cells = [
        ("bursts of 8 in 5% of pod-polls", bursts(0.05, 8.0)),
        ("bursts of 30 in 5%", bursts(0.05, 30.0)),
        ("bursts of 30 in 1%", bursts(0.01, 30.0)),
        ("bursts of 30 in 0.1%", bursts(0.001, 30.0)),
        ("bursts of 90 in 0.1%", bursts(0.001, 90.0)),
        ("bursts of 90 in 0.02%", bursts(0.0002, 90.0)),
        ("1.25 x 5%, up to 1% allowed", boundary(100.0, 0.1, 0.05)),
        ("1.25 x 10%, up to 1% allowed", boundary(100.0, 0.1, 0.1)),
        ("1.25 x 30%, up to 1% allowed", boundary(100.0, 0.1, 0.3)),
        ("1.25 x 1%, 10,000 per poll, up to 1% allowed", boundary(10_000.0, 0.1, 0.01)),
        ("1.25 x 1%, 1 per poll, w 1%, up to 1% allowed", boundary(1.0, 0.01, 0.01)),
        ("0.08% -> 0.1%, 1,000 per poll: both at their limit", Traffic::steady(1_000.0, 0.1, 0.0008, 0.001)),
    ];
    let mut table =
        Table::new(&["Setting", "Sluice, phi measured", "Sluice, phi 1", "no cap, phi 1", "phi measured, mean"]);
    for (name, traffic) in cells {
        let runs = lab.simulate(name, lab.runs, |random| {
            let phi = traffic.phi(random);
            let mut rules: Vec<Box<dyn Rule>> = vec![
                Box::new(Sluice::new(phi, true)),
                Box::new(Sluice::new(1.0, true)),
                Box::new(Sluice::new(1.0, false)),
            ];
            (phi, race(&traffic, random, LOOKS, &mut rules))
        });
        let phi = runs.iter().map(|(phi, _)| phi).sum::<f64>() / runs.len() as f64;
        let mut cells = vec![name.to_owned()];
        cells.extend((0..3).map(|rule| Share::of(&runs, |(_, alarms)| alarms[rule].is_some()).text()));
        cells.push(format!("{phi:.1}"));
        table.row(&cells);
    }
    table.print();
}

/// Regressions that are found late or never.
fn slow(lab: &Lab) {
    progress("where it does badly: slow detection");
    const MOST: usize = 10_000;
    let runs = (lab.few() / 4).max(20);
    prose(&format!(
        "Canary requests until the rollback, median (90th percentile), within {MOST} looks, {runs} runs per cell; the share \
         of runs where fewer than half were found. phi 1 unless said otherwise."
    ));
    let cells = [
        ("very low traffic: 1 per poll, w 10%", 1.0, 0.1, 0.001, 0.01, 1.0),
        ("very low traffic: 1 per poll, w 1%", 1.0, 0.01, 0.01, 0.05, 1.0),
        ("w 50%: stable is as noisy as the canary", 100.0, 0.5, 0.001, 0.01, 1.0),
        ("w 50%", 100.0, 0.5, 0.01, 0.02, 1.0),
        ("just above the tolerance", 1000.0, 0.1, 0.01, 0.013, 1.0),
        ("just above the tolerance", 1000.0, 0.1, 0.01, 0.014, 1.0),
        ("small", 1000.0, 0.1, 0.01, 0.015, 1.0),
        ("just above the floor of 0.1%", 1000.0, 0.1, 0.0001, 0.0012, 1.0),
        ("tenfold, but below the floor", 1000.0, 0.1, 0.00005, 0.0005, 1.0),
        ("high base rate", 100.0, 0.1, 0.05, 0.1, 1.0),
        ("high base rate", 100.0, 0.1, 0.1, 0.2, 1.0),
        ("high base rate", 100.0, 0.1, 0.3, 0.45, 1.0),
        ("few large polls: 10,000 per poll", 10_000.0, 0.1, 0.001, 0.05, 1.0),
        ("few large polls: 10,000 per poll", 10_000.0, 0.1, 0.01, 0.02, 1.0),
        ("phi 5, as with bursts", 100.0, 0.1, 0.001, 0.01, 5.0),
        ("phi 5, as with bursts", 100.0, 0.1, 0.01, 0.02, 5.0),
        ("phi 5, as with bursts", 100.0, 0.1, 0.001, 0.05, 5.0),
    ];
    let mut table = Table::new(&["Setting", "Change", "Sluice", "polls, median", "Sluice, no cap", "z .01 (invalid)"]);
    for (name, per_poll, share, stable, canary, phi) in cells {
        let traffic = Traffic::steady(per_poll, share, stable, canary);
        let change = format!("{} -> {}", percent(stable), percent(canary));
        let found = lab.simulate(&format!("slow {name} {change}"), runs, |random| {
            let mut rules: Vec<Box<dyn Rule>> =
                vec![Box::new(Sluice::new(phi, true)), Box::new(Sluice::new(phi, false)), Box::new(ZTest::one())];
            race(&traffic, random, MOST, &mut rules)
        });
        let delays = |rule| super::delays::delays(&found, rule).text();
        let polls = Delays::new(found.iter().map(|alarms| alarms[0].map(|alarm| alarm.polls as f64)));
        let polls = polls.quantile(0.5).map_or_else(|| "-".to_owned(), |polls| format!("{polls}"));
        table.row(&[name.to_owned(), change, delays(0), polls, delays(1), delays(2)]);
    }
    table.print();
}

/// Defects that come after a long clean time.
fn late(lab: &Lab) {
    progress("where it does badly: late defects");
    let runs = (lab.few() / 4).max(20);
    prose(&format!(
        "A defect that comes late: canary requests from the defect to the rollback, median (90th percentile), {runs} runs \
         per cell, 100 requests per poll, w 10 %. The longer nothing happens, the less capital is left to stake. What was \
         a false alarm before the defect is not counted."
    ));
    let mut table =
        Table::new(&["Change", "Clean polls before", "Sluice", "Argo-like, failureLimit 3", "z .01 (invalid)"]);
    for (stable, canary, limit) in [(0.001, 0.01, 0.01), (0.01, 0.02, 0.02), (0.01, 0.05, 0.02)] {
        for from in [0, 200, 1_000, 5_000, 20_000] {
            let traffic = Traffic { per_poll: 100.0, share: 0.1, pattern: Pattern::Late { stable, canary, from } };
            let change = format!("{} -> {}", percent(stable), percent(canary));
            let found = lab.simulate(&format!("late {change} {from}"), runs, |random| {
                let mut rules: Vec<Box<dyn Rule>> =
                    vec![Box::new(Sluice::new(1.0, true)), Box::new(Threshold::argo(limit, 3)), Box::new(ZTest::one())];
                race(&traffic, random, from + 10_000, &mut rules)
            });
            let text = |rule: usize| {
                let after = found.iter().filter(|alarms| alarms[rule].is_none_or(|alarm| alarm.polls > from));
                let delays = Delays::new(
                    after.map(|alarms| alarms[rule].map(|alarm| alarm.requests as f64 - from as f64 * 100.0)),
                );
                let early = Share::of(&found, |alarms| alarms[rule].is_some_and(|alarm| alarm.polls <= from));
                match early.hits {
                    0 => delays.text(),
                    hits if hits == early.of => "false alarm before in 100% of runs".to_owned(),
                    _ => format!("{}, false alarm before in {:.0}%", delays.text(), 100.0 * early.ratio()),
                }
            };
            table.row(&[change.clone(), from.to_string(), text(0), text(1), text(2)]);
        }
    }
    table.print();
}
