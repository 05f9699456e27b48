//! Every alert leads somewhere, and docs/monitoring.md speaks of what there is.

use std::collections::BTreeSet;

use super::told::Told;
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

#[test]
fn every_family_has_its_row() {
    let page = text("docs/monitoring.md");
    let rows: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `sluice_")?.split('`').next()).collect();
    let told = Told::known();
    // Of no write a family is told before the first.
    told.metrics.wrote("label");
    let told = told.read();
    let named = |(family, kind): (&String, &String)| {
        let suffix = match kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        format!("{}{suffix}", family.strip_prefix("sluice_").unwrap())
    };
    let families: BTreeSet<String> = told.families.iter().map(named).collect();
    assert_eq!(rows, families.iter().map(String::as_str).collect(), "rows of docs/monitoring.md and what is told");
}
