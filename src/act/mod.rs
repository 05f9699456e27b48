//! 4 act: carries out a plan, nothing else.
//!
//! Makes no decision: every field of every write comes from the plan, and every write is tied to the state that was
//! judged, by resourceVersion, UID or name. What fails is left to the next pass.

mod calls;

use std::time::Duration;

pub use calls::Target;

use crate::clock::Clock;
use crate::decide::Write;
use crate::decide::snapshot::GateProof;
use crate::leadership::{NotLeader, Writer};

/// How long one call to the API server may take.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object is not the one that was judged any more. The next pass looks again.
    #[error("{write}: the object changed meanwhile")]
    Conflict {
        /// The write.
        write: &'static str,
    },
    /// The API server refused or failed.
    #[error("{write}: {source}")]
    Refused {
        /// The write.
        write: &'static str,
        /// What it said.
        source: Box<kube::Error>,
    },
    /// The API server took too long; the write may have happened.
    #[error("{write}: no answer within {} s", CALL_TIMEOUT.as_secs())]
    Timeout {
        /// The write.
        write: &'static str,
    },
    /// This process does not lead, or cannot be sure that it still does. Nothing was sent.
    #[error("{write}: {NotLeader}")]
    NotLeader {
        /// The write.
        write: &'static str,
    },
    /// The write cannot be put into a request.
    #[error("{write}: {source}")]
    Malformed {
        /// The write.
        write: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl Error {
    /// One word for metrics.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Conflict { .. } => "conflict",
            Self::Refused { .. } => "write",
            Self::Timeout { .. } => "write_timeout",
            Self::NotLeader { .. } => "not_leader",
            Self::Malformed { .. } => "malformed",
        }
    }
}

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// Writes that were carried out, in order.
    pub done: Vec<&'static str>,
    /// What a dry run said of the gate, if one was asked for.
    pub gate: Option<GateProof>,
    /// The write that failed; those after it were not tried.
    pub error: Option<Error>,
}

/// Carries the plan out, in order, up to the first write that fails. Asks before each whether this process leads.
pub async fn apply(writer: &Writer, clock: &Clock, target: &Target, plan: &[Write]) -> Applied {
    let mut applied = Applied::default();
    for write in plan {
        let answer = match writer.client() {
            Ok(client) => calls::call(client, target, write).await,
            Err(NotLeader) => Err(Error::NotLeader { write: write.name() }),
        };
        match answer {
            Ok(calls::Answer::Done) => applied.done.push(write.name()),
            Ok(calls::Answer::Gate { held, policies }) => {
                applied.done.push(write.name());
                applied.gate = Some(GateProof { at: clock.now(), held, policies });
            }
            Err(error) => {
                applied.error = Some(error);
                break;
            }
        }
    }
    applied
}
