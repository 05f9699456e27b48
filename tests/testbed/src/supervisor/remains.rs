//! Removes what the kernel does not remove by itself when a supervisor dies. Runs outside the namespaces.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::identity::{Identity, parent_of};
use crate::cluster::Layout;

/// How long a supervisor may take to stop its components one after the other.
const PATIENCE: Duration = Duration::from_secs(15);
const PAUSE: Duration = Duration::from_millis(50);

/// Stops the supervisor and removes everything of the testbed.
///
/// # Errors
/// When something cannot be removed; the message names it.
pub fn remove(layout: &Layout) -> Result<()> {
    if let Some(supervisor) = Identity::read(layout) {
        end(&supervisor)?;
    }
    while let Some(supervisor) = Identity::search(layout) {
        end(&supervisor)?;
    }
    let cgroups = cgroups(&layout.cgroup());
    if !wait(PATIENCE, || cgroups.iter().all(|cgroup| remove_cgroup(cgroup))) {
        bail!("the cgroups {cgroups:?} do not go away: look for processes in them");
    }
    if layout.state().exists() {
        fs::remove_dir_all(layout.state())?;
    }
    // It stays while another testbed has its folder there.
    let _ = fs::remove_dir(Layout::root());
    Ok(())
}

/// Ends a supervisor and everything that belongs to it.
fn end(supervisor: &Identity) -> Result<()> {
    end_commands(supervisor);
    supervisor.signal(Signal::SIGTERM);
    if !wait(PATIENCE, || !supervisor.is_alive()) {
        supervisor.signal(Signal::SIGKILL);
    }
    // The kernel ends a namespace's processes after its PID 1 is gone, not before.
    if !wait(PATIENCE, || !supervisor.is_alive() && others(supervisor).is_empty()) {
        bail!("processes {:?} of the testbed do not end: look at what they wait for", others(supervisor));
    }
    // Its exit status, which keeps the PID namespace listed, is taken by the host's init at its leisure.
    wait(Duration::from_secs(2), || !Path::new(&format!("/proc/{}", supervisor.pid)).exists());
    Ok(())
}

/// Whether anything of the testbed is there.
#[must_use]
pub fn exist(layout: &Layout) -> bool {
    layout.state().exists() || !cgroups(&layout.cgroup()).is_empty() || Identity::search(layout).is_some()
}

/// Ends the commands that `testbed exec` runs: they would keep the network namespace alive.
fn end_commands(supervisor: &Identity) {
    let inside = pid_namespace(supervisor.pid);
    let commands =
        || others(supervisor).into_iter().filter(|&pid| pid_namespace(pid) != inside && pid != supervisor.pid);
    for pid in commands() {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if !wait(Duration::from_secs(2), || commands().next().is_none()) {
        for pid in commands() {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The testbed's processes but for this one and those that wait for it.
fn others(supervisor: &Identity) -> Vec<i32> {
    let mut family = Vec::new();
    let mut pid = i32::try_from(std::process::id()).unwrap_or_default();
    while pid > 0 {
        family.push(pid);
        pid = parent_of(pid).unwrap_or_default();
    }
    supervisor.processes().into_iter().filter(|pid| !family.contains(pid)).collect()
}

fn pid_namespace(pid: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn wait(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if done() {
            return true;
        }
        if started.elapsed() > patience {
            return false;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Every hierarchy's cgroup of that name.
fn cgroups(name: &str) -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let below = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.path());
    std::iter::once(top.to_owned())
        .chain(below)
        .map(|hierarchy| hierarchy.join(name))
        .filter(|cgroup| cgroup.is_dir())
        .collect()
}

/// Removes a cgroup and those in it, and says whether it is gone.
fn remove_cgroup(cgroup: &Path) -> bool {
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    // A process that is just ending keeps it for a moment; the caller comes back.
    let _ = fs::remove_dir(cgroup);
    !cgroup.exists()
}
