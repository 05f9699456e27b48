//! The examples: every object under `examples/` is one that the API server takes, and the main ones are played to their
//! end as they are, but for their namespace, their hostname and the length of their waves.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};

#[path = "../it/examples/files.rs"]
mod files;

use files::{Document, objects, parts, root};

use crate::harness::app::App;
use crate::harness::asking::answered;
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{self, percents, text, weights};
use crate::harness::record::Kind;
use crate::harness::shared;
use crate::harness::world::World;

/// Kinds of examples that the testbed does not serve, and why not.
const NOT_SERVED: [(&str, &str, &str); 7] = [
    ("argoproj.io/v1alpha1", "Application", "Argo CD is not installed"),
    ("helm.toolkit.fluxcd.io/v2", "HelmRelease", "Flux is not installed"),
    ("keda.sh/v1alpha1", "ScaledObject", "KEDA is not installed"),
    ("monitoring.coreos.com/v1", "PodMonitor", "the Prometheus operator is not installed"),
    ("monitoring.coreos.com/v1alpha1", "AlertmanagerConfig", "the Prometheus operator is not installed"),
    ("sloth.slok.dev/v1", "PrometheusServiceLevel", "Sloth is not installed"),
    ("source.toolkit.fluxcd.io/v1", "GitRepository", "Flux is not installed"),
];

/// Namespaces that are there in a testbed; what belongs into another one is tried in the scenario's own.
const THERE: [&str; 2] = ["sluice-system", "gateway-system"];

/// The kinds that the API server serves of a group and version.
async fn served(world: &World, version: &str) -> BTreeSet<String> {
    let path = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
    let ended = world.kubectl(&["get", "--raw", &path], None).await;
    if !ended.ok {
        assert!(ended.err.contains("NotFound"), "{path}: {}", ended.err);
        return BTreeSet::new();
    }
    let list: Value = serde_json::from_str(&ended.out).unwrap();
    let kinds = list["resources"].as_array().unwrap().iter();
    kinds.map(|resource| text(resource, "/kind").to_owned()).collect()
}

/// The same object in the scenario's namespace.
fn moved(world: &World, mut object: Value) -> Value {
    let namespace = text(&object, "/metadata/namespace").to_owned();
    if !namespace.is_empty() && !THERE.contains(&namespace.as_str()) {
        object["metadata"]["namespace"] = json!(world.namespace);
    }
    object
}

/// `kubectl VERB --dry-run=server --validate=strict` of some objects, each of which must be taken.
async fn tried(world: &World, verb: &str, what: &str, items: Vec<Value>) {
    let number = items.len();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let arguments = ["--namespace=", verb, "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-"];
    let ended = world.kubectl(&arguments, Some(list.to_string())).await;
    assert!(ended.ok, "{what}: {}", ended.err);
    assert_eq!(ended.out.lines().count(), number, "{what}: {}", ended.out);
    // An unknown field is a warning where it is no error.
    assert!(!ended.err.contains("unknown field") && !ended.err.contains("would violate"), "{what}: {}", ended.err);
}

#[test]
fn every_object_of_the_examples_is_taken_by_the_api_server() {
    shared("examples", |world| {
        Box::pin(async move {
            let all = objects();
            let kind_of =
                |one: &Document| (text(&one.object, "/apiVersion").to_owned(), text(&one.object, "/kind").to_owned());
            let used: BTreeSet<(String, String)> = all.iter().map(kind_of).collect();
            let mut missing = BTreeSet::new();
            let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
            for (version, kind) in &used {
                if !versions.contains_key(version.as_str()) {
                    versions.insert(version, served(world, version).await);
                }
                if !versions[version.as_str()].contains(kind) {
                    missing.insert((version.clone(), kind.clone()));
                }
            }
            let listed: BTreeSet<(String, String)> =
                NOT_SERVED.iter().map(|(version, kind, _)| ((*version).to_owned(), (*kind).to_owned())).collect();
            assert_eq!(missing, listed, "what is not served here and what NOT_SERVED lists");

            // One command for each folder and verb: it is what a person would do, and names the object that is wrong.
            let mut commands: BTreeMap<(String, &str), Vec<Value>> = BTreeMap::new();
            for one in all.into_iter().filter(|one| !missing.contains(&kind_of(one))) {
                let folder = one.file.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
                let generated = !text(&one.object, "/metadata/generateName").is_empty();
                let verb = if generated { "create" } else { "apply" };
                commands.entry((folder, verb)).or_default().push(moved(world, one.object));
            }
            assert!(commands.len() > 25, "{:?}", commands.keys());
            for ((folder, verb), items) in commands {
                tried(world, verb, &format!("examples/{folder}"), items).await;
            }
        })
    });
}

/// The objects of a file in the scenario's namespace, with a hostname of its own.
fn of_file(world: &World, app: &App, file: &str) -> Vec<Value> {
    let text_of = std::fs::read_to_string(root().join(file)).unwrap();
    let mut found = parts(&text_of);
    found.retain(|object| object["kind"] != "Namespace");
    for object in &mut found {
        *object = moved(world, object.take());
        if object["kind"] == "HTTPRoute" {
            object["spec"]["hostnames"] = json!([app.host()]);
        }
    }
    found
}

/// Applies the application of `minimal` and waits until it serves.
async fn deploy(world: &World, app: &App) {
    let all = [of_file(world, app, "minimal/app.yaml"), of_file(world, app, "minimal/route.yaml")].concat();
    world.apply(&all).await;
    world
        .until("the Deployment has rolled out", 60, |now| {
            now.get(Kind::Deployment, "shop").is_some_and(look::rolled_out).then_some(())
        })
        .await;
}

/// The Rollout of a folder, read at the testbed's pace.
fn rollout(world: &World, app: &App, folder: &str) -> Value {
    let [mut rollout] = of_file(world, app, &format!("{folder}/rollout.yaml")).try_into().unwrap();
    rollout["spec"]["analysis"]["interval"] = json!("1s");
    rollout["spec"]["traffic"]["drain"] = json!("4s");
    rollout
}

/// A wave that ends in seconds.
fn hurried(wave: &mut Value) {
    wave["bake"] = json!("3s");
    wave["evidence"] = json!({"ratio": "10", "floor": "5%"});
}

/// `kubectl get rollouts.sluice.dev`, for those who copy it into a README.
async fn shown(world: &World) {
    let table = world.succeeds(&["get", "rollouts.sluice.dev"]).await;
    let mut text = String::new();
    for line in table.lines() {
        let _ = writeln!(text, "  {line}");
    }
    eprint!("{text}");
}

#[test]
fn the_shortest_rollout_promotes_a_version() {
    shared("minimal", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            deploy(world, &app).await;
            let mut rollout = rollout(world, &app, "minimal");
            assert!(rollout["spec"]["waves"].is_null(), "its waves are the defaults");
            let mut waves = json!([{"weight": 20}, {"weight": 50}]);
            waves.as_array_mut().unwrap().iter_mut().for_each(hurried);
            rollout["spec"]["waves"] = waves;
            world.apply(&[rollout]).await;
            world.phase("shop", "Stable", 60).await;
            world.succeeds(&["wait", "--for=condition=Gated", "rollouts.sluice.dev/shop", "--timeout=60s"]).await;

            let client = Client::start(&app, 80).await;
            world.succeeds(&["set", "env", "deployment/shop", "VERSION=v2"]).await;
            world.complete("shop", "Promoted", 120).await;
            shown(world).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 20.0, 50.0, 0.0]);
            let served = client.stop().await;
            assert_unharmed(&served);
            assert!(served.by_version.contains_key("v2"), "{:?}", served.by_version.keys());
        })
    });
}

/// Waits until the Rollout awaits an approval of a step, and approves it as the README says.
async fn approve(world: &World, step: &str) {
    let release = world
        .until(&format!("an approval of {step} is awaited"), 60, |now| {
            let rollout = now.get(Kind::Rollout, "shop")?;
            let awaited = look::condition(rollout, "Ready").is_some_and(|(_, reason)| reason == "AwaitingApproval");
            (awaited && text(rollout, "/status/message").contains(step))
                .then(|| text(rollout, "/status/run/release").to_owned())
        })
        .await;
    shown(world).await;
    let [approval] = of_file(world, &world.app("shop"), "waves-and-approval/approve.yaml").try_into().unwrap();
    let mut approval: Value = approval;
    approval["spec"]["release"] = json!(release);
    let person = ["create", "-f", "-", "-o", "name", "--as=lena", "--as-group=payments-leads"];
    let created = world.kubectl(&person, Some(approval.to_string())).await;
    let (_, answer) = answered(world, &created).await;
    assert_eq!(text(&answer, "/status/result"), "Honoured", "{answer:#}");
    assert_eq!(text(&answer, "/spec/requestedBy"), "lena");
    eprintln!("  {}", text(&answer, "/status/message"));
}

#[test]
fn a_version_is_promoted_after_two_approvals() {
    shared("approvals", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            deploy(world, &app).await;
            let mut rollout = rollout(world, &app, "waves-and-approval");
            rollout["spec"]["waves"].as_array_mut().unwrap().iter_mut().for_each(hurried);
            world.apply(&[rollout]).await;
            world.apply(&of_file(world, &app, "waves-and-approval/approvers.yaml")).await;
            world.phase("shop", "Stable", 60).await;
            let may = ["auth", "can-i", "approve", "rollouts.sluice.dev", "--as=lena", "--as-group=payments-leads"];
            world.succeeds_soon(&may).await;
            // Who approves holds what the README says, and nothing more.
            let ended = world.kubectl(&["auth", "can-i", "abort", may[3], may[4], may[5]], None).await;
            assert_eq!(ended.out.trim(), "no");

            let client = Client::start(&app, 80).await;
            world.succeeds(&["set", "env", "deployment/shop", "VERSION=v2"]).await;
            approve(world, "the wave at 50%").await;
            approve(world, "the promotion").await;
            world.complete("shop", "Promoted", 120).await;
            shown(world).await;
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 10.0, 50.0, 0.0]);
            let release = world.record.look(|now| look::releases(now, "shop")).pop().expect("a Release");
            let said = release["status"]["interventions"].as_array().map_or(0, Vec::len);
            assert_eq!(said, 2, "{release:#}");
            assert_unharmed(&client.stop().await);
        })
    });
}
