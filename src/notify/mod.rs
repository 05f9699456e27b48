//! Tells the NotificationSinks what happened.
//!
//! Owns what is told (`happened`, `event`, `artifact`), how it is signed and posted (`sign`, `post`), and what of it
//! each sink has had (`outbox`, `worker`). Keeps nothing of its own: what is to be told follows from the Releases,
//! ReworkEvents and Rollouts, and what was told is in the status of the sink, which `record` writes. Decides nothing,
//! and nothing waits for it: a sink that hangs delays itself only.

mod artifact;
mod attempt;
mod event;
mod happened;
mod outbox;
mod post;
mod sign;
mod worker;

pub use event::{Event, Subject};
pub use happened::{Happened, World};
pub use post::{HttpPost, Parcel, Post, Undelivered};
pub use worker::Notifier;
