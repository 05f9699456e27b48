//! How well each kind is being watched: ready, last error, last event. Feeds readiness and metrics.
//!
//! A kind may be optional: where the cluster does not serve it, nothing of it exists, and that is known as well as if
//! an empty list had been read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// How often it is looked whether every kind has been listed.
const LOOK: Duration = Duration::from_millis(20);
/// After so many looks it is told which has not.
const TOLD: u32 = 500;

/// State of one watch.
#[derive(Debug, Clone, Default)]
pub struct WatchState {
    /// The first list has been read.
    pub ready: bool,
    /// Errors so far.
    pub errors: u64,
    /// When something last arrived.
    pub last_event: Option<Instant>,
    /// The last error, if nothing arrived since.
    pub failing: Option<String>,
    /// The cluster does not serve this kind, so there is nothing to list.
    pub unserved: bool,
}

/// State of every watch; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Freshness(Arc<Mutex<BTreeMap<&'static str, WatchState>>>);

impl Freshness {
    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<&'static str, WatchState>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A kind will be watched.
    pub fn expect(&self, kind: &'static str) {
        self.with(|all| {
            all.entry(kind).or_default();
        });
    }

    /// An object of the kind arrived.
    pub fn arrived(&self, kind: &'static str) {
        self.with(|all| {
            let state = all.entry(kind).or_default();
            state.last_event = Some(clock::instant());
            state.failing = None;
            state.unserved = false;
        });
    }

    /// The first list of the kind is complete.
    pub fn ready(&self, kind: &'static str) {
        self.with(|all| {
            let state = all.entry(kind).or_default();
            state.ready = true;
            state.unserved = false;
        });
    }

    /// The cluster does not serve the kind, which is looked at again. True if that is news.
    pub fn unserved(&self, kind: &'static str) -> bool {
        self.with(|all| {
            let state = all.entry(kind).or_default();
            state.failing = None;
            !std::mem::replace(&mut state.unserved, true)
        })
    }

    /// Whether the cluster serves the kind, as far as is known.
    pub fn serves(&self, kind: &str) -> bool {
        self.with(|all| all.get(kind).is_none_or(|state| !state.unserved))
    }

    /// The watch of the kind failed and is tried again.
    pub fn failed(&self, kind: &'static str, error: String) {
        self.with(|all| {
            let state = all.entry(kind).or_default();
            state.errors = state.errors.saturating_add(1);
            state.failing = Some(error);
        });
    }

    /// Kinds whose first list is not complete, with the error if there is one. A kind that is not served has none.
    pub fn missing(&self) -> Vec<String> {
        self.with(|all| {
            all.iter()
                .filter(|(_, state)| !state.ready && !state.unserved)
                .map(|(kind, state)| match &state.failing {
                    Some(error) => format!("{kind} ({error})"),
                    None => (*kind).to_owned(),
                })
                .collect()
        })
    }

    /// Returns when every kind has been listed; says meanwhile which has not. Any number may wait: of those who wait for
    /// one `Store` of kube to be ready only the last is woken (kube-runtime 5.0, `DelayedInit`).
    pub async fn complete(&self) {
        let mut look = tokio::time::interval(LOOK);
        let mut looked = 0_u32;
        loop {
            look.tick().await;
            let missing = self.missing();
            if missing.is_empty() {
                return;
            }
            looked = looked.saturating_add(1);
            if looked.is_multiple_of(TOLD) {
                tracing::warn!(missing = missing.join(", "), "still waiting to be allowed to watch");
            }
        }
    }

    /// Every watch as it stands.
    pub fn all(&self) -> BTreeMap<&'static str, WatchState> {
        self.with(|all| all.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[allow(clippy::disallowed_methods)] // the tasks end with the test
    async fn everybody_who_waits_is_woken() {
        let freshness = Freshness::default();
        freshness.expect("Release");
        let waiters: Vec<_> = (0..3)
            .map(|_| {
                let freshness = freshness.clone();
                tokio::spawn(async move { freshness.complete().await })
            })
            .collect();
        tokio::time::sleep(LOOK).await;
        assert!(waiters.iter().all(|waiter| !waiter.is_finished()));
        freshness.ready("Release");
        for waiter in waiters {
            tokio::time::timeout(LOOK * 2, waiter).await.expect("woken").unwrap();
        }
    }

    #[test]
    fn a_kind_that_is_not_served_is_not_missing_until_it_is() {
        let freshness = Freshness::default();
        freshness.expect("GRPCRoute");
        assert_eq!(freshness.missing(), ["GRPCRoute"]);
        freshness.failed("GRPCRoute", "forbidden".to_owned());
        assert_eq!(freshness.missing(), ["GRPCRoute (forbidden)"]);
        assert!(freshness.serves("GRPCRoute"), "what cannot be read may be there");
        assert!(freshness.unserved("GRPCRoute") && !freshness.unserved("GRPCRoute"), "it is news once");
        assert!(freshness.missing().is_empty() && !freshness.serves("GRPCRoute"));
        // The definition was installed: its list has begun, and is not complete yet.
        freshness.arrived("GRPCRoute");
        assert_eq!(freshness.missing(), ["GRPCRoute"]);
        freshness.ready("GRPCRoute");
        assert!(freshness.missing().is_empty() && freshness.serves("GRPCRoute"));
    }
}
