//! The processes of a testbed. One task owns them all: it alone starts, signals and reaps.
//!
//! As PID 1 it also inherits and reaps orphans, such as containerd's shims; a second waiter anywhere in
//! the process would steal exit statuses.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use super::RUN_VARIABLE;
use super::probe::Prober;
use crate::cluster::components::PATH;
use crate::cluster::{Component, Layout, layout};

/// How long a component that ended by itself stays down.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// What the owner of the processes is told.
pub(super) enum Message {
    /// Run it from now on.
    Start(String, oneshot::Sender<Result<()>>),
    /// Send it a signal; if `stay_down`, do not start it again when it ends.
    Signal { name: String, signal: Signal, stay_down: bool, done: oneshot::Sender<Result<()>> },
    /// Tell how all of them are.
    Look(oneshot::Sender<Vec<Seen>>),
    /// What attempt number `attempt` of a component waited for is there.
    GateOpened { index: usize, attempt: u64 },
}

/// How one component is.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) component: Component,
    pub(super) wanted: bool,
    pub(super) pid: Option<i32>,
    pub(super) restarts: u32,
    pub(super) last_exit: Option<String>,
}

struct Process {
    seen: Seen,
    /// Rises with each start and stop, so that a gate that opens late starts nothing.
    attempt: u64,
}

struct Owner {
    processes: Vec<Process>,
    layout: Layout,
    prober: Prober,
    send: mpsc::UnboundedSender<Message>,
}

/// Starts all components and the task that owns them.
pub(super) fn start(
    components: Vec<Component>,
    layout: Layout,
    prober: Prober,
) -> Result<mpsc::UnboundedSender<Message>> {
    let (send, mut receive) = mpsc::unbounded_channel();
    let mut ended = signal(SignalKind::child())?;
    let processes = components
        .into_iter()
        .map(|component| Process {
            seen: Seen { wanted: !component.on_demand, component, pid: None, restarts: 0, last_exit: None },
            attempt: 0,
        })
        .collect();
    let mut owner = Owner { processes, layout, prober, send: send.clone() };
    tokio::spawn(async move {
        for index in 0..owner.processes.len() {
            owner.start_when_ready(index, Duration::ZERO);
        }
        loop {
            tokio::select! {
                _ = ended.recv() => owner.reap(),
                message = receive.recv() => match message {
                    Some(message) => owner.handle(message),
                    None => return,
                },
            }
        }
    });
    Ok(send)
}

impl Owner {
    fn handle(&mut self, message: Message) {
        // Whoever asked may be gone; the order is carried out all the same.
        match message {
            Message::Start(name, done) => {
                let _ = done.send(self.order_start(&name));
            }
            Message::Signal { name, signal, stay_down, done } => {
                let _ = done.send(self.order_signal(&name, signal, stay_down));
            }
            Message::Look(done) => {
                let _ = done.send(self.processes.iter().map(|process| process.seen.clone()).collect());
            }
            Message::GateOpened { index, attempt } => self.start_now(index, attempt),
        }
    }

    fn find(&mut self, name: &str) -> Result<(usize, &mut Process)> {
        let known: Vec<_> = self.processes.iter().map(|process| process.seen.component.name).collect();
        self.processes
            .iter_mut()
            .enumerate()
            .find(|(_, process)| process.seen.component.name == name)
            .with_context(|| format!("no component is called {name:?}; there are {}", known.join(", ")))
    }

    fn order_start(&mut self, name: &str) -> Result<()> {
        let (index, process) = self.find(name)?;
        if !process.seen.wanted {
            process.seen.wanted = true;
            self.start_when_ready(index, Duration::ZERO);
        }
        Ok(())
    }

    fn order_signal(&mut self, name: &str, signal: Signal, stay_down: bool) -> Result<()> {
        let (_, process) = self.find(name)?;
        if stay_down {
            process.seen.wanted = false;
            process.attempt = process.attempt.saturating_add(1);
        }
        if let Some(pid) = process.seen.pid {
            kill(Pid::from_raw(pid), signal).with_context(|| format!("cannot signal {name}"))?;
        }
        Ok(())
    }

    fn start_when_ready(&mut self, index: usize, delay: Duration) {
        let Some(process) = self.processes.get_mut(index) else {
            return;
        };
        process.attempt = process.attempt.saturating_add(1);
        let attempt = process.attempt;
        let gate = process.seen.component.gate.clone();
        let (prober, send) = (self.prober.clone(), self.send.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            prober.wait(&gate).await;
            let _ = send.send(Message::GateOpened { index, attempt });
        });
    }

    fn start_now(&mut self, index: usize, attempt: u64) {
        let Some(process) = self.processes.get_mut(index) else {
            return;
        };
        if process.attempt != attempt || process.seen.pid.is_some() || !process.seen.wanted {
            return;
        }
        match spawn(&process.seen.component, &self.layout) {
            Ok(pid) => process.seen.pid = Some(pid),
            Err(error) => {
                eprintln!("{}: {error:#}", process.seen.component.name);
                process.seen.last_exit = Some(format!("{error:#}"));
                self.start_when_ready(index, RESTART_AFTER);
            }
        }
    }

    fn reap(&mut self) {
        // One SIGCHLD may stand for several children.
        loop {
            match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => self.ended(pid, &format!("exit status {code}")),
                Ok(WaitStatus::Signaled(pid, signal, _)) => self.ended(pid, signal.as_str()),
                Ok(WaitStatus::StillAlive) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    fn ended(&mut self, pid: Pid, how: &str) {
        let found = self.processes.iter_mut().enumerate().find(|(_, process)| process.seen.pid == Some(pid.as_raw()));
        let Some((index, process)) = found else { return };
        process.seen.pid = None;
        process.seen.last_exit = Some(how.to_owned());
        if process.seen.wanted {
            eprintln!("{} ended by itself: {how}", process.seen.component.name);
            process.seen.restarts = process.seen.restarts.saturating_add(1);
            self.start_when_ready(index, RESTART_AFTER);
        }
    }
}

fn spawn(component: &Component, layout: &Layout) -> Result<i32> {
    let log = OpenOptions::new().create(true).append(true).open(layout.log(component.name))?;
    // Only what is named here: a proxy or the service of a surrounding cluster must not leak in.
    let run = std::env::var(RUN_VARIABLE).unwrap_or_default();
    let child = Command::new(&component.program)
        .args(&component.args)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", layout::DATA)
        // Most parts are Go programs on few cores: memory for time.
        .env("GOGC", "300")
        .env(RUN_VARIABLE, run)
        .envs(component.env.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {}", component.program.display()))?;
    Ok(i32::try_from(child.id())?)
}
