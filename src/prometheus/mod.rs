//! Asks Prometheus-compatible servers and keeps what they answered.
//!
//! Owns the queries' transport, what lets them in, decoding, pace and the samples that are kept between answers. Must
//! not decide anything: an answer, or the class of the failure, is handed on as data (`decide::measure`).

mod access;
mod book;
mod client;
mod decode;
mod history;
mod poller;
mod schedule;
#[cfg(test)]
pub(crate) mod scripted_secrets;
#[cfg(test)]
pub(crate) mod scripted_server;
mod secrets;
mod source;

pub(crate) use access::Keyring;
pub use client::{Client, ClientError};
pub use decode::Refusal;
pub use poller::{Poller, QueryObserver, RolloutKey};
pub(crate) use secrets::Pace;
pub use secrets::{Hidden, SecretData, SecretFault, SecretSource};
pub use source::{Answer, Outcome, Source};
