//! What docs/security.md promises and no other test holds; and that what it names is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use sluice::rights::RIGHTS;
use sluice::rights::people::ROLES;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Status and records are the operator's, addresses and credentials the platform admin's.
#[test]
fn no_role_for_people_writes_providers_sinks_status_or_records() {
    for role in ROLES {
        for rule in role.rules.iter().filter(|rule| rule.verbs != ["get", "list", "watch"]) {
            for resource in rule.resources {
                let theirs = ["rollouts", "interventions", "postmortems", "reclassifications"];
                assert!(theirs.contains(resource), "{} may {:?} {resource}", role.name, rule.verbs);
            }
        }
    }
}

#[test]
fn the_operator_has_no_right_to_identities_nodes_commands_or_policies() {
    for right in RIGHTS {
        let groups =
            ["rbac.authorization.k8s.io", "authentication.k8s.io", "certificates.k8s.io", "apiextensions.k8s.io"];
        assert!(!groups.contains(&right.group), "{right:?}");
        for resource in right.resources {
            let others = ["serviceaccounts", "nodes", "configmaps", "namespaces", "persistentvolumes", "jobs"];
            assert!(!others.contains(resource), "{right:?}");
            // No exec, attach, portforward, proxy, token, ephemeralcontainers: the status of our own kinds alone.
            let (_, subresource) = resource.split_once('/').unwrap_or((resource, ""));
            assert!(subresource.is_empty() || (subresource == "status" && right.group == "sluice.dev"), "{right:?}");
        }
        for verb in right.verbs {
            let others = ["impersonate", "escalate", "bind", "deletecollection", "approve", "promote", "breakglass"];
            assert!(!others.contains(verb), "{right:?}");
        }
        let policies = right.group == "admissionregistration.k8s.io";
        assert!(!policies || right.verbs == ["list", "watch"], "{right:?}");
    }
}

/// Whether a schema has a property of this name anywhere.
fn has_property(schema: &Value, name: &str) -> bool {
    match schema {
        Value::Object(fields) => {
            fields.get("properties").and_then(|all| all.get(name)).is_some()
                || fields.values().any(|value| has_property(value, name))
        }
        Value::Array(items) => items.iter().any(|value| has_property(value, name)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// What a Rollout, or a person, names is in the same namespace: there is no field to say another.
#[test]
fn nothing_that_users_write_names_another_namespace_an_address_or_a_secret() {
    for (file, definition) in sluice::crds::all().unwrap() {
        if !["rollouts.yaml", "interventions.yaml", "reclassifications.yaml", "postmortems.yaml"].contains(&file) {
            continue;
        }
        let definition = serde_json::to_value(definition).unwrap();
        let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        assert!(has_property(spec, "rollout") || has_property(spec, "targetRef") || has_property(spec, "release"));
        for word in ["namespace", "address", "url", "secretRef", "headers", "serviceAccountName", "template"] {
            assert!(!has_property(spec, word), "{file}: spec has a field {word}");
        }
    }
}

/// Nobody logs in, and nothing can be asked for but three pages.
#[test]
fn the_server_of_the_operator_has_three_pages_to_read() {
    let text = read("src/server.rs");
    let routes: Vec<&str> = text.lines().map(str::trim).filter(|line| line.starts_with(".route(")).collect();
    assert_eq!(routes.len(), 3, "{routes:?}");
    assert!(routes.iter().all(|route| route.contains(", get(")), "{routes:?}");
    assert!(!text.contains(".nest(") && !text.contains("fallback"), "another way in");
}

/// Headings as links name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| -> String {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title.chars().filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_of_these_pages_leads_somewhere() {
    let link = regex::Regex::new(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)").unwrap();
    for page in ["docs/rights.md", "docs/security.md", "SECURITY.md"] {
        let text = read(page);
        for found in link.captures_iter(&text).filter(|found| !found[1].contains("://")) {
            let target = match &found[1] {
                "" => root().join(page),
                file => root().join(page).parent().unwrap().join(file),
            };
            assert!(target.exists(), "{page} links to {}, which does not exist", &found[1]);
            if let Some(anchor) = found.get(2) {
                let there = std::fs::read_to_string(&target).unwrap();
                let anchor = anchor.as_str();
                assert!(anchors(&there).contains(anchor), "{page}: no heading {}#{anchor}", &found[1]);
            }
        }
    }
}

/// The functions of a file, or of all files of a folder.
fn functions(path: &Path) -> BTreeSet<String> {
    let mut files = vec![path.with_extension("rs")];
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let name = regex::Regex::new(r"(?m)^\s*(?:async )?fn ([a-z0-9_]+)").unwrap();
    let texts = files.iter().filter(|file| file.extension().is_some_and(|end| end == "rs"));
    let texts: Vec<String> = texts.filter_map(|file| std::fs::read_to_string(file).ok()).collect();
    texts.iter().flat_map(|text| name.captures_iter(text)).map(|found| found[1].to_owned()).collect()
}

/// Pages that name the tests which show what they say, each with how many it names at least.
const PAGES: &[(&str, usize)] =
    &[("docs/security.md", 30), ("docs/failure-modes.md", 100), ("docs/why-not-moving.md", 5)];

/// Tests are named there as `FILE::TEST`, the file below `src/` or `tests/`.
#[test]
fn every_test_that_a_page_names_exists() {
    let named = regex::Regex::new(r"`([a-z0-9_/]+)::([a-z0-9_]+)`").unwrap();
    for (page, least) in PAGES {
        let text = read(page);
        let all: Vec<_> = named.captures_iter(&text).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
        assert!(all.len() >= *least, "{} tests are named in {page}", all.len());
        for (file, test) in all {
            let there =
                ["src", "tests"].iter().any(|folder| functions(&root().join(folder).join(&file)).contains(&test));
            assert!(there, "{page} names the test {test}, which is not in {file}");
        }
    }
}
