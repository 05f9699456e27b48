//! What people ask for by Interventions, as users with the roles of `deploy/base/roles.yaml`: scenarios 12 and 21.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::asking::{assert_in_record, bind, held, honoured, refused, try_ask};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, condition, number, percents, share, stable_pods, text, weights};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;

pub fn plan(waves: &[(u8, &'static str)]) -> Plan {
    Plan { waves: waves.to_vec(), evidence: COARSE, ..Plan::default() }
}

/// A Rollout whose wave of this position waits for a person.
pub fn with_approval(app: &App, plan: &Plan, wave: usize) -> Value {
    let mut rollout = app.rollout(plan);
    rollout["spec"]["waves"][wave]["approval"] = json!("Required");
    rollout
}

/// Deploys the shop under this Rollout and waits until it is adopted.
pub async fn govern(world: &World, app: &App, rollout: Value) {
    world.deploy(app).await;
    world.apply(&[rollout]).await;
    world.phase("shop", "Stable", 60).await;
}

/// Waits until the canary bakes at a weight.
pub async fn baking(world: &World, weight: u64) -> Value {
    world
        .until(&format!("the canary bakes at {weight}%"), 60, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let baking = text(rollout, "/status/run/step") == "Baking";
            (baking && number(rollout, "/status/run/weight") == weight).then(|| rollout.clone())
        })
        .await
}

fn last_release(world: &World) -> Value {
    world.record.look(|now| look::releases(now, "shop")).pop().expect("a Release")
}

#[test]
fn scenario_12_a_wave_waits_for_the_approval_of_one_who_may() {
    shared("approval", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = plan(&[(20, "3s"), (50, "3s")]);
            govern(world, &app, with_approval(&app, &plan, 1)).await;
            bind(world, "alice", "sluice-approver", "approve").await;
            bind(world, "bob", "sluice-editor", "abort").await;
            refused(world, "alice", "Approve", &["Rollout shop has no attempt in progress"]).await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;

            let rollout = held(world, "shop", "AwaitingApproval", 60).await;
            let release = text(&rollout, "/status/run/release").to_owned();
            let says = text(&rollout, "/status/message");
            for word in ["the wave at 50% waits for an Intervention Approve of payments-oncall", release.as_str()] {
                assert!(says.contains(word), "{says:?} does not say {word:?}");
            }
            let denied = try_ask(world, "bob", "Approve", "it is my own change").await;
            assert!(!denied.ok && denied.err.contains("user bob may not approve Rollout"), "{denied:?}");
            world
                .stays("the canary keeps its weight while a person is awaited", 5, |now| {
                    let (rollout, route) = (now.get(Kind::Rollout, "shop"), now.get(Kind::HttpRoute, "shop"));
                    rollout.is_some_and(|rollout| look::phase(rollout) == "Held")
                        && route.is_some_and(|route| share(route, "shop") == 20.0)
                })
                .await;

            let approval = honoured(world, "alice", "Approve", "the figures are good").await;
            assert!(approval.message.contains("wave 2/2 at 50%"), "{approval:?}");
            world.complete("shop", "Promoted", 120).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 50.0, 0.0]);
            let record = last_release(world);
            assert_in_record(&record, &[("Approve", "alice", "the figures are good")]);
            assert_eq!(text(&record, "/status/interventions/0/name"), approval.name);
            let told = world.record.look(|now| look::told(now, "shop", "Intervention"));
            assert!(told.iter().any(|note| note.contains("Approve by alice (the figures are good)")), "{told:?}");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_12_a_breach_while_a_person_is_awaited_rolls_back_by_itself() {
    shared("awaited", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            let plan = plan(&[(20, "3s"), (50, "3s")]);
            govern(world, &app, with_approval(&app, &plan, 1)).await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            let bad = app.version("v2").env("ERROR_RATE", "20%").env("ERROR_AFTER", "30s");
            world.apply(&[bad.deployment()]).await;
            held(world, "shop", "AwaitingApproval", 60).await;
            let rollout = world.complete("shop", "RolledBack", 90).await;
            assert_eq!(text(&rollout, "/status/run/reason"), "SignalBreached");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(reworks.len(), 1);
            assert_eq!(text(&reworks[0], "/spec/trigger"), "Automatic");
            assert_in_record(&last_release(world), &[]);
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            let served = client.stop().await;
            assert_eq!(served.by_version["v1"].failed, 0);
            assert!(served.by_version["v2"].failed > 0, "the version was bad");
        })
    });
}

#[test]
fn scenario_21_a_rejected_version_is_tried_once_more_only_when_asked_and_a_fix_says_what_it_remediates() {
    shared("retry", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(50, "3s")]))).await;
            bind(world, "alice", "sluice-editor", "retry").await;
            let client = Client::start(&app, 80).await;
            let pods = world.record.look(|now| stable_pods(now, "shop"));
            refused(world, "alice", "Retry", &["no rejected template waits behind the gate"]).await;
            let bad = app.version("v2").env("ERROR_RATE", "20%");
            world.apply(&[bad.deployment()]).await;
            world.complete("shop", "RolledBack", 90).await;

            let mut again = bad.clone();
            again.annotations = json!({"team.example/note": "applied again"});
            world.apply(&[again.deployment()]).await;
            untouched(world, 1).await;

            honoured(world, "alice", "Retry", "the database was at fault").await;
            world.until("the second attempt", 30, |now| (look::releases(now, "shop").len() == 2).then_some(())).await;
            world.complete("shop", "RolledBack", 90).await;
            untouched(world, 2).await;
            let second = last_release(world);
            assert_eq!(text(&second, "/status/outcome"), "RolledBack");
            assert_in_record(&second, &[("Retry", "alice", "the database was at fault")]);
            assert_eq!(text(&second, "/spec/remediates"), "", "the same template is no fix");
            assert_eq!(world.record.look(|now| stable_pods(now, "shop")), pods);
            assert_eq!(client.so_far().by_version["v1"].failed, 0);

            world.apply(&[app.version("v3").deployment()]).await;
            world.complete("shop", "Promoted", 120).await;
            let fix = last_release(world);
            assert_eq!(number(&fix, "/spec/number"), 3);
            assert_eq!(text(&fix, "/spec/remediates"), text(&second, "/metadata/name"));
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")).len(), 2);
            let served = client.stop().await;
            assert_eq!((served.by_version["v1"].failed, served.by_version["v3"].failed), (0, 0));
        })
    });
}

/// The rejected template is left alone after so many attempts, and the Rollout says so.
async fn untouched(world: &World, attempts: u64) {
    world
        .stays("the rejected template is left alone", 3, |now| {
            let rollout = now.get(Kind::Rollout, "shop").unwrap();
            let paused = now.get(Kind::Deployment, "shop").is_some_and(|found| found["spec"]["paused"] == json!(true));
            look::phase(rollout) == "RolledBack"
                && number(rollout, "/status/attempts") == attempts
                && paused
                && now.get(Kind::Deployment, "shop-canary").is_none()
        })
        .await;
    let rollout = world.get(Kind::Rollout, "shop").unwrap();
    let says = look::says(&rollout, "Stalled");
    assert!(says.contains("was rejected") && says.contains("ask for Retry"), "{says}");
}

#[test]
fn a_person_skips_the_waves_that_remain() {
    shared("promote", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "5m"), (50, "5m")]))).await;
            bind(world, "alice", "sluice-approver", "promote").await;
            let client = Client::start(&app, 80).await;
            world.apply(&[app.version("v2").deployment()]).await;
            baking(world, 20).await;
            honoured(world, "alice", "Promote", "the fix for incident 7").await;
            let rollout = world.complete("shop", "Promoted", 90).await;
            let says = look::says(&rollout, "Complete");
            assert!(says.contains("the rest skipped by a person"), "{says}");
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0]);
            let record = last_release(world);
            assert_eq!(text(&record, "/status/outcome"), "Promoted");
            assert_in_record(&record, &[("Promote", "alice", "the fix for incident 7")]);
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new());
            let deployment = world.get(Kind::Deployment, "shop").unwrap();
            assert_eq!(version(&deployment), "v2");
            assert_unharmed(&client.stop().await);
        })
    });
}

fn version(deployment: &Value) -> &str {
    text(deployment, "/spec/template/spec/containers/0/env/0/value")
}

/// Versions of the Deployment's own pods that stay.
fn versions_that_stay(world: &World) -> Vec<String> {
    world.record.look(|now| {
        let own = now.all(Kind::Pod).filter(|pod| !look::is_canary(pod));
        let staying = own.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        staying.map(|pod| text(pod, "/spec/containers/0/env/0/value").to_owned()).collect()
    })
}

#[test]
fn break_glass_lets_a_held_template_roll_and_only_that_one() {
    shared("glass", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, app.rollout(&plan(&[(20, "5m"), (50, "5m")]))).await;
            bind(world, "bob", "sluice-editor", "abort").await;
            bind(world, "carol", "sluice-breakglass", "breakglass").await;
            let client = Client::start(&app, 80).await;
            refused(world, "carol", "BreakGlass", &["no unproven template waits behind the gate"]).await;
            world.apply(&[app.version("v2").deployment()]).await;
            baking(world, 20).await;
            let denied = try_ask(world, "bob", "BreakGlass", "I am in a hurry").await;
            assert!(!denied.ok && denied.err.contains("user bob may not breakglass Rollout"), "{denied:?}");

            let reason = "incident 8, nothing else helps";
            let answer = honoured(world, "carol", "BreakGlass", reason).await;
            assert!(answer.message.contains("rolls unproven on Deployment shop"), "{answer:?}");
            let opened = world
                .until("the Deployment rolls", 10, |now| {
                    let deployment = now.get(Kind::Deployment, "shop")?;
                    (deployment["spec"]["paused"] != json!(true)).then(Timestamp::now)
                })
                .await;
            assert!(opened.duration_since(answer.asked).as_secs_f64() < 4.0, "rolls at once");
            let rollout = world.complete("shop", "Bypassed", 90).await;
            assert_eq!(condition(&rollout, "Ready"), Some(("True", "Stable")), "{}", text(&rollout, "/status/message"));
            assert_eq!(versions_that_stay(world), ["v2", "v2"]);
            let gated = world.record.history(Kind::Rollout, "shop");
            let gated = gated.iter().any(|seen| condition(&seen.object, "Gated") == Some(("False", "Bypassed")));
            assert!(gated, "that it rolls unproven is said while it rolls");
            let record = last_release(world);
            assert_eq!(text(&record, "/status/outcome"), "Bypassed");
            assert_in_record(&record, &[("BreakGlass", "carol", reason)]);
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(reworks.len(), 1);
            assert_eq!(text(&reworks[0], "/spec/kind"), "Bypass");
            assert_eq!(text(&reworks[0], "/spec/failedRelease"), text(&record, "/metadata/name"));
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None);

            // What was said of that template does not speak for the next one.
            world.apply(&[app.version("v3").deployment()]).await;
            let rollout = baking(world, 20).await;
            assert_eq!(number(&rollout, "/status/run/number"), 2);
            assert_eq!(versions_that_stay(world), ["v2", "v2"]);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 0.0, 20.0]);
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn break_glass_of_a_template_that_was_never_exposed_says_who_in_its_record() {
    shared("glass-held", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            govern(world, &app, with_approval(&app, &plan(&[(20, "3s")]), 0)).await;
            bind(world, "carol", "sluice-breakglass", "breakglass").await;
            bind(world, "alice", "sluice-editor", "abort").await;
            let client = Client::start(&app, 60).await;
            world.apply(&[app.version("v2").deployment()]).await;
            held(world, "shop", "AwaitingApproval", 60).await;
            assert_eq!(world.get(Kind::Deployment, "shop-canary"), None, "what waits makes nothing");
            honoured(world, "alice", "Abort", "not today").await;
            world.complete("shop", "Aborted", 60).await;
            assert_eq!(world.record.look(|now| look::reworks(now, "shop")), Vec::<Value>::new(), "nobody met it");

            honoured(world, "carol", "BreakGlass", "today after all").await;
            world.complete("shop", "Bypassed", 90).await;
            assert_eq!(versions_that_stay(world), ["v2", "v2"]);
            let releases = world.record.look(|now| look::releases(now, "shop"));
            let outcomes: Vec<&str> = releases.iter().map(|release| text(release, "/status/outcome")).collect();
            assert_eq!(outcomes, ["Aborted", "Bypassed"]);
            assert_in_record(&releases[0], &[("Abort", "alice", "not today")]);
            assert_in_record(&releases[1], &[("BreakGlass", "carol", "today after all")]);
            let reworks = world.record.look(|now| look::reworks(now, "shop"));
            assert_eq!(reworks.iter().map(|rework| text(rework, "/spec/kind")).collect::<Vec<_>>(), ["Bypass"]);
            assert_unharmed(&client.stop().await);
        })
    });
}
