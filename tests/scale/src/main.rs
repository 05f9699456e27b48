//! Measures Sluice with many Rollouts and writes docs/performance.md: memory, requests at rest, writes of a release, how
//! soon it starts, adopts and takes bad versions back. `make bench-scale`.
//!
//! Runs in a testbed with Sluice installed and simulated nodes. Pods run nothing, nobody sends requests, and the gateway
//! is played: API server, Prometheus and the operator are real, and so is everything that the operator says and reads.

// The rule protects decisions of the operator, which must be repeatable; a benchmark deals in real time.
#![allow(clippy::disallowed_methods)]
// Counts and times of one run do not overflow.
#![allow(clippy::arithmetic_side_effects)]
#![allow(clippy::large_futures)] // there is one of each

mod audit;
mod board;
mod cluster;
mod manifests;
mod measure;
mod operator;
mod report;
mod results;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use testbed::Testbed;
use testbed::progress::Progress;

use cluster::Cluster;
use measure::Bench;
use results::Results;

/// Measures Sluice with many Rollouts, in the testbed that surrounds this command.
#[derive(Debug, Parser)]
#[command(name = "scale", version)]
struct Options {
    /// Numbers of Rollouts, rising.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    scale: Vec<usize>,
    /// Numbers of Rollouts that are in a wave at once.
    #[arg(long, value_delimiter = ',', default_value = "1,100,500")]
    active: Vec<usize>,
    /// Seconds for which requests at rest are counted.
    #[arg(long, default_value_t = 120)]
    rest: u64,
    /// Takes the Rollouts of an earlier run in the same testbed, from this number on, and measures only many in a wave.
    #[arg(long)]
    again: Option<usize>,
    /// Where the results are written.
    #[arg(long, default_value = "docs/performance.md")]
    out: PathBuf,
}

fn main() -> ExitCode {
    // The HTTP client asks for a provider even where no TLS is spoken.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = Options::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(&options)));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("scale: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything could be measured.
async fn run(options: &Options) -> Result<bool> {
    let largest = options.scale.iter().copied().max().context("--scale is empty")?;
    ensure!(options.scale.is_sorted() && options.scale.first() > Some(&0), "--scale takes rising numbers above 0");
    let needed = Bench::needed(&options.active);
    ensure!(needed <= largest, "--active needs {needed} Rollouts in all, and --scale ends with {largest}");

    let testbed = Testbed::current()?;
    // It would rebuild its configuration for every change of every route, and no request comes through it.
    testbed.stop("traefik")?;
    // Rules over every series of a thousand Rollouts each second: what would be measured is Prometheus.
    testbed.load_rules("alerts.yaml", "groups: []")?;
    let cluster = Cluster::new(Progress::start()).await?;
    operator::unscraped(&cluster).await?;
    let mut bench = Bench::new(cluster, &testbed).await?;
    if let Some(used) = options.again {
        bench.again(used, largest);
    }
    let mut results = Results::default();
    measure(&mut bench, options, &mut results).await?;
    println!("{}", report::tables(&results));
    Ok(results.missing.is_empty())
}

/// The page is written after each part: who stops it has what was measured until then.
async fn measure(bench: &mut Bench, options: &Options, results: &mut Results) -> Result<()> {
    let written = |results: &Results| {
        std::fs::write(&options.out, report::page(results))
            .with_context(|| format!("cannot write {}", options.out.display()))
    };
    for (number, size) in options.scale.iter().enumerate().filter(|_| options.again.is_none()) {
        let found = bench.at(*size, Duration::from_secs(options.rest)).await;
        let what = format!("with {size} Rollouts");
        results.sizes.extend(noted(found, &what, &mut results.missing));
        written(results)?;
        // It costs the same beside any number; the smallest and the largest show that.
        if number > 0 && Some(size) != options.scale.last() {
            continue;
        }
        let found = bench.release(number).await;
        let what = format!("a release beside {size} Rollouts");
        results.releases.extend(noted(found, &what, &mut results.missing));
        written(results)?;
    }
    if options.again.is_none() {
        let found = bench.hourly().await;
        results.hourly_of = bench.there();
        results.hourly = noted(found, "what an hour costs", &mut results.missing);
        written(results)?;
    }
    for rollouts in &options.active {
        let found = bench.active(*rollouts).await;
        let what = format!("with {rollouts} in a wave at once");
        results.active.extend(noted(found, &what, &mut results.missing));
        written(results)?;
    }
    Ok(())
}

/// What was found; else why not is said and noted, and the rest is measured all the same.
fn noted<T>(found: Result<T>, what: &str, missing: &mut Vec<String>) -> Option<T> {
    found
        .inspect_err(|error| {
            eprintln!("scale: {what}: {error:#}");
            missing.push(format!("{what}: {error:#}"));
        })
        .ok()
}
