//! A simulated API server: objects with resourceVersions, watches that lag, and answers that get lost.

mod admission;
mod http;
mod kinds;
mod patches;
mod rights;
mod store;
mod watches;

pub use admission::admit;
pub use http::{Late, Server};
pub use kinds::{KINDS, named};
pub use patches::{Change, Part};
pub use store::{Change as Logged, Key, Look, Refusal, Store, number, paused, text};
