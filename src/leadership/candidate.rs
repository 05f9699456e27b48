//! When to take the Lease, when to renew it, and when it is lost: from what was seen of it and when, on the monotonic
//! clock of this process. Asks nobody and reads no clock.
//!
//! The times in the Lease are those of other nodes' clocks and are not looked at: another holder is judged only by how
//! long this process has seen no change.

use std::time::{Duration, Instant};

use super::{RENEW, RETRY, TERM};

/// What the Lease said when it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// Its resourceVersion: another one is a change.
    pub version: String,
    /// Who holds it; nobody when it is new or was released.
    pub holder: Option<String>,
    /// How long the holder asked to be left alone after each change.
    pub lasts: Duration,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Try to take the Lease.
    Acquire,
    /// Renew it.
    Renew,
    /// Nothing before then, unless the Lease changes.
    Wait(Instant),
    /// End: this process led and may not go on.
    Lost(Loss),
}

/// Why a leader is one no more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// No renewal succeeded in time.
    #[error("the Lease could not be renewed for {} s", TERM.as_secs())]
    Expired,
    /// Somebody else holds it.
    #[error("the Lease was taken by {0}")]
    Taken(String),
    /// It was released in this process's name.
    #[error("the Lease was released by somebody else")]
    Released,
}

/// One process that wants to lead.
#[derive(Debug)]
pub struct Candidate {
    me: String,
    seen: Option<Seen>,
    /// Of a leader: when the last renewal that succeeded was begun.
    renewed: Option<Instant>,
    /// After a request that failed: not before then.
    pause: Option<Instant>,
}

/// The Lease as it was last seen.
#[derive(Debug)]
struct Seen {
    /// None: it was deleted.
    version: Option<String>,
    holder: Option<String>,
    lasts: Duration,
    /// When it was first seen like this.
    since: Instant,
}

impl Candidate {
    /// A candidate who has seen nothing yet.
    pub const fn new(me: String) -> Self {
        Self { me, seen: None, renewed: None, pause: None }
    }

    /// The name under which it holds the Lease.
    pub fn me(&self) -> &str {
        &self.me
    }

    /// The Lease was read; `at` is when the answer was there, so that nobody is thought older than they are.
    pub fn saw(&mut self, sight: Option<Sight>, at: Instant) {
        self.pause = None;
        match (sight, &mut self.seen) {
            (Some(sight), Some(seen)) if seen.version.as_ref() == Some(&sight.version) => {}
            (Some(Sight { version, holder, lasts }), seen) => {
                *seen = Some(Seen { version: Some(version), holder, lasts, since: at });
            }
            // Somebody deleted it. Its holder does not know yet and is left alone as after any other change.
            (None, Some(seen)) if seen.version.is_some() => {
                seen.version = None;
                seen.since = at;
            }
            (None, _) => {}
        }
    }

    /// A write of ours succeeded: `began` is when it was about to be sent, `at` when the answer was there.
    pub fn won(&mut self, sight: Sight, began: Instant, at: Instant) {
        self.saw(Some(sight), at);
        self.renewed = Some(began);
    }

    /// A request failed.
    pub fn failed(&mut self, at: Instant) {
        self.pause = Some(after(at, RETRY));
    }

    /// Until when this process leads; None if it does not.
    pub fn leads_until(&self) -> Option<Instant> {
        self.renewed.map(|renewed| after(renewed, TERM))
    }

    /// What to do now.
    pub fn next(&self, now: Instant) -> Next {
        match self.renewed {
            Some(renewed) => self.next_of_leader(renewed, now),
            None => self.next_of_standby(now),
        }
    }

    fn next_of_leader(&self, renewed: Instant, now: Instant) -> Next {
        let end = after(renewed, TERM);
        if now >= end {
            return Next::Lost(Loss::Expired);
        }
        if let Some(Seen { version: Some(_), holder, .. }) = &self.seen {
            match holder {
                None => return Next::Lost(Loss::Released),
                Some(other) if *other != self.me => return Next::Lost(Loss::Taken(other.clone())),
                Some(_) => {}
            }
        }
        let due = after(renewed, RENEW).max(self.pause.unwrap_or(now));
        if now >= due { Next::Renew } else { Next::Wait(due.min(end)) }
    }

    fn next_of_standby(&self, now: Instant) -> Next {
        let free = match &self.seen {
            // Holding it without leading: a write of ours arrived whose answer did not.
            Some(Seen { holder: Some(holder), lasts, since, .. }) if *holder != self.me => after(*since, *lasts),
            Some(_) | None => now,
        };
        let from = free.max(self.pause.unwrap_or(now));
        if now >= from { Next::Acquire } else { Next::Wait(from) }
    }
}

/// A later time. Spans are at most 68 years (an i32 of seconds), which every clock can say.
pub(super) fn after(at: Instant, span: Duration) -> Instant {
    at.checked_add(span).unwrap_or(at)
}
