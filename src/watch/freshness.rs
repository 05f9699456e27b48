//! How well each kind is being watched: ready, last error, last event. Feeds readiness and metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::clock;

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
        });
    }

    /// The first list of the kind is complete.
    pub fn ready(&self, kind: &'static str) {
        self.with(|all| all.entry(kind).or_default().ready = true);
    }

    /// The watch of the kind failed and is tried again.
    pub fn failed(&self, kind: &'static str, error: String) {
        self.with(|all| {
            let state = all.entry(kind).or_default();
            state.errors = state.errors.saturating_add(1);
            state.failing = Some(error);
        });
    }

    /// Kinds whose first list is not complete, with the error if there is one.
    pub fn missing(&self) -> Vec<String> {
        self.with(|all| {
            all.iter()
                .filter(|(_, state)| !state.ready)
                .map(|(kind, state)| match &state.failing {
                    Some(error) => format!("{kind} ({error})"),
                    None => (*kind).to_owned(),
                })
                .collect()
        })
    }

    /// Every watch as it stands.
    pub fn all(&self) -> BTreeMap<&'static str, WatchState> {
        self.with(|all| all.clone())
    }
}
