//! The closed lists of words and moves are what the code says, and what the documents say.

use std::collections::BTreeSet;
use std::path::Path;

use sluice::decide::{reasons, steps};

/// Words of other programs, and what an event was doing; no reasons of ours.
const OTHERS: &[&str] = &[
    "Adopt",
    "Bake",
    "Check",
    "End",
    "Gate",
    "Intervene",
    "Judge",
    "Leave",
    "Promote",
    "Scale",
    "Shift",
    "Wait",
    "Watch",
    "ContainerCreating",
    "Deployment",
    "DoesNotExist",
    "Egress",
    "ErrImageNeverPull",
    "Exists",
    "Image",
    "In",
    "Ingress",
    "InvalidImageName",
    "Kong",
    "Cilium",
    "Contour",
    "Istio",
    "Linkerd",
    "Traefik",
    "NetworkPolicy",
    "NotIn",
    "PodInitializing",
    "RollingUpdate",
    "Rollout",
    "Service",
];

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// Every word in CamelCase that production code of `decide` has as a text, beside the list itself.
fn words() -> BTreeSet<String> {
    let word = regex::Regex::new("\"([A-Z][A-Za-z]*[a-z][A-Za-z]*)\"").unwrap();
    let mut words = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/decide")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && !["tests", "reasons"].contains(&name.as_str()) {
                folders.push(path);
            } else if name.ends_with(".rs") && !["tests.rs", "hostile.rs"].contains(&name.as_str()) {
                let text = std::fs::read_to_string(&path).unwrap();
                let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                for line in production.lines().filter(|line| !line.trim_start().starts_with("//")) {
                    words.extend(word.captures_iter(line).map(|found| found[1].to_owned()));
                }
            }
        }
    }
    words
}

#[test]
fn every_word_of_decide_is_in_the_list_and_every_entry_is_used() {
    let words = words();
    assert!(words.len() > 100, "{} words were found", words.len());
    let listed: BTreeSet<String> = reasons::REASONS.iter().map(|reason| reason.name.to_owned()).collect();
    assert_eq!(listed.len(), reasons::REASONS.len(), "a reason is listed twice");
    let missing: Vec<_> =
        words.iter().filter(|word| !listed.contains(*word) && !OTHERS.contains(&word.as_str())).collect();
    assert!(missing.is_empty(), "not in src/decide/reasons/list.rs: {missing:?}");
    let unused: Vec<_> = listed.iter().filter(|name| !words.contains(*name)).collect();
    assert!(unused.is_empty(), "listed, but nothing says it: {unused:?}");
    let stale: Vec<_> = OTHERS.iter().filter(|word| !words.contains(**word)).collect();
    assert!(stale.is_empty(), "not in the code any more: {stale:?}");
}

#[test]
fn the_document_is_what_the_list_says() {
    assert!(read("docs/reasons.md") == reasons::markdown(), "docs/reasons.md is behind the code; run `make reasons`");
}

/// Whoever waits finds the word that is shown on the page that says who can end it.
#[test]
fn every_reason_to_stand_still_is_on_the_page_that_says_who_can_end_it() {
    let page = read("docs/why-not-moving.md");
    let still = |reason: &&reasons::Reason| match reason.kind {
        reasons::Kind::Refusal | reasons::Kind::Hold | reasons::Kind::Blind => true,
        reasons::Kind::Going | reasons::Kind::End | reasons::Kind::Event => false,
    };
    let rows: String = page.lines().filter(|line| line.starts_with("| `")).collect();
    let missing: Vec<_> = reasons::REASONS
        .iter()
        .filter(still)
        .map(|reason| reason.name)
        .filter(|name| !rows.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "docs/why-not-moving.md has no row for {missing:?}");
}

#[test]
fn the_diagram_is_what_the_code_says() {
    let document = read("docs/concepts.md");
    let diagram = document.split("```mermaid\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert_eq!(diagram, steps::diagram(), "docs/concepts.md is behind the code; paste what `sluice steps` prints");
}
