//! 1 watch: keeps small views of what a decision needs, and says which Rollouts a change concerns.
//!
//! One task per kind, each with its own backoff, so that a kind that cannot be watched delays no other. Reads only.

pub mod freshness;
pub mod guard;
pub mod neighbours;
pub mod policies;
pub mod routes;
mod stores;
pub mod triggers;
pub mod views;

pub use freshness::Freshness;
pub use stores::{RolloutRef, Stores, Tasks, stores};
