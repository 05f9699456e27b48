//! The contract with users: the custom resources of `sluice.dev/v1alpha1`, as data only.
//!
//! Owns the shape, the defaults and the schema rules of every object. Must not read a clock,
//! call the API server, or decide anything.
#![allow(unreachable_pub)] // the schema macro makes a twin of each type in a private scope
#![allow(clippy::duplicated_attributes)] // printer columns of one type look like repetitions to the lint

mod budget;
mod change;
mod conditions;
mod decision_log;
mod defect;
mod delivery;
mod evidence;
mod governance;
mod intervention;
pub mod names;
mod postmortem;
mod provider;
mod reclassification;
mod release;
mod rework;
mod rollout;
mod schedule;
mod signals;
mod sink;
mod source;
mod status;
mod units;

pub use budget::{BudgetQuery, BudgetState, BudgetWord, BurnQueries, ErrorBudget, OnMissing, PyrraSlo, SlothSlo};
pub use change::{Change, ChangeKind, Classification, Commit, Confidence};
pub use conditions::{Condition, ConditionStatus, ConditionType, merge_conditions};
pub use decision_log::{
    DecisionLog, DecisionLogSpec, JudgedBy, LogEntry, LogHead, LogSignal, LogState, Look, Unlogged, Values,
};
pub use defect::{CLASSES, Defect, REMEMBERED_DAYS, Symptom};
pub use delivery::DeliveryFigures;
pub use evidence::{Cursors, KeptEvidence, KeptSignal, OpenPoll, SignalState, Tally, TrafficState, WaveForecast};
pub use governance::{Answered, Conflicts, Escaped, Hold, Intervened, LetThrough, ScalerBackup, Watching};
pub use intervention::{Action, Intervention, InterventionResult, InterventionSpec, InterventionStatus};
pub use postmortem::{Postmortem, PostmortemCause, PostmortemSpec};
pub use provider::{
    BasicAuth, BearerAuth, CertificateAuthority, CertificateRef, ClientCertificate, MetricsProvider,
    MetricsProviderSpec, ProviderAuth, ProviderHeader, ProviderTls, SecretRef, TokenRef,
};
pub use reclassification::{Reclassification, ReclassificationSpec};
pub use release::{Exposure, Outcome, Release, ReleaseSpec, ReleaseStatus, Stage, Times, Trigger};
pub use rework::{ReworkEvent, ReworkEventSpec, ReworkKind};
pub use rollout::{
    Analysis, Approval, GateMode, OnRollback, Owner, Promotion, ProviderRef, Rollout, RolloutSpec, RouteKind, RouteRef,
    TargetKind, TargetRef, Traffic, Wave, WaveEvidence,
};
pub use schedule::{Day, Freeze, Schedule, Window};
pub use signals::{BurnRate, BurnWindow, ErrorRatio, Latency, Query, Restarts, Signal};
pub use sink::{
    DeliveryFailure, NotificationSink, NotificationSinkSpec, NotificationSinkStatus, SecretKeyRef, Settled, SinkCursor,
    SinkEvent, SinkFailure, SinkFormat,
};
pub use source::{OwnCounters, Source};
pub use status::{
    BackendWeight, Former, LastRollback, Phase, Recovery, Revision, RolloutStatus, RouteBackup, Run, Step,
    TimelineEntry, VerdictWord, WaveState,
};
pub use units::{Duration, InvalidUnit, Number, Percent};

/// The API group of every object.
pub const GROUP: &str = "sluice.dev";
/// The API version of every object.
pub const VERSION: &str = "v1alpha1";
