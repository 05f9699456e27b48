//! What people install: `deploy/install.yaml`, the kustomize components and the chart are the same objects, held
//! together by what kubectl and helm make of them.

mod chart;
mod components;
mod install;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testbed::parts::Parts;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The objects of a text.
fn objects(text: &str) -> Vec<Value> {
    let documents = text.strip_prefix("---\n").unwrap_or(text).split("\n---\n");
    let read = |document: &str| {
        serde_saphyr::from_str::<Value>(document).unwrap_or_else(|error| panic!("{error} in\n{document}"))
    };
    documents.map(read).filter(|document| !document.is_null()).collect()
}

/// Those of a kind.
fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// Kind, namespace and name.
fn key(object: &Value) -> (String, String, String) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (word(&object["kind"]), word(&object["metadata"]["namespace"]), word(&object["metadata"]["name"]))
}

/// Which objects only one of two has, and which are not the same in both, but for what Helm adds to all of its own and
/// kustomize to all of one kustomization. The Namespace is Helm's user's own.
fn differences(one: Vec<Value>, other: Vec<Value>) -> Vec<String> {
    let plain = |objects: Vec<Value>| -> BTreeMap<_, Value> {
        let kept = objects.into_iter().filter(|one| one["kind"] != "Namespace");
        let kept = kept.filter(|one| one["metadata"]["annotations"]["helm.sh/hook"].is_null());
        kept.map(|mut object| {
            for (field, names) in [
                ("labels", ["app.kubernetes.io/managed-by", "helm.sh/chart", "app.kubernetes.io/part-of"].as_slice()),
                ("annotations", ["helm.sh/resource-policy"].as_slice()),
            ] {
                if let Some(map) = object["metadata"].get_mut(field).and_then(Value::as_object_mut) {
                    map.retain(|name, _| !names.contains(&name.as_str()));
                    if map.is_empty() {
                        object["metadata"].as_object_mut().unwrap().remove(field);
                    }
                }
            }
            // kustomize puts an empty line before a line of a folded text that is indented: the same PromQL.
            if object["kind"] == "PrometheusRule" {
                object = serde_json::from_str(&object.to_string().replace("\\n\\n", "\\n")).unwrap();
            }
            (key(&object), object)
        })
        .collect()
    };
    let (one, other) = (plain(one), plain(other));
    let keys: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    let differ = keys.into_iter().filter(|key| one.get(*key) != other.get(*key));
    differ.map(|key| format!("{key:?}: {} and {}", one.contains_key(key), other.contains_key(key))).collect()
}

fn environment(deployment: &Value) -> Vec<(String, Value)> {
    let all = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().iter();
    all.map(|one| (one["name"].as_str().unwrap().to_owned(), one["value"].clone())).collect()
}

/// A program such as kubectl or helm as the testbed has it: another version may write the same objects in other words.
/// `None` where it is not in the cache and need not be.
pub fn tool(name: &str, test: &str) -> Option<PathBuf> {
    let required = std::env::var("SLUICE_REQUIRE_CLUSTER").as_deref() == Ok("1");
    let found = Parts::tool(name, required);
    assert!(!required || found.as_ref().is_ok_and(Option::is_some), "{test}: {name} is required: {found:?}");
    let found = found.ok().flatten();
    if found.is_none() {
        eprintln!(
            "{test} skipped: {name} is not in the testbed's cache (`make up` or `testbed tool {name}` fetches it)"
        );
    }
    found
}

/// What a program prints, or what it complains about.
fn run(program: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(said(&output.stdout)) } else { Err(said(&output.stderr)) }
}

/// An empty folder of a test.
fn scratch(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("sluice-packaging-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}
