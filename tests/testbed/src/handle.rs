//! A testbed as tests and tools hold it: run commands in it, stop and start its components, find its files.

use std::ffi::OsStr;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, anyhow, ensure};
use nix::sched::{CloneFlags, setns};
use serde::{Deserialize, Serialize};

use crate::cluster::{AUDIT_BACKUPS, Layout, addresses};
use crate::supervisor::RUN_VARIABLE;
use crate::supervisor::control::{self, Order, Status};
use crate::supervisor::identity::Identity;

/// The variable that names the testbed to commands that run in it.
const NAME_VARIABLE: &str = "SLUICE_TESTBED";

const PROXY_VARIABLES: [&str; 6] = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];

/// How one component is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComponentStatus {
    /// Its name, as `stop`, `start`, `kill` and `logs` take it.
    pub name: String,
    /// Whether it is meant to run.
    pub wanted: bool,
    /// Whether its process runs.
    pub running: bool,
    /// Whether it answers.
    pub ready: bool,
    /// How often it ended by itself and was started again.
    pub restarts: u32,
    /// How it ended last.
    pub last_exit: Option<String>,
    /// Its resident memory.
    pub rss_kib: u64,
}

/// A testbed that is up.
#[derive(Debug, Clone)]
pub struct Testbed {
    layout: Layout,
    identity: Identity,
}

impl Testbed {
    /// Takes hold of the testbed `name`.
    ///
    /// # Errors
    /// When it is not up; the message says how to bring it up.
    pub fn open(name: &str) -> Result<Self> {
        let layout = Layout::new(name)?;
        let identity = Identity::read(&layout)
            .filter(Identity::is_alive)
            .with_context(|| format!("the testbed {name:?} is not up: run `testbed up --name {name}`"))?;
        Ok(Self { layout, identity })
    }

    /// Takes hold of the testbed that this process runs in, as under `testbed exec`.
    ///
    /// # Errors
    /// When this process does not run in a testbed.
    pub fn current() -> Result<Self> {
        let name = std::env::var(NAME_VARIABLE)
            .ok()
            .context("this process does not run in a testbed: run it as `testbed exec -- …`, after `testbed up`")?;
        let testbed = Self::open(&name)?;
        ensure!(testbed.is_inside(), "this process is not in the testbed's network: run it as `testbed exec -- …`");
        Ok(testbed)
    }

    /// The testbed's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.layout.name()
    }

    /// The folder with the testbed's sockets, logs and configuration.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.layout.state()
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.layout.kubeconfig()
    }

    /// The API server's audit log: one JSON object (audit.k8s.io/v1 Event, Metadata level) a line.
    #[must_use]
    pub fn audit_log_path(&self) -> PathBuf {
        self.layout.audit_log()
    }

    /// All of the audit log, oldest part first: the API server begins a new file when one has 500 MB.
    ///
    /// # Errors
    /// When the first part may have been dropped.
    pub fn audit_log_paths(&self) -> Result<Vec<PathBuf>> {
        let current = self.layout.audit_log();
        let folder = current.parent().context("the audit log is in no folder")?;
        let files = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let files: std::io::Result<Vec<PathBuf>> = files.map(|file| file.map(|file| file.path())).collect();
        whole(files.with_context(|| format!("cannot read {}", folder.display()))?, current)
    }

    /// The log of a component.
    #[must_use]
    pub fn log_path(&self, component: &str) -> PathBuf {
        self.layout.log(component)
    }

    /// Where the gateway takes HTTP requests.
    #[must_use]
    pub fn gateway_url(&self) -> &'static str {
        addresses::GATEWAY_URL
    }

    /// Where Prometheus answers, for Pods too.
    #[must_use]
    pub fn prometheus_url(&self) -> &'static str {
        addresses::PROMETHEUS_URL
    }

    /// Where Alertmanager answers, for Pods too.
    #[must_use]
    pub fn alertmanager_url(&self) -> &'static str {
        addresses::ALERTMANAGER_URL
    }

    /// Where the API server answers.
    #[must_use]
    pub fn api_url(&self) -> &'static str {
        addresses::API_URL
    }

    /// A command with the testbed's environment; it runs in the network of whoever starts it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let tools = self.layout.tools();
        let path = std::env::var_os("PATH").unwrap_or_default();
        // The lookup of the program itself must find the tools, too.
        let own = tools.join(program.as_ref());
        let mut command = if own.is_file() { Command::new(own) } else { Command::new(program) };
        let paths = std::iter::once(tools).chain(std::env::split_paths(&path));
        if let Ok(paths) = std::env::join_paths(paths) {
            command.env("PATH", paths);
        }
        // No proxy is reachable from inside, and clients would ask it for the testbed's addresses.
        for variable in PROXY_VARIABLES {
            command.env_remove(variable);
        }
        command
            .env("KUBECONFIG", self.layout.kubeconfig())
            .env(NAME_VARIABLE, self.name())
            .env(RUN_VARIABLE, &self.identity.run)
            .env("SLUICE_GATEWAY_URL", addresses::GATEWAY_URL)
            .env("SLUICE_PROMETHEUS_URL", addresses::PROMETHEUS_URL)
            .env("SLUICE_ALERTMANAGER_URL", addresses::ALERTMANAGER_URL);
        command
    }

    /// Runs a command made by [`Testbed::command`] in the testbed's network, wherever the caller is.
    ///
    /// # Errors
    /// When the network cannot be entered or the command cannot be started.
    pub fn output(&self, mut command: Command) -> Result<Output> {
        // Only this thread enters, and the command inherits it.
        let run = || {
            self.enter()?;
            let program = command.get_program().to_string_lossy().into_owned();
            command.output().with_context(|| format!("cannot start {program}"))
        };
        std::thread::scope(|scope| scope.spawn(run).join()).map_err(|_| anyhow!("the command's thread panicked"))?
    }

    /// Whether the calling thread is in the testbed's network.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        let of = |path: &str| std::fs::read_link(path).ok();
        let theirs = of(&format!("/proc/{}/ns/net", self.identity.pid));
        theirs.is_some() && theirs == of("/proc/thread-self/ns/net")
    }

    /// Moves the calling thread, and the threads and processes it makes from now on, into the testbed's network.
    ///
    /// # Errors
    /// When that is not permitted.
    pub fn enter(&self) -> Result<()> {
        if self.is_inside() {
            return Ok(());
        }
        let namespace = File::open(format!("/proc/{}/ns/net", self.identity.pid))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).context("cannot enter the testbed's network: run it as root")
    }

    /// How everything in the testbed is.
    ///
    /// # Errors
    /// When the supervisor does not answer.
    pub fn status(&self) -> Result<Status> {
        control::order(&self.layout, &Order::Status)
    }

    /// Stops a component and leaves it down; returns when it is down.
    ///
    /// # Errors
    /// When there is no such component.
    pub fn stop(&self, component: &str) -> Result<()> {
        self.order(Order::Stop(component.to_owned()))
    }

    /// Starts a component that was stopped; does not wait until it is ready.
    ///
    /// # Errors
    /// When there is no such component.
    pub fn start(&self, component: &str) -> Result<()> {
        self.order(Order::Start(component.to_owned()))
    }

    /// Stops a component and starts it again; does not wait until it is ready.
    ///
    /// # Errors
    /// When there is no such component.
    pub fn restart(&self, component: &str) -> Result<()> {
        self.order(Order::Restart(component.to_owned()))
    }

    /// Kills a component; it is started again a second later, as after any crash.
    ///
    /// # Errors
    /// When there is no such component.
    pub fn kill(&self, component: &str) -> Result<()> {
        self.order(Order::Kill(component.to_owned()))
    }

    /// Waits until a component answers.
    ///
    /// # Errors
    /// When it does not within `patience`.
    pub fn wait_ready(&self, component: &str, patience: std::time::Duration) -> Result<()> {
        let started = std::time::Instant::now();
        loop {
            let status = self.status()?;
            if status.components.iter().any(|one| one.name == component && one.ready) {
                return Ok(());
            }
            ensure!(started.elapsed() < patience, "{component} is not ready after {patience:?}: see its log");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// Gives Prometheus a file of rules under this name, in place of an earlier one of that name, and loads it.
    ///
    /// # Errors
    /// When Prometheus refuses the rules or does not run.
    pub fn load_rules(&self, name: &str, rules: &str) -> Result<()> {
        ensure!(!name.is_empty() && !name.contains('/'), "a file of rules cannot be called {name:?}");
        std::fs::write(self.layout.rules().join(name), rules)?;
        self.order(Order::ReloadPrometheus)
    }

    fn order(&self, order: Order) -> Result<()> {
        control::order(&self.layout, &order).map(drop)
    }
}

/// The earlier parts of a log, which have the time in their names, and then the one that is written.
fn whole(mut files: Vec<PathBuf>, current: PathBuf) -> Result<Vec<PathBuf>> {
    files.retain(|file| *file != current);
    files.sort();
    ensure!(
        files.len() < AUDIT_BACKUPS,
        "the audit log has {} earlier parts, as many as are kept: the first may be gone; raise AUDIT_BACKUPS",
        files.len()
    );
    files.push(current);
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_log_is_read_from_its_first_part_on_or_not_at_all() {
        let named = |name: &str| PathBuf::from("/audit").join(name);
        let current = named("audit.log");
        let part = |hour: usize| named(&format!("audit-2026-01-02T{hour:02}-00-00.000.log"));
        let all = whole(vec![current.clone(), part(2), part(1)], current.clone()).unwrap();
        assert_eq!(all, [part(1), part(2), current.clone()]);
        let many = (0..AUDIT_BACKUPS).map(part).collect();
        assert!(whole(many, current).unwrap_err().to_string().contains("the first may be gone"));
    }
}
