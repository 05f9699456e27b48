//! End-to-end tests: a real cluster, real pods, a real gateway, a real Prometheus, and clients that send bounded traffic.
//!
//! Each test is one scenario of what users rely on, and asserts what they see: responses, routes, pods, conditions,
//! records. The operator runs as its real Pod under its real ServiceAccount; the tests act as an administrator.
//! `make e2e` installs everything and runs them under `testbed exec`; without a testbed they say why they skip.

// Tests may panic, read clocks and start tasks: the rules protect the operator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods, clippy::large_futures)]
#![allow(unreachable_pub)] // one binary: what is public in a module is for the others

mod harness;

mod adopt;
mod advance;
mod alone;
mod attempts;
mod autoscaler;
mod budget;
mod comparing;
mod dashboards;
mod examples;
mod failing;
mod fights;
mod gate;
mod latency;
mod leaving;
mod limits;
mod neighbours;
mod packaging;
mod people;
mod pods;
mod policies;
mod promotion;
mod prompt;
mod provider;
mod quickstart;
mod quiet;
mod refused;
mod rollback;
mod told;
mod unreadable;
mod writes;
