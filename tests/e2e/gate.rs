//! Scenario 33: what people try with a gated Deployment.

use serde_json::{Value, json};

use crate::harness::app::{App, COARSE, Plan};
use crate::harness::asking::ask_as_admin;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::left::{paused, running, version};
use crate::harness::look::{self, condition, text};
use crate::harness::person::{Person, allowed};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;

/// What the guard says to everybody who would open the gate.
const GUARDED: &str = "is governed by a Rollout and its template is not proven yet";

/// A wave that lasts until the test is done with it.
fn long() -> Plan {
    Plan { waves: vec![(20, "5m")], evidence: COARSE, ..Plan::default() }
}

/// A wave that is soon over.
pub fn short() -> Plan {
    Plan { waves: vec![(40, "2s")], evidence: COARSE, ..Plan::default() }
}

pub async fn governed(world: &World, plan: &Plan) -> (App, Client) {
    let app = world.app("shop");
    world.deploy(&app).await;
    world.adopt(&app, plan).await;
    let client = Client::start(&app, 60).await;
    (app, client)
}

/// Waits until this attempt has ended in this way.
pub async fn ended(world: &World, attempt: u64, reason: &str) {
    world
        .until(&format!("attempt {attempt} has ended as {reason}"), 120, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let complete = condition(rollout, "Complete") == Some(("True", reason)) && look::at_rest(rollout);
            (complete && look::number(rollout, "/status/attempts") == attempt).then_some(())
        })
        .await;
}

/// Waits until pods of this version alone serve, and the Deployment is not paused.
pub async fn serves(world: &World, wanted: &str) {
    world
        .until(&format!("{wanted} serves alone"), 60, |now| {
            let deployment = now.get(Kind::Deployment, "shop")?;
            let whole = look::rolled_out(deployment) && !paused(deployment);
            (whole && running(now, "shop").iter().all(|version| version == wanted)).then_some(())
        })
        .await;
}

/// The Deployment is paused with this template in the write that brought it, and none of its pods was made.
pub async fn assert_held(world: &World, held: &str) {
    let deployment = world.deployment("shop").await;
    assert_eq!((paused(&deployment), version(&deployment)), (true, held));
}

#[test]
fn scenario_33_undo_and_restart_are_new_templates_and_go_through_the_waves() {
    shared("undo", |world| {
        Box::pin(async move {
            let (app, client) = governed(world, &short()).await;
            world.succeeds(&["rollout", "restart", "deployment/shop"]).await;
            assert_held(world, "v1").await;
            ended(world, 1, "Promoted").await;
            world.apply(&[app.version("v2").deployment()]).await;
            ended(world, 2, "Promoted").await;
            serves(world, "v2").await;
            world.succeeds(&["rollout", "undo", "deployment/shop"]).await;
            assert_held(world, "v1").await;
            world.refuses(&["rollout", "undo", "deployment/shop"], "cannot rollback a paused deployment").await;
            ended(world, 3, "Promoted").await;
            serves(world, "v1").await;
            let shares = look::percents(&look::weights(&world.record, "shop"));
            assert_eq!(shares, [0.0, 40.0, 0.0, 40.0, 0.0, 40.0, 0.0], "each of them was tried first");
            assert_unharmed(&client.stop().await);
        })
    });
}

#[test]
fn scenario_33_nothing_but_the_operator_opens_the_gate() {
    shared("closed", |world| {
        Box::pin(async move {
            let (app, client) = governed(world, &long()).await;
            let next = app.version("v2");
            world.apply(&[next.deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            let before = world.deployment("shop").await;

            world.refuses(&["rollout", "resume", "deployment/shop"], GUARDED).await;
            world.refuses(&["patch", "deployment/shop", "-p", r#"{"spec":{"paused":false}}"#], GUARDED).await;
            world.refuses(&["patch", "deployment/shop", "-p", r#"{"spec":{"paused":null}}"#], GUARDED).await;
            // kubectl itself does not touch a Deployment that is paused.
            world.refuses(&["rollout", "restart", "deployment/shop"], "can't restart paused deployment").await;
            // The team's manifest says nothing of `paused`.
            let replace = ["replace", "-f", "-"];
            let replaced = world.kubectl(&replace, Some(next.deployment().to_string())).await;
            assert!(!replaced.ok && replaced.err.contains(GUARDED), "{replaced:?}");
            let mut open = next.deployment();
            open["spec"]["paused"] = json!(false);
            let applied = world.try_apply(&[open]).await;
            assert!(!applied.ok && applied.err.contains(GUARDED), "{applied:?}");
            let after = world.deployment("shop").await;
            assert_eq!(after["spec"], before["spec"], "nothing of it was stored");
            assert_eq!(after["metadata"]["labels"], before["metadata"]["labels"]);

            // With another template in it the same command is held back, and the label that it does not know of stays.
            let replaced = world.kubectl(&replace, Some(app.version("v4").deployment().to_string())).await;
            assert!(replaced.ok, "{replaced:?}");
            assert_held(world, "v4").await;
            assert_eq!(text(&world.deployment("shop").await, "/metadata/labels/sluice.dev~1rollout"), "shop");
            world.apply(&[app.deployment()]).await;
            world
                .until("the stable template is at rest again", 60, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let open = !paused(now.get(Kind::Deployment, "shop")?);
                    (open && look::phase(rollout) == "Stable" && look::at_rest(rollout)).then_some(())
                })
                .await;
            let ever = world.record.history(Kind::Pod, "*");
            let escaped = ever.iter().find(|seen| version(&seen.object) != "v1" && !look::is_canary(&seen.object));
            assert!(escaped.is_none(), "a pod of an unproven template: {escaped:?}");
            assert_unharmed(&client.stop().await);
        })
    });
}

/// Scales the gated shop to 0 and back; stable alone comes up, and is what the client gets.
async fn down_and_up(world: &World, app: &App) {
    world.succeeds(&["scale", "deployment/shop", "--replicas=0"]).await;
    world
        .until("no pod is left", 60, |now| {
            let scaled =
                now.get(Kind::Deployment, "shop").is_some_and(|one| look::number(one, "/status/replicas") == 0);
            (scaled && now.all(Kind::Pod).next().is_none()).then_some(())
        })
        .await;
    let before = world.record.history(Kind::Pod, "*").len();
    world.succeeds(&["scale", "deployment/shop", "--replicas=3"]).await;
    world
        .until("three pods of the stable version serve", 60, |now| {
            let ready = |pod: &&Value| condition(pod, "Ready").is_some_and(|(status, _)| status == "True");
            let ready = now.all(Kind::Pod).filter(ready).count();
            (ready == 3 && running(now, "shop") == ["v1", "v1", "v1"]).then_some(())
        })
        .await;
    // Of a wrong version not even a pod that went again.
    let made: Vec<String> = world.record.history(Kind::Pod, "*")[before..]
        .iter()
        .filter(|seen| !look::is_canary(&seen.object))
        .map(|seen| version(&seen.object).to_owned())
        .collect();
    assert!(made.iter().all(|version| version == "v1"), "{made:?}");
    let client = Client::start(app, 60).await;
    client.more(150).await;
    let served = client.stop().await;
    assert_unharmed(&served);
    assert_eq!(served.by_version.keys().collect::<Vec<_>>(), ["v1"]);
}

#[test]
fn scenario_33_scaled_to_0_and_back_while_gated_the_stable_version_comes_back() {
    shared("scaled-down", |world| {
        Box::pin(async move {
            let plan = Plan { deadline: "10s", ..short() };
            let (app, client) = governed(world, &plan).await;
            // A version that had pods of its own and was taken back: its ReplicaSet is the newest.
            world.apply(&[app.version("v2").env("READY_AFTER", "3s").deployment()]).await;
            world
                .until("a pod of v2 was made by the Deployment", 90, |now| {
                    running(now, "shop").iter().any(|version| version == "v2").then_some(())
                })
                .await;
            ask_as_admin(world, "Abort").await;
            ended(world, 1, "Aborted").await;
            world.until("stable serves alone", 60, |now| (running(now, "shop") == ["v1", "v1"]).then_some(())).await;
            // A template that was never let in waits behind the gate.
            world.apply(&[app.version("v3").env("NEVER_READY", "true").deployment()]).await;
            ended(world, 2, "FailedBeforeExposure").await;
            assert_unharmed(&client.stop().await);
            down_and_up(world, &app).await;
            assert_held(world, "v3").await;
        })
    });
}

#[test]
fn scenario_33_scaled_to_0_in_a_wave_the_attempt_ends_and_begins_anew_afterwards() {
    shared("scaled-wave", |world| {
        Box::pin(async move {
            let (app, client) = governed(world, &long()).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            // Whoever wants no pods gets no answers.
            client.stop().await;
            world.succeeds(&["scale", "deployment/shop", "--replicas=0"]).await;
            world
                .until("the attempt has ended and waits", 60, |now| {
                    let rollout = now.get(Kind::Rollout, "shop")?;
                    let waits = condition(rollout, "Ready") == Some(("False", "ScaledToZero"));
                    (waits && now.all(Kind::Pod).next().is_none()).then_some(())
                })
                .await;
            world.apply(&[app.rollout(&short())]).await;
            world.succeeds(&["scale", "deployment/shop", "--replicas=2"]).await;
            let client = Client::start(&app, 60).await;
            ended(world, 2, "Promoted").await;
            serves(world, "v2").await;
            assert_unharmed(&client.stop().await);
            let reasons = world.record.look(|now| {
                look::releases(now, "shop").iter().map(|one| text(one, "/status/reason").to_owned()).collect::<Vec<_>>()
            });
            assert_eq!(reasons, ["ScaledToZero", "Promoted"]);
        })
    });
}

/// The annotation and the opening in one write, as docs/gate.md says.
fn break_glass(reason: &str) -> Value {
    json!([
        {"op": "add", "path": "/metadata/annotations/sluice.dev~1break-glass", "value": reason},
        {"op": "replace", "path": "/spec/paused", "value": false},
    ])
}

/// Waits until a dry run showed that templates are held back.
pub async fn proven(world: &World) {
    world
        .until("the gate is proven", 30, |now| {
            (condition(now.get(Kind::Rollout, "shop")?, "Gated") == Some(("True", "Proven"))).then_some(())
        })
        .await;
}

/// Attempt `number` is recorded as a bypass, once.
pub async fn recorded_as_bypass(world: &World, number: usize, reason: &str) -> String {
    world
        .until(&format!("attempt {number} is recorded as a bypass"), 60, |now| {
            let release = look::releases(now, "shop").get(number - 1).cloned()?;
            let outcome = (text(&release, "/status/outcome"), text(&release, "/status/reason"));
            let name = text(&release, "/metadata/name");
            let reworks = look::reworks(now, "shop");
            let mut of = reworks.iter().filter(|one| text(one, "/spec/failedRelease") == name);
            let (first, second) = (of.next()?, of.next());
            let right = outcome == ("Bypassed", reason) && text(first, "/spec/kind") == "Bypass" && second.is_none();
            right.then(|| name.to_owned())
        })
        .await
}

#[test]
fn scenario_33_break_glass_by_someone_who_may_is_recorded_as_a_bypass() {
    shared("glass", |world| {
        Box::pin(async move {
            let (app, client) = governed(world, &long()).await;
            for role in ["edit", "sluice-breakglass"] {
                world.succeeds(&["create", "rolebinding", role, "--user=breaker", "--clusterrole", role]).await;
            }
            for (verb, of) in [("patch", "deployments.apps"), ("breakglass", "rollouts.sluice.dev")] {
                world.succeeds_soon(&["auth", "can-i", verb, of, "--as=breaker"]).await;
            }
            let breaker = Person::new(world, "breaker").await;
            // In the middle of a wave.
            world.apply(&[app.version("v2").deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            allowed(breaker.patch("Deployment/shop", break_glass("INC-1")).await);
            let release = recorded_as_bypass(world, 1, "GateBypassed").await;
            let drafted =
                world.until("a postmortem is drafted", 30, |now| look::told(now, "shop", "PostmortemDrafted").pop());
            assert!(drafted.await.contains(&release));
            let draft = world.succeeds(&["get", "postmortem", &release, "-o", "jsonpath={.spec.markdown}"]).await;
            assert!(draft.contains(&release) && draft.contains("Action items"), "{draft}");
            serves(world, "v2").await;
            // A template that was taken back by a person, and waits.
            world.apply(&[app.version("v3").deployment()]).await;
            world.phase("shop", "Baking", 60).await;
            ask_as_admin(world, "Abort").await;
            ended(world, 2, "Aborted").await;
            assert_held(world, "v3").await;
            allowed(breaker.patch("Deployment/shop", break_glass("INC-2")).await);
            recorded_as_bypass(world, 3, "Bypassed").await;
            serves(world, "v3").await;
            proven(world).await;
            // The annotation stays, and holds nothing open.
            world.apply(&[app.version("v4").deployment()]).await;
            assert_held(world, "v4").await;
            world.phase("shop", "Baking", 60).await;
            assert_unharmed(&client.stop().await);
        })
    });
}
