//! Every query of every dashboard, asked of the testbed's Prometheus while there is something to show.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::app::{COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::text;
use crate::harness::world::World;
use crate::harness::{prometheus, shared};

/// What a query of a panel says that shows only what is wrong.
const WRONG: [&str; 5] = [
    "sluice_reconcile_errors_total",
    "1 - sluice_watch_ready",
    "sluice_prometheus_query_errors_total",
    "sluice_watch_errors",
    "sluice_notification_sink",
];
/// How long after the last attempt every figure is told: they are counted every five seconds.
const SOON: Duration = Duration::from_secs(30);

/// A panel's title and one of its queries, for this Rollout.
fn queries(world: &World) -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for (file, dashboard) in monitoring::dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().into_iter().flatten() {
                let mut query = text(target, "/expr").to_owned();
                let variables = [
                    ("$__rate_interval", "1m"),
                    ("$namespace", world.namespace.as_str()),
                    ("$name", "shop"),
                    ("$window", "28d"),
                    ("$signal", "errors"),
                ];
                for (variable, value) in variables {
                    query = query.replace(variable, value);
                }
                queries.push((format!("{file}: {}", text(panel, "/title")), query));
            }
        }
    }
    queries
}

/// How many series a query had in the last minutes.
async fn series(query: &str) -> usize {
    let now = jiff::Timestamp::now().as_second();
    let range = [("query", query), ("start", &(now - 180).to_string()), ("end", &now.to_string()), ("step", "1")];
    let answer = prometheus::ask("query_range", &range).await;
    prometheus::found(&answer).unwrap_or_else(|| panic!("{query}: {answer}"))
}

#[test]
fn every_panel_has_something_to_show() {
    shared("dashboards", |world| {
        Box::pin(async move {
            let mut app = world.app("shop");
            world.deploy(&app).await;
            let mut signals = errors("2%", 30, 1);
            signals.as_array_mut().unwrap().push(json!({"name": "against-stable", "errorRatio": {}}));
            let plan = Plan { waves: vec![(20, "3s"), (50, "3s")], signals, evidence: COARSE, ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 100).await;
            world.apply(&[app.version("bad").env("ERROR_RATE", "10%").deployment()]).await;
            world.complete("shop", "RolledBack", 90).await;
            let committed = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(5);
            app.annotations = json!({"sluice.dev/commits": format!("3f2a9c1@{committed:.0}")});
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("shop", "Promoted", 120).await;
            client.stop().await;

            let asked: Vec<_> = queries(world)
                .into_iter()
                .filter(|(_, query)| !WRONG.iter().any(|word| query.contains(word)))
                .collect();
            let deadline = Instant::now() + SOON;
            loop {
                let mut empty: Vec<&(String, String)> = Vec::new();
                for query in &asked {
                    if series(&query.1).await == 0 {
                        empty.push(query);
                    }
                }
                if empty.is_empty() {
                    break;
                }
                let in_time = Instant::now() < deadline;
                assert!(in_time, "{} of {} queries show nothing: {empty:#?}", empty.len(), asked.len());
                // Prometheus tells nobody when it has more.
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        })
    });
}
