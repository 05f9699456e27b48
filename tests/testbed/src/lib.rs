//! A real Kubernetes cluster on one machine, from package registries alone, for end-to-end tests and the demo.
//!
//! The library owns the whole life of a testbed: getting and building its parts ([`parts`]), what runs in
//! it ([`cluster`]), the process that isolates and watches it ([`supervisor`]), packing images for it
//! ([`image`]), sending it bounded traffic ([`load`]), doing harm between Pods and the API server ([`proxy`]) and nodes that are
//! simulated ([`simulated`]). Tests hold it by [`Testbed`]. It must know nothing
//! about Sluice itself: no CRD, no rule, no operator.

// The rule protects decisions of the operator, which must be repeatable; a testbed deals in real time.
#![allow(clippy::disallowed_methods)]

pub mod cluster;
pub mod duration;
mod handle;
pub mod image;
pub mod lifecycle;
pub mod load;
pub mod parts;
pub mod progress;
pub mod proxy;
pub mod simulated;
pub mod supervisor;

pub use handle::{ComponentStatus, Testbed};
