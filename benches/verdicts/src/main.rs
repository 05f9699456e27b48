//! Simulates the verdicts and prints docs/verdict-tables.md: Sluice's own rule beside what others do, on the same
//! traffic with fixed seeds. Ends with the project's goals; exits with 1 if one is missed. `make bench-verdicts`.
#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::indexing_slicing)] // may panic: nobody's rollout

mod goals;
mod lab;
mod rules;
mod tables;
mod traffic;

use std::process::ExitCode;

use clap::Parser;

use goals::Goals;
use lab::{Lab, prose};
use tables::{advance, alternatives, bad, delays, rates, rollouts, stakes, stress};

/// Simulates the verdicts and prints the tables of docs/verdict-tables.md.
#[derive(Debug, Parser)]
struct Args {
    /// Runs per cell of the tables of shares; medians take a quarter of it.
    #[arg(long, default_value_t = 4_000, value_parser = clap::value_parser!(u64).range(20..))]
    runs: u64,
    /// A tenth of the runs: a look at all tables within a minute. Shares are coarse then, and a goal that is met by little
    /// may be missed by chance.
    #[arg(long)]
    quick: bool,
    /// Where random numbers begin. The same seed and number of runs give the same tables on every machine.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let Args { runs, quick, seed } = Args::parse();
    let lab = Lab { seed, runs: if quick { (runs / 10).max(20) } else { runs } };
    println!("# Verdict tables\n");

    prose(&format!(
        "This page is printed by `make bench-verdicts` (`verdict-tables --runs {} --seed {seed}`) and not edited. It runs \
         `src/judge` itself on simulated traffic: Poisson requests, binomial errors, one look per poll, default policy \
         (tolerance 1.25, floor 0.1%, alpha 1%, beta 5%). Other rules see the same polls; \"like\" means the rule as \
         described, not the other project's code. How the rule works is in [verdicts.md](verdicts.md).",
        lab.runs
    ));
    prose(&format!(
        "A printed 0.00% is no proof of never: with {} runs the true share is below {:.3}% with 95% confidence (3 / runs), \
         with {} runs below {:.2}%.",
        lab.runs,
        300.0 / lab.runs as f64,
        lab.few(),
        300.0 / lab.few() as f64
    ));
    let mut goals = Goals::default();
    rates::print(&lab, &mut goals);
    delays::print(&lab, &mut goals);
    stress::print(&lab, &mut goals);
    advance::print(&lab, &mut goals);
    rollouts::print(&lab, &mut goals);
    bad::print(&lab);
    alternatives::print(&lab);
    stakes::print(&lab);
    if goals.print() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
