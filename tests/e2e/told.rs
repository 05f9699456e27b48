//! Who is told of what happened, and what people say afterwards.

use serde_json::{Value, json};

use crate::harness::app::{COARSE, Plan, errors};
use crate::harness::gateway::Client;
use crate::harness::look::{self, text};
use crate::harness::person::{self, Person};
use crate::harness::prometheus::series;
use crate::harness::receiver;
use crate::harness::shared;
use crate::harness::world::World;

pub const ALERT: &str = "RolloutAutomaticallyRolledBack";

pub fn plan() -> Plan {
    Plan { waves: vec![(20, "20s")], signals: errors("2%", 30, 1), ..Plan::default() }
}

#[test]
fn an_alert_resolves_when_its_rollout_goes() {
    shared("resolves", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &plan()).await;
            let client = Client::start(&app, 100).await;
            world.apply(&[app.version("v2").env("ERROR_RATE", "10%").deployment()]).await;
            world.complete("shop", "RolledBack", 90).await;
            client.stop().await;
            receiver::alert(ALERT, &world.namespace, "firing", 60).await;
            world.succeeds(&["delete", "rollouts.sluice.dev", "shop"]).await;
            // The series goes at once; the rule bridges two minutes, for a takeover and a missed scrape.
            let query = format!("sluice_rollout_last_rollback_timestamp_seconds{{namespace=\"{}\"}}", world.namespace);
            series(&query, 0, 30).await;
            receiver::alert(ALERT, &world.namespace, "resolved", 200).await;
            assert_eq!(receiver::times(ALERT, &world.namespace, "firing"), 1, "it is told of once");
        })
    });
}

fn says(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "Reclassification",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// What `sluice` prints of the records in the namespace of a scenario.
async fn sluice(world: &World, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args(arguments).args(["--namespace", &world.namespace]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "sluice {}: {out}\n{err}", arguments.join(" "));
    out
}

/// What `sluice report` says of the shop.
async fn report(world: &World) -> Value {
    serde_json::from_str(&sluice(world, &["report", "--output", "json"]).await).expect("JSON")
}

#[test]
fn every_decision_of_a_release_can_be_made_again_and_a_postmortem_drafted() {
    shared("explained", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let mut signals = errors("2%", 30, 1);
            signals.as_array_mut().unwrap().push(json!({"name": "against-stable", "errorRatio": {}}));
            let waves = vec![(20, "3s"), (50, "3s")];
            world.adopt(&app, &Plan { waves, signals, evidence: COARSE, ..Plan::default() }).await;
            let client = Client::start(&app, 100).await;
            for (version, errors, ended) in [("v2", "0%", "Promoted"), ("v3", "10%", "RolledBack")] {
                world.apply(&[app.version(version).env("ERROR_RATE", errors).deployment()]).await;
                world.complete("shop", ended, 120).await;
                let release = world.record.look(|now| look::releases(now, "shop").pop()).expect("a Release");
                let name = text(&release, "/metadata/name");
                let explained = sluice(world, &["explain", name]).await;
                eprintln!("{explained}");
                assert!(explained.contains("chain whole, every verdict the same"), "{explained}");
                assert!(explained.contains(ended), "{explained}");
                let draft = sluice(world, &["postmortem", name]).await;
                // Of what was promoted there is nothing to ask people.
                let asks = draft.contains("## Action items");
                assert!(draft.contains(name) && asks == (ended == "RolledBack"), "{draft}");
            }
            client.stop().await;
        })
    });
}

#[test]
fn who_says_afterwards_that_a_release_failed_is_stamped_and_counted() {
    shared("reclassified", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            world.adopt(&app, &Plan { waves: vec![(50, "3s")], ..plan() }).await;
            let client = Client::start(&app, 100).await;
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("shop", "Promoted", 90).await;
            client.stop().await;
            let release = world.record.look(|now| look::releases(now, "shop").pop()).expect("a Release");
            let release = text(&release, "/metadata/name").to_owned();
            let failed = |report: &Value| report.pointer("/services/0/figures/changeFail/all/count").cloned();
            let before = report(world).await;
            assert_eq!(failed(&before), Some(json!(0)), "{before:#}");

            let [alice, mallory] = [Person::new(world, "alice").await, Person::new(world, "mallory").await];
            let role = ["--clusterrole=sluice-reclassifier", "--user=alice"];
            world.succeeds(&["create", "rolebinding", "reclassifiers", role[0], role[1]]).await;
            let said = json!({"release": release, "failed": true, "reason": "customers called", "requestedBy": "bob"});
            let refused = mallory.create(says("not-hers", said.clone())).await;
            person::refused(refused, &["mallory", "cannot create", "reclassifications"]);
            let made = person::allowed(alice.create(says("it-failed", said)).await);
            assert_eq!(text(&made, "/spec/requestedBy"), "alice", "who says it is stamped, whatever the client wrote");
            let edit = json!([{"op": "replace", "path": "/spec/failed", "value": false}]);
            let edited = person::administrator(world).patch("Reclassification/it-failed", edit).await;
            person::refused(edited, &["cannot be changed"]);
            let nothing = json!({"release": release, "reason": "says nothing"});
            person::refused(
                alice.create(says("empty", nothing)).await,
                &["at least one of kind, failed and remediates"],
            );

            let after = report(world).await;
            assert_eq!(failed(&after), Some(json!(1)), "{after:#}");
        })
    });
}
