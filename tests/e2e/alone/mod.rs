//! Scenarios that disturb everybody: operators killed, Prometheus stopped, policies deleted, installations replaced.
//!
//! They run one after the other, in a run of all tests on a testbed of their own beside the one of all others
//! (`tests/e2e.sh`).

mod blind;
mod chaos;
mod gate;
mod killed;
mod leadership;
mod packaging;
mod records;
mod removed;
mod told;
