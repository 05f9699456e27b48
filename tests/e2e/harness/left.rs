//! What is left in a namespace when Sluice has let go of a workload, and which versions run there.

use serde_json::{Value, json};

use super::look::{self, text};
use super::record::{Kind, Now};
use super::world::World;

/// The version that the template of a workload or a pod names.
pub fn version(object: &Value) -> &str {
    let env = |pointer: &str| {
        let variables = object.pointer(pointer).and_then(Value::as_array);
        let found = variables.and_then(|all| all.iter().find(|one| text(one, "/name") == "VERSION"));
        found.map(|one| text(one, "/value"))
    };
    env("/spec/template/spec/containers/0/env").or_else(|| env("/spec/containers/0/env")).unwrap_or_default()
}

/// The versions of an app's pods that stay, in order, without its canary's.
pub fn running(now: &Now, app: &str) -> Vec<String> {
    let stays = |pod: &&Value| pod["metadata"]["deletionTimestamp"].is_null() && !look::is_canary(pod);
    let of_app = now.all(Kind::Pod).filter(|pod| text(pod, "/metadata/labels/app") == app);
    let mut versions: Vec<String> = of_app.filter(stays).map(|pod| version(pod).to_owned()).collect();
    versions.sort();
    versions
}

/// Whether a Deployment is paused.
pub fn paused(deployment: &Value) -> bool {
    deployment["spec"]["paused"] == json!(true)
}

/// Names of what Sluice has made and what it has marked.
fn ours(now: &Now) -> Vec<String> {
    let mut found = Vec::new();
    for kind in [Kind::Deployment, Kind::Service, Kind::NetworkPolicy] {
        for object in now.all(kind) {
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
            let mut marks = labels.into_iter().flatten().filter(|(label, _)| label.starts_with("sluice.dev/"));
            if let Some((label, value)) = marks.next() {
                found.push(format!("{kind:?} {} has {label}={value}", text(object, "/metadata/name")));
            }
        }
    }
    found
}

/// Waits until nothing of Sluice is left beside its records, and compares the route with what it was.
pub async fn assert_nothing_left(world: &World, route: &Value) {
    world.until("the Rollout is gone", 10, |now| now.get(Kind::Rollout, "shop").is_none().then_some(())).await;
    assert_let_go(world, route).await;
}

/// The same when the Rollout itself may stay.
pub async fn assert_let_go(world: &World, route: &Value) {
    let mut left = Vec::new();
    world
        .until("nothing of ours is left", 10, |now| {
            left = ours(now);
            left.is_empty().then_some(())
        })
        .await;
    let after = world.get(Kind::HttpRoute, "shop").expect("the route");
    assert_eq!(after["spec"].to_string(), route["spec"].to_string(), "the route is as it was");
    for kind in [Kind::HttpRoute, Kind::Deployment, Kind::Service] {
        let finalizers = world.get(kind, "shop").map_or(Value::Null, |object| object["metadata"]["finalizers"].clone());
        assert_eq!(finalizers, Value::Null, "{kind:?} shop");
    }
}
