//! Who supervises a testbed: a process id that cannot be mistaken for a later process with the same number.

use std::fs;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::RUN_VARIABLE;
use crate::cluster::Layout;

/// A supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Identity {
    /// Its process id as the host sees it.
    pub pid: i32,
    /// When the kernel started it, in clock ticks since boot.
    pub started: u64,
    /// What all its processes carry in their environment.
    pub run: String,
}

impl Identity {
    /// The identity of a process that runs now.
    ///
    /// # Errors
    /// When it does not run.
    pub fn of(pid: u32, run: &str) -> Result<Self> {
        let pid = i32::try_from(pid)?;
        let started = start_of(pid).context("the supervisor ended at once; see its log")?;
        Ok(Self { pid, started, run: run.to_owned() })
    }

    /// Notes it in the testbed's folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, layout: &Layout) -> Result<()> {
        let path = layout.supervisor_file();
        let partial = path.with_extension("partial");
        fs::write(&partial, serde_json::to_vec(self)?)?;
        Ok(fs::rename(partial, path)?)
    }

    /// What the testbed's folder says; nothing when it says nothing.
    #[must_use]
    pub fn read(layout: &Layout) -> Option<Self> {
        serde_json::from_slice(&fs::read(layout.supervisor_file()).ok()?).ok()
    }

    /// Finds a supervisor that runs but that no file tells of, because its launch was cut short.
    #[must_use]
    pub fn search(layout: &Layout) -> Option<Self> {
        all_processes().find_map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let arguments: Vec<_> = line.split(|&byte| byte == 0).skip(1).collect();
            let ours = arguments_of(layout.name()).iter().zip(&arguments).all(|(a, b)| a.as_bytes() == *b);
            if !ours || arguments.len() < 4 {
                return None;
            }
            Self::of(u32::try_from(pid).ok()?, &run_of(pid)?).ok()
        })
    }

    /// Whether that process still runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        start_of(self.pid) == Some(self.started)
    }

    /// Sends a signal, unless the process is gone.
    pub fn signal(&self, signal: Signal) {
        if self.is_alive() {
            // It may end between the look and the signal; then there is nothing to signal.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Every process that belongs to this start of the testbed, commands under `testbed exec` included.
    #[must_use]
    pub fn processes(&self) -> Vec<i32> {
        all_processes().filter(|&pid| run_of(pid).is_some_and(|run| run == self.run)).collect()
    }
}

/// The arguments with which the supervisor of the testbed `name` is started.
pub(super) fn arguments_of(name: &str) -> [&str; 4] {
    ["supervise", "--isolated", "--name", name]
}

/// What a process carries as [`RUN_VARIABLE`].
fn run_of(pid: i32) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let prefix = format!("{RUN_VARIABLE}=").into_bytes();
    let value = environment.split(|&byte| byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_slice()))?;
    String::from_utf8(value.to_owned()).ok()
}

/// The ids of all processes that this process can see.
pub(super) fn all_processes() -> impl Iterator<Item = i32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
}

/// When the kernel started a process; nothing when there is none or only its exit status is left.
fn start_of(pid: i32) -> Option<u64> {
    parse_start(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/PID/stat`, unless field 3 says that the process is dead.
fn parse_start(stat: &str) -> Option<u64> {
    // The second field, the program's name in brackets, may itself hold spaces and brackets.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The id of the parent of a process.
pub(super) fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_behind_a_name_with_brackets() {
        let stat = "42 (a) (b) S 1 42 42 0 -1 4194560 1 0 0 0 3 4 0 0 20 0 1 0 98765 1000 10";
        assert_eq!(parse_start(stat), Some(98765));
        assert_eq!(parse_start(&stat.replace(") S ", ") Z ")), None, "a zombie does not run");
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_supervisor() {
        let me = Identity::of(std::process::id(), "x").unwrap();
        assert!(me.is_alive());
        let earlier = Identity { started: me.started.wrapping_sub(1), ..me };
        assert!(!earlier.is_alive());
    }
}
