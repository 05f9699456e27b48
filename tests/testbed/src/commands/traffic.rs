//! `testbed load`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use testbed::load::{self, Config, Handle, Summary};

use super::Which;

#[derive(Debug, Args)]
pub(crate) struct LoadArguments {
    #[command(flatten)]
    which: Which,
    /// Where to send requests; the testbed's gateway if not given.
    #[arg(long)]
    url: Option<String>,
    /// The Host header, by which the gateway chooses a route.
    #[arg(long)]
    host: Option<String>,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// For how long, for example 60s.
    #[arg(long, default_value = "60s", value_parser = duration)]
    duration: Duration,
    /// Write the summary to this file instead of standard output.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print a line each second.
    #[arg(long)]
    progress: bool,
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    testbed::duration::parse(text).ok_or_else(|| "give a time such as 250ms, 60s or 2m".to_owned())
}

/// The exit status tells whether every request was answered, and with less than 500.
pub(super) fn run(arguments: &LoadArguments) -> Result<ExitCode> {
    let testbed = arguments.which.open()?;
    // Before any thread is made, so that all of them are inside.
    testbed.enter()?;
    let url = arguments.url.clone().unwrap_or_else(|| testbed.gateway_url().to_owned());
    let mut config = Config::new(url).rate(arguments.rate).duration(arguments.duration);
    config.host.clone_from(&arguments.host);
    let handle = load::start(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let summary = runtime.block_on(async {
        while arguments.progress && !handle.is_over() {
            second(&handle).await;
        }
        handle.finish().await
    });
    let text = serde_json::to_string_pretty(&summary)?;
    match &arguments.out {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => writeln!(io::stdout(), "{text}")?,
    }
    Ok(if summary.failed == 0 && summary.skipped == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn second(handle: &Handle) {
    let from = handle.elapsed();
    tokio::time::sleep(Duration::from_secs(1)).await;
    eprintln!("{}", line(&handle.between(from, handle.elapsed())));
}

fn line(summary: &Summary) -> String {
    let versions: Vec<_> =
        summary.by_version.iter().map(|(version, counts)| format!("{version} {:.0}%", counts.share * 100.0)).collect();
    format!(
        "{:5.0}s  {} answered, {} failed, p99 {:.1} ms, {}",
        summary.to_seconds,
        summary.requests,
        summary.failed,
        summary.latency_ms.p99,
        versions.join(", ")
    )
}
