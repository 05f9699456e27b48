//! Scenarios 25 and 26: answers that are of no use, each with a reason of its own, and what is no data.

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, number, percents, says, text, weights};
use crate::harness::record::{Kind, Now};
use crate::harness::shared;

/// The gateway's requests of one version, as a user writes it.
const REQUESTS: &str =
    r#"traefik_service_requests_total{service=~".*-svc-{{namespace}}-{{canaryService}}-[0-9]+@kubernetesgateway""#;

fn own(promql: &str) -> Value {
    json!([{"name": "own", "query": {"promql": promql, "max": "1"}}])
}

/// The template is held back, and no canary was made.
fn nothing_started(now: &Now) -> bool {
    now.get(Kind::Rollout, "shop").is_some_and(|rollout| ["Preflight", "Stalled"].contains(&look::phase(rollout)))
        && now.get(Kind::Deployment, "shop-canary").is_none()
}

#[test]
fn scenario_25_each_unusable_answer_has_its_own_reason_and_nothing_starts() {
    shared("answers", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = |promql| Plan { waves: vec![(50, "3s")], signals: own(promql), ..Plan::default() };
            world.adopt(&app, &plan("vector(0)/vector(0)")).await;
            let client = Client::start(&app, 40).await;
            world.apply(&[app.version("v2").deployment()]).await;
            let absent = format!("shop_queue_length{{namespace=\"{}\"}}", world.namespace);
            for (promql, reason, says, asked) in [
                ("vector(0)/vector(0)", "AnswerNaN", "a value is NaN", "vector(0)/vector(0)"),
                ("vector(1)/vector(0)", "AnswerInfinite", "a value is infinite", "vector(1)/vector(0)"),
                ("up", "AnswerManySeries", " series match; the query must give one number", "up"),
                ("shop_queue_length{namespace=\"{{namespace}}\"}", "AnswerEmpty", "no series matches", &absent),
                ("sum(", "QueryRefused", "the server cannot read the query", "sum("),
                ("\"three\"", "AnswerMalformed", "its type is string", "\"three\""),
            ] {
                world.apply(&[app.rollout(&plan(promql))]).await;
                let asked = format!("Asked: {asked}");
                let words = ["signal own: MetricsProvider cluster: ", says, &asked];
                let rollout = world.unreadable("shop", reason, &words, 20).await;
                assert_eq!(condition(&rollout, "Reconciling"), Some(("True", reason)), "{:#}", rollout["status"]);
                assert!(world.record.look(nothing_started), "{reason} started something");
            }
            world.stays("nothing starts", 2, nothing_started).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0]);

            world.apply(&[app.rollout(&plan("vector(0)"))]).await;
            let rollout = world.complete("shop", "Promoted", 90).await;
            assert_eq!(condition(&rollout, "AnalysisReady").map(|(status, _)| status), Some("True"));
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_25_a_query_that_turns_bad_in_mid_run_holds() {
    shared("turns", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            // As it is found in many handbooks: without a request it is 0/0.
            let ratio =
                format!("(sum(rate({REQUESTS},code=~\"5..\"}}[3s])) or vector(0)) / sum(rate({REQUESTS}}}[3s]))");
            let signals = json!([
                {"name": "errors", "errorRatio": {}},
                {"name": "ratio", "query": {"promql": ratio, "max": "0.01"}},
            ]);
            let plan = Plan { waves: vec![(20, "12s")], evidence: COARSE, signals, no_data: "3s", ..Plan::default() };
            world.adopt(&app, &plan).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            assert_unharmed(&client.stop().await);

            let words = ["signal ratio: MetricsProvider cluster cannot be read: a value is NaN"];
            world.unreadable("shop", "AnswerNaN", &words, 30).await;
            let held = world.phase("shop", "Held", 30).await;
            assert_eq!(condition(&held, "Reconciling"), Some(("True", "AnalysisBlind")));
            assert!(says(&held, "Reconciling").starts_with("wave 1/1 at 20%: signal ratio: "), "{held:#}");
            // Longer than what was left to bake.
            world
                .stays("it is held at its weight", 13, |now| {
                    let (rollout, route) = (now.get(Kind::Rollout, "shop"), now.get(Kind::HttpRoute, "shop"));
                    rollout.is_some_and(|rollout| look::phase(rollout) == "Held")
                        && route.is_some_and(|route| look::share(route, "shop") == 20.0)
                })
                .await;
            let client = Client::start(&app, 60).await;
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_26_no_series_of_errors_is_no_error_and_none_of_requests_is_no_data() {
    shared("own", |world| {
        Box::pin(async move {
            let app = world.app("shop").replicas(1);
            world.deploy(&app).await;
            let plan = |metric: &str| {
                let requests =
                    REQUESTS.replace("canaryService", "service").replace("traefik_service_requests_total", metric);
                let counters =
                    json!({"requests": format!("{requests}}}"), "errors": format!("{requests},code=~\"5..\"}}")});
                let signals = json!([{"name": "errors", "errorRatio": {"source": "Query", "counters": counters}}]);
                Plan { waves: vec![(50, "3s")], evidence: COARSE, signals, ..Plan::default() }
            };
            world.adopt(&app, &plan("traefik_requests_total")).await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            let asked =
                format!("Asked: traefik_requests_total{{service=~\".*-svc-{}-shop-canary-[0-9]+", world.namespace);
            let words = ["signal errors: MetricsProvider cluster has no counters of stable", &asked];
            let rollout = world.unreadable("shop", "NoSeries", &words, 30).await;
            assert_eq!(condition(&rollout, "Reconciling"), Some(("True", "NoSeries")));
            world.stays("nothing starts", 2, nothing_started).await;

            world.apply(&[app.rollout(&plan("traefik_service_requests_total"))]).await;
            let safe = world
                .until("it is safe", 60, |now| {
                    let found = now.get(Kind::Rollout, "shop")?;
                    (text(found, "/status/verdict") == "Safe").then(|| found.clone())
                })
                .await;
            let counted = &safe["status"]["run"]["traffic"]["run"];
            let (requests, errors) = (number(counted, "/canaryRequests"), number(counted, "/canaryErrors"));
            assert!(requests >= 98 && errors == 0, "{counted:#}");
            world.complete("shop", "Promoted", 90).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 50.0, 0.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}
