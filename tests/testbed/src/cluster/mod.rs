//! What runs in a testbed: its paths, its certificates, its configuration files and its components.
//!
//! Everything here is computed or written; starting and watching belongs to [`crate::supervisor`].

pub mod addresses;
pub mod components;
pub mod config;
pub mod layout;
pub mod manifests;
pub mod pki;

pub use components::{AUDIT_BACKUPS, Component, Gate};
pub use layout::Layout;
