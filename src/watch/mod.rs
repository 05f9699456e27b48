//! 1 watch: keeps small views of what a decision needs, and says which Rollouts a change concerns.
//!
//! One task per kind, each with its own backoff, so that a kind that cannot be watched delays no other. Reads only.

mod again;
pub mod freshness;
pub mod guard;
pub mod logs;
pub mod neighbours;
pub mod policies;
pub mod routes;
mod stores;
pub mod triggers;
pub mod views;

use std::time::Duration;

pub use freshness::Freshness;
pub use stores::{RolloutRef, Sight, Stores, Tasks, kept, stores};

/// How long a connection to the API server may say nothing while an answer or a change is awaited. Without this a watch
/// that is begun and never answered leaves its cache as it was for ever, and nobody is told.
pub const SILENCE: Duration = Duration::from_secs(30);
