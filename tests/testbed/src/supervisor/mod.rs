//! The process that isolates a testbed and keeps its components running.
//!
//! It is PID 1 of a PID namespace and the only holder of a mount and a network namespace. When it dies, by
//! whatever means, the kernel ends every process in them and drops their mounts and their network. What then
//! remains is the testbed's folder and its cgroups, which [`remains`] removes.

pub mod control;
mod discovery;
pub mod identity;
mod isolate;
mod netlink;
mod orders;
mod probe;
mod processes;
pub mod remains;

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};

use crate::cluster::{Layout, components};
use crate::parts::Parts;
use identity::Identity;

/// The variable that every process of one start of a testbed carries in its environment.
pub const RUN_VARIABLE: &str = "SLUICE_TESTBED_RUN";

/// Makes the namespaces, starts the supervisor proper in them, notes who it is, and returns.
///
/// A process enters a new PID namespace only by being born into it; hence one process to make it and a
/// second to live in it.
///
/// # Errors
/// When a namespace cannot be made.
pub fn launch(layout: &Layout) -> Result<()> {
    nix::unistd::setsid().context("cannot leave the terminal's session")?;
    isolate::unshare()?;
    let log = OpenOptions::new().create(true).append(true).open(layout.log("supervisor"))?;
    let child = Command::new(std::env::current_exe()?)
        .args(identity::arguments_of(layout.name()))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .context("cannot start the supervisor")?;
    Identity::of(child.id(), &std::env::var(RUN_VARIABLE).unwrap_or_default())?.write(layout)
}

/// Is the supervisor: sets up the namespaces from inside, runs the components, returns when told to stop.
///
/// # Errors
/// When the namespaces cannot be set up.
pub fn run(layout: &Layout, parts: &Parts) -> Result<()> {
    isolate::settle(layout, parts)?;
    // A provider that is there already serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let prober = probe::Prober::new(layout)?;
        let mut terminate = signal(SignalKind::terminate())?;
        let processes = processes::start(components::all(layout, parts), layout.clone(), prober.clone())?;
        let orders = orders::Orders::new(processes, prober.clone());
        tokio::spawn(discovery::run(layout.clone(), prober));
        let listener = control::listen(layout)?;
        tokio::spawn(control::serve(listener, orders.clone()));
        terminate.recv().await;
        orders.stop_all().await;
        Ok(())
    })
}
