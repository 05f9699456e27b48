//! The invariants, looked at with every write and every second.
//!
//! They know what was promised and what really happens (objects, requests, people), and nothing of how the operator
//! decides. One file for each promise.

mod attempts;
mod foreign;
mod promotion;
mod records;
mod weights;

use std::collections::BTreeMap;

use serde_json::Value;

pub use attempts::Attempts;

use crate::api::{Key, Look as _, Store, paused, text};
use crate::history::History;
use crate::people::Act;
use crate::plan::{Plan, Weather};
use crate::traffic::Traffic;
use crate::world::{Actor, Written, name};

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Writes of the operator, but for the Lease.
    pub writes: u64,
    /// Attempts that ended, by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Milliseconds from the commit of an end that takes traffic back to weight 0, the longest.
    pub slowest_zero: u64,
    /// The same of seeds without faults.
    pub slowest_calm: u64,
}

impl Counts {
    /// Adds those of another seed.
    pub fn add(&mut self, other: &Self) {
        self.writes = self.writes.saturating_add(other.writes);
        self.slowest_zero = self.slowest_zero.max(other.slowest_zero);
        self.slowest_calm = self.slowest_calm.max(other.slowest_calm);
        for (outcome, count) in &other.outcomes {
            let sum = self.outcomes.entry(outcome.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
    }
}

/// What there is to look at in one moment.
pub struct Moment<'a> {
    /// All objects.
    pub store: &'a Store,
    /// All requests.
    pub traffic: &'a Traffic,
    /// The plan of the seed.
    pub plan: &'a Plan,
    /// Milliseconds since the beginning.
    pub now: u64,
}

impl Moment<'_> {
    /// The Rollout.
    pub fn rollout(&self) -> Option<&Value> {
        self.store.get(&Key::demo("Rollout", "shop")).map(AsRef::as_ref)
    }

    /// The workload.
    pub fn workload(&self) -> Option<&Value> {
        self.store.get(&Key::demo("Deployment", "shop")).map(AsRef::as_ref)
    }

    /// More than one process may decide at once.
    pub const fn crowded(&self) -> bool {
        self.plan.processes > 1 && !self.plan.elects
    }
}

/// Everything that people did that an invariant must know.
#[derive(Debug, Default)]
pub struct Deeds {
    /// When pods of the workload or of the canary were last in people's hands.
    pub sized: Option<u64>,
    /// How often each Intervention was asked for, and when last.
    pub asked: BTreeMap<&'static str, Vec<u64>>,
    /// When the spec of the Rollout was edited last.
    pub edited: Option<u64>,
    /// When the route was written last.
    pub routed: Option<u64>,
}

/// What is known of the world, and what was found.
pub struct Checks {
    violations: Vec<String>,
    counts: Counts,
    /// Writes since everything rests; none while it does not.
    at_rest: Option<u64>,
    deeds: Deeds,
    attempts: Attempts,
    weights: weights::Weights,
    records: records::Records,
    unserved: f64,
}

/// Writes at rest that are none yet: what was on its way when everything was called settled.
const STRAGGLERS: u64 = 3;

impl Checks {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self {
            violations: Vec::new(),
            counts: Counts::default(),
            at_rest: None,
            deeds: Deeds::default(),
            attempts: Attempts::default(),
            weights: weights::Weights::default(),
            records: records::Records::default(),
            unserved: 0.0,
        }
    }

    /// A person does this.
    pub fn acted(&mut self, act: &Act, now: u64) {
        let deeds = &mut self.deeds;
        match act {
            Act::Scale(_)
            | Act::DeleteWorkload
            | Act::ScaleCanary(_)
            | Act::DeleteCanary
            | Act::DeleteCanaryService
            | Act::Unguard
            | Act::BreakGlass(_)
            | Act::Unpause => deeds.sized = Some(now),
            Act::Waves(_) | Act::Leave | Act::Return | Act::Disable(_) => deeds.edited = Some(now),
            Act::ResetRoute | Act::EditRoute(_) => deeds.routed = Some(now),
            Act::Apply(_) | Act::Annotate(_) | Act::Guard | Act::Ask(_) => {}
        }
    }

    /// A person asks for an Intervention.
    pub fn asked(&mut self, action: &'static str, now: u64) {
        self.deeds.asked.entry(action).or_default().push(now);
    }

    /// Something was written.
    pub fn written(&mut self, written: &Written, moment: &Moment<'_>, history: &mut History) {
        let mut found = Vec::new();
        if written.key.kind == "Rollout" {
            self.attempts.committed(written, moment, &mut found);
        }
        if matches!(written.actor, Actor::Operator(_) | Actor::Late(_)) && written.key.kind != "Lease" {
            self.counts.writes = self.counts.writes.saturating_add(1);
            if let Some(count) = self.at_rest.as_mut() {
                *count = count.saturating_add(1);
                if *count == STRAGGLERS.saturating_add(1) {
                    found.push(format!("I7: {} {} is written at rest", written.key.kind, written.key.name));
                }
            }
            foreign::changed(written, moment, &mut found);
            self.weights.moved(written, moment, &self.attempts, &self.deeds, &mut found);
            promotion::opened(written, moment, &self.attempts, &self.deeds, &mut found);
            self.records.written(written, &self.attempts, &mut found);
        }
        for what in found {
            self.violated(history, &what);
        }
    }

    /// A second went by.
    pub fn second(&mut self, moment: &Moment<'_>, history: &mut History) {
        let mut found = Vec::new();
        self.weights.second(moment, &mut self.counts, &mut found);
        let unserved = moment.traffic.unserved;
        if unserved > self.unserved && self.must_serve(moment) {
            found.push(format!(
                "I6: {:.0} requests met no pod; weights {:?}",
                unserved - self.unserved,
                moment.traffic.effective
            ));
        }
        self.unserved = unserved;
        for what in found {
            self.violated(history, &what);
        }
    }

    /// Nobody but the operator can be the reason when a request meets no pod.
    fn must_serve(&self, moment: &Moment<'_>) -> bool {
        moment.now > 20_000
            && self.deeds.sized.is_none()
            && self.deeds.routed.is_none()
            && self.deeds.edited.is_none()
            && moment.plan.deaf.is_empty()
    }

    /// Everything has settled, or goes on.
    pub fn rests(&mut self, resting: bool) {
        self.at_rest = resting.then(|| self.at_rest.unwrap_or(0));
    }

    /// Why things have not settled yet.
    pub fn restless(&self, store: &Store, plan: &Plan) -> Option<String> {
        let rollout = store.get(&Key::demo("Rollout", "shop"));
        let canary = ["Deployment", "Service"].iter().any(|kind| store.get(&Key::demo(kind, "shop-canary")).is_some());
        let open = |one: &std::sync::Arc<Value>| text(one, "/status/result").is_empty();
        let asked = store.list("Intervention", "demo").find(|one| open(one));
        match rollout {
            None => canary.then(|| "the canary of a deleted Rollout is there".to_owned()),
            Some(rollout) => {
                let step = text(rollout, "/status/run/step");
                let phase = text(rollout, "/status/phase");
                let message = text(rollout, "/status/message");
                let workload = store.get(&Key::demo("Deployment", "shop"));
                let waits = workload.is_none_or(|workload| workload.at("/spec/replicas") == Some(&0.into()));
                let stuck = phase == "Adopting" && cannot_roll(store, plan);
                let at_rest = stuck || ["Stable", "Promoted", "RolledBack", "Disabled"].contains(&phase) || waits;
                let watching = rollout.at("/status/watching").is_some_and(|watching| {
                    !watching.is_null()
                        && workload.is_some()
                        && watching.at("/escaped/recorded") != Some(&Value::Bool(true))
                });
                if (step.is_empty() || step == "Done") && at_rest && !canary && asked.is_none() && !watching {
                    return None;
                }
                Some(format!(
                    "phase {phase}, step {step}, canary {canary}, watching {watching}, unanswered {}: {message}",
                    asked.map_or("none", |one| name(one)),
                ))
            }
        }
    }

    /// Everything is over.
    pub fn finish(&mut self, moment: &Moment<'_>, history: &mut History) {
        let mut found = Vec::new();
        foreign::finish(moment, &mut found);
        self.records.finish(moment, &self.attempts, &mut found);
        promotion::finish(moment, &self.attempts, &mut found);
        self.counts.outcomes = self.attempts.outcomes();
        let bound = self.bound(moment.plan);
        // Of two who decide at once one may be half a minute behind, and they take turns until it is not.
        if self.counts.writes > bound && !moment.crowded() {
            found.push(format!("I7: {} writes, at most {bound} were to be expected", self.counts.writes));
        }
        for what in found {
            self.violated(history, &what);
        }
    }

    /// How many writes there may be: a number for each attempt and each thing that a person did, more in bad weather.
    fn bound(&self, plan: &Plan) -> u64 {
        let attempts = self.attempts.count().saturating_add(1);
        let acts = plan.acts.len() as u64;
        let each = match plan.weather {
            Weather::Calm => 120,
            Weather::Windy => 200,
            Weather::Storm => 300,
        };
        attempts.saturating_mul(each).saturating_add(acts.saturating_mul(30)).saturating_add(100)
    }

    /// An invariant did not hold.
    pub fn violated(&mut self, history: &mut History, what: &str) {
        history.tell(&format!("VIOLATION {what}"));
        if self.violations.len() < 10 {
            self.violations.push(what.to_owned());
        }
    }

    /// What was found.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// What was seen.
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }
}

/// A template that never gets ready rolls with the gate open: people wanted it so, and only they can change it.
fn cannot_roll(store: &Store, plan: &Plan) -> bool {
    store.get(&Key::demo("Deployment", "shop")).is_some_and(|workload| {
        !paused(workload) && plan.behaviour(crate::traffic::version(workload)) == crate::plan::Behaviour::NeverReady
    })
}
