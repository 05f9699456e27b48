//! `deploy/install.yaml` and the chart's copies are what `make manifests` makes, and a plain `kubectl apply` can take them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{environment, objects, of_kind, path, run, scratch, text, tool};

/// What the annotations of an object may have, keys and values together; `kubectl apply` puts a copy of it there.
const ANNOTATIONS: usize = 262_144;

/// Every file below a folder.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

/// What `make manifests` would write now.
fn made(name: &str, kubectl: &str) -> std::path::PathBuf {
    let folder = scratch(name);
    run(&path("deploy/manifests.sh"), &[kubectl, &folder.to_string_lossy()]).unwrap();
    folder
}

#[test]
fn install_yaml_is_what_kustomize_makes_of_deploy() {
    let Some(kubectl) = tool("kubectl", "install_yaml_is_what_kustomize_makes_of_deploy") else { return };
    let folder = made("install", &kubectl.to_string_lossy());
    let now = std::fs::read_to_string(folder.join("install.yaml")).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    assert!(now == text("deploy/install.yaml"), "deploy/install.yaml is not what deploy/ says: make manifests");
}

#[test]
fn the_charts_copies_are_what_deploy_has() {
    // Of what is copied nothing goes through kubectl.
    let folder = made("copies", "true");
    let (now, kept) = (files(&folder.join("chart/sluice/files")), files(&path("deploy/chart/sluice/files")));
    std::fs::remove_dir_all(folder).unwrap();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&now), names(&kept), "make manifests");
    for (name, text) in &now {
        assert!(kept[name] == *text, "deploy/chart/sluice/files/{name} was edited or is old: make manifests");
    }
}

#[test]
fn every_object_fits_into_the_annotation_that_kubectl_apply_writes() {
    let mut sizes: Vec<(usize, String)> = objects(&text("deploy/install.yaml"))
        .iter()
        .map(|object| {
            (serde_json::to_string(object).unwrap().len(), format!("{} {}", object["kind"], object["metadata"]["name"]))
        })
        .collect();
    sizes.sort();
    let (most, which) = sizes.last().unwrap();
    eprintln!("{} objects; the largest is {which}: {most} bytes of {ANNOTATIONS}", sizes.len());
    assert!(*most < ANNOTATIONS, "{which} has {most} bytes: kubectl apply without --server-side is refused");
}

#[test]
fn one_version_is_named_everywhere() {
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("sluice.test/sluice:{version}");
    let all = objects(&text("deploy/install.yaml"));
    let operator = of_kind(&all, "Deployment")[0];
    assert_eq!(operator["spec"]["template"]["spec"]["containers"][0]["image"], image);
    let chart = objects(&text("deploy/chart/sluice/Chart.yaml")).remove(0);
    assert_eq!((&chart["version"], &chart["appVersion"]), (&json!(version), &json!(version)));
    let values = objects(&text("deploy/chart/sluice/values.yaml")).remove(0);
    assert_eq!((&values["image"]["repository"], &values["image"]["tag"]), (&json!("sluice.test/sluice"), &json!("")));
    // docs/install.md puts another registry there with sed.
    assert_eq!(text("deploy/install.yaml").matches("sluice.test/sluice:").count(), 1);
    for file in ["README.md", "docs/install.md"] {
        assert!(text(file).contains(&image), "{file} does not name {image}");
    }
    for file in ["deploy/install.yaml", "deploy/base/operator.yaml", "Makefile", "tests/install.sh", "README.md"] {
        let text = text(file);
        assert!(!text.contains(":latest") && !text.contains("sluice.test/sluice:dev"), "{file}");
    }
}

#[test]
fn what_is_installed_is_restricted_limited_and_spread() {
    let all = objects(&text("deploy/install.yaml"));
    let one = |kind: &str| {
        let found = of_kind(&all, kind);
        assert_eq!(found.len(), 1, "{kind}");
        found[0]
    };
    assert_eq!(one("Namespace")["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let operator = one("Deployment");
    let selector = json!({"app.kubernetes.io/name": "sluice"});
    // A selector cannot be changed: with another one no installation could be upgraded.
    assert_eq!(operator["spec"]["selector"]["matchLabels"], selector);
    let pod = &operator["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
    assert!(
        container["resources"]["requests"]["cpu"].is_string() && container["resources"]["limits"]["memory"].is_string()
    );
    let start = &container["startupProbe"];
    assert_eq!(start["httpGet"]["path"], "/livez");
    assert!(start["failureThreshold"].as_u64().unwrap() * start["periodSeconds"].as_u64().unwrap() >= 60);

    let budget = &one("PodDisruptionBudget")["spec"];
    assert_eq!((&budget["minAvailable"], &budget["selector"]["matchLabels"]), (&json!(1), &selector));
    let network = &one("NetworkPolicy")["spec"];
    assert_eq!((&network["podSelector"]["matchLabels"], &network["policyTypes"]), (&selector, &json!(["Ingress"])));
    let port = &container["ports"][0]["containerPort"];
    assert_eq!(network["ingress"], json!([{"ports": [{"protocol": "TCP", "port": port}]}]));
    // Everything that says where somebody may connect from or to is beside the operator.
    for object in &all {
        let labels = &object["metadata"]["labels"];
        for label in ["app.kubernetes.io/name", "app.kubernetes.io/part-of"] {
            assert_eq!(labels[label], "sluice", "{}", object["metadata"]["name"]);
        }
        let namespace = &object["metadata"]["namespace"];
        assert!(namespace.is_null() || namespace == "sluice-system", "{object}");
    }
    // Every variable that is set is one that the operator reads; those of components too.
    let cli = <sluice::cli::Cli as clap::CommandFactory>::command();
    let run = cli.find_subcommand("run").unwrap();
    let known: Vec<&str> = run.get_arguments().filter_map(|one| one.get_env()?.to_str()).collect();
    for (name, _) in environment(operator) {
        assert!(known.contains(&name.as_str()), "{name} is no variable of sluice run: {known:?}");
    }
}

#[test]
fn no_manifest_is_left_out() {
    let listed = |file: &str| -> Vec<String> {
        let resources = objects(&text(file)).remove(0)["resources"].clone();
        let names = resources.as_array().cloned().unwrap_or_default();
        names.iter().map(|one: &Value| one.as_str().unwrap().to_owned()).collect()
    };
    for folder in
        ["deploy/base", "deploy/components/httproutes", "deploy/components/grpcroutes", "deploy/components/namespaced"]
    {
        let listed = listed(&format!("{folder}/kustomization.yaml"));
        for name in files(&path(folder)).keys().filter(|name| *name != "kustomization.yaml") {
            assert!(listed.contains(name), "{folder}/{name} is in no kustomization");
        }
    }
}
