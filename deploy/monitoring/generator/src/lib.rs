//! What is generated in `deploy/monitoring`: the dashboards, and the rules as an object of the Prometheus operator.
//!
//! Owns the queries and the look of the dashboards. The rules themselves are in `alerts.yaml` and are not changed here.

mod board;
mod delivery;
mod fleet;
mod operator;
mod rollout;

use serde_json::Value;

/// The file of rules that all else is made of.
pub const RULES: &str = "alerts.yaml";

/// A folder's worth of files: where each goes, relative to `deploy/monitoring`, and what is in it.
pub fn files(rules: &str) -> Vec<(&'static str, String)> {
    let mut files = vec![("prometheusrule.yaml", rule_object(rules))];
    files.extend(dashboards().into_iter().map(|(name, dashboard)| (name, format!("{dashboard:#}\n"))));
    files
}

/// Every dashboard and its file.
pub fn dashboards() -> [(&'static str, Value); 4] {
    [
        ("dashboards/sluice-fleet.json", fleet::dashboard()),
        ("dashboards/sluice-rollout.json", rollout::dashboard()),
        ("dashboards/sluice-delivery.json", delivery::dashboard()),
        ("dashboards/sluice-operator.json", operator::dashboard()),
    ]
}

/// The same rules, line by line, as a PrometheusRule.
fn rule_object(rules: &str) -> String {
    let mut text = String::from(
        "# Generated from alerts.yaml by `make monitoring`.\n\
         apiVersion: monitoring.coreos.com/v1\n\
         kind: PrometheusRule\n\
         metadata:\n  name: sluice\n  namespace: sluice-system\n  labels: {app.kubernetes.io/name: sluice}\n\
         spec:\n",
    );
    for line in rules.lines().skip_while(|line| line.starts_with('#')) {
        if !line.is_empty() {
            text.push_str("  ");
            text.push_str(line);
        }
        text.push('\n');
    }
    text
}
