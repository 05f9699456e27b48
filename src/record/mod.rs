//! 5 record: the intent before anything moves, and what happened after.
//!
//! Owns every write to status (of Rollouts and of NotificationSinks), events, Releases, ReworkEvents, DecisionLogs and
//! Postmortems, and the operator's own metrics. Decides nothing.

mod decision_log;
mod events;
pub mod metrics;
mod postmortems;
mod records;
pub mod retention;
mod sinks;
mod status;

use kube::Client;

pub use events::publish;
pub use postmortems::postmortem;
pub use records::write as write_record;
pub use sinks::sink_status;
pub use status::{commit, malformed};

use crate::leadership::{NotLeader, Writer};

/// A record that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody wrote meanwhile; nothing has moved, the next pass looks again.
    #[error("{what}: the object changed meanwhile")]
    Conflict {
        /// What was to be written.
        what: &'static str,
    },
    /// The API server refused or failed.
    #[error("{what}: {source}")]
    Refused {
        /// What was to be written.
        what: &'static str,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server took too long; it may have been written.
    #[error("{what}: no answer within {} s", crate::act::CALL_TIMEOUT.as_secs())]
    Timeout {
        /// What was to be written.
        what: &'static str,
    },
    /// This process does not lead, or cannot be sure that it still does. Nothing was sent.
    #[error("{what}: {NotLeader}")]
    NotLeader {
        /// What was to be written.
        what: &'static str,
    },
}

impl Error {
    /// One word for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "record",
            Self::Timeout { .. } => "record_timeout",
            Self::NotLeader { .. } => "not_leader",
        }
    }
}

/// The client for one write, if this process leads.
fn client<'a>(writer: &'a Writer, what: &'static str) -> Result<&'a Client, Error> {
    writer.client().map_err(|NotLeader| Error::NotLeader { what })
}

/// Sends one write and sorts what came back.
async fn send<T>(what: &'static str, call: impl Future<Output = Result<T, kube::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(crate::act::CALL_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        // 409 is both "changed meanwhile" and "exists already"; kube's `is_conflict` knows only the first.
        Ok(Err(kube::Error::Api(status))) if status.code == 409 => Err(Error::Conflict { what }),
        Ok(Err(source)) => Err(Error::Refused { what, source: Box::new(source) }),
        Err(_) => Err(Error::Timeout { what }),
    }
}

/// A create whose object is there already has been done before: by us, a moment or a crash ago.
fn there_already<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether the object is there to be written to.
fn found<T>(result: Result<T, Error>) -> Result<bool, Error> {
    match result {
        Ok(_) => Ok(true),
        Err(Error::Refused { source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if s.is_not_found()) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// An object that somebody deleted, or made anew, needs no answer.
fn gone_already<T>(result: Result<T, Error>) -> Result<(), Error> {
    match result {
        Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
        Err(Error::Refused { source, .. }) if matches!(source.as_ref(), kube::Error::Api(s) if s.is_not_found()) => {
            Ok(())
        }
        Err(error) => Err(error),
    }
}
