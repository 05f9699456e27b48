//! The pages of docs/reference are what the code says, and their lists are all there is.

use std::collections::BTreeSet;

use regex::Regex;
use serde_json::Value;
use sluice::crds;
use sluice::decide::reasons::REASONS;
use sluice::reference::{TOLD, Type, When, pages};

use super::architecture::{call_at, code, sources};

fn read(file: &str) -> String {
    std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_pages_are_what_the_code_says() {
    for (file, text) in pages().unwrap() {
        assert!(read(&format!("docs/reference/{file}")) == text, "docs/reference/{file}: run `make reference`");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference");
    let there = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let known = pages().unwrap().into_iter().map(|(file, _)| file.to_owned());
    assert_eq!(there.collect::<BTreeSet<_>>(), known.collect(), "pages and files");
}

/// Reasons with their severities, as the code has them at the places that tell an event.
fn places() -> (BTreeSet<(String, &'static str)>, BTreeSet<String>) {
    let call = Regex::new(r"\.(notify|log)\(").unwrap();
    let doing = "Adopt|Bake|Check|End|Gate|Intervene|Judge|Leave|Promote|Scale|Shift|Wait|Watch";
    let reason = Regex::new(&format!(r#"([\w&.()"]+),\s*"(?:{doing})""#)).unwrap();
    let turn = Regex::new(r#"\("(\w+)", Severity::(Normal|Warning)\)"#).unwrap();
    let severities = |text: &str| {
        let fixed = ["Normal", "Warning"].into_iter().find(|word| text.contains(&format!("Severity::{word},")));
        fixed.map_or_else(|| vec!["Normal", "Warning"], |word| vec![word])
    };
    let (mut literal, mut computed) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in sources("src/decide") {
        if path.ends_with("tests.rs") || path.components().any(|part| part.as_os_str() == "tests") {
            continue;
        }
        let production = code(&text).collect::<Vec<_>>().join("\n");
        for found in call.find_iter(&production) {
            let said = call_at(&production[found.start()..]);
            let Some(reason) = reason.captures(said).map(|found| found[1].to_owned()) else {
                // `Draft::log` hands on what it was given.
                assert!(said.contains("severity, key, reason, action"), "{}: {said}", path.display());
                continue;
            };
            match reason.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
                Some(word) => literal.extend(severities(said).into_iter().map(|severity| (word.to_owned(), severity))),
                None => drop(computed.insert(format!("{}: {reason}", path.file_name().unwrap().display()))),
            }
        }
        for found in turn.captures_iter(&production) {
            literal.insert((found[1].to_owned(), if &found[2] == "Normal" { "Normal" } else { "Warning" }));
        }
    }
    (literal, computed)
}

#[test]
fn every_place_that_tells_an_event_is_on_the_page_and_every_event_has_its_place() {
    let (mut places, computed) = places();
    // These take a list of its own each: turns of the budget, outcomes, reasons of waiting.
    let known = ["draft.rs: outcome_word(outcome)", "mod.rs: reason", "report.rs: &reason"];
    assert_eq!(computed, known.map(str::to_owned).into(), "a place whose reason is not a literal");
    assert!(
        read("src/decide/drafted.rs").contains("severity: Severity::Normal,\n        reason: \"PostmortemDrafted\"")
    );
    places.insert(("PostmortemDrafted".to_owned(), "Normal"));

    let of_outcome = |reason: &str| TOLD.iter().any(|told| told.when == When::End && told.reason == reason);
    let listed = TOLD.iter().filter(|told| told.reason == "RecurringDefect" || told.when != When::End);
    let listed: BTreeSet<(String, &str)> = listed
        .flat_map(|told| {
            let severities: &[&str] = match told.of_type {
                Type::Normal => &["Normal"],
                Type::Warning => &["Warning"],
                Type::WarningIf(_) => &["Normal", "Warning"],
            };
            severities.iter().map(|severity| (told.reason.to_owned(), *severity)).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(places, listed, "places in src/decide, and src/reference/events.rs");

    let draft = read("src/decide/draft.rs");
    let outcome = Regex::new(r#"Outcome::\w+ => "(\w+)""#).unwrap();
    let outcomes: BTreeSet<String> = outcome.captures_iter(&draft).map(|found| found[1].to_owned()).collect();
    assert_eq!(outcomes.len(), 8, "{outcomes:?}");
    // An attempt that escaped had ended before, as promoted.
    assert!(outcomes.iter().all(|word| word == "Escaped" || of_outcome(word)), "{outcomes:?}");
    let ends = TOLD.iter().filter(|told| told.when == When::End && told.reason != "RecurringDefect");
    assert!(ends.into_iter().all(|told| outcomes.contains(told.reason)));
}

#[test]
fn every_word_of_the_pages_is_a_reason() {
    let known = |word: &str| REASONS.iter().any(|reason| reason.name == word);
    for told in TOLD {
        assert!(known(told.reason), "{}", told.reason);
    }
    assert_eq!(TOLD.iter().map(|told| told.reason).collect::<BTreeSet<_>>().len(), TOLD.len(), "told twice");
    let page = read("docs/reference/conditions.md");
    let word = Regex::new("`([A-Z][A-Za-z]+)`").unwrap();
    let rows =
        page.lines().filter(|line| ["| True |", "| False |", "| Unknown |"].iter().any(|of| line.starts_with(of)));
    for row in rows {
        let reasons = row.rsplit(" | ").next().unwrap();
        assert!(word.is_match(reasons) || reasons.contains("reasons.md#"), "{row}");
        for found in word.captures_iter(reasons) {
            assert!(known(&found[1]), "{}: {row}", &found[1]);
        }
    }
}

#[test]
fn the_page_has_every_condition_and_the_resources_without_any() {
    let page = read("docs/reference/conditions.md");
    let mut with = Vec::new();
    for (_, definition) in crds::all().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        let status = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"];
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        let conditions = &status["properties"]["conditions"];
        if conditions.is_null() {
            let row = page.lines().find(|line| line.starts_with("| ") && line.contains(&kind));
            let row = row.unwrap_or_else(|| panic!("{kind} is not on docs/reference/conditions.md"));
            assert_eq!(row.contains("no status"), status.is_null(), "{row}");
            continue;
        }
        for name in conditions["items"]["properties"]["type"]["enum"].as_array().unwrap() {
            let title = format!("\n## {}\n", name.as_str().unwrap());
            assert!(page.contains(&title), "{title}");
        }
        with.push(kind);
    }
    assert_eq!(with, ["Rollout"], "the page says that only it has conditions");
}

/// Every field under a path, as the page writes it.
fn fields(of: &Value, path: &str, found: &mut Vec<String>) {
    let needed = of["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
    for (name, field) in of["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        found.push(if needed.contains(&name.as_str()) { format!("**`{path}`**") } else { format!("`{path}`") });
        fields(field, &path, found);
    }
    for (name, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if of[name].is_object() {
            fields(&of[name], &format!("{path}{mark}"), found);
        }
    }
}

#[test]
fn the_page_of_the_api_has_every_field_of_every_kind() {
    let page = read("docs/reference/api.md");
    let row = Regex::new(r"(?m)^\| ((?:\*\*)?`(?:spec|status)\.[^`]+`(?:\*\*)?) \|").unwrap();
    for (_, definition) in crds::all().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        let kind = definition["spec"]["names"]["kind"].as_str().unwrap();
        let part = page.split("\n## ").find(|part| part.starts_with(&format!("{kind}\n"))).unwrap();
        let of_fields = part.split(&format!("\n### {kind}: rules")).next().unwrap();
        let rows: Vec<String> = row.captures_iter(of_fields).map(|found| found[1].to_owned()).collect();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let mut wanted = Vec::new();
        for part in ["spec", "status"] {
            fields(&schema[part], part, &mut wanted);
        }
        assert!(wanted.len() > 2);
        assert_eq!(rows, wanted, "{kind}");
    }
}
