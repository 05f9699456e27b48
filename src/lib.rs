//! Sluice: a progressive rollout controller for Kubernetes.
//!
//! The way of a Rollout through the files, in the order in which a pass goes:
//!
//! 1. [`watch`] keeps small views of the cluster and says which Rollouts a change concerns.
//! 2. [`observe`] reads everything that a decision may know into one `Snapshot`.
//! 3. [`decide`] turns the snapshot into a `Decision`: the status to be, the writes, the records, the events.
//!    It is pure: no clock, no network, no client.
//! 4. [`record`] commits the intent to status, with the resourceVersion that was read, before anything moves.
//! 5. [`act`] carries the writes out and decides nothing.
//! 6. [`record`] again: events, Releases, ReworkEvents, metrics.
//!
//! Of several replicas one does this: [`leadership`] holds the Lease, and hands [`record`] and [`act`] the client that
//! writes only while it does.
//!
//! [`controller`] is these calls in this order. [`prometheus`] asks what `decide` named, in tasks of its own, so that
//! a hanging query delays nobody's rollback. [`notify`] tells others what happened, from the records. [`delivery`] keeps
//! figures counted from the records. [`api`] is the contract with users. [`app`] wires everything together.
//!
//! State lives in the cluster: what a later pass needs is in `Rollout.status`, every timer is derived from it, and a
//! crash at any line is harmless.

pub mod act;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod crds;
pub mod decide;
pub mod delivery;
pub mod drafts;
pub mod explain_command;
pub mod figures;
pub mod judge;
pub mod judge_command;
pub mod leadership;
pub mod notify;
pub mod observe;
pub mod postmortem;
pub mod postmortem_command;
pub mod probe_command;
pub mod prometheus;
pub mod record;
pub mod reference;
pub mod report_command;
pub mod rights;
pub mod rights_command;
pub mod run_command;
pub mod server;
pub mod telemetry;
pub mod watch;

/// What the tests of hostile input share: those beside private code, and `tests/it/hostile`.
#[cfg(test)]
#[path = "../tests/it/hostile/nasty.rs"]
mod nasty;
