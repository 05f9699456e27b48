//! The `sluice` binary: one TLS provider, the command line, an exit code.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    // kube and reqwest both speak TLS; without a choice made here rustls could not make one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("sluice: a TLS provider was installed before the program began");
        return ExitCode::FAILURE;
    }
    match sluice::cli::Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice: {error:#}");
            ExitCode::FAILURE
        }
    }
}
