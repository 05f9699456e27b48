//! The ways to install: what each component and the chart make is taken by the API server.

use std::process::Command;

use serde_json::json;

use crate::harness::shared;
use crate::harness::world::{Ended, World};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/chart/sluice");
const INSTALL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/install.yaml");

/// `helm` in the operator's namespace; a command that lasts leaves the rest of the scenario its threads.
pub async fn helm(arguments: &[&str]) -> Ended {
    let mut command = Command::new("helm");
    command.args(["--namespace", "sluice-system"]).args(arguments);
    tokio::task::spawn_blocking(move || {
        let output = command.output().expect("helm");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    })
    .await
    .unwrap()
}

pub async fn helm_succeeds(arguments: &[&str]) -> String {
    let ended = helm(arguments).await;
    assert!(ended.ok, "helm {} failed: {}{}", arguments.join(" "), ended.out, ended.err);
    ended.out
}

/// The objects of a text but for kinds of the Prometheus operator, which the testbed does not have.
pub fn known(manifests: &str) -> String {
    let documents = manifests.split("\n---\n").filter(|one| !one.contains("apiVersion: monitoring.coreos.com/"));
    documents.collect::<Vec<_>>().join("\n---\n")
}

/// The API server looks at everything and stores nothing.
async fn accepts(world: &World, what: &str, manifests: &str) {
    // The namespaces of the objects are their own.
    let arguments = ["--namespace=", "apply", "--dry-run=server", "--validate=strict", "-f", "-"];
    let ended = world.kubectl(&arguments, Some(known(manifests))).await;
    assert!(ended.ok, "{what}: {}", ended.err);
    // An unknown field is a warning where it is no error.
    assert!(!ended.err.contains("unknown field") && !ended.err.contains("would violate"), "{what}: {}", ended.err);
}

/// `deploy` with a component, whose placeholder for a namespace is this one.
pub async fn with_component(world: &World, component: &str) -> String {
    let folder = std::env::temp_dir().join(&world.namespace);
    std::fs::create_dir_all(&folder).unwrap();
    let up = "../".repeat(folder.canonicalize().unwrap().components().count() - 1);
    let repository = env!("CARGO_MANIFEST_DIR").trim_start_matches('/');
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [format!("{up}{repository}/deploy")],
        "components": [format!("{up}{repository}/deploy/components/{component}")],
    });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let made = world.succeeds(&["kustomize", &folder.to_string_lossy()]).await;
    std::fs::remove_dir_all(folder).unwrap();
    made.replace(": watched\n", &format!(": {}\n", world.namespace))
}

#[test]
fn every_way_to_install_is_accepted() {
    shared("manifests", |world| {
        Box::pin(async move {
            accepts(world, "install.yaml", &std::fs::read_to_string(INSTALL).unwrap()).await;
            // The two that are in install.yaml already are components by themselves, too.
            for component in ["egress", "gate-resting", "monitoring", "namespaced"] {
                accepts(world, component, &with_component(world, component).await).await;
            }
            let scope = format!("watchNamespace={}", world.namespace);
            for values in [
                "crds.keep=false",
                "monitoring.dashboards.enabled=true,networkPolicy.egress.limited=true,gate.mutating=false",
                "serviceAccount.name=gatekeeper,log.format=json,keep.days=90,draftPostmortems={None},extraEnv[0].name=TZ",
                &scope,
            ] {
                let made = helm_succeeds(&["template", "sluice", CHART, "--skip-tests", "--set", values]).await;
                accepts(world, values, &made).await;
            }
            let unknown = helm(&["template", "sluice", CHART, "--set", "replicaz=3"]).await;
            assert!(!unknown.ok && unknown.err.contains("additional properties 'replicaz' not allowed"), "{unknown:?}");
        })
    });
}
