//! `testbed proxy`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use testbed::proxy::{Effect, Fault, Filter, Proxy, When, Which};
use tokio::signal::unix::{SignalKind, signal};

use super::{Which as Named, traffic};

/// Who is told to try again later waits so many seconds.
const RETRY_AFTER: u32 = 1;

#[derive(Debug, Args)]
pub(crate) struct ProxyArguments {
    #[command(flatten)]
    which: Named,
    /// What the dice begin with; the same seed and the same requests give the same faults.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many of a hundred requests are answered with 429, as many with 500, as many are cut in mid-answer, and as
    /// many writes are carried out without an answer.
    #[arg(long, default_value_t = 3.0)]
    percent: f64,
    /// By how much every request is delayed; up to as much again comes on top.
    #[arg(long, default_value = "20ms", value_parser = traffic::duration)]
    latency: Duration,
    /// After how long a watch is cut, on average; 0s for never.
    #[arg(long, default_value = "30s", value_parser = traffic::duration)]
    watches: Duration,
}

/// Runs until it is told to stop, and prints what came through.
pub(super) fn run(arguments: &ProxyArguments) -> Result<ExitCode> {
    anyhow::ensure!((0.0..=25.0).contains(&arguments.percent), "--percent takes 0 to 25: there are four faults");
    let testbed = arguments.which.open()?;
    // Before any thread is made, so that all of them are inside.
    testbed.enter()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let layout = arguments.which.layout()?;
        let proxy = Proxy::start(&layout, arguments.seed)?;
        for fault in faults(arguments) {
            // What each has struck is in the account.
            let _ = proxy.add(fault);
        }
        writeln!(io::stdout(), "the API server is behind the proxy at {}, seed {}", proxy.address(), arguments.seed)?;
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminated.recv() => {}
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for a signal")?,
        }
        writeln!(io::stdout(), "{:#?}", proxy.account())?;
        Ok(ExitCode::SUCCESS)
    })
}

fn faults(arguments: &ProxyArguments) -> Vec<Fault> {
    let chance = When::Chance(arguments.percent / 100.0);
    let delay = Effect::Delay { least: arguments.latency, jitter: arguments.latency };
    let answer = |status| Effect::Answer { status, retry_after: (status == 429).then_some(RETRY_AFTER) };
    let mut faults = vec![
        (Which::Any, When::Always, delay),
        (Which::Any, chance, answer(429)),
        (Which::Any, chance, answer(500)),
        (Which::Reads, chance, Effect::CutAnswer),
        (Which::Writes, chance, Effect::CutAnswer),
        (Which::Writes, chance, Effect::LoseAnswer),
    ];
    if !arguments.watches.is_zero() {
        faults.push((Which::Watches, When::Always, Effect::CutStream { mean: arguments.watches }));
    }
    faults.into_iter().map(|(which, when, effect)| Fault { filter: Filter::of(which), when, effect }).collect()
}
