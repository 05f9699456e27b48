//! What a seed stands for: the Rollout, the versions, what people do and when, and how bad the weather is.

use serde_json::{Value, json};

use crate::people::Act;
use crate::random::Random;

/// What a version does when it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Behaviour {
    /// Answers.
    Good,
    /// This many of thousand requests fail.
    Failing(u64),
    /// Its pods never become available.
    NeverReady,
    /// Answers for this many seconds of its traffic, and then fails.
    FailsLater(u64),
}

/// How many faults there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// None.
    Calm,
    /// Some.
    Windy,
    /// So many that most passes fail.
    Storm,
}

/// The plan of one seed.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Processes of the operator.
    pub processes: usize,
    /// They elect a leader; if not, each of them decides all the time.
    pub elects: bool,
    /// Faults.
    pub weather: Weather,
    /// Processes are killed.
    pub kills: bool,
    /// When faults and people stop, in milliseconds.
    pub calm_at: u64,
    /// The versions: the first one runs already.
    pub versions: Vec<Behaviour>,
    /// The spec of the Rollout.
    pub rollout: Value,
    /// Pods of the workload.
    pub replicas: u64,
    /// An autoscaler sizes it.
    pub scaler: bool,
    /// Requests per second.
    pub rate: f64,
    /// What people do, in order of time.
    pub acts: Vec<(u64, Act)>,
    /// Prometheus is away.
    pub blind: Vec<(u64, u64)>,
    /// The gateway does not follow.
    pub deaf: Vec<(u64, u64)>,
    /// A process is cut off: its place, from, to.
    pub partitions: Vec<(usize, u64, u64)>,
    /// The wall clock jumps by this many seconds.
    pub jumps: Vec<(u64, i64)>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut random = Random::of(seed);
        let processes = if random.permille(220) { 2 } else { 1 };
        let elects = processes == 1 && random.permille(300) || processes == 2 && random.permille(600);
        let weather = match random.between(0, 10) {
            0..=2 => Weather::Calm,
            3..=7 => Weather::Windy,
            _ => Weather::Storm,
        };
        let calm_at = random.between(20, 65).saturating_mul(1000);
        let mut versions = vec![Behaviour::Good];
        for _ in 0..5 {
            versions.push(match random.between(0, 10) {
                0..=4 => Behaviour::Good,
                5..=7 => Behaviour::Failing(random.between(150, 700)),
                8 => Behaviour::NeverReady,
                _ => Behaviour::FailsLater(random.between(5, 60)),
            });
        }
        let mut span = |most: u64, longest: u64| -> Vec<(u64, u64)> {
            (0..random.between(0, most))
                .map(|_| {
                    let from = random.between(0, calm_at);
                    (from, from.saturating_add(random.between(1000, longest)).min(calm_at))
                })
                .collect()
        };
        let (blind, deaf) =
            if weather == Weather::Calm { (Vec::new(), Vec::new()) } else { (span(3, 40_000), span(2, 20_000)) };
        let partitions = if weather == Weather::Calm || random.permille(600) {
            Vec::new()
        } else {
            let from = random.between(5000, calm_at);
            vec![(
                usize::try_from(random.between(0, processes as u64)).unwrap_or(0),
                from,
                from.saturating_add(random.between(3000, 30_000)),
            )]
        };
        let jumps = if random.permille(150) {
            let far = if random.permille(500) { 20 } else { 900 };
            let by = i64::try_from(random.between(1, far)).unwrap_or(1);
            vec![(random.between(5000, calm_at), if random.permille(500) { by } else { by.saturating_neg() })]
        } else {
            Vec::new()
        };
        let acts = acts(&mut random, calm_at);
        Self {
            seed,
            processes,
            elects,
            weather,
            kills: weather != Weather::Calm && random.permille(600),
            calm_at,
            rollout: rollout(&mut random),
            replicas: random.between(2, 6),
            scaler: random.permille(250),
            rate: 200.0,
            versions,
            acts,
            blind,
            deaf,
            partitions,
            jumps,
        }
    }

    /// The behaviour of a version.
    pub fn behaviour(&self, version: u64) -> Behaviour {
        usize::try_from(version).ok().and_then(|version| self.versions.get(version)).copied().unwrap_or(Behaviour::Good)
    }
}

/// Weights of one to three waves.
pub fn weights(random: &mut Random) -> Vec<u64> {
    let mut weights: Vec<u64> = (0..random.between(1, 4)).map(|_| random.between(2, 80)).collect();
    weights.sort_unstable();
    weights.dedup();
    weights
}

fn rollout(random: &mut Random) -> Value {
    let waves: Vec<Value> = weights(random)
        .iter()
        .map(|weight| {
            let mut wave = json!({"weight": weight, "bake": format!("{}s", random.between(4, 12))});
            if random.permille(80) {
                put(&mut wave, "approval", json!("Required"));
            }
            wave
        })
        .collect();
    let mut spec = json!({
        "targetRef": {"kind": "Deployment", "name": "shop"},
        "traffic": {
            "stableService": "shop",
            "routes": [{"kind": "HTTPRoute", "name": "shop"}],
            "drain": format!("{}s", random.between(2, 8)),
        },
        "waves": waves,
        "analysis": {
            "providerRef": {"name": "cluster"},
            "interval": "3s",
            "noDataTimeout": "15s",
            "signals": [{
                "name": "errors",
                "errorRatio": {"threshold": "5%", "minRequests": random.between(10, 60)},
                "consecutive": random.between(1, 3),
            }],
        },
        "progressDeadline": format!("{}s", random.between(40, 90)),
        "watch": format!("{}s", random.between(10, 25)),
    });
    if random.permille(300) {
        put(&mut spec, "onRollback", json!("RestoreTemplate"));
    }
    if random.permille(100) {
        put(&mut spec, "promotion", json!({"approval": "Required"}));
    }
    if random.permille(50) {
        put(&mut spec, "gate", json!("Resting"));
    }
    spec
}

fn put(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn acts(random: &mut Random, calm_at: u64) -> Vec<(u64, Act)> {
    let mut times = vec![random.between(2000, 8000)];
    for _ in 0..random.between(1, 10) {
        times.push(random.between(4000, calm_at));
    }
    times.sort_unstable();
    let mut acts: Vec<(u64, Act)> = times.into_iter().map(|at| (at, Act::any(random))).collect();
    // Something is released in every seed.
    if let Some(first) = acts.first_mut() {
        first.1 = Act::Apply(random.between(1, 6));
    }
    acts
}
