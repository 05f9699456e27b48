//! The simulated world: what everybody in it shares, and the one door through which every change goes.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::sync::Notify;

use crate::api::{Change, KINDS, Key, Late, Logged, Look as _, Part, Refusal, Store, admit, number, text};
use crate::checks::{Checks, Moment};
use crate::faults::Faults;
use crate::history::{History, Keep};
use crate::plan::Plan;
use crate::random::Random;
use crate::traffic::Traffic;

/// Who writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A process of the operator, by its place.
    Operator(usize),
    /// The same, by a request that it had given up.
    Late(usize),
    /// A person.
    Person(&'static str),
    /// A controller of the cluster.
    Cluster(&'static str),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator(place) => write!(f, "operator-{place}"),
            Self::Late(place) => write!(f, "operator-{place} (late)"),
            Self::Person(name) | Self::Cluster(name) => f.write_str(name),
        }
    }
}

/// A change that took place.
#[derive(Debug)]
pub struct Written {
    /// By whom.
    pub actor: Actor,
    /// What.
    pub key: Key,
    /// From what to what.
    pub change: Logged,
}

/// What is shared. Locked for moments only, never across an await.
pub struct State {
    /// The objects.
    pub store: Store,
    /// Chance, for what is no part of the plan.
    pub random: Random,
    /// What can be told of what happened.
    pub history: History,
    /// The invariants.
    pub checks: Checks,
    /// What goes wrong.
    pub faults: Faults,
    /// Requests and counters.
    pub traffic: Traffic,
    /// The plan of this seed.
    pub plan: Plan,
    /// How far everybody's wall clock is off.
    pub skew: SignedDuration,
    /// Requests that are still on their way, with the time at which they arrive.
    pub late: Vec<(u64, Late)>,
    /// The version at which no controller had anything to do.
    pub idle_at: u64,
    /// The version at which nothing was without its owner.
    pub swept_at: u64,
    /// The incarnation of each process of the operator; requests of earlier ones are of the dead.
    pub alive: Vec<u64>,
}

/// The world; cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    began: tokio::time::Instant,
    /// One for each kind: it changed. Wakes in the order of waiting, which a `watch` channel does not.
    changed: Vec<Notify>,
    /// One for each process of the operator: it is killed.
    pub killed: Vec<Notify>,
}

/// When every simulation begins.
const EPOCH: i64 = 1_800_000_000;

impl World {
    /// A world by plan, in a runtime whose clock is paused.
    pub fn new(plan: Plan, keep: Keep) -> Self {
        let processes = plan.processes;
        let mut random = Random::of(plan.seed).split();
        let state = State {
            store: Store::default(),
            history: History::new(keep),
            checks: Checks::new(),
            faults: Faults::new(&plan, random.split()),
            traffic: Traffic::new(&plan),
            random,
            skew: SignedDuration::ZERO,
            late: Vec::new(),
            idle_at: 0,
            swept_at: 0,
            alive: vec![0; processes],
            plan,
        };
        Self(Arc::new(Inner {
            state: Mutex::new(state),
            began: tokio::time::Instant::now(),
            changed: KINDS.iter().map(|_| Notify::new()).collect(),
            killed: (0..processes).map(|_| Notify::new()).collect(),
        }))
    }

    /// Everything, for a moment.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.history.at(self.elapsed());
        state
    }

    /// Milliseconds since the world began, on the true clock.
    pub fn elapsed(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The true time.
    pub fn now(&self) -> Timestamp {
        at(self.elapsed())
    }

    /// The wall clock that people and processes see.
    pub fn clock(&self) -> sluice::clock::Clock {
        let world = self.clone();
        sluice::clock::Clock::of(move || {
            let skew = world.0.state.lock().unwrap_or_else(PoisonError::into_inner).skew;
            world.now().checked_add(skew).unwrap_or(Timestamp::UNIX_EPOCH)
        })
    }

    /// Notified when the process at this place is killed.
    pub fn killed(&self, place: usize) -> Option<&Notify> {
        self.0.killed.get(place)
    }

    /// Kills a process: nothing that it still sends arrives.
    pub fn kill(&self, state: &mut State, place: usize, why: &str) {
        if let Some(alive) = state.alive.get_mut(place) {
            *alive = alive.saturating_add(1);
        }
        state.history.tell(&format!("operator-{place} is killed {why}"));
        if let Some(killed) = self.0.killed.get(place) {
            killed.notify_one();
        }
    }

    /// Returns when an object of a kind changes.
    pub async fn changes(&self, kind: &str) {
        let position = KINDS.iter().position(|one| one.kind == kind);
        if let Some(changed) = position.and_then(|position| self.0.changed.get(position)) {
            changed.notified().await;
        }
    }

    /// Creates an object.
    pub fn create(&self, state: &mut State, actor: Actor, key: &Key, body: Value) -> Result<Arc<Value>, Refusal> {
        let body = admit(&state.store, &actor, key, None, body)?;
        let change = state.store.create(key, body, &second(self.elapsed()).to_string())?;
        Ok(self.wrote(state, actor, key, change))
    }

    /// Changes an object; in a dry run says only what it would be.
    pub fn change(
        &self,
        state: &mut State,
        actor: Actor,
        key: &Key,
        part: Part,
        how: &Change,
        dry: bool,
    ) -> Result<Arc<Value>, Refusal> {
        let (old, new) = state.store.changed(key, part, how)?;
        let new = admit(&state.store, &actor, key, Some(&old), new)?;
        if dry {
            return Ok(Arc::new(new));
        }
        match state.store.update(key, bumped(&old, new)) {
            Some(change) => Ok(self.wrote(state, actor, key, change)),
            None => Ok(old),
        }
    }

    /// Deletes an object.
    pub fn delete(
        &self,
        state: &mut State,
        actor: Actor,
        key: &Key,
        uid: Option<&str>,
        version: Option<&str>,
    ) -> Result<(), Refusal> {
        if let Some(change) = state.store.delete(key, uid, version, &self.now().to_string())? {
            self.wrote(state, actor, key, change);
        }
        Ok(())
    }

    fn wrote(&self, state: &mut State, actor: Actor, key: &Key, change: Logged) -> Arc<Value> {
        let object = change.new.clone().or_else(|| change.old.clone()).unwrap_or_default();
        if let Some(position) = KINDS.iter().position(|one| one.kind == key.kind)
            && let Some(changed) = self.0.changed.get(position)
        {
            changed.notify_waiters();
        }
        let written = Written { actor, key: key.clone(), change };
        state.history.written(&written);
        let now = self.elapsed();
        let State { store, checks, traffic, plan, history, .. } = state;
        checks.written(&written, &Moment { store, traffic, plan, now }, history);
        object
    }
}

/// Admission changes a spec after the generation was counted.
fn bumped(old: &Value, mut new: Value) -> Value {
    let same = old.at("/metadata/generation") == new.at("/metadata/generation");
    if same && old.get("spec") != new.get("spec") {
        let generation = number(old, "/metadata/generation").saturating_add(1);
        if let Some(field) = new.pointer_mut("/metadata/generation") {
            *field = generation.into();
        }
    }
    new
}

/// That many milliseconds after the world began.
pub fn at(elapsed: u64) -> Timestamp {
    let millis = i64::try_from(elapsed).unwrap_or(0).saturating_add(EPOCH.saturating_mul(1000));
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The whole second of [`at`]: so the API server writes times.
pub fn second(elapsed: u64) -> Timestamp {
    let at = at(elapsed);
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

thread_local! {
    /// Digests by UID and generation: they are asked for all the time and cost more than the rest of a step.
    static DIGESTS: RefCell<HashMap<(String, i64), String>> = RefCell::default();
}

/// Forgets the digests of another simulation.
pub fn forget_digests() {
    DIGESTS.with_borrow_mut(HashMap::clear);
}

/// The digest of a template as Sluice counts it.
pub fn digest(object: &Value) -> String {
    let key = (text(object, "/metadata/uid").to_owned(), number(object, "/metadata/generation"));
    DIGESTS.with_borrow_mut(|digests| {
        let new = || object.at("/spec/template").map_or_else(String::new, sluice::api::names::template_digest);
        digests.entry(key).or_insert_with(new).clone()
    })
}

/// The name of an object.
pub fn name(object: &Value) -> &str {
    text(object, "/metadata/name")
}
