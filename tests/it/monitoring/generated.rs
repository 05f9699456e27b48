//! What is generated is what the generator writes, and what it says can be asked: every query parses and names metrics
//! that there are.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use super::told::Told;
use super::{promtool, rules, text, yaml};

const FOLDER: &str = "deploy/monitoring";

/// What Prometheus itself makes of alerts.
const OTHERS: [&str; 1] = ["ALERTS"];

#[test]
fn files_are_what_the_generator_writes() {
    for (name, wanted) in monitoring::files(&text("deploy/monitoring/alerts.yaml")) {
        assert!(text(&format!("{FOLDER}/{name}")) == wanted, "{name}: run `make monitoring`");
    }
}

#[test]
fn the_prometheus_rule_has_the_same_rules() {
    let object = yaml("deploy/monitoring/prometheusrule.yaml");
    assert_eq!(
        (&object["apiVersion"], &object["kind"]),
        (&json!("monitoring.coreos.com/v1"), &json!("PrometheusRule"))
    );
    assert_eq!(object["spec"], yaml("deploy/monitoring/alerts.yaml"));
}

#[test]
fn the_component_takes_the_rules_the_dashboards_and_one_monitor() {
    let component = yaml("deploy/monitoring/kustomization.yaml");
    assert_eq!(component["kind"], "Component");
    assert_eq!(component["resources"], json!(["prometheusrule.yaml", "servicemonitor.yaml"]));
    let options = &component["generatorOptions"];
    assert_eq!(
        (&options["labels"]["grafana_dashboard"], &options["disableNameSuffixHash"]),
        (&json!("1"), &json!(true))
    );
    let maps = component["configMapGenerator"].as_array().unwrap();
    let files: BTreeSet<&str> = maps.iter().map(|map| map["files"][0].as_str().unwrap()).collect();
    assert_eq!(files, monitoring::dashboards().iter().map(|(name, _)| *name).collect());
    let operator = text("deploy/base/operator.yaml");
    for (file, endpoints) in [("servicemonitor.yaml", "endpoints"), ("podmonitor.yaml", "podMetricsEndpoints")] {
        let monitor = yaml(&format!("{FOLDER}/{file}"));
        let endpoint = &monitor["spec"][endpoints][0];
        assert_eq!((&endpoint["honorLabels"], &endpoint["port"]), (&json!(true), &json!("metrics")), "{file}");
        assert_eq!(monitor["spec"]["selector"]["matchLabels"], json!({"app.kubernetes.io/name": "sluice"}), "{file}");
        assert!(
            operator.contains("labels: {app.kubernetes.io/name: sluice}") && operator.contains("name: metrics, port")
        );
    }
}

/// Every value of these names, wherever it is.
fn values(of: &Value, names: &[&str], found: &mut Vec<String>) {
    match of {
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) => found.push(text.clone()),
                    _ => values(value, names, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| values(one, names, found)),
        _ => {}
    }
}

/// Every query of every dashboard and rule, with something in place of its variables.
fn queries() -> Vec<String> {
    let label_values = regex::Regex::new(r"^label_values\((.*), \w+\)$").unwrap();
    let mut found = Vec::new();
    for (_, dashboard) in monitoring::dashboards() {
        values(&dashboard, &["expr"], &mut found);
        let mut definitions = Vec::new();
        values(&dashboard, &["definition"], &mut definitions);
        found.extend(definitions.iter().map(|text| label_values.captures(text).expect(text)[1].to_owned()));
    }
    assert!(found.len() > 60, "{}", found.len());
    values(&json!(rules()), &["expr"], &mut found);
    let variables = [
        ("$__rate_interval", "5m"),
        ("$namespace", "demo"),
        ("$name", "shop"),
        ("$window", "28d"),
        ("$signal", "errors"),
    ];
    for query in &mut found {
        for (variable, value) in variables {
            *query = query.replace(variable, value);
        }
        assert!(!query.contains('$'), "{query}");
    }
    found
}

#[test]
fn every_query_parses() {
    let Some(promtool) = promtool::find("monitoring::generated::every_query_parses") else { return };
    let rules: Vec<Value> = queries()
        .iter()
        .enumerate()
        .map(|(number, query)| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    let file = std::env::temp_dir().join(format!("sluice-queries-{}.yaml", std::process::id()));
    let check = |rules: &[Value]| {
        std::fs::write(&file, json!({"groups": [{"name": "queries", "rules": rules}]}).to_string()).unwrap();
        Command::new(&promtool).args(["check", "rules"]).arg(&file).output().unwrap()
    };
    let output = check(&rules);
    let broken = check(&[json!({"record": "query:0", "expr": "sum by (name (up)"})]);
    drop(std::fs::remove_file(&file));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!broken.status.success(), "promtool parses anything");
}

#[test]
fn every_metric_that_is_asked_for_is_told() {
    let told = Told::known();
    told.metrics.wrote("label");
    let read = told.read();
    let mut known: BTreeSet<String> = read.samples.iter().map(|sample| sample.name.clone()).collect();
    // Only in the step Promoting, after a bypass, after an escape: their families are there without a series.
    known.extend(read.families.iter().filter(|(_, kind)| *kind == "gauge").map(|(name, _)| name.clone()));
    known.extend(OTHERS.map(str::to_owned));
    known.extend(rules().iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())));
    let quoted = regex::Regex::new(r#""[^"]*""#).unwrap();
    let name = regex::Regex::new(r"\b(sluice[a-z0-9_:]*|ALERTS)\b").unwrap();
    for query in queries() {
        let bare = quoted.replace_all(&query, "");
        let named: Vec<&str> = name.find_iter(&bare).map(|found| found.as_str()).collect();
        assert!(!named.is_empty(), "{query}: names no metric");
        for metric in named {
            assert!(known.contains(metric), "{query}: nobody tells {metric}");
        }
    }
}

#[test]
fn dashboards_can_be_pointed_anywhere() {
    for (name, dashboard) in monitoring::dashboards() {
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let called: Vec<&str> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
        assert!(called.starts_with(&["datasource", "namespace"]), "{name}: {called:?}");
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}: {}", panel["title"]);
            }
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{name}: {}", panel["title"]);
        }
    }
}
