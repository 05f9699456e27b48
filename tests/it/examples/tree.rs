//! Everything under `examples/`: each folder says what it is and is listed, and each object of this project is one that
//! the API server would take and the operator would act on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use regex::Regex;
use sluice::api::{Phase, Rollout};

use super::files::{self, Document, NO_OBJECTS};
use super::schema;
use crate::packaging::tool;
use crate::world::World;

/// The documents of this project's kinds.
fn ours() -> Vec<Document> {
    let found: Vec<Document> = files::objects()
        .into_iter()
        .filter(|one| one.object["apiVersion"].as_str().unwrap_or_default().starts_with("sluice.dev/"))
        .collect();
    assert!(found.len() > 35, "only {} objects were found", found.len());
    found
}

/// Folders with files in them, without `examples/` itself.
fn folders() -> BTreeSet<String> {
    let files = files::below(&files::root());
    let folders = files.iter().filter_map(|file| file.parent()).map(files::name);
    folders.filter(|folder| !folder.is_empty()).collect()
}

/// Whether `kubectl apply -k` makes the objects of this file's folder, namespaces among them.
fn kustomized(file: &str) -> bool {
    file.rsplit_once('/').is_some_and(|(folder, _)| files::root().join(folder).join("kustomization.yaml").exists())
}

fn read(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_folder_has_a_readme_and_is_listed() {
    let list = read(&files::root().join("README.md"));
    for folder in folders() {
        let readme = files::root().join(&folder).join("README.md");
        let text = read(&readme);
        assert!(list.contains(&format!("({folder}/README.md)")), "examples/README.md does not list {folder}");
        for file in files::below(&files::root().join(&folder)) {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let own = file.parent() == readme.parent();
            let told = text.contains(&name) || ["README.md", "kustomization.yaml"].contains(&name.as_str());
            assert!(!own || told, "{folder}/README.md does not speak of {name}");
        }
    }
    let link = Regex::new(r"\(([a-z0-9/-]+)/README\.md\)").unwrap();
    for (_, [folder]) in link.captures_iter(&list).map(|found| found.extract()) {
        assert!(folders().contains(folder), "examples/README.md lists {folder}, which is not there");
    }
}

#[test]
fn every_file_is_an_object_or_says_for_whom_it_is() {
    for (listed, reader) in NO_OBJECTS {
        let text = read(&files::root().join(listed));
        let documents = files::parts(&text);
        assert!(documents.iter().all(|one| one["kind"].is_null()), "{listed} is listed, but it holds objects");
        if reader == "kubectl patch" {
            assert!(text.contains("kubectl patch") && text.contains(&format!("examples/{listed}")), "{listed}");
        }
    }
    for Document { file, object } in files::objects() {
        let (version, kind) = (&object["apiVersion"], &object["kind"]);
        assert!(version.is_string() && kind.is_string(), "{file}: no object; if it is meant so, list it in NO_OBJECTS");
        let meta = object["metadata"].as_object().unwrap_or_else(|| panic!("{file}: no metadata"));
        for field in meta.keys() {
            let known = ["name", "generateName", "namespace", "labels", "annotations"];
            assert!(known.contains(&field.as_str()), "{file}: metadata.{field}");
        }
    }
}

#[test]
fn every_object_is_what_its_schema_asks_for() {
    // What people write by hand; the operator writes the others.
    let by_hand = ["Rollout", "MetricsProvider", "NotificationSink", "Intervention", "Reclassification"];
    let scopes: BTreeMap<String, bool> = sluice::crds::all()
        .unwrap()
        .into_iter()
        .map(|(_, definition)| (definition.spec.names.kind, definition.spec.scope == "Namespaced"))
        .collect();
    for Document { file, object } in ours() {
        let kind = object["kind"].as_str().unwrap();
        assert_eq!(object["apiVersion"], "sluice.dev/v1alpha1", "{file}");
        assert!(by_hand.contains(&kind), "{file}: nobody writes a {kind} by hand");
        let whole = object["metadata"]["namespace"].is_string() == scopes[kind] || kustomized(&file);
        assert!(whole, "{file}: {kind} and its namespace");
        for field in object.as_object().unwrap().keys() {
            let written = ["apiVersion", "kind", "metadata", "spec"];
            assert!(written.contains(&field.as_str()), "{file}: {field} is nothing that people write");
        }
        assert!(object["spec"].is_object(), "{file}: no spec");
        assert_eq!(schema::complaints(&object), [""; 0], "{file}");
    }
}

#[test]
fn what_the_schema_cannot_say_is_sound_too() {
    for Document { file, object } in ours().into_iter().filter(|one| one.object["kind"] == "Rollout") {
        let rollout: Rollout = serde_json::from_value(object).unwrap();
        let mut world = World::new();
        world.settle(3);
        // The world has one workload, which is called shop.
        world.spec.waves = rollout.spec.waves;
        world.spec.analysis = rollout.spec.analysis;
        world.spec.schedule = rollout.spec.schedule;
        world.spec.error_budget = rollout.spec.error_budget;
        world.settle(3);
        assert_eq!(world.status.phase, Phase::Stable, "{file}: {}", world.status.message);
    }
}

#[test]
fn names_in_one_folder_fit_together() {
    for Document { file, object } in ours().into_iter().filter(|one| one.object["kind"] == "Rollout") {
        if kustomized(&file) {
            continue;
        }
        let folder = file.rsplit_once('/').unwrap().0.to_owned();
        let rollout: Rollout = serde_json::from_value(object.clone()).unwrap();
        let near: Vec<Document> = files::objects()
            .into_iter()
            .filter(|other| [folder.as_str(), "minimal"].iter().any(|of| other.file.starts_with(&format!("{of}/"))))
            .collect();
        let there = |kind: &str, name: &str| {
            near.iter().any(|other| {
                other.object["kind"] == kind
                    && other.object["metadata"]["name"] == name
                    && other.object["metadata"]["namespace"] == object["metadata"]["namespace"]
            })
        };
        let traffic = &rollout.spec.traffic;
        assert!(there("Deployment", &rollout.spec.target_ref.name), "{file}: the Deployment");
        assert!(there("Service", &traffic.stable_service), "{file}: the Service");
        for route in &traffic.routes {
            assert!(there(route.kind.word(), &route.name), "{file}: {} {}", route.kind, route.name);
        }
    }
}

#[test]
fn a_limit_for_latency_is_an_edge_that_the_documentation_names() {
    let page = read(&files::root().join("../docs/data-planes.md"));
    let rows: Vec<&str> = page.split("## Slow requests").nth(1).unwrap().lines().take(20).collect();
    let mut seen = 0;
    for Document { file, object } in ours() {
        for signal in object["spec"]["analysis"]["signals"].as_array().into_iter().flatten() {
            let (source, over) = (signal["latency"]["source"].as_str(), signal["latency"]["over"].as_str());
            let (Some(source), Some(over)) = (source.filter(|source| *source != "Query"), over) else { continue };
            let row = rows.iter().find(|row| row.contains(&format!("`{source}`"))).expect(source);
            let edges = row.split([' ', ',', '|']).any(|edge| edge == over);
            assert!(edges, "{file}: {over} is no edge of {source}: {row}");
            seen += 1;
        }
    }
    assert!(seen >= 7, "{seen}");
}

#[test]
fn alertmanager_routes_by_team() {
    let Some(amtool) = tool("amtool", "alertmanager_routes_by_team") else { return };
    let file = format!("--config.file={}", files::root().join("alertmanager-by-team/alertmanager.yml").display());
    for (labels, receiver) in [
        (vec!["team=payments", "severity=critical"], "payments-pager"),
        (vec!["team=payments", "severity=warning"], "payments-channel"),
        (vec!["team=platform", "severity=critical"], "platform"),
    ] {
        let output = Command::new(&amtool).args(["config", "routes", "test", &file]).args(&labels).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.trim(), receiver, "{labels:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_chart_takes_the_values() {
    let Some(helm) = tool("helm", "the_chart_takes_the_values") else { return };
    for (file, _) in NO_OBJECTS.iter().filter(|(_, reader)| *reader == "helm") {
        let values = files::root().join(file);
        let chart = files::root().join("../deploy/chart/sluice");
        let output = Command::new(&helm)
            .args(["template", "sluice"])
            .arg(chart)
            .args(["--namespace=sluice-system", "--kube-version=1.36", "--values"])
            .arg(values)
            .output()
            .unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        let made = String::from_utf8_lossy(&output.stdout).into_owned();
        match *file {
            "helm-values/namespaced.yaml" => assert!(made.contains("namespace: team-a"), "{made}"),
            "helm-values/resting-gate.yaml" => assert!(!made.contains("kind: MutatingAdmissionPolicy\n")),
            _ => assert!(made.contains("registry.example.com/sluice@sha256:") && made.contains("kind: PrometheusRule")),
        }
    }
}
