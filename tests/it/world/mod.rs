//! A toy cluster around the real `decide`: a Deployment controller, a gateway, counters, resourceVersions.
//!
//! It exists to run whole rollouts in microseconds and in any order. What real software does is shown by the
//! end-to-end tests, not here.

mod behaviour;
mod doing;
mod objects;
mod passes;
mod reading;
mod writing;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;
use sluice::api::{
    DecisionLogSpec, DeliveryFigures, InterventionResult, Outcome, ReleaseSpec, ReleaseStatus, ReworkEventSpec,
    RolloutSpec, RolloutStatus, RouteKind, names,
};
use sluice::decide::measure::{Measurement, Sample};
use sluice::decide::neighbours::Neighbours;
use sluice::decide::snapshot::{GateProof, InterventionFacts, ReworkFacts};

pub use behaviour::Behaviour;
pub use objects::{comparing, notice, rollout, rollout_spec, target, template};

#[derive(Debug, Clone)]
struct Canary {
    revision: String,
    replicas: u32,
    available: u32,
    version: u64,
    restarts: u32,
}

/// The toy cluster.
#[derive(Debug, Clone)]
pub struct World {
    pub now: Timestamp,
    pub spec: RolloutSpec,
    pub status: RolloutStatus,
    pub finalizer: bool,
    pub deleting: bool,
    status_version: u64,
    version: u64,
    template: Value,
    pub paused: bool,
    pub label: Option<String>,
    workload_version: u64,
    generation: i64,
    observed_generation: i64,
    replicas: u32,
    sets: BTreeMap<String, u32>,
    canary: Option<Canary>,
    pub canary_service: bool,
    pub route: Value,
    pub route_kind: RouteKind,
    route_version: u64,
    route_generation: i64,
    accepted_generation: i64,
    counters: BTreeMap<(String, &'static str), f64>,
    carry: BTreeMap<String, f64>,
    samples: BTreeMap<(String, &'static str), Vec<Sample>>,
    /// Releases as they were written last.
    pub recorded: BTreeMap<String, (ReleaseSpec, Option<ReleaseStatus>)>,
    /// The decision logs.
    pub logs: BTreeMap<String, DecisionLogSpec>,
    /// How many requests wrote them.
    pub log_writes: u32,
    /// The API server takes no decision logs.
    pub log_refused: bool,
    /// What the annotations of the workload say.
    pub said: BTreeMap<String, String>,
    /// What the last decision asked for.
    wanted: Vec<Measurement>,
    /// What queries for one number are answered with: the first whose text is part of the query, else 0.
    pub values: Vec<(&'static str, f64)>,
    /// Queries for one number that have no series: those that hold one of these texts.
    pub unanswered: Vec<&'static str>,
    /// Questions that are never answered: those that hold one of these texts.
    pub silent: Vec<&'static str>,
    /// Failures of other Rollouts of the same owner.
    pub others: Vec<ReworkFacts>,
    /// Pods of the workload that are not available.
    pub missing: u32,
    /// Restarts of a pod of the workload itself.
    pub stable_restarts: u32,
    pub behaviours: BTreeMap<String, Behaviour>,
    pub rate: f64,
    pub prometheus: bool,
    /// Prometheus reaches its targets; if not, it answers with what it had.
    pub scrapes: bool,
    pub gateway: bool,
    /// The controller that serves the route.
    pub controller: &'static str,
    /// The API server takes new records; a namespace that is being deleted does not.
    pub records: bool,
    gate: Option<GateProof>,
    /// What else selects pods by label.
    pub neighbours: Neighbours,
    pub releases: BTreeMap<String, Option<Outcome>>,
    pub reworks: BTreeMap<String, ReworkEventSpec>,
    pub events: Vec<String>,
    pub log: Vec<String>,
    /// The Rollout is gone.
    pub deleted: bool,
    /// The order in which ReplicaSets were made.
    made: Vec<String>,
    /// What people ask, with the answer once there is one.
    pub asked: Vec<(InterventionFacts, Option<InterventionResult>)>,
    /// What is wrong with the gate's policies.
    pub policies: Vec<String>,
    /// What is wrong with those that stamp Interventions.
    pub unstamped: Vec<String>,
    /// `spec.behavior` of the workload's autoscaler, if it has one.
    pub scaler: Option<Option<Value>>,
    scaler_version: u64,
    /// Every behavior that the autoscaler had while the canary had traffic.
    pub scaler_under_traffic: BTreeSet<String>,
    /// Another Rollout of the group that has a canary.
    pub group_busy: Option<String>,
    /// Digests of versions of which it is recorded why they may be stable: adopted, promoted, let through.
    pub known: BTreeSet<String>,
    /// Harm that was recorded after a promotion.
    pub escaped: BTreeSet<String>,
    /// Words and counts are committed as seldom as the controller does: when they were last. `None`: in every pass.
    pub seldom: Option<Timestamp>,
    /// What its records add up to, if that was counted.
    pub delivery: Option<DeliveryFigures>,
}

impl World {
    /// A world with version `v1` running on four pods, a Rollout, and 200 requests per second.
    pub fn new() -> Self {
        let template = template("v1");
        let digest = names::template_digest(&template);
        Self {
            now: Timestamp::from_second(1_000_000).unwrap(),
            spec: rollout_spec(),
            status: RolloutStatus::default(),
            finalizer: false,
            deleting: false,
            status_version: 1,
            version: 1,
            template,
            paused: false,
            label: None,
            workload_version: 1,
            generation: 1,
            observed_generation: 1,
            replicas: 4,
            sets: [(digest, 4)].into(),
            canary: None,
            canary_service: false,
            route: objects::route(),
            route_kind: RouteKind::HTTPRoute,
            route_version: 1,
            route_generation: 1,
            accepted_generation: 1,
            counters: BTreeMap::new(),
            carry: BTreeMap::new(),
            samples: BTreeMap::new(),
            wanted: Vec::new(),
            values: Vec::new(),
            unanswered: Vec::new(),
            silent: Vec::new(),
            others: Vec::new(),
            missing: 0,
            stable_restarts: 0,
            behaviours: BTreeMap::new(),
            rate: 200.0,
            prometheus: true,
            scrapes: true,
            gateway: true,
            controller: "traefik.io/gateway-controller",
            records: true,
            gate: None,
            neighbours: Neighbours::default(),
            releases: BTreeMap::new(),
            reworks: BTreeMap::new(),
            recorded: BTreeMap::new(),
            logs: BTreeMap::new(),
            log_writes: 0,
            log_refused: false,
            said: BTreeMap::new(),
            events: Vec::new(),
            log: Vec::new(),
            deleted: false,
            made: vec![World::digest("v1")],
            asked: Vec::new(),
            policies: Vec::new(),
            unstamped: Vec::new(),
            scaler: None,
            scaler_version: 1,
            scaler_under_traffic: BTreeSet::new(),
            group_busy: None,
            known: BTreeSet::new(),
            escaped: BTreeSet::new(),
            seldom: None,
            delivery: None,
        }
    }

    /// Someone applies a version. The API server pauses a governed workload in the same write.
    pub fn apply(&mut self, version: &str) {
        let template = template(version);
        if template != self.template {
            self.template = template;
            self.generation += 1;
            self.touch_workload();
            if self.label.is_some() {
                self.paused = true;
            }
        }
    }

    /// The digest of a version.
    pub fn digest(version: &str) -> String {
        names::template_digest(&template(version))
    }

    /// What a version does.
    pub fn behave(&mut self, version: &str, behaviour: Behaviour) {
        self.behaviours.insert(Self::digest(version), behaviour);
    }

    fn behaviour(&self, digest: &str) -> Behaviour {
        self.behaviours.get(digest).copied().unwrap_or_default()
    }

    fn touch_workload(&mut self) {
        self.version += 1;
        self.workload_version = self.version;
    }

    fn current(&self) -> String {
        names::template_digest(&self.template)
    }

    /// Weights of the governed rule, by Service.
    pub fn weights(&self) -> BTreeMap<String, u64> {
        let rules = self.route["spec"]["rules"].as_array().unwrap();
        let governed = match &self.spec.traffic.routes[0].rule {
            Some(name) => rules.iter().find(|rule| rule["name"] == name.as_str()),
            None => rules.first(),
        };
        let backends = governed.and_then(|rule| rule["backendRefs"].as_array()).cloned();
        backends
            .unwrap_or_default()
            .iter()
            .map(|one| (one["name"].as_str().unwrap().to_owned(), one["weight"].as_u64().unwrap()))
            .collect()
    }

    /// The canary's share of what stable and canary get, in percent.
    pub fn share(&self) -> f64 {
        let weights = self.weights();
        let canary = *weights.get("shop-canary").unwrap_or(&0) as f64;
        let stable = *weights.get("shop").unwrap_or(&0) as f64;
        if canary + stable == 0.0 { 0.0 } else { canary / (canary + stable) * 100.0 }
    }

    /// A second passes: pods start, the gateway accepts, requests are served and scraped.
    pub fn tick(&mut self) {
        self.now = Timestamp::from_millisecond(self.now.as_millisecond() + 1000).unwrap();
        self.roll();
        if let Some(canary) = self.canary.clone() {
            let behaviour = self.behaviour(&canary.revision);
            let canary = self.canary.as_mut().unwrap();
            if behaviour.crashes {
                canary.restarts += 1;
            }
            canary.available = if behaviour.never_ready { 0 } else { canary.replicas };
        }
        if self.gateway {
            self.accepted_generation = self.route_generation;
        }
        self.serve();
    }

    /// The Deployment controller: one pod per second, new ones first.
    fn roll(&mut self) {
        self.observed_generation = self.generation;
        if self.paused || self.replicas < self.sets.values().sum() {
            return self.scale_sets();
        }
        let current = self.current();
        let broken = self.behaviour(&current).never_ready;
        let new = *self.sets.get(&current).unwrap_or(&0);
        if new < self.replicas && !broken {
            if self.sets.insert(current.clone(), new + 1).is_none() {
                self.made.push(current.clone());
            }
            if let Some(old) = self.sets.iter_mut().find(|(digest, count)| **digest != current && **count > 0) {
                *old.1 -= 1;
            }
            self.touch_workload();
        } else if new < self.replicas {
            if !self.sets.contains_key(&current) {
                self.made.push(current.clone());
            }
            self.sets.entry(current).or_insert(0);
        }
    }

    /// While paused, and when scaled down: what serves is scaled; where nothing serves, the ReplicaSet of the present
    /// template if there is one, else the one that was made last.
    fn scale_sets(&mut self) {
        let current = self.current();
        let total: u32 = self.sets.values().sum();
        if total == self.replicas {
            return;
        }
        let active: Vec<String> = self.sets.iter().filter(|(_, n)| **n > 0).map(|(d, _)| d.clone()).collect();
        if active.is_empty() {
            let chosen = if self.sets.contains_key(&current) { Some(current) } else { self.made.last().cloned() };
            if let Some(chosen) = chosen {
                self.sets.insert(chosen, self.replicas);
            }
        } else if self.replicas == 0 {
            self.sets.values_mut().for_each(|n| *n = 0);
        } else {
            // In proportion, roughly: one after another until it fits.
            while self.sets.values().sum::<u32>() > self.replicas {
                let most = self.sets.iter_mut().max_by_key(|(_, n)| **n).unwrap();
                *most.1 -= 1;
            }
            while self.sets.values().sum::<u32>() < self.replicas {
                let most = self.sets.iter_mut().max_by_key(|(_, n)| **n).unwrap();
                *most.1 += 1;
            }
        }
        self.touch_workload();
    }

    fn serve(&mut self) {
        if let Some(behavior) = self.scaler.as_ref().filter(|_| self.share() > 0.0) {
            let behavior = behavior.as_ref().map(ToString::to_string).unwrap_or_default();
            self.scaler_under_traffic.insert(behavior);
        }
        let canary_share = self.share() / 100.0;
        let total: u32 = self.sets.values().sum();
        let stable = |of: fn(Behaviour) -> f64| {
            let sum: f64 = self.sets.iter().map(|(digest, count)| of(self.behaviour(digest)) * f64::from(*count)).sum();
            if total == 0 { 0.0 } else { sum / f64::from(total) }
        };
        let canary =
            |of: fn(Behaviour) -> f64| self.canary.as_ref().map_or(1.0, |canary| of(self.behaviour(&canary.revision)));
        let canary_code =
            self.canary.as_ref().and_then(|canary| self.behaviour(&canary.revision).code).unwrap_or("500");
        let versions = [
            ("shop", 1.0 - canary_share, stable(|b| b.errors), stable(|b| b.slow)),
            ("shop-canary", canary_share, canary(|b| b.errors), canary(|b| b.slow)),
        ];
        for (service, share, errors, slow) in versions {
            let requests = self.whole(service, "requests", self.rate * share);
            let failed = self.whole(service, "errors", requests * errors).min(requests);
            let slow = self.whole(service, "slow", requests * slow).min(requests);
            let other = self.canary.as_ref().is_some_and(|canary| self.behaviour(&canary.revision).other_buckets);
            let edge = if service == "shop-canary" && other { "le=0.25" } else { "le=0.3" };
            let code = if service == "shop-canary" { canary_code } else { "500" };
            let series = [("200", requests - failed), (code, failed), ("le=+Inf", requests), (edge, requests - slow)];
            for (label, count) in series {
                let key = (service.to_owned(), label);
                let listed = self.weights().contains_key(service);
                if !listed {
                    // Traefik drops the series of a backend that is gone.
                    self.counters.remove(&key);
                    continue;
                }
                if count > 0.0 || self.counters.contains_key(&key) || label.starts_with("le=") {
                    *self.counters.entry(key).or_insert(0.0) += count;
                }
            }
        }
        if self.prometheus && self.scrapes {
            for ((service, code), value) in &self.counters {
                let series = self.samples.entry((service.clone(), code)).or_default();
                series.push(Sample { at: self.now, value: *value });
            }
        }
    }

    fn whole(&mut self, service: &str, what: &str, amount: f64) -> f64 {
        let carry = self.carry.entry(format!("{service}/{what}")).or_insert(0.0);
        let total = amount + *carry;
        *carry = total - total.floor();
        total.floor()
    }

    /// Someone puts the route back to what git says.
    pub fn reset_route(&mut self) {
        self.edit_route(|route| *route = objects::route());
    }

    /// Someone changes the route.
    pub fn edit_route(&mut self, change: impl FnOnce(&mut Value)) {
        change(&mut self.route);
        self.version += 1;
        self.route_version = self.version;
        self.route_generation += 1;
    }

    /// The gateway says something of the route as it is.
    pub fn gateway_writes(&mut self) {
        self.version += 1;
        self.route_version = self.version;
    }

    /// The canary exists.
    pub fn has_canary(&self) -> bool {
        self.canary.is_some()
    }

    /// How many pods run each version of the workload.
    pub fn pods_of(&self, version: &str) -> u32 {
        *self.sets.get(&Self::digest(version)).unwrap_or(&0)
    }
}
