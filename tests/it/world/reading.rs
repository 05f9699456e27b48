//! What `observe` would read of the toy cluster.

use serde_json::Value;
use sluice::api::{Duration, Step, names};
use sluice::decide::measure::{Access, Ask, Failure, FailureClass, Measurement, Provider, Reading, Sample, Series};
use sluice::decide::neighbours::Neighbours;
use sluice::decide::snapshot::{
    CanaryFacts, GatePolicies, LogFacts, PodFacts, ReleaseFacts, ReplicaSetFacts, ReworkFacts, RolloutFacts,
    ScalerFacts, Snapshot, Sought, Workload,
};

use super::{World, objects, template};

impl World {
    /// What `observe` would read now.
    pub fn snapshot(&self) -> Snapshot {
        let current = self.current();
        let run = self.status.run.as_ref().filter(|run| run.step != Step::Done);
        // As `observe` does: earlier failures are known only where one is about to be recorded.
        let escaped = self.status.watching.as_ref().and_then(|watching| watching.escaped.as_ref());
        let records = run.is_some_and(|run| run.outcome.is_some()) || escaped.is_some_and(|escaped| !escaped.recorded);
        let canary = self.canary.as_ref();
        let uid = "uid-rollout";
        Snapshot {
            now: self.now,
            rollout: RolloutFacts {
                name: "shop".into(),
                namespace: "demo".into(),
                uid: uid.into(),
                generation: 1,
                deleting: self.deleting,
                finalizer: self.finalizer,
                abandon: false,
                rival: None,
                spec: self.spec.clone(),
                status: self.status.clone(),
            },
            workload: Some(Workload {
                name: "shop".into(),
                uid: "uid-shop".into(),
                resource_version: self.workload_version.to_string(),
                generation: self.generation,
                observed_generation: self.observed_generation,
                replicas: self.replicas,
                paused: self.paused,
                governed_by: self.label.clone(),
                said: self.said.clone(),
                digest: current.clone(),
                images: vec!["shop=local/shop".into()],
                selector: [("app".into(), "shop".into())].into(),
                selector_expressions: false,
                pod_labels: [("app".into(), "shop".into())].into(),
                hazards: Vec::new(),
                pre_stop: true,
                max_unavailable: Some("0".into()),
                termination_grace: 5,
                status_replicas: self.sets.values().sum(),
                updated: *self.sets.get(&current).unwrap_or(&0),
                available: self.sets.values().sum::<u32>().saturating_sub(self.missing),
            }),
            replica_sets: self
                .sets
                .iter()
                .map(|(digest, count)| ReplicaSetFacts {
                    name: format!("shop-{}", names::short(digest)),
                    uid: format!("uid-set-{digest}"),
                    resource_version: count.to_string(),
                    created_at: self.made.iter().position(|made| made == digest).unwrap() as i64,
                    present: *count,
                    ready: *count,
                    digest: digest.clone(),
                    images: vec!["shop=local/shop".into()],
                    replicas: *count,
                    available: *count,
                })
                .collect(),
            stable_service: Some(objects::service("shop", "shop", false)),
            canary_service: self.canary_service.then(|| objects::service("shop-canary", "shop-canary", true)),
            routes: vec![objects::route_facts(
                &self.route,
                self.route_kind,
                self.route_version,
                self.route_generation,
                self.accepted_generation,
                self.controller,
                self.canary_service,
            )],
            unserved: Vec::new(),
            live: run.is_some_and(|run| matches!(run.step, Step::Reverting | Step::Closing)) || self.deleting,
            canary: canary.map(|canary| CanaryFacts {
                name: "shop-canary".into(),
                uid: "uid-canary".into(),
                resource_version: canary.version.to_string(),
                ours: true,
                revision: canary.revision.clone(),
                replicas: canary.replicas,
                available: canary.available,
                observed: true,
                failure: None,
            }),
            canary_pods: canary
                .map(|canary| PodFacts {
                    name: "shop-canary-1".into(),
                    ready: canary.available > 0,
                    restarts: canary.restarts,
                    waiting: None,
                    digests: Vec::new(),
                })
                .into_iter()
                .collect(),
            stable_pods: Some(
                (1..=4)
                    .map(|number| PodFacts {
                        name: format!("shop-{number}"),
                        ready: true,
                        restarts: if number == 1 { self.stable_restarts } else { 0 },
                        waiting: None,
                        digests: Vec::new(),
                    })
                    .collect(),
            ),
            canary_endpoints: if self.canary_service { canary.map_or(0, |canary| canary.available) } else { 0 },
            provider: Some(provider()),
            readings: self.readings(),
            template: run.filter(|run| run.step == Step::Starting && canary.is_none()).map(|_| self.template.clone()),
            stable_template: if run.is_none_or(|run| run.step == Step::Reverting) {
                Sought::Found(self.stable_template())
            } else {
                Sought::NotYet
            },
            release: run
                .and_then(|run| self.releases.get(&run.release))
                .map(|outcome| ReleaseFacts { ended: outcome.is_some() }),
            log: self.status.run.as_ref().map(|run| LogFacts {
                release: run.release.clone(),
                served: true,
                head: self.logs.get(&run.release).map(|log| log.head.clone()).unwrap_or_default(),
            }),
            rework_recorded: run.is_some_and(|run| self.reworks.contains_key(&run.release)),
            escape_recorded: self
                .status
                .watching
                .as_ref()
                .is_some_and(|watching| self.reworks.contains_key(&names::escaped(&watching.release))),
            reworks: self
                .reworks
                .iter()
                .filter(|_| records)
                .filter_map(|(name, spec)| {
                    let signature = spec.signature.clone()?;
                    Some(ReworkFacts {
                        name: name.clone(),
                        namespace: "demo".into(),
                        rollout: spec.rollout.clone(),
                        release: spec.failed_release.clone(),
                        reason: spec.reason.clone(),
                        signal: spec.signal.clone(),
                        symptoms: spec.symptoms.clone(),
                        signature,
                        at: spec.verdict_at,
                    })
                })
                .chain(self.others.iter().filter(|_| records).cloned())
                .collect(),
            policies: GatePolicies {
                problems: self.policies.clone(),
                fingerprint: format!("{:?}", self.policies),
                unstamped: self.unstamped.clone(),
            },
            interventions: self
                .asked
                .iter()
                .filter(|(_, done)| done.is_none())
                .map(|(asked, _)| asked.clone())
                .collect(),
            scaler: self.scaler.clone().map(|behavior| ScalerFacts {
                name: "shop".into(),
                resource_version: self.scaler_version.to_string(),
                behavior,
            }),
            group_busy: self.group_busy.clone(),
            neighbours: Neighbours {
                canary_pods: canary.map_or(0, |canary| canary.replicas),
                ..self.neighbours.clone()
            },
            gate: self.gate.clone(),
            last_error: None,
            delivery: self.delivery.clone(),
        }
    }

    fn stable_template(&self) -> Value {
        let stable = self.status.stable.as_ref().map(|stable| stable.digest.clone()).unwrap_or_default();
        ["v1", "v2", "v3", "v4"]
            .iter()
            .map(|version| template(version))
            .find(|template| names::template_digest(template) == stable)
            .unwrap_or(Value::Null)
    }

    /// What the poller has of everything that the last decision asked for.
    fn readings(&self) -> Vec<Reading> {
        let failure = Failure { class: FailureClass::Unreachable, text: "connection refused".into(), since: self.now };
        let empty = Failure { class: FailureClass::Empty, text: "no series".into(), since: self.now };
        let no_series = |ask: &Ask| self.unanswered.iter().any(|part| ask.promql().contains(part));
        let silent = |ask: &Ask| self.silent.iter().any(|part| ask.promql().contains(part));
        let reading = |wanted: &Measurement| Reading {
            provider: "cluster".into(),
            ask: wanted.ask.clone(),
            answered_at: (!silent(&wanted.ask)).then_some(self.now),
            series: match &wanted.ask {
                Ask::Counter(_) if silent(&wanted.ask) => Vec::new(),
                Ask::Counter(selector) => self.series(selector, wanted.since),
                Ask::Value(_) => Vec::new(),
            },
            values: match &wanted.ask {
                Ask::Counter(_) => Vec::new(),
                Ask::Value(_) if no_series(&wanted.ask) => Vec::new(),
                Ask::Value(promql) => {
                    let value = self.values.iter().find(|(part, _)| promql.contains(part)).map_or(0.0, |found| found.1);
                    vec![Sample { at: self.now, value }]
                }
            },
            failure: if !self.prometheus || silent(&wanted.ask) {
                Some(failure.clone())
            } else {
                no_series(&wanted.ask).then(|| empty.clone())
            },
        };
        self.wanted.iter().map(reading).collect()
    }

    /// Traefik's counters of requests, or the buckets of its histogram.
    fn series(&self, selector: &str, since: jiff::Timestamp) -> Vec<Series> {
        let buckets = selector.starts_with("traefik_service_request_duration_seconds_bucket");
        assert!(buckets || selector.starts_with("traefik_service_requests_total"), "{selector}");
        let series = self.samples.iter().filter_map(|((service, label), samples)| {
            let (name, value) = match label.strip_prefix("le=") {
                Some(edge) if buckets => ("le", edge),
                None if !buckets => ("code", *label),
                _ => return None,
            };
            let route = self.route_kind.word().to_lowercase();
            let service = format!("{route}-demo-shop-gw-x-svc-demo-{service}-0@kubernetesgateway");
            Some(Series {
                id: format!("{service}/{label}"),
                labels: [("service".to_owned(), service), (name.to_owned(), value.to_owned())].into(),
                samples: recent(samples, since),
            })
        });
        series.collect()
    }
}

/// As much as the poller keeps: what is not counted yet, and the newest sample that is.
fn recent(samples: &[Sample], since: jiff::Timestamp) -> Vec<Sample> {
    let first = samples.iter().rposition(|sample| sample.at <= since).unwrap_or(0);
    samples[first..].to_vec()
}

fn provider() -> Provider {
    Provider {
        name: "cluster".into(),
        address: "http://prometheus:9090".into(),
        scrape_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(5),
        access: Access::default(),
    }
}
