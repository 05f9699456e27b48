//! Records that are too many go by themselves, and nothing else does.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use serde_json::{Value, json};

use crate::harness::look::text;
use crate::harness::record::{Kind, Now};
use crate::harness::world::World;
use crate::harness::{alone, install, operator};

/// As many of each Rollout stay whatever the flags say.
const ALWAYS: usize = 20;
const THEN: &str = "2026-01-02T03:04:05Z";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "sluice.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// A Release of a Rollout that is gone, the decisions of it, and that it was taken back.
fn records(number: usize) -> [Value; 3] {
    let name = format!("old-{number:02}");
    let release = json!({
        "rollout": "old", "rolloutUid": "1", "workload": "Deployment/old", "number": number + 1, "revision": "b",
        "fromRevision": "a",
    });
    let log = json!({
        "rollout": "old", "rolloutUid": "1", "revision": "b", "head": {"seq": 0, "hash": ""}, "entries": [],
    });
    let rework = json!({
        "kind": "Rollback", "rollout": "old", "failedRelease": name, "revision": "b", "trigger": "Automatic",
        "reason": "CanaryFailed", "message": "it failed", "exposedAt": THEN, "verdictAt": THEN, "detectSeconds": 1.0,
    });
    [object("Release", &name, release), object("DecisionLog", &name, log), object("ReworkEvent", &name, rework)]
}

/// The names of what is there.
fn names(now: &Now, kind: Kind) -> Vec<String> {
    now.all(kind).map(|one| text(one, "/metadata/name").to_owned()).collect()
}

async fn keep(world: &World, each: &str) {
    let variable = format!("SLUICE_KEEP_EACH{each}");
    world.succeeds(&["--namespace=sluice-system", "set", "env", "deployment/sluice", &variable]).await;
    let status = ["--namespace=sluice-system", "rollout", "status", "deployment/sluice", "--timeout=90s"];
    world.succeeds(&status).await;
}

#[test]
fn of_too_many_records_the_oldest_go_with_their_logs_and_the_newest_twenty_stay() {
    alone("records", |world| {
        Box::pin(async move {
            // One more than may stay, and the oldest one first.
            let all: Vec<[Value; 3]> = (0..=ALWAYS).map(records).collect();
            world.apply(&all[0]).await;
            world.apply(&all[1..].concat()).await;
            let kind = GroupVersionKind::gvk("sluice.dev", "v1alpha1", "DecisionLog");
            let resource = ApiResource::from_gvk_with_plural(&kind, "decisionlogs");
            let logs: Api<DynamicObject> = Api::namespaced_with(world.client.clone(), &world.namespace, &resource);
            let ended = Patch::Merge(json!({"status": {"outcome": "Promoted"}}));
            let releases = world.api(Kind::Release);
            for number in 0..=ALWAYS {
                releases.patch_status(&format!("old-{number:02}"), &PatchParams::default(), &ended).await.unwrap();
            }

            let began = Instant::now();
            install::restored(world, async {
                keep(world, "=1").await;
                // The first look is a minute after the start, and only the leader's counts; one that fails is made again
                // after another minute.
                let gone = |now: &Now| {
                    let first = "old-00".to_owned();
                    let left = [Kind::Release, Kind::ReworkEvent].map(|kind| names(now, kind));
                    left.iter().all(|names| !names.contains(&first)).then_some(left)
                };
                let left = world.until("the oldest Release and the oldest ReworkEvent are gone", 260, gone).await;
                eprintln!("records: the oldest were gone {:.0}s after the flag was set", began.elapsed().as_secs_f64());
                for names in left {
                    assert_eq!(names.len(), ALWAYS, "{names:?}");
                }
                let there = logs.get_opt("old-00").await.unwrap();
                assert!(there.is_none(), "a log goes before its Release");
                assert!(logs.get_opt("old-01").await.unwrap().is_some(), "the others stay");
                keep(world, "-").await;
            })
            .await;
            operator::leader(&world.client).await;
            assert!(began.elapsed() < Duration::from_secs(500));
        })
    });
}
