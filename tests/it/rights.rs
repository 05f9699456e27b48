//! The manifests and docs/rights.md are what the table in `src/rights` says.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;
use sluice::rights::{self, RIGHTS, Scope};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn documents(text: &str) -> Vec<Value> {
    let documents = text.split("---\n").map(|document| serde_saphyr::from_str::<Value>(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

#[test]
fn the_manifests_are_what_the_table_says() {
    for (file, text) in rights::manifests() {
        assert!(
            read(&format!("deploy/{file}")) == text,
            "deploy/{file} is not what src/rights says; run `make rights`"
        );
    }
}

#[test]
fn the_document_is_what_the_table_says() {
    assert!(
        read("docs/rights.md") == rights::markdown(),
        "docs/rights.md is not what src/rights says; run `make rights`"
    );
}

/// Group, resource, verb, names, and whether the role holds in one namespace alone.
type Granted = (String, String, String, Vec<String>, bool);

/// What the roles of these files grant, and that each is bound to the operator.
fn granted(files: &[&str]) -> Vec<Granted> {
    let mut all = Vec::new();
    for file in files {
        let documents = documents(&read(&format!("deploy/{file}")));
        for role in documents.iter().filter(|one| one["rules"].is_array()) {
            let (kind, name) = (role["kind"].as_str().unwrap(), &role["metadata"]["name"]);
            let bound = documents.iter().any(|one| {
                one["kind"] == format!("{kind}Binding")
                    && one["metadata"]["namespace"] == role["metadata"]["namespace"]
                    && one["roleRef"]["kind"] == kind
                    && one["roleRef"]["name"] == *name
                    && one["subjects"]
                        == serde_json::json!([{"kind": "ServiceAccount", "name": "sluice", "namespace": "sluice-system"}])
            });
            assert!(bound, "{file}: {kind} {name} is not bound to the operator");
            for rule in role["rules"].as_array().unwrap() {
                let words = |field: &str| -> Vec<String> {
                    let words = rule[field].as_array().into_iter().flatten();
                    words.map(|word| word.as_str().unwrap().to_owned()).collect()
                };
                for group in words("apiGroups") {
                    for resource in words("resources") {
                        for verb in words("verbs") {
                            all.push((group.clone(), resource.clone(), verb, words("resourceNames"), kind == "Role"));
                        }
                    }
                }
            }
        }
    }
    all.sort();
    all
}

fn of_table(scopes: &[Scope], in_namespace: bool) -> Vec<Granted> {
    let mut all = Vec::new();
    for right in RIGHTS.iter().filter(|right| scopes.contains(&right.scope)) {
        let names: Vec<String> = right.names.iter().map(|name| (*name).to_owned()).collect();
        for resource in right.resources {
            for verb in right.verbs {
                let (group, resource, verb) = (right.group.to_owned(), (*resource).to_owned(), (*verb).to_owned());
                all.push((group, resource, verb, names.clone(), in_namespace));
            }
        }
    }
    all
}

const BY_DEFAULT: [&str; 3] = ["base/rbac.yaml", "components/httproutes/rbac.yaml", "components/grpcroutes/rbac.yaml"];

/// Read by themselves: the renderer is not asked what it meant.
#[test]
fn what_is_installed_by_default_grants_the_whole_table_and_nothing_else() {
    let mut table = of_table(&[Scope::Cluster, Scope::Watched], false);
    table.extend(of_table(&[Scope::Own], true));
    table.sort();
    assert_eq!(granted(&BY_DEFAULT), table);
}

#[test]
fn in_a_watched_namespace_the_same_is_granted_there_alone() {
    let mut table = of_table(&[Scope::Watched], true);
    table.sort();
    assert_eq!(granted(&["components/namespaced/rbac.yaml"]), table);
    let names = |file: &str, kind: &str| -> BTreeSet<String> {
        let documents = documents(&read(&format!("deploy/{file}")));
        let all = documents.iter().filter(|one| one["kind"] == kind);
        all.map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    // The same names: what takes their place is easily found.
    let mut replaced: BTreeSet<String> = BY_DEFAULT.iter().flat_map(|file| names(file, "ClusterRole")).collect();
    assert!(replaced.remove("sluice-cluster"));
    assert_eq!(names("components/namespaced/rbac.yaml", "Role"), replaced);
    assert!(names("components/namespaced/rbac.yaml", "ClusterRole").is_empty());
    for document in documents(&rights::in_namespace("payments")) {
        assert_eq!(document["metadata"]["namespace"], "payments");
    }
}

/// A kind in no namespace cannot be granted by a Role.
#[test]
fn the_scope_of_our_own_kinds_is_that_of_their_definitions() {
    for (_, definition) in sluice::crds::all().unwrap() {
        let plural = definition.spec.names.plural.as_str();
        let cluster = definition.spec.scope == "Cluster";
        let rows: Vec<_> = RIGHTS
            .iter()
            .filter(|right| right.group == "sluice.dev")
            .filter(|right| right.resources.iter().any(|one| one.split('/').next() == Some(plural)))
            .collect();
        assert!(!rows.is_empty(), "{plural} is in no row");
        assert!(rows.iter().all(|right| (right.scope == Scope::Cluster) == cluster), "{plural}");
    }
}

#[test]
fn people_may_read_every_kind_of_ours() {
    let viewer = rights::people::ROLES.iter().find(|role| role.with.contains(&"view")).unwrap();
    let read: BTreeSet<&str> = viewer.rules.iter().flat_map(|rule| rule.resources.iter().copied()).collect();
    let kinds = sluice::crds::all().unwrap();
    let all: BTreeSet<&str> = kinds.iter().map(|(_, definition)| definition.spec.names.plural.as_str()).collect();
    assert_eq!(read, all);
}
