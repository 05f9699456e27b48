//! Each component of `deploy/components`, rendered: what it adds, and what it leaves out.

use std::path::Path;

use serde_json::{Value, json};

use super::{differences, environment, key, objects, of_kind, path, run, scratch, tool};

const COMPONENTS: [&str; 6] = ["egress", "gate-resting", "grpcroutes", "httproutes", "monitoring", "namespaced"];

/// `deploy/` or another folder of it, with components.
fn rendered(kubectl: &Path, name: &str, base: &str, components: &[&str]) -> Vec<Value> {
    let folder = scratch(name);
    // A kustomization names others by a way from its own folder.
    let real = folder.canonicalize().unwrap();
    let up = "../".repeat(real.components().count() - 1);
    let repository = path("").canonicalize().unwrap();
    let to = |name: &str| format!("{up}{}", repository.join(name).strip_prefix("/").unwrap().display());
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [to(base)],
        "components": components.iter().map(|name| to(&format!("deploy/components/{name}"))).collect::<Vec<_>>(),
    });
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let text = run(kubectl, &["kustomize", &folder.to_string_lossy()]).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    objects(&text)
}

fn keys(objects: &[Value]) -> Vec<(String, String, String)> {
    let mut keys: Vec<_> = objects.iter().map(key).collect();
    keys.sort();
    keys
}

fn found<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects.iter().find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn every_component_is_known_here_and_renders() {
    let mut there: Vec<String> = std::fs::read_dir(path("deploy/components"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    there.sort();
    assert_eq!(there, COMPONENTS);
    let Some(kubectl) = tool("kubectl", "every_component_is_known_here_and_renders") else { return };
    let plain = rendered(&kubectl, "plain", "deploy", &[]);
    assert_eq!(keys(&plain), keys(&objects(&super::text("deploy/install.yaml"))));

    // Only policies that change objects go.
    let resting = rendered(&kubectl, "resting", "deploy", &["gate-resting"]);
    let without: Vec<_> = keys(&plain).into_iter().filter(|(kind, ..)| !kind.starts_with("Mutating")).collect();
    assert_eq!(keys(&resting), without);
    assert_eq!(keys(&plain).len() - without.len(), 8);
    let guard = |all: &[Value]| found(all, "ValidatingAdmissionPolicy", "sluice-guard").clone();
    assert_eq!(guard(&resting), guard(&plain));

    // Roles in the namespace take the place of what holds in all of them.
    let watched = rendered(&kubectl, "namespaced", "deploy", &["namespaced"]);
    let operator = found(&watched, "Deployment", "sluice");
    let scope = environment(operator).into_iter().find(|(name, _)| name == "SLUICE_WATCH_NAMESPACE");
    assert_eq!(scope.unwrap().1, "watched");
    for name in ["sluice", "sluice-httproutes", "sluice-grpcroutes"] {
        for kind in ["Role", "RoleBinding"] {
            assert_eq!(found(&watched, kind, name)["metadata"]["namespace"], "watched");
            let everywhere = format!("Cluster{kind}");
            assert!(!watched.iter().any(|one| one["kind"] == everywhere && one["metadata"]["name"] == name), "{name}");
        }
    }

    let narrowed = rendered(&kubectl, "egress", "deploy", &["egress"]);
    let network = &found(&narrowed, "NetworkPolicy", "sluice")["spec"];
    assert_eq!(network["policyTypes"], json!(["Ingress", "Egress"]));
    assert!(network["egress"].to_string().contains("6443"), "{network}");

    let monitored = rendered(&kubectl, "monitoring", "deploy", &["monitoring"]);
    let more: Vec<_> =
        keys(&monitored).into_iter().filter(|key| !keys(&plain).contains(key)).map(|(kind, ..)| kind).collect();
    assert_eq!(more, ["ConfigMap", "ConfigMap", "ConfigMap", "ConfigMap", "PrometheusRule", "ServiceMonitor"]);
    assert_eq!(monitored.len(), plain.len() + more.len());
}

/// Whoever has no GRPCRoutes leaves the component out, and with it the right.
#[test]
fn rights_on_routes_come_with_their_component() {
    let Some(kubectl) = tool("kubectl", "rights_on_routes_come_with_their_component") else { return };
    let roles = |name: &str, components: &[&str]| -> Vec<String> {
        let all = rendered(&kubectl, name, "deploy/base", components);
        let names = of_kind(&all, "ClusterRole").into_iter().map(|role| role["metadata"]["name"].as_str().unwrap());
        names.filter(|name| name.ends_with("routes")).map(str::to_owned).collect()
    };
    assert_eq!(roles("neither", &[]), [""; 0]);
    assert_eq!(roles("http", &["httproutes"]), ["sluice-httproutes"]);
    assert_eq!(roles("grpc", &["grpcroutes"]), ["sluice-grpcroutes"]);
    assert_eq!(roles("both", &["httproutes", "grpcroutes"]), ["sluice-grpcroutes", "sluice-httproutes"]);
    for (component, other) in [("httproutes", "grpcroutes"), ("grpcroutes", "httproutes")] {
        let file = super::text(&format!("deploy/components/{component}/rbac.yaml"));
        assert!(file.contains(&format!("resources: [{component}]")) && !file.contains(other), "{file}");
    }
}

/// What a component does, a value of the chart does too.
#[test]
fn each_component_is_a_value_of_the_chart() {
    let test = "each_component_is_a_value_of_the_chart";
    let (Some(kubectl), Some(helm)) = (tool("kubectl", test), tool("helm", test)) else { return };
    for (component, values) in [
        ("egress", "networkPolicy.egress.limited=true"),
        ("gate-resting", "gate.mutating=false"),
        ("namespaced", "watchNamespace=watched"),
        (
            "monitoring",
            "monitoring.serviceMonitor.enabled=true,monitoring.prometheusRule.enabled=true,monitoring.dashboards.enabled=true",
        ),
    ] {
        let by_kustomize = rendered(&kubectl, "same", "deploy", &[component]);
        let by_helm = super::chart::rendered(&helm, &["--set", values]).unwrap();
        assert_eq!(differences(by_kustomize, by_helm), [""; 0], "{component} and --set {values}");
    }
}
