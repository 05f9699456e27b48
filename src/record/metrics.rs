//! The operator's own metrics.
//!
//! What describes a Rollout is derived from the Rollouts at each scrape: it survives restarts, and goes when the
//! object goes. What counts work of this process is counted here. No metric has a pod, a hash or an image as a label.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use kube::ResourceExt;
use kube::core::DeserializeGuard;
use kube::runtime::reflector::Store;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::api::{ConditionStatus, Outcome, Phase, Rollout, RolloutStatus, SignalState, Step, Tally, Trigger};
use crate::decide::measure::FailureClass;
use crate::judge::Stakes;
use crate::leadership::Leadership;
use crate::watch::Freshness;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByProvider {
    provider: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    write: &'static str,
}

/// Counters of this process; cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    reconciles: Family<Reason, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    query_errors: Family<ByProvider, Counter>,
    query_seconds: Histogram,
}

/// The registry that `/metrics` answers from, and the counters in it.
pub fn registry(
    rollouts: Store<DeserializeGuard<Rollout>>,
    freshness: Freshness,
    leadership: Leadership,
) -> (Registry, Metrics) {
    let mut registry = Registry::with_prefix("sluice");
    let seconds = || Histogram::new([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]);
    let metrics = Metrics {
        reconciles: Family::default(),
        reconcile_seconds: seconds(),
        writes: Family::default(),
        query_errors: Family::default(),
        query_seconds: seconds(),
    };
    registry.register("build", "Version of this program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    let reconciles = metrics.reconciles.clone();
    registry.register("reconciles", "Passes over a Rollout, by how they ended", reconciles);
    let histogram = metrics.reconcile_seconds.clone();
    registry.register_with_unit("reconcile_duration", "Time of one pass", Unit::Seconds, histogram);
    registry.register("writes", "Writes to workloads, canaries and routes", metrics.writes.clone());
    registry.register("prometheus_query_errors", "Questions without a usable answer", metrics.query_errors.clone());
    let histogram = metrics.query_seconds.clone();
    registry.register_with_unit("prometheus_query_duration", "Time of one question", Unit::Seconds, histogram);
    registry.register_collector(Box::new(Rollouts { rollouts, freshness, leadership }));
    (registry, metrics)
}

impl Metrics {
    /// A pass ended.
    pub fn reconciled(&self, reason: &'static str, took: Duration) {
        self.reconciles.get_or_create(&Reason { reason }).inc();
        self.reconcile_seconds.observe(took.as_secs_f64());
    }

    /// A write was carried out.
    pub fn wrote(&self, write: &'static str) {
        self.writes.get_or_create(&WriteLabels { write }).inc();
    }
}

impl crate::prometheus::QueryObserver for Metrics {
    fn answered(&self, _: &str, took: Duration) {
        self.query_seconds.observe(took.as_secs_f64());
    }

    fn failed(&self, provider: &str, class: FailureClass, took: Duration) {
        self.query_seconds.observe(took.as_secs_f64());
        self.query_errors.get_or_create(&ByProvider { provider: provider.to_owned(), reason: class.reason() }).inc();
    }
}

/// Reads the Rollouts at each scrape.
struct Rollouts {
    rollouts: Store<DeserializeGuard<Rollout>>,
    freshness: Freshness,
    leadership: Leadership,
}

impl fmt::Debug for Rollouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rollouts")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Described {
    namespace: String,
    name: String,
    workload: String,
    provider: String,
    team: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    namespace: String,
    name: String,
    phase: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WithCondition {
    namespace: String,
    name: String,
    condition: &'static str,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TakenBack {
    namespace: String,
    name: String,
    team: String,
    trigger: &'static str,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Owned {
    namespace: String,
    name: String,
    team: String,
}

fn owned(rollout: &Rollout, team: String) -> Owned {
    Owned { namespace: rollout.namespace().unwrap_or_default(), name: rollout.name_any(), team }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSignal {
    namespace: String,
    name: String,
    signal: String,
    role: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Nothing {}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchOf {
    kind: &'static str,
}

/// Every phase, so that each Rollout shows 1 for one and 0 for the others.
const PHASES: [Phase; 16] = [
    Phase::Adopting,
    Phase::Stable,
    Phase::Preflight,
    Phase::Starting,
    Phase::Shifting,
    Phase::Baking,
    Phase::Held,
    Phase::Promoting,
    Phase::Settling,
    Phase::Promoted,
    Phase::RollingBack,
    Phase::RolledBack,
    Phase::Withdrawing,
    Phase::Leaving,
    Phase::Stalled,
    Phase::Disabled,
];

impl Collector for Rollouts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let state = self.rollouts.state();
        let rollouts: Vec<(&Rollout, RolloutStatus)> = state
            .iter()
            .filter_map(|guard| guard.0.as_ref().ok())
            .map(|rollout| (rollout, rollout.status.clone().unwrap_or_default()))
            .collect();
        let named =
            |rollout: &Rollout| Named { namespace: rollout.namespace().unwrap_or_default(), name: rollout.name_any() };
        let team = |rollout: &Rollout| rollout.spec.owner.as_ref().map(|owner| owner.team.clone()).unwrap_or_default();

        let mut gauge = Gauges { encoder: &mut encoder };
        gauge.family("rollout_info", "What each Rollout governs", |put| {
            rollouts.iter().try_for_each(|(rollout, _)| {
                let Named { namespace, name } = named(rollout);
                let labels = Described {
                    namespace,
                    name,
                    workload: rollout.spec.target_ref.name.clone(),
                    provider: rollout.spec.analysis.provider_ref.name.clone(),
                    team: team(rollout),
                };
                put(&labels, 1.0)
            })
        })?;
        gauge.family("rollout_phase", "1 for the phase a Rollout is in", |put| {
            rollouts.iter().try_for_each(|(rollout, status)| {
                PHASES.iter().try_for_each(|phase| {
                    let Named { namespace, name } = named(rollout);
                    let labels = InPhase { namespace, name, phase: format!("{phase:?}") };
                    put(&labels, if status.phase == *phase { 1.0 } else { 0.0 })
                })
            })
        })?;
        gauge.family("rollout_status_condition", "1 for the status that each condition has", |put| {
            rollouts.iter().try_for_each(|(rollout, status)| {
                status.conditions.iter().try_for_each(|condition| {
                    let Named { namespace, name } = named(rollout);
                    let status = match condition.status {
                        ConditionStatus::True => "true",
                        ConditionStatus::False => "false",
                        ConditionStatus::Unknown => "unknown",
                    };
                    put(&WithCondition { namespace, name, condition: condition.type_.name(), status }, 1.0)
                })
            })
        })?;
        gauge.family("rollout_wave", "The wave a Rollout is in, from 1; 0 when it is in none", |put| {
            rollouts.iter().try_for_each(|(rollout, status)| {
                let run = status.run.as_ref().filter(|run| run.step != Step::Done);
                let wave = run.and_then(|run| run.wave.as_ref());
                put(&named(rollout), wave.map_or(0.0, |wave| f64::from(wave.index) + 1.0))
            })
        })?;
        gauge.family("rollout_waves", "How many waves a Rollout has", |put| {
            rollouts.iter().try_for_each(|(rollout, _)| {
                put(&named(rollout), f64::from(u32::try_from(rollout.spec.waves.len()).unwrap_or(u32::MAX)))
            })
        })?;
        gauge.family(
            "rollout_canary_weight_ratio",
            "The share of live traffic that the canary is meant to have",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    put(&named(rollout), status.run.as_ref().map_or(0.0, |run| f64::from(run.weight) / 100.0))
                })
            },
        )?;
        gauge.family(
            "rollout_effective_weight_ratio",
            "While the Deployment rolls: the share of live traffic that meets the new version, canary and rolled pods",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    let run = status.run.as_ref().filter(|run| run.step == Step::Promoting);
                    let Some(reach) = run.and_then(|run| run.effective_weight) else { return Ok(()) };
                    put(&named(rollout), f64::from(reach) / 100.0)
                })
            },
        )?;
        gauge.family(
            "rollout_canary_observed_ratio",
            "The share of requests that the canary was seen to get in this wave",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    let run = status.run.as_ref().filter(|run| run.weight > 0);
                    let Some(tally) = run.map(|run| run.traffic.settled) else {
                        return Ok(());
                    };
                    let total = tally.canary_requests.saturating_add(tally.stable_requests);
                    if total == 0 {
                        return Ok(());
                    }
                    #[allow(clippy::cast_precision_loss)] // counts of requests are far below 2^53
                    let share = tally.canary_requests as f64 / total as f64;
                    put(&named(rollout), share)
                })
            },
        )?;
        gauge.family("analysis_value", "Share of bad requests that a signal has counted in this wave", |put| {
            counted(&rollouts, |rollout, signal, tally| {
                let Named { namespace, name } = named(rollout);
                let roles = [
                    ("canary", tally.canary_errors, tally.canary_requests),
                    ("stable", tally.stable_errors, tally.stable_requests),
                ];
                roles.into_iter().filter(|(_, _, requests)| *requests > 0).try_for_each(|(role, bad, requests)| {
                    let (namespace, name, signal) = (namespace.clone(), name.clone(), signal.name.clone());
                    #[allow(clippy::cast_precision_loss)] // counts of requests are far below 2^53
                    put(&OfSignal { namespace, name, signal, role }, bad as f64 / requests as f64)
                })
            })
        })?;
        gauge.family(
            "analysis_harm_capital",
            "Odds that a signal which compares has gathered against the canary, from 1; see docs/verdicts.md",
            |put| {
                counted(&rollouts, |rollout, state, _| {
                    let Named { namespace, name } = named(rollout);
                    let labels = OfSignal { namespace, name, signal: state.name.clone(), role: "canary" };
                    state.evidence.map_or(Ok(()), |evidence| put(&labels, evidence.harm(Stakes::Lasting)))
                })
            },
        )?;
        gauge.family(
            "rollout_last_rollback_timestamp_seconds",
            "When the last attempt of a Rollout was taken back; from the object itself, so it survives restarts",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    let Some(last) = &status.last_rollback else {
                        return Ok(());
                    };
                    let Named { namespace, name } = named(rollout);
                    let trigger = match last.trigger {
                        Trigger::Automatic => "automatic",
                        Trigger::Manual => "manual",
                    };
                    let labels =
                        TakenBack { namespace, name, team: team(rollout), trigger, reason: last.reason.clone() };
                    put(&labels, last.at.as_duration().as_secs_f64())
                })
            },
        )?;
        gauge.family(
            "rollout_last_bypass_timestamp_seconds",
            "When the present template of a Rollout was seen to roll unproven; until the next attempt begins",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    let run = status.run.as_ref().filter(|run| run.outcome == Some(Outcome::Bypassed));
                    let Some(at) = run.and_then(|run| run.times.verdict_at) else { return Ok(()) };
                    put(&owned(rollout, team(rollout)), at.as_duration().as_secs_f64())
                })
            },
        )?;
        gauge.family(
            "rollout_last_escape_timestamp_seconds",
            "When harm was found in the promoted version of a Rollout; until the next attempt begins",
            |put| {
                rollouts.iter().try_for_each(|(rollout, status)| {
                    let escaped = status.watching.as_ref().and_then(|watching| watching.escaped.as_ref());
                    let Some(escaped) = escaped else { return Ok(()) };
                    put(&owned(rollout, team(rollout)), escaped.at.as_duration().as_secs_f64())
                })
            },
        )?;
        counters(
            &mut encoder,
            "rollout_promotions",
            "Attempts of a Rollout that were promoted",
            &rollouts,
            named,
            |s| s.promotions,
        )?;
        counters(
            &mut encoder,
            "rollout_rollbacks",
            "Attempts of a Rollout that were taken back after exposure",
            &rollouts,
            named,
            |s| s.rollbacks,
        )?;
        let leads = if self.leadership.may_write() { 1.0 } else { 0.0 };
        let mut gauge = Gauges { encoder: &mut encoder };
        gauge.family("leader", "1 while this process holds the Lease and decides", |put| put(&Nothing {}, leads))?;
        let watches = self.freshness.all();
        gauge.family("watch_ready", "1 when a kind has been listed and is watched", |put| {
            watches.iter().try_for_each(|(kind, state)| put(&WatchOf { kind }, if state.ready { 1.0 } else { 0.0 }))
        })?;
        gauge.family("watch_errors", "Errors of the watch of a kind since the start of this process", |put| {
            watches.iter().try_for_each(|(kind, state)| {
                put(&WatchOf { kind }, f64::from(u32::try_from(state.errors).unwrap_or(u32::MAX)))
            })
        })
    }
}

/// Every signal that counts requests of a canary with traffic, and its counts of the wave.
fn counted(
    rollouts: &[(&Rollout, RolloutStatus)],
    mut each: impl FnMut(&Rollout, &SignalState, Tally) -> fmt::Result,
) -> fmt::Result {
    for (rollout, status) in rollouts {
        let Some(run) = status.run.as_ref().filter(|run| run.weight > 0) else { continue };
        for signal in &rollout.spec.analysis.signals {
            let counts = signal.error_ratio.is_some() || signal.latency.is_some();
            let state = run.signals.iter().find(|state| counts && state.name == signal.name);
            if let Some(state) = state {
                each(rollout, state, state.counts.as_deref().unwrap_or(&run.traffic).wave)?;
            }
        }
    }
    Ok(())
}

/// Writes gauges whose label sets are known only at the scrape.
struct Gauges<'a, 'e> {
    encoder: &'a mut DescriptorEncoder<'e>,
}

impl Gauges<'_, '_> {
    fn family<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        each: impl FnOnce(&mut dyn FnMut(&L, f64) -> fmt::Result) -> fmt::Result,
    ) -> fmt::Result {
        let gauge: Gauge<f64, AtomicU64> = Gauge::default();
        let kind = EncodeMetric::metric_type(&gauge);
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        each(&mut |labels, value| {
            let one = metric.encode_family(labels)?;
            ConstGauge::new(value).encode(one)
        })
    }
}

fn counters(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rollouts: &[(&Rollout, RolloutStatus)],
    named: impl Fn(&Rollout) -> Named,
    count: impl Fn(&RolloutStatus) -> u32,
) -> fmt::Result {
    let zero: ConstCounter<u64> = ConstCounter::new(0);
    let mut metric = encoder.encode_descriptor(name, help, None, EncodeMetric::metric_type(&zero))?;
    rollouts.iter().try_for_each(|(rollout, status)| {
        let labels = named(rollout);
        let one = metric.encode_family(&labels)?;
        ConstCounter::new(u64::from(count(status))).encode(one)
    })
}
