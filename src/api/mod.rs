//! The contract with users: the custom resources of `sluice.dev/v1alpha1`, as data only.
//!
//! Owns the shape, the defaults and the schema rules of every object. Must not read a clock,
//! call the API server, or decide anything.
#![allow(unreachable_pub)] // the schema macro makes a twin of each type in a private scope
#![allow(clippy::duplicated_attributes)] // printer columns of one type look like repetitions to the lint

mod conditions;
pub mod names;
mod provider;
mod release;
mod rework;
mod rollout;
mod status;
mod units;

pub use conditions::{Condition, ConditionStatus, ConditionType, merge_conditions};
pub use provider::{MetricsProvider, MetricsProviderSpec};
pub use release::{Exposure, Outcome, Release, ReleaseSpec, ReleaseStatus, Times, Trigger};
pub use rework::{ReworkEvent, ReworkEventSpec, ReworkKind};
pub use rollout::{
    Analysis, ErrorRatio, Owner, ProviderRef, Query, Rollout, RolloutSpec, RouteKind, RouteRef, Signal, Source,
    TargetKind, TargetRef, Traffic, Wave,
};
pub use status::{
    BackendWeight, LastRollback, Phase, Revision, RolloutStatus, RouteBackup, Run, SeriesCursor, SignalState, Step,
    Tally, TimelineEntry, TrafficState, VerdictWord, WaveState,
};
pub use units::{Duration, InvalidUnit, Number, Percent};

/// The API group of every object.
pub const GROUP: &str = "sluice.dev";
/// The API version of every object.
pub const VERSION: &str = "v1alpha1";
