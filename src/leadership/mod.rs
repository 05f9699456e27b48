//! Which of the replicas decides: the Lease, and the fence before every write.
//!
//! Owns the Lease and every write to it, and the client with which `act` and `record` write. Decides nothing about
//! Rollouts. A process that stops being the leader does not become a standby again: it ends.

mod candidate;
mod elector;
mod lease;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::watch;

pub use candidate::{Candidate, Loss, Next, Sight};
pub use elector::{Elector, Ended, elect, identity};

use crate::clock;

/// For how long others must see a Lease unchanged before they may take it.
pub const LEASE: Duration = Duration::from_secs(15);
/// How often the leader renews it.
pub const RENEW: Duration = Duration::from_secs(3);
/// How long a leader trusts a renewal, from before it was sent: 5 s less than [`LEASE`], so that it has stopped
/// writing before anybody else begins.
pub const TERM: Duration = Duration::from_secs(10);
/// How long after a request that failed the next one is made, and how often a standby looks when it cannot watch.
pub const RETRY: Duration = Duration::from_secs(1);
/// How long one request about the Lease may take. When the server hangs, two renewals are tried within a term.
pub const CALL: Duration = Duration::from_secs(3);

/// What this process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Term {
    /// Not the leader.
    Standby,
    /// The leader until then, on this process's monotonic clock.
    Until(Instant),
    /// The only one there is: nobody is asked.
    Always,
}

/// This process is not the leader, or cannot be sure that it still is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this process does not lead")]
pub struct NotLeader;

/// Says whether this process leads; cheap to clone.
#[derive(Debug, Clone)]
pub struct Leadership(watch::Receiver<Term>);

impl Leadership {
    /// What an elector tells.
    pub const fn told(terms: watch::Receiver<Term>) -> Self {
        Self(terms)
    }

    /// Of a process that is the only one.
    pub fn always() -> Self {
        Self(watch::channel(Term::Always).1)
    }

    /// Whether a write may be sent now. Looks at the clock each time: a process that was stopped and goes on finds
    /// that its term is over before its elector has noticed.
    pub fn may_write(&self) -> bool {
        match *self.0.borrow() {
            Term::Standby => false,
            Term::Until(end) => clock::instant() < end,
            Term::Always => true,
        }
    }

    /// Returns when this process leads.
    pub async fn acquired(&self) {
        let mut terms = self.0.clone();
        if terms.wait_for(|term| *term != Term::Standby).await.is_err() {
            std::future::pending::<()>().await; // no elector any more: never
        }
    }
}

/// The client that writes. It is handed out only while this process leads, so a write cannot forget to ask.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    leadership: Leadership,
}

impl Writer {
    /// A writer that is held back by this leadership.
    pub const fn new(client: Client, leadership: Leadership) -> Self {
        Self { client, leadership }
    }

    /// The client for one write. Ask again before the next.
    pub fn client(&self) -> Result<&Client, NotLeader> {
        if self.leadership.may_write() { Ok(&self.client) } else { Err(NotLeader) }
    }
}
