//! One Rollout: its waves, the canary against stable and the limits, the evidence against it.

use serde_json::Value;

use crate::board::{self, datasource, lines, mark, stat, states, variable};

/// The Rollout that was chosen.
const OF: &str = "namespace=\"$namespace\", name=\"$name\"";

/// A query with `OF` in place of `@`.
fn of(query: &str) -> String {
    query.replace('@', OF)
}

pub(crate) fn dashboard() -> Value {
    let mark = |name, color, metric: &str| {
        let query = of(&format!("max by (namespace, name) ({metric}{{@}})"));
        mark(name, color, &query, "{{namespace}}/{{name}}")
    };
    board::dashboard(
        "sluice-rollout",
        "Sluice / Rollout",
        "One Rollout: waves, weight and observed share, canary against stable and the limits, evidence.",
        vec![
            datasource(),
            variable("namespace", "Namespace", "label_values(sluice_rollout_info, namespace)", false),
            variable("name", "Rollout", "label_values(sluice_rollout_info{namespace=\"$namespace\"}, name)", false),
            variable("signal", "Signal", &of("label_values(sluice_analysis_threshold{@}, signal)"), true),
        ],
        vec![
            mark("Taken back", "red", "sluice_rollout_last_rollback_timestamp_seconds"),
            mark("Rolled unproven", "orange", "sluice_rollout_last_bypass_timestamp_seconds"),
            mark("Harm after the promotion", "purple", "sluice_rollout_last_escape_timestamp_seconds"),
            mark("Wave", "blue", "sluice_rollout_wave_started_timestamp_seconds"),
        ],
        vec![
            stat("Wave", "From 1; 0 when there is none.", "short", &of("max(sluice_rollout_wave{@})")),
            stat("Waves", "How many there are.", "short", &of("max(sluice_rollout_waves{@})")),
            stat(
                "Weight",
                "The share of live traffic that the canary is meant to have.",
                "percentunit",
                &of("max(sluice_rollout_canary_weight_ratio{@})"),
            ),
            stat(
                "Wave began",
                "How long ago its weight was decided.",
                "s",
                &of("time() - max(sluice_rollout_wave_started_timestamp_seconds{@})"),
            ),
            stat(
                "Expected to take",
                "The bake time of the wave, or the forecast where that is longer.",
                "s",
                &of("max(sluice_rollout_wave_expected_seconds{@})"),
            ),
            stat(
                "Requests observed",
                "Of both versions in this wave.",
                "short",
                &of("max(sluice_rollout_canary_observed_requests{@})"),
            ),
            states(
                "Phase",
                "What Sluice is doing.",
                (&of("max by (phase) (sluice_rollout_phase{@}) > 0"), "{{phase}}"),
            ),
            states(
                "Waiting for",
                "The reason for which it does not go on.",
                (&of("max by (reason) (sluice_rollout_waiting{@}) > 0"), "{{reason}}"),
            ),
            lines(
                "Share of the canary",
                "What it is meant to have, what was observed, and, while the Deployment rolls, what meets the new version.",
                "percentunit",
                &[
                    (&of("max(sluice_rollout_canary_weight_ratio{@})"), "weight"),
                    (&of("max(sluice_rollout_canary_observed_ratio{@})"), "observed"),
                    (&of("max(sluice_rollout_effective_weight_ratio{@})"), "new version while it rolls"),
                ],
            ),
            lines(
                "Odds against the canary",
                "What each signal that compares has gathered, from 1. Harm is at 111 with the defaults and one signal.",
                "short",
                &[(&of("max by (signal) (sluice_analysis_harm_capital{@})"), "{{signal}}")],
            ),
            lines(
                "$signal: canary against stable",
                "The share of bad requests in this wave, and what the signal is held against.",
                "percentunit",
                &[
                    (&of("max by (role) (sluice_analysis_value{@, signal=~\"$signal\"})"), "{{role}}"),
                    (&of("max by (bound) (sluice_analysis_threshold{@, signal=~\"$signal\"})"), "limit ({{bound}})"),
                ],
            )
            .repeated("signal"),
            lines(
                "Evaluations",
                "Looks at new samples, by what they said.",
                "short",
                &[(
                    &of("sum by (result) (increase(sluice_analysis_evaluations_total{@}[$__rate_interval]))"),
                    "{{result}}",
                )],
            ),
            lines(
                "Faults",
                "Passes that failed, and weights that were set again because someone else changed the route.",
                "short",
                &[
                    (&of("sum(increase(sluice_reconcile_errors_total{@}[$__rate_interval]))"), "failed passes"),
                    (&of("sum(increase(sluice_traffic_reassertions_total{@}[$__rate_interval]))"), "weights set again"),
                ],
            ),
            lines(
                "Conditions",
                "1 while the condition is True.",
                "short",
                &[(&of("max by (condition) (sluice_rollout_status_condition{@, status=\"true\"})"), "{{condition}}")],
            ),
            lines(
                "Attempts",
                "Since the Rollout exists.",
                "short",
                &[
                    (&of("max(sluice_rollout_promotions_total{@})"), "promoted"),
                    (&of("max(sluice_rollout_rollbacks_total{@})"), "taken back"),
                    (&of("max by (kind) (sluice_rework_events_total{@})"), "rework: {{kind}}"),
                ],
            ),
        ],
    )
}
