//! Traffic that nobody sends: what each version of each app would have counted, as its route divides the requests.
//!
//! Prometheus scrapes it like any other target. Requests and errors are exact fractions of the time that has passed, so
//! no sample is bad by chance.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use axum::Router;
use axum::routing::get;
use testbed::Testbed;

use crate::manifests::{App, REQUESTS};

/// Requests per second to each app.
const RATE: f64 = 100.0;
/// The share of a bad version's requests that fail.
const BAD: f64 = 0.2;
const LISTEN: &str = "10.250.0.1:9464";

/// The counters of one app.
#[derive(Debug)]
struct Flow {
    namespace: String,
    counted: Instant,
    share: f64,
    bad: bool,
    stable: f64,
    canary: f64,
    errors: f64,
}

impl Flow {
    fn advance(&mut self, now: Instant) {
        let requests = RATE * now.saturating_duration_since(self.counted).as_secs_f64();
        self.counted = now;
        self.canary += requests * self.share;
        self.stable += requests * (1.0 - self.share);
        if self.bad {
            self.errors += requests * self.share * BAD;
        }
    }
}

/// The counters of every app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic(Arc<Mutex<BTreeMap<String, Flow>>>);

impl Traffic {
    /// Serves the counters and tells the testbed's Prometheus where.
    pub(crate) async fn serve(&self, testbed: &Testbed) -> Result<()> {
        let listener =
            tokio::net::TcpListener::bind(LISTEN).await.with_context(|| format!("cannot listen on {LISTEN}"))?;
        let own = self.clone();
        let router = Router::new().route("/metrics", get(move || async move { own.text() }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let target = testbed.state_dir().join("prometheus/targets/scale.json");
        std::fs::write(&target, format!(r#"[{{"targets": ["{LISTEN}"]}}]"#))
            .with_context(|| format!("cannot write {}", target.display()))
    }

    fn flows(&self) -> MutexGuard<'_, BTreeMap<String, Flow>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this app has requests.
    pub(crate) fn add(&self, app: &App) {
        let (namespace, counted) = (app.namespace.clone(), Instant::now());
        let flow = Flow { namespace, counted, share: 0.0, bad: false, stable: 0.0, canary: 0.0, errors: 0.0 };
        self.flows().entry(app.name.clone()).or_insert(flow);
    }

    /// From now on the canary of this app has this share of them.
    pub(crate) fn divide(&self, name: &str, share: f64) {
        if let Some(flow) = self.flows().get_mut(name) {
            flow.advance(Instant::now());
            flow.share = share;
        }
    }

    /// From now on the canary of this app fails, or no longer.
    pub(crate) fn turn(&self, name: &str, bad: bool) {
        if let Some(flow) = self.flows().get_mut(name) {
            flow.advance(Instant::now());
            flow.bad = bad;
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let now = Instant::now();
        for (name, flow) in &mut *self.flows() {
            flow.advance(now);
            let Flow { namespace, stable, canary, errors, .. } = flow;
            for (workload, outcome, value) in [
                (name.clone(), "ok", *stable),
                (name.clone(), "error", 0.0),
                (format!("{name}-canary"), "ok", *canary - *errors),
                (format!("{name}-canary"), "error", *errors),
            ] {
                // A String takes everything.
                let _ = writeln!(
                    text,
                    "{REQUESTS}{{namespace=\"{namespace}\",workload=\"{workload}\",outcome=\"{outcome}\"}} {}",
                    value.floor()
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn counters_follow_the_share_and_only_a_bad_canary_fails() {
        let began = Instant::now();
        let mut flow = Flow {
            namespace: String::new(),
            counted: began,
            share: 0.0,
            bad: true,
            stable: 0.0,
            canary: 0.0,
            errors: 0.0,
        };
        flow.advance(began + Duration::from_secs(10));
        assert_eq!((flow.stable, flow.canary, flow.errors), (1000.0, 0.0, 0.0));
        flow.share = 0.1;
        flow.advance(began + Duration::from_secs(20));
        assert_eq!((flow.stable.round(), flow.canary.round(), flow.errors.round()), (1900.0, 100.0, 20.0));
    }
}
