//! Scenarios with a fault proxy between the operator and the API server, and others that are meant to hurt.
//!
//! `make chaos` leaves this module out: there the proxy is between them and the API server during every other scenario.

mod blind;
mod cut_off;
mod hostile;
mod killed;
mod rollback;
mod upgraded;
