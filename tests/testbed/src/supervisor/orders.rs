//! What a person or a test may ask of the components, put together from single signals and looks.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use tokio::sync::{mpsc, oneshot};

use super::control::Status;
use super::identity::all_processes;
use super::probe::Prober;
use super::processes::{Message, Seen};
use crate::cluster::Gate;
use crate::cluster::components::STOP_ORDER;
use crate::handle::ComponentStatus;

const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub(super) struct Orders {
    processes: mpsc::UnboundedSender<Message>,
    prober: Prober,
}

impl Orders {
    pub(super) fn new(processes: mpsc::UnboundedSender<Message>, prober: Prober) -> Self {
        Self { processes, prober }
    }

    pub(super) async fn start(&self, name: &str) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Start(name.to_owned(), done))?;
        answer.await?
    }

    /// Returns when the component is down, by SIGKILL if it takes too long.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGTERM, true).await?;
        let patience = self.look(name).await?.component.patience;
        let started = Instant::now();
        let mut killed = false;
        while self.look(name).await?.pid.is_some() {
            if !killed && started.elapsed() > patience {
                self.signal(name, Signal::SIGKILL, true).await?;
                killed = true;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    pub(super) async fn restart(&self, name: &str) -> Result<()> {
        self.stop(name).await?;
        self.start(name).await
    }

    /// Ends the component without a chance to clean up; it is started again like after any crash.
    pub(super) async fn kill(&self, name: &str) -> Result<()> {
        let before = self.look(name).await?.pid;
        self.signal(name, Signal::SIGKILL, false).await?;
        while before.is_some() && self.look(name).await?.pid == before {
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    pub(super) async fn reload_prometheus(&self) -> Result<()> {
        self.prober.reload_prometheus().await
    }

    pub(super) async fn stop_all(&self) {
        for group in STOP_ORDER {
            let mut stops = tokio::task::JoinSet::new();
            for &name in group {
                let orders = self.clone();
                stops.spawn(async move { orders.stop(name).await });
            }
            while let Some(stopped) = stops.join_next().await {
                if let Ok(Err(error)) = stopped {
                    eprintln!("{error:#}");
                }
            }
        }
    }

    pub(super) async fn status(&self) -> Result<Status> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Look(done))?;
        let mut components = Vec::new();
        for seen in answer.await? {
            let ready = seen.pid.is_some() && self.quickly(&seen.component.ready).await;
            components.push(ComponentStatus {
                name: seen.component.name.to_owned(),
                wanted: seen.wanted,
                running: seen.pid.is_some(),
                ready,
                restarts: seen.restarts,
                last_exit: seen.last_exit,
                rss_kib: seen.pid.map(rss_kib).unwrap_or_default(),
            });
        }
        Ok(Status {
            components,
            node_ready: self.prober.node_is_ready().await,
            gateway_ready: self.prober.gateway_is_ready().await,
            rss_kib_of_all: all_processes().map(rss_kib).fold(0, u64::saturating_add),
        })
    }

    async fn quickly(&self, gate: &Gate) -> bool {
        tokio::time::timeout(Duration::from_secs(1), self.prober.is_open(gate)).await.unwrap_or(false)
    }

    async fn signal(&self, name: &str, signal: Signal, stay_down: bool) -> Result<()> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Signal { name: name.to_owned(), signal, stay_down, done })?;
        answer.await?
    }

    async fn look(&self, name: &str) -> Result<Seen> {
        let (done, answer) = oneshot::channel();
        self.send(Message::Look(done))?;
        let found = answer.await?.into_iter().find(|seen| seen.component.name == name);
        found.with_context(|| format!("no component is called {name:?}"))
    }

    fn send(&self, message: Message) -> Result<()> {
        self.processes.send(message).ok().context("the supervisor is stopping")
    }
}

/// The resident memory of a process; zero when it is gone.
fn rss_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    parse_rss(&status)
}

fn parse_rss(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn resident_memory_is_read_from_its_line() {
        assert_eq!(super::parse_rss("VmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n"), 1234);
        assert_eq!(super::parse_rss("Name: gone\n"), 0);
    }
}
