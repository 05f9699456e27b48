//! Every alert leads somewhere, and docs/monitoring.md and docs/reference/metrics.md speak of what there is.

use std::collections::BTreeSet;

use serde_json::json;
use sluice::reference::FAMILIES;

use super::delivery::{history, now};
use super::told::{Told, put, shop, sink};
use super::{alerts, path, text};

#[test]
fn every_alert_says_what_it_is_and_leads_somewhere() {
    let boards: Vec<String> = monitoring::dashboards()
        .iter()
        .map(|(_, dashboard)| format!("d/{}", dashboard["uid"].as_str().unwrap()))
        .collect();
    let page = text("docs/monitoring.md");
    for (alert, rule) in alerts() {
        let annotation = |name: &str| rule["annotations"][name].as_str().unwrap_or_else(|| panic!("{alert}: {name}"));
        assert!(annotation("summary").len() > 10 && annotation("description").len() > 10, "{alert}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}: {severity}");
        // Whose it is comes from the Rollout, or is said.
        let expression = rule["expr"].as_str().unwrap();
        assert!(expression.contains("team") || rule["labels"]["team"] == "platform", "{alert}: nobody's");
        assert_eq!(annotation("runbook_url"), format!("docs/runbooks/{alert}.md"));
        let runbook = text(annotation("runbook_url"));
        assert!(
            runbook.starts_with(&format!("# {alert}\n")) && runbook.contains("```"),
            "{alert}: no page with commands"
        );
        let board = annotation("dashboard_url").split('?').next().unwrap();
        assert!(boards.iter().any(|known| known == board), "{alert}: {board}");
        let row = page.lines().find(|line| line.starts_with(&format!("| [`{alert}`](runbooks/{alert}.md) |")));
        let row = row.unwrap_or_else(|| panic!("docs/monitoring.md has no row for {alert}"));
        assert!(row.contains(&format!("| {severity} |")), "{row}");
    }
    let pages = std::fs::read_dir(path("docs/runbooks")).unwrap().map(|entry| entry.unwrap().file_name());
    let pages: BTreeSet<String> = pages.map(|name| name.into_string().unwrap()).collect();
    let alerts: BTreeSet<String> = alerts().into_iter().map(|(alert, _)| format!("{alert}.md")).collect();
    assert_eq!(pages, alerts, "one page per alert, and none besides");
}

/// The name of a family in a query.
fn queried(family: &str, kind: &str) -> String {
    let suffix = match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    };
    format!("{family}{suffix}")
}

#[test]
fn every_family_has_its_row() {
    let page = text("docs/reference/metrics.md");
    let rows: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let told = Told::known();
    // Of no write a family is told before the first.
    told.metrics.wrote("label");
    let told = told.read();
    let families: BTreeSet<String> = told.families.iter().map(|(family, kind)| queried(family, kind)).collect();
    assert_eq!(
        rows,
        families.iter().map(String::as_str).collect(),
        "rows of docs/reference/metrics.md and what is told"
    );
    // And what the pages beside it speak of is told.
    let word = regex::Regex::new("`(sluice_[a-z_]+)[`{]").unwrap();
    let beside = text("docs/monitoring.md");
    for name in word.captures_iter(&beside).map(|found| found[1].to_owned()) {
        assert!(families.contains(&name), "docs/monitoring.md: {name} is not told");
    }
}

/// Each series that is told has the labels of its row, in every family.
#[tokio::test]
async fn every_row_has_the_labels_that_are_told() {
    let mut told = history(&["cart"]);
    put(
        &mut told.providers,
        json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "MetricsProvider", "metadata": {"name": "cluster"},
            "spec": {"address": "http://prometheus:9090"}}),
    );
    put(&mut told.sinks, sink("chat", json!(null)));
    put(&mut told.rollouts, shop());
    let with = |name: &str, run: serde_json::Value, watching: serde_json::Value| {
        let mut one = shop();
        one["metadata"]["name"] = json!(name);
        for (field, value) in run.as_object().unwrap() {
            one["status"]["run"][field] = value.clone();
        }
        one["status"]["watching"] = watching;
        one
    };
    let rolling = json!({"step": "Promoting", "effectiveWeight": 60});
    let at = "2026-01-01T12:00:00Z";
    let escaped = json!({"release": "shop-4", "revision": "a", "since": at,
        "escaped": {"at": at, "signal": "hard", "message": "harm"}});
    let bypassed = json!({"step": "Done", "outcome": "Bypassed", "times": {"verdictAt": at}});
    put(&mut told.rollouts, with("rolling", rolling, escaped));
    put(&mut told.rollouts, with("bypassed", bypassed, json!(null)));
    told.metrics.wrote("label");
    told.delivery.count(now()).await;
    let read = told.read();
    for family in FAMILIES {
        let wanted: BTreeSet<&str> = family.labels.iter().copied().collect();
        let of = |name: &str| {
            name == family.name || ["_count", "_sum"].iter().any(|end| name == format!("{}{end}", family.name))
        };
        let samples: Vec<_> = read.samples.iter().filter(|sample| of(&sample.name)).collect();
        assert!(!samples.is_empty(), "{} is not told of these objects", family.name);
        for sample in samples {
            let has: BTreeSet<&str> = sample.labels.keys().map(String::as_str).collect();
            assert_eq!(has, wanted, "{}", family.name);
        }
    }
}
