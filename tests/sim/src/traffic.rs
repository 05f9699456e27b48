//! Requests: who they are sent to, what becomes of them, what is counted and scraped of it.

use std::collections::BTreeMap;

use serde_json::Value;
use sluice::decide::measure::{Sample, Series};

use crate::api::{Key, Look as _, Store, number, text};
use crate::plan::{Behaviour, Plan};
use crate::world::at;

/// What was really asked of a version, whoever measures.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served {
    /// Requests.
    pub requests: f64,
    /// Of which failed by its own fault.
    pub errors: f64,
    /// Seconds in which it had any.
    pub seconds: u64,
}

/// Counters as the gateway keeps them, and their samples.
#[derive(Debug)]
pub struct Traffic {
    rate: f64,
    versions: Vec<Behaviour>,
    /// The weights that the gateway goes by: stable, canary.
    pub effective: (u64, u64),
    /// Since when the canary has been given nothing, in milliseconds.
    pub drained_since: u64,
    counters: BTreeMap<(String, &'static str), f64>,
    carry: BTreeMap<(String, &'static str), f64>,
    samples: BTreeMap<(String, &'static str), Vec<Sample>>,
    /// By version, as a canary.
    pub canary: BTreeMap<u64, Served>,
    /// Requests that met no pod at all.
    pub unserved: f64,
}

/// How long samples are kept.
const KEPT: usize = 400;

impl Traffic {
    /// Of a plan.
    pub fn new(plan: &Plan) -> Self {
        Self {
            rate: plan.rate,
            versions: plan.versions.clone(),
            effective: (1, 0),
            drained_since: 0,
            counters: BTreeMap::new(),
            carry: BTreeMap::new(),
            samples: BTreeMap::new(),
            canary: BTreeMap::new(),
            unserved: 0.0,
        }
    }

    /// The gateway goes by other weights from now on.
    pub fn follow(&mut self, weights: (u64, u64), now: u64) {
        if self.effective.1 > 0 && weights.1 == 0 {
            self.drained_since = now;
        }
        self.effective = weights;
    }

    /// The canary's share.
    pub fn share(&self) -> f64 {
        share(self.effective)
    }

    fn fails(&self, object: &Value, seconds: u64) -> f64 {
        let version = version(object);
        let behaviour = usize::try_from(version).ok().and_then(|version| self.versions.get(version)).copied();
        match behaviour.unwrap_or(Behaviour::Good) {
            Behaviour::Good | Behaviour::NeverReady => 0.0,
            Behaviour::Failing(permille) => permille as f64 / 1000.0,
            Behaviour::FailsLater(after) => {
                if seconds >= after {
                    0.5
                } else {
                    0.0
                }
            }
        }
    }

    /// A second of requests.
    pub fn tick(&mut self, store: &Store, now: u64) {
        let sets: Vec<&Value> = store.list("ReplicaSet", "demo").map(AsRef::as_ref).collect();
        let workload = store.get(&Key::demo("Deployment", "shop"));
        let owned = |owner: Option<&std::sync::Arc<Value>>| -> Vec<&Value> {
            let uid = owner.map_or("", |owner| text(owner, "/metadata/uid"));
            let of = |set: &&&Value| text(set, "/metadata/ownerReferences/0/uid") == uid && !uid.is_empty();
            sets.iter().filter(of).copied().collect()
        };
        let canary = store.get(&Key::demo("Deployment", "shop-canary"));
        let service = store.get(&Key::demo("Service", "shop-canary")).is_some();
        let share = self.share();
        self.send("shop", self.rate * (1.0 - share), &owned(workload), false);
        self.send("shop-canary", self.rate * share, if service { owned(canary) } else { Vec::new() }.as_slice(), true);
        if !service {
            // The gateway drops the series of a backend that is gone.
            self.counters.retain(|(service, _), _| service != "shop-canary");
        }
        if now.checked_div(1000).unwrap_or(0).is_multiple_of(2) {
            self.scrape(now);
        }
    }

    fn send(&mut self, service: &str, requests: f64, sets: &[&Value], as_canary: bool) {
        if requests <= 0.0 {
            return;
        }
        let available: i64 = sets.iter().map(|set| number(set, "/status/availableReplicas")).sum();
        if available == 0 {
            self.unserved += requests;
            let failed = self.whole(service, "503", requests);
            self.count(service, "503", failed);
            return;
        }
        for set in sets {
            let part = number(set, "/status/availableReplicas") as f64 / available as f64;
            if part <= 0.0 {
                continue;
            }
            let of = version(set);
            let seconds = self.canary.get(&of).map_or(0, |served| served.seconds);
            let requests = requests * part;
            let errors = requests * self.fails(set, seconds);
            if as_canary {
                let served = self.canary.entry(of).or_default();
                served.requests += requests;
                served.errors += errors;
                served.seconds = served.seconds.saturating_add(1);
            }
            let failed = self.whole(service, "500", errors);
            let fine = self.whole(service, "200", requests - errors);
            if failed > 0.0 {
                self.count(service, "500", failed);
            }
            self.count(service, "200", fine);
        }
    }

    fn whole(&mut self, service: &str, code: &'static str, amount: f64) -> f64 {
        let carry = self.carry.entry((service.to_owned(), code)).or_default();
        let total = amount + *carry;
        *carry = total - total.floor();
        total.floor()
    }

    fn count(&mut self, service: &str, code: &'static str, amount: f64) {
        *self.counters.entry((service.to_owned(), code)).or_default() += amount;
    }

    fn scrape(&mut self, now: u64) {
        for (key, value) in &self.counters {
            let series = self.samples.entry(key.clone()).or_default();
            series.push(Sample { at: at(now), value: *value });
            if series.len() > KEPT {
                series.remove(0);
            }
        }
    }

    /// What Prometheus has of the last `window` seconds.
    pub fn series(&self, window: u64, now: u64) -> Vec<Series> {
        let from = at(now.saturating_sub(window.saturating_mul(1000)));
        let mut all = Vec::new();
        for ((service, code), samples) in &self.samples {
            let samples: Vec<Sample> = samples.iter().filter(|sample| sample.at > from).copied().collect();
            if samples.is_empty() {
                continue;
            }
            let service = format!("httproute-demo-shop-gw-x-svc-demo-{service}-0@kubernetesgateway");
            all.push(Series {
                id: format!("{service}/{code}"),
                labels: [("service".to_owned(), service), ("code".to_owned(), (*code).to_owned())].into(),
                samples,
            });
        }
        all
    }
}

/// The canary's share of these weights.
pub fn share((stable, canary): (u64, u64)) -> f64 {
    let total = stable.saturating_add(canary);
    if total == 0 { 0.0 } else { canary as f64 / total as f64 }
}

/// The weights of stable and canary in the governed rule of a route.
pub fn weights(route: &Value) -> (u64, u64) {
    let backends = route.at("/spec/rules/0/backendRefs").and_then(Value::as_array);
    let of = |name: &str| {
        let backend = backends.into_iter().flatten().find(|one| text(one, "/name") == name);
        backend.map_or(0, |one| one.get("weight").and_then(Value::as_u64).unwrap_or(1))
    };
    (of("shop"), of("shop-canary"))
}

/// The number of the version in the image of the first container.
pub fn version(object: &Value) -> u64 {
    let image = text(object, "/spec/template/spec/containers/0/image");
    image.rsplit_once(":v").and_then(|(_, version)| version.parse().ok()).unwrap_or(0)
}
