//! An error budget that real errors of the shop use up: planned releases wait, a repair passes, and taking a version back
//! is not delayed by it.
//!
//! The recording rules have Sloth's names and windows of seconds: a period is four minutes, "1h" is 20 s, "5m" is 10 s.

use serde_json::{Value, json};
use testbed::Testbed;

use crate::harness::app::{App, Plan};
use crate::harness::asking::held;
use crate::harness::gateway::Client;
use crate::harness::look::{self, number, percents, text, time, weights};
use crate::harness::prometheus::series;
use crate::harness::record::Kind;
use crate::harness::world::World;
use crate::harness::{shared, slower};

/// The share of requests that the objective of these scenarios lets fail.
const BUDGET: f64 = 0.05;

/// The name of the objective: each scenario has a namespace, and so an objective of its own.
fn service(world: &World) -> String {
    format!("{}-shop", world.namespace)
}

/// Recording rules as Sloth makes them, over what the gateway counts for the shop's Service.
fn rules(world: &World) -> String {
    let labels =
        format!("{{sloth_id: \"{0}-availability\", sloth_service: \"{0}\", sloth_slo: availability}}", service(world));
    let selector = |more: &str| {
        format!("traefik_service_requests_total{{service=~\".*-{}-shop(-canary)?-.*\"{more}}}", world.namespace)
    };
    let ratio = |window: &str| {
        format!(
            "(sum(rate({bad}[{window}])) or vector(0)) / (sum(rate({all}[{window}])) > 0)",
            bad = selector(",code=~\"5..\""),
            all = selector(""),
        )
    };
    let rule = |name: &str, expression: &str| {
        format!("  - record: \"{name}\"\n    expr: '{expression}'\n    labels: {labels}\n")
    };
    let remaining = format!("1 - ({}) / {BUDGET}", ratio("4m"));
    [
        format!("groups:\n- name: {}\n  interval: 1s\n  rules:\n", service(world)),
        rule("slo:sli_error:ratio_rate5m", &ratio("10s")),
        rule("slo:sli_error:ratio_rate1h", &ratio("20s")),
        rule("slo:error_budget:ratio", &format!("vector({BUDGET})")),
        rule("slo:period_error_budget_remaining:ratio", &remaining),
    ]
    .concat()
}

/// Has Prometheus record the objective of this scenario.
async fn record(world: &World) {
    let (name, rules) = (format!("{}.yaml", service(world)), rules(world));
    tokio::task::spawn_blocking(move || Testbed::current().expect("a testbed").load_rules(&name, &rules))
        .await
        .unwrap()
        .expect("Prometheus takes the rules");
}

/// Takes the rules of the scenario away again.
async fn forget(world: &World) {
    let name = format!("{}.yaml", service(world));
    let emptied =
        tokio::task::spawn_blocking(move || Testbed::current().expect("a testbed").load_rules(&name, "groups: []\n"));
    emptied.await.unwrap().expect("Prometheus lets the rules go");
}

/// What a Deployment says that repairs something.
fn repair(reference: &str) -> Value {
    json!({
        "sluice.dev/kind": "rework",
        "sluice.dev/reference": reference,
        "sluice.dev/requested-by": "alice",
    })
}

fn governed(world: &World, app: &App, plan: &Plan) -> Value {
    let mut rollout = app.rollout(plan);
    // The answers of a whole wave are younger than this.
    rollout["spec"]["analysis"]["noDataTimeout"] = json!("60s");
    rollout["spec"]["errorBudget"] = json!({"sloth": {"service": service(world), "slo": "availability"}});
    rollout
}

/// Waits until this query, put into words about the scenario's objective, has an answer.
async fn answers(world: &World, name: &str, condition: &str, seconds: u64) {
    series(&format!("{name}{{sloth_service=\"{}\"}} {condition}", service(world)), 1, seconds).await;
}

const REMAINING: &str = "slo:period_error_budget_remaining:ratio";
const SHORT: &str = "slo:sli_error:ratio_rate5m";

/// A shop that has used up its budget and is well again: the stable version fails its first requests.
async fn exhausted(world: &World) -> (App, Client) {
    // Of the requests in four minutes a tenth fails: twice what the objective allows.
    let app = world.app("shop").replicas(1).env("ERROR_BURST", "30-1500");
    world.deploy(&app).await;
    record(world).await;
    world.apply(&[governed(world, &app, &Plan { waves: vec![(20, "3s")], ..Plan::default() })]).await;
    world.phase("shop", "Stable", 60).await;
    let client = Client::start(&app, 60).await;
    answers(world, REMAINING, "<= 0", 60).await;
    // It burns no more, and what it burnt is still missing.
    answers(world, SHORT, "== 0", 60).await;
    answers(world, REMAINING, "<= 0", 5).await;
    (app, client)
}

#[test]
fn a_planned_release_waits_for_its_budget_and_a_repair_does_not() {
    shared("budget", |world| {
        Box::pin(async move {
            let (app, client) = exhausted(world).await;
            world.apply(&[app.version("v2").deployment()]).await;
            let waiting = held(world, "shop", "BudgetExhausted", 60).await;
            let message = text(&waiting, "/status/message");
            let slo = service(world);
            let says = [slo.as_str(), "/availability", "% is left", "sluice.dev/kind: rework"];
            assert!(says.iter().all(|words| message.contains(words)), "{message}");
            assert_eq!(text(&waiting, "/status/run/budget/state"), "Blocked");
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None, "nothing is made for what waits");

            let mut fixed = app.version("v3");
            fixed.annotations = repair("INC-1");
            world.apply(&[fixed.deployment()]).await;
            let rollout = world.complete("shop", "Promoted", 120).await;
            client.stop().await;
            assert_eq!(number(&rollout, "/status/run/budget/byLane"), 2, "a wave and the promotion");
            let told = world.record.look(|now| look::told(now, "shop", "BudgetOverridden"));
            assert!(told.iter().all(|note| note.contains("INC-1") && note.contains("alice")), "{told:?}");
            let releases = world.record.look(|now| look::releases(now, "shop"));
            let outcomes: Vec<&str> = releases.iter().map(|release| text(release, "/status/outcome")).collect();
            assert_eq!(outcomes, ["Superseded", "Promoted"]);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            forget(world).await;
        })
    });
}

#[test]
fn a_rollback_asks_no_budget() {
    shared("budget-back", |world| {
        Box::pin(async move {
            let (app, client) = exhausted(world).await;
            let mut bad = app.version("v2").env("ERROR_RATE", "50%");
            bad.annotations = repair("INC-2");
            world.apply(&[bad.deployment()]).await;
            let rollout = world.complete("shop", "RolledBack", 120).await;
            assert_eq!(text(&rollout, "/status/run/signal"), "errors");
            assert_eq!(text(&rollout, "/status/run/budget/state"), "Blocked");
            assert_eq!(number(&rollout, "/status/run/budget/byLane"), 1, "the wave");
            let [exposed, verdict, zero] = ["exposedAt", "verdictAt", "weightZeroAt"]
                .map(|at| time(&rollout, &format!("/status/run/times/{at}")).unwrap());
            let (found, took) =
                (verdict.duration_since(exposed).as_secs_f64(), zero.duration_since(verdict).as_secs_f64());
            eprintln!("found {found:.1}s after exposure, weight 0 {took:.1}s after the verdict");
            assert!(took < 5.0 * slower(), "weight 0 came {took:.1}s after the verdict");
            assert!(found < 30.0 * slower(), "the verdict came {found:.1}s after exposure");

            // A planned release waits for what the two of them used up; the stable template goes back in at once.
            let mut planned = app.version("v3");
            planned.annotations = json!({"sluice.dev/kind": "planned"});
            world.apply(&[planned.deployment()]).await;
            held(world, "shop", "BudgetExhausted", 60).await;
            world.apply(&[app.deployment()]).await;
            world.phase("shop", "Stable", 30).await;
            client.stop().await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            forget(world).await;
        })
    });
}
