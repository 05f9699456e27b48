//! The demo: what Sluice does, shown on a real cluster with real traffic, in a few minutes.
//!
//! Acts as a user does: kubectl, HTTP requests, and `sluice report` at the end. Every figure it prints was observed, and
//! it exits with 0 only if everything that it tells really happened.

// The rule protects decisions of the operator, which must be repeatable; a demo deals in real time.
#![allow(clippy::disallowed_methods)]
// Deadlines some minutes ahead do not overflow.
#![allow(clippy::arithmetic_side_effects)]

mod cluster;
mod kubectl;
mod show;
mod story;

use std::process::ExitCode;

use clap::Parser;

/// Shows a good version promoted and a bad one taken back.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
pub(crate) struct Options {
    /// The kubectl context of an existing cluster; without it, the testbed that surrounds this command is used.
    #[arg(long, env = "KUBECONTEXT")]
    context: Option<String>,
    /// Where the gateway takes HTTP requests, as seen from here.
    #[arg(long, env = "SLUICE_GATEWAY_URL")]
    gateway_url: Option<String>,
    /// Where Prometheus answers, as seen from Pods of the cluster.
    #[arg(long, env = "SLUICE_PROMETHEUS_URL")]
    prometheus_url: Option<String>,
    /// Where Alertmanager answers, as seen from here.
    #[arg(long, env = "SLUICE_ALERTMANAGER_URL")]
    alertmanager_url: Option<String>,
    /// The Gateway of the examples' route, as namespace/name.
    #[arg(long, env = "SLUICE_GATEWAY", default_value = "gateway-system/gateway")]
    gateway: String,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
}

fn main() -> ExitCode {
    // The HTTP client asks for a provider even where no TLS is spoken.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("demo: a TLS provider was installed before the program began");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("demo: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(story::tell(&Options::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo: this did not happen as it should: {error:#}");
            ExitCode::FAILURE
        }
    }
}
