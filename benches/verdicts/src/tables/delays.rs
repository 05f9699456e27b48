//! How many canary requests it takes until a regression is found.

use crate::goals::Goals;
use crate::lab::{Delays, Lab, Table, percent, progress, prose, whole};
use crate::rules::{Alarm, Rule, Sluice, ZTest, judge, race};
use crate::traffic::Traffic;
use sluice::judge::{Forecast, Policy};

/// Stable's and the canary's rate, and the most that the median may be.
const CHANGES: [(f64, f64, Option<f64>); 4] =
    [(0.001, 0.01, Some(1_200.0)), (0.001, 0.05, Some(450.0)), (0.01, 0.02, Some(4_500.0)), (0.01, 0.05, None)];
/// Share and canary requests per poll.
const COLUMNS: [(f64, f64); 4] = [(0.05, 20.0), (0.1, 20.0), (0.1, 100.0), (0.5, 100.0)];
/// More looks than any of these takes.
const LOOKS: usize = 20_000;

pub(crate) fn delays(runs: &[Vec<Option<Alarm>>], rule: usize) -> Delays {
    Delays::new(runs.iter().map(|alarms| alarms[rule].map(|alarm| alarm.requests as f64)))
}

pub(crate) fn print(lab: &Lab, goals: &mut Goals) {
    progress("detection delays");
    println!("## Detection delay\n");
    prose(&format!(
        "Canary requests until the rollback, median (90th percentile), {} runs per cell ({} where there is a goal), phi \
         measured on stable's pods. The z-tests are quick because they are wrong so often without a regression. \
         \"Forecast\" is what the formula of `src/judge/forecast.rs` expects.",
        lab.few(),
        lab.runs
    ));
    let mut head = vec!["Change".to_owned()];
    head.extend(COLUMNS.map(|(share, per_poll)| format!("w {}, {per_poll}/poll", percent(share))));
    let more = ["w 10%, 20/poll, no cap", "forecast w 10%, 100/poll", "z .05, w 10%, 20/poll", "z .01, w 10%, 20/poll"];
    head.extend(more.map(str::to_owned));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    for (stable, canary, most) in CHANGES {
        let change = format!("{} -> {}", percent(stable), percent(canary));
        let (mut cells, mut others) = (vec![change.clone()], Vec::new());
        for (share, per_poll) in COLUMNS {
            let traffic = Traffic::steady(per_poll, share, stable, canary);
            let goal = most.filter(|_| (share, per_poll) == (0.1, 100.0));
            // Delays scatter: a median that is held against a limit takes all runs.
            let count = if goal.is_some() { lab.runs } else { lab.few() };
            let runs = lab.simulate(&format!("delay {change} {share} {per_poll}"), count, |random| {
                let phi = traffic.phi(random);
                let mut rules: Vec<Box<dyn Rule>> = vec![Box::new(Sluice::new(phi, true))];
                if (share, per_poll) == (0.1, 20.0) {
                    rules.push(Box::new(Sluice::new(phi, false)));
                    rules.push(Box::new(ZTest::five()));
                    rules.push(Box::new(ZTest::one()));
                }
                race(&traffic, random, LOOKS, &mut rules)
            });
            let found = delays(&runs, 0);
            cells.push(found.text());
            if (share, per_poll) == (0.1, 20.0) {
                others = (1..4).map(|rule| delays(&runs, rule).text()).collect();
            }
            if let Some(most) = goal {
                let what = format!("median canary requests to find {change}, w 10 %, 100 per poll");
                goals.most(&what, most, found.median());
            }
        }
        let judge = judge(Policy::default());
        let forecast = Forecast::new(&judge, stable, 0.1).harm_after(canary, 100.0);
        others.insert(1, forecast.map_or_else(|| "never".to_owned(), whole));
        cells.extend(others);
        table.row(&cells);
    }
    table.print();
}
