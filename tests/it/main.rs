//! Tests that need no cluster. One binary, so that everything is linked once.
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods, unreachable_pub)] // tests may panic
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)] // helpers of tests too

mod architecture;
mod budget;
mod commits;
mod comparing;
mod crds;
mod delivery;
mod deploy;
mod docs;
mod examples;
mod figures;
mod gitops;
mod governing;
mod hostile;
mod image;
mod judge_command;
mod lease;
mod logbook;
mod monitoring;
mod neighbours;
mod packaging;
mod postmortem;
mod properties;
mod reasons;
mod reference;
mod rights;
mod routes;
mod scenarios;
mod security;
mod sight;
mod simulated;
mod tools;
mod wire;
mod world;
