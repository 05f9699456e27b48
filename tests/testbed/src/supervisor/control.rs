//! The supervisor's socket: one order a connection, one JSON line each way.
//!
//! The socket is a file, so it is reachable from inside and outside the testbed's network alike.

use std::io::{BufRead, BufReader as StdBufReader, Write};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

use super::orders::Orders;
use crate::cluster::Layout;
use crate::handle::ComponentStatus;

/// An order to the supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Tell how everything is.
    Status,
    /// Run a component from now on.
    Start(String),
    /// Stop a component and leave it down.
    Stop(String),
    /// Stop a component and start it again.
    Restart(String),
    /// Kill a component, which is then started again as after a crash.
    Kill(String),
    /// Make Prometheus read its rules again.
    ReloadPrometheus,
}

/// How everything is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Status {
    /// Each component.
    pub components: Vec<ComponentStatus>,
    /// Whether the only node is ready.
    pub node_ready: bool,
    /// Whether the gateway takes traffic.
    pub gateway_ready: bool,
    /// Resident memory of all the testbed's processes, Pods included.
    pub rss_kib_of_all: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    error: Option<String>,
    status: Option<Status>,
}

/// Gives an order and waits until it is carried out.
///
/// # Errors
/// When no supervisor answers, or when it says that the order failed.
pub fn order(layout: &Layout, order: &Order) -> Result<Status> {
    let mut stream = StdUnixStream::connect(layout.control_socket())
        .with_context(|| format!("the testbed {0:?} is not up: run `testbed up --name {0}`", layout.name()))?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut line = String::new();
    StdBufReader::new(stream).read_line(&mut line)?;
    let answer: Answer = serde_json::from_str(&line).context("the supervisor's answer makes no sense")?;
    match answer.error {
        Some(error) => Err(anyhow!(error)),
        None => Ok(answer.status.unwrap_or_default()),
    }
}

pub(super) fn listen(layout: &Layout) -> Result<UnixListener> {
    let path = layout.control_socket();
    let _ = std::fs::remove_file(&path);
    UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))
}

pub(super) async fn serve(listener: UnixListener, orders: Orders) {
    while let Ok((stream, _)) = listener.accept().await {
        let orders = orders.clone();
        tokio::spawn(async move {
            // The asker may have gone away; nobody is left to tell.
            let _ = answer(stream, &orders).await;
        });
    }
}

async fn answer(stream: UnixStream, orders: &Orders) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let result = match serde_json::from_str(&line) {
        Ok(order) => carry_out(order, orders).await,
        Err(error) => Err(anyhow!("this supervisor does not know the order ({error}): run `down` and `up`")),
    };
    let answer = match result {
        Ok(status) => Answer { error: None, status },
        Err(error) => Answer { error: Some(format!("{error:#}")), status: None },
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    stream.get_mut().write_all(&line).await?;
    Ok(())
}

async fn carry_out(order: Order, orders: &Orders) -> Result<Option<Status>> {
    match order {
        Order::Status => return orders.status().await.map(Some),
        Order::Start(name) => orders.start(&name).await?,
        Order::Stop(name) => orders.stop(&name).await?,
        Order::Restart(name) => orders.restart(&name).await?,
        Order::Kill(name) => orders.kill(&name).await?,
        Order::ReloadPrometheus => orders.reload_prometheus().await?,
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_survive_the_wire() {
        for order in [Order::Status, Order::Kill("apiserver".to_owned()), Order::ReloadPrometheus] {
            let text = serde_json::to_string(&order).unwrap();
            assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
        }
        assert_eq!(serde_json::to_string(&Order::Stop("etcd".into())).unwrap(), r#"{"stop":"etcd"}"#);
    }
}
