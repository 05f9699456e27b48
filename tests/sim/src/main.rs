//! `sim`: the whole operator on a simulated cluster, seed after seed.

#![allow(unreachable_pub)] // nothing is exported from a program

mod api;
mod checks;
mod cluster;
mod faults;
mod history;
mod objects;
mod operators;
mod people;
mod plan;
mod prometheus;
mod random;
mod run;
mod traffic;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use clap::Parser;

use history::Keep;

/// Objects of JSON are made and dropped all the time: with this allocator a seed takes a sixth less.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Runs the whole operator on a simulated cluster, by seed, and holds it to its invariants.
#[derive(Debug, Parser)]
struct Args {
    /// Which seeds: FROM..TO (without TO), or how many from 0 on.
    #[arg(default_value = "1000")]
    seeds: String,
    /// Print what happens.
    #[arg(long)]
    history: bool,
    /// Threads; as many as there are processors if not given.
    #[arg(long)]
    jobs: Option<usize>,
    /// Stop after so many seeds that fail.
    #[arg(long, default_value_t = 5)]
    failures: usize,
    /// A list of seeds that failed once, one in a line, to be run first.
    #[arg(long)]
    kept: Option<PathBuf>,
    /// A folder for the histories of seeds that fail.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// One seed in so many is run twice: the same seed must have the same history.
const TWICE: u64 = 100;
/// Lines of the history that are shown of a seed that fails; the whole is in the folder.
const LINES: usize = 60;

/// The seeds of the command line, after those that are kept.
fn seeds(args: &Args) -> anyhow::Result<Vec<u64>> {
    let number = |text: &str| text.trim().parse::<u64>().with_context(|| format!("{text:?} is no seed"));
    let mut all = Vec::new();
    if let Some(path) = &args.kept {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let kept = text.lines().filter_map(|line| line.split('#').next()).filter(|line| !line.trim().is_empty());
        all = kept.map(number).collect::<anyhow::Result<_>>()?;
    }
    match args.seeds.split_once("..") {
        Some((from, to)) => all.extend(number(from)?..number(to)?),
        None => all.extend(0..number(&args.seeds)?),
    }
    Ok(all)
}

/// Runs one seed, and tells what is wrong with it.
fn one(seed: u64, args: &Args) -> anyhow::Result<run::Ended> {
    let twice = seed.is_multiple_of(TWICE);
    let keep = match (args.history, twice) {
        (true, _) => Keep::Lines,
        (false, true) => Keep::Digest,
        (false, false) => Keep::Nothing,
    };
    let mut ended = run::seed(seed, keep)?;
    if twice && run::seed(seed, Keep::Digest)?.digest != ended.digest {
        ended.violations.push("the same seed has two histories".to_owned());
    }
    if args.history {
        ended.lines.iter().for_each(|line| println!("{line}"));
    }
    if !ended.violations.is_empty() {
        eprintln!("seed {seed} fails: {}", ended.violations.join("; "));
    }
    Ok(ended)
}

/// What happened in a seed that failed: the lines up to the first violation, and all of them in a file.
fn explain(seed: u64, args: &Args) -> anyhow::Result<()> {
    let lines = run::seed(seed, Keep::Lines)?.lines;
    if let Some(folder) = &args.write {
        std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let path = folder.join(format!("seed-{seed}.txt"));
        std::fs::write(&path, lines.join("\n")).with_context(|| format!("{} cannot be written", path.display()))?;
        eprintln!("the history of seed {seed} is in {}", path.display());
    }
    let first = lines.iter().position(|line| line.contains("VIOLATION")).unwrap_or(lines.len());
    let from = first.saturating_sub(LINES);
    eprintln!("seed {seed}, up to what went wrong first:");
    lines.iter().take(first.saturating_add(1)).skip(from).for_each(|line| eprintln!("{line}"));
    Ok(())
}

#[allow(clippy::disallowed_methods)] // how long it really took
fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let seeds = seeds(&args)?;
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Report::default()));
    let began = std::time::Instant::now();
    let failed = |report: &Report| report.failed.len() >= args.failures;
    let work = || -> anyhow::Result<()> {
        loop {
            let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) else { return Ok(()) };
            if done.lock().is_ok_and(|report| failed(&report)) {
                return Ok(());
            }
            let ended = one(*seed, &args)?;
            if let Ok(mut report) = done.lock() {
                report.add(ended);
                if report.seeds.is_multiple_of(1000) {
                    eprintln!("{} of {} seeds", report.seeds, seeds.len());
                }
            }
        }
    };
    let jobs = args.jobs.or_else(|| Some(std::thread::available_parallelism().ok()?.get())).unwrap_or(1);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let threads: Vec<_> = (0..jobs.min(seeds.len())).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a seed panicked: the operator or the simulator has a fault"))??;
        }
        Ok(())
    })?;
    let report = done.into_inner().unwrap_or_default();
    report.print(began.elapsed().as_secs_f64());
    let Some(seed) = report.failed.first() else { return Ok(ExitCode::SUCCESS) };
    if !args.history {
        explain(*seed, &args)?;
    }
    eprintln!(
        "{} seeds failed; see one with: make sim SEEDS={seed}..{} HISTORY=1",
        report.failed.len(),
        seed.saturating_add(1)
    );
    Ok(ExitCode::FAILURE)
}

/// What all seeds brought.
#[derive(Debug, Default)]
struct Report {
    seeds: u64,
    seconds: u64,
    counts: checks::Counts,
    failed: Vec<u64>,
}

impl Report {
    fn add(&mut self, ended: run::Ended) {
        self.seeds = self.seeds.saturating_add(1);
        self.seconds = self.seconds.saturating_add(ended.seconds);
        self.counts.add(&ended.counts);
        if !ended.violations.is_empty() {
            self.failed.push(ended.seed);
        }
    }

    fn print(&self, took: f64) {
        println!(
            "{} seeds in {took:.0} s ({:.0} per second): {} simulated hours, {} writes of the operator, attempts {:?}",
            self.seeds,
            self.seeds as f64 / took.max(0.001),
            self.seconds / 3600,
            self.counts.writes,
            self.counts.outcomes,
        );
        println!(
            "weight 0 after the end was committed: {:.1} s at the longest in calm weather, {:.1} s in any",
            self.counts.slowest_calm as f64 / 1000.0,
            self.counts.slowest_zero as f64 / 1000.0,
        );
    }
}
