//! All Rollouts at a glance: which are under way, which wait and for what, which were taken back.

use serde_json::Value;

use crate::board::{self, datasource, lines, mark, namespaces, stat, table};

const UNDER_WAY: &str = "Preflight|Starting|Shifting|Baking|Held|Promoting|Settling|RollingBack|Withdrawing";

/// How many Rollouts are in one of these phases.
fn in_phase(phases: &str) -> String {
    format!(
        "count(max by (namespace, name) (sluice_rollout_phase{{namespace=~\"$namespace\", phase=~\"{phases}\"}}) == 1) or vector(0)"
    )
}

pub(crate) fn dashboard() -> Value {
    board::dashboard(
        "sluice-fleet",
        "Sluice / Fleet",
        "Every Rollout: where it is, what it waits for, when it was last taken back.",
        vec![datasource(), namespaces()],
        vec![mark(
            "Taken back",
            "red",
            "max by (namespace, name, reason) (sluice_rollout_last_rollback_timestamp_seconds{namespace=~\"$namespace\"})",
            "{{namespace}}/{{name}}: {{reason}}",
        )],
        vec![
            stat(
                "Rollouts",
                "How many there are.",
                "short",
                "count(max by (namespace, name) (sluice_rollout_info{namespace=~\"$namespace\"}))",
            ),
            stat("Under way", "An attempt is in progress.", "short", &in_phase(UNDER_WAY)),
            stat("Held", "An attempt waits: for a person, a time, data, or a route.", "short", &in_phase("Held")),
            stat("Stalled", "A person must act.", "short", &in_phase("Stalled")),
            stat(
                "Gate open",
                "New templates of these are not held back.",
                "short",
                "count(max by (namespace, name) (sluice_rollout_status_condition{namespace=~\"$namespace\", condition=\"Gated\", status=\"false\"}) == 1) or vector(0)",
            ),
            stat(
                "Alerts",
                "Alerts of Sluice that fire for Rollouts of these namespaces.",
                "short",
                "count(ALERTS{alertname=~\"Rollout.*\", alertstate=\"firing\", namespace=~\"$namespace\"}) or vector(0)",
            ),
            table(
                "Rollouts",
                "`phase` is what Sluice is doing, `reason` what it waits for, if it waits. Weight and observed share are of the canary.",
                &[
                    ("phase", "max by (namespace, name, phase) (sluice_rollout_phase{namespace=~\"$namespace\"}) == 1"),
                    (
                        "reason",
                        "max by (namespace, name, reason) (sluice_rollout_waiting{namespace=~\"$namespace\"}) == 1",
                    ),
                    (
                        "info",
                        "max by (namespace, name, workload, team) (sluice_rollout_info{namespace=~\"$namespace\"})",
                    ),
                    ("Wave", "max by (namespace, name) (sluice_rollout_wave{namespace=~\"$namespace\"})"),
                    ("Waves", "max by (namespace, name) (sluice_rollout_waves{namespace=~\"$namespace\"})"),
                    (
                        "Weight",
                        "max by (namespace, name) (sluice_rollout_canary_weight_ratio{namespace=~\"$namespace\"})",
                    ),
                    (
                        "Observed",
                        "max by (namespace, name) (sluice_rollout_canary_observed_ratio{namespace=~\"$namespace\"})",
                    ),
                    (
                        "Taken back, seconds ago",
                        "time() - max by (namespace, name) (sluice_rollout_last_rollback_timestamp_seconds{namespace=~\"$namespace\"})",
                    ),
                ],
                &["phase", "reason", "info"],
            ),
            lines(
                "Weight of canaries",
                "The share of live traffic that each canary is meant to have.",
                "percentunit",
                &[(
                    "max by (namespace, name) (sluice_rollout_canary_weight_ratio{namespace=~\"$namespace\"}) > 0",
                    "{{namespace}}/{{name}}",
                )],
            ),
            lines(
                "Waiting",
                "How many Rollouts wait, by what for.",
                "short",
                &[(
                    "sum by (reason) (max by (namespace, name, reason) (sluice_rollout_waiting{namespace=~\"$namespace\"})) > 0",
                    "{{reason}}",
                )],
            ),
        ],
    )
}
