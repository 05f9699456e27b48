//! docs/reference/conditions.md: the conditions in the status of each custom resource, and the reasons that may stand
//! there. Tests hold it against the schemas, and against the status of every pass over a simulated world.

use super::table;
use crate::api::{ConditionStatus, ConditionType};
use crate::decide::reasons::{Kind, REASONS};

/// The reasons that a status may have.
enum Reasons {
    /// These.
    Words(&'static [&'static str]),
    /// All of these kinds, and these besides.
    Kinds(&'static [Kind], &'static [&'static str]),
}

/// What a status of a condition means.
struct Case {
    status: ConditionStatus,
    meaning: &'static str,
    reasons: Reasons,
}

/// Refusals that are about what can be read of stable.
const UNREADABLE: &[&str] = &[
    "BudgetBurning",
    "DataPlaneUnsupported",
    "InvalidQuery",
    "InvalidSpec",
    "NoStableYet",
    "NoSuchBucket",
    "NoTraffic",
    "RouteNotAccepted",
];

const fn case(status: ConditionStatus, meaning: &'static str, reasons: Reasons) -> Case {
    Case { status, meaning, reasons }
}

fn cases(of: ConditionType) -> Vec<Case> {
    use ConditionStatus::{False, True, Unknown};
    use Kind::{Blind, Going, Hold, Refusal};
    use Reasons::{Kinds, Words};
    match of {
        ConditionType::Ready => vec![
            case(
                True,
                "the wanted version serves everybody and nothing is going on, or the Rollout is disabled",
                Words(&["Stable", "Promoted", "Disabled"]),
            ),
            case(
                False,
                "an attempt goes on, waits or was taken back, or nothing can be governed",
                Kinds(&[Refusal, Hold, Blind, Going], &["RolledBack", "Bypassed"]),
            ),
        ],
        ConditionType::Reconciling => vec![case(
            True,
            "work goes on, or something is awaited that comes by itself; the reason is that of `Ready`. Absent otherwise",
            Kinds(&[Refusal, Hold, Blind, Going], &["Bypassed"]),
        )],
        ConditionType::Stalled => vec![case(
            True,
            "a person must act, or the template in the Deployment was taken back; the reason is that of `Ready`. Absent otherwise",
            Kinds(&[Refusal], &["RolledBack"]),
        )],
        ConditionType::Complete => vec![
            case(
                True,
                "the last attempt ended; the reason is its outcome",
                Words(&[
                    "Promoted",
                    "RolledBack",
                    "FailedBeforeExposure",
                    "Aborted",
                    "Superseded",
                    "SupersededUnderSuspicion",
                    "Bypassed",
                ]),
            ),
            case(False, "an attempt goes on, or there was none", Words(&["InProgress", "NoReleaseYet"])),
        ],
        ConditionType::Gated => vec![
            case(
                True,
                "a new template is held back: shown by a dry run, or kept so by a paused Deployment",
                Words(&["Proven", "Resting"]),
            ),
            case(
                False,
                "a new template would roll, or one rolls unproven",
                Words(&["PolicyMissing", "GateNotHolding", "Bypassed"]),
            ),
            case(Unknown, "not tried yet", Words(&["NotProvenYet"])),
        ],
        ConditionType::AnalysisReady => vec![
            case(True, "the signals can be read", Words(&["Readable"])),
            case(
                False,
                "they cannot; nothing advances for it, and nothing is taken back for it",
                Kinds(&[Blind], UNREADABLE),
            ),
            case(Unknown, "nothing was held back yet, so nothing was asked", Words(&["NotAskedYet"])),
        ],
    }
}

/// Whether the page has this reason for this status of this condition.
pub fn may_stand(of: ConditionType, status: ConditionStatus, reason: &str) -> bool {
    cases(of).iter().filter(|case| case.status == status).any(|case| match &case.reasons {
        Reasons::Words(words) => words.contains(&reason),
        Reasons::Kinds(kinds, besides) => {
            besides.contains(&reason) || REASONS.iter().any(|one| one.name == reason && kinds.contains(&one.kind))
        }
    })
}

const HEAD: &str = "\
# Conditions

This page lists the conditions in the status of each custom resource: what each status means, which reasons may stand
there, and how to wait for it. It is generated: change `src/reference/conditions.rs` and run `make reference`. What each
reason means and what to do is in [reasons.md](../reasons.md); which conditions stand together in which situation is in
[rollout.md](../rollout.md#conditions).

Of the custom resources only the Rollout has conditions. `observedGeneration` is the generation of the spec that a
condition was judged on, `lastTransitionTime` when its status last changed, `message` one sentence with numbers of at
most 1,000 characters.
";

const WAIT: &str = "
## Waiting for a condition

`kubectl wait` ends at once if the condition is already so. After applying a template, wait first until the Rollout has
noticed it:

```
kubectl wait --for=condition=Complete=false rollouts.sluice.dev/shop -n demo --timeout=60s
kubectl wait --for=condition=Complete rollouts.sluice.dev/shop -n demo --timeout=2h
kubectl get rollouts.sluice.dev shop -n demo -o jsonpath='{.status.conditions[?(@.type==\"Complete\")].reason}{\"\\n\"}'
```

The second command ends with 0 whichever way the attempt ended; the third says how. A gate before the first release:

```
kubectl wait --for=condition=Ready --for=condition=Gated rollouts.sluice.dev/shop -n demo --timeout=5m
```

`Reconciling` and `Stalled` follow kstatus, so `flux`, Argo CD and `kubectl wait` read a Rollout without knowing it:
[gitops.md](../gitops.md). They are removed when they do not hold, so there is no False to wait for; wait for
`Ready` instead. Prometheus has the conditions as `sluice_rollout_status_condition`, see [metrics.md](metrics.md).

## Resources without conditions

| Resource | What to read instead |
| --- | --- |
| Intervention | `status.result` (`Honoured`, `Refused`) and `status.message`, written once |
| Release | `status.outcome`, empty while the attempt goes on |
| NotificationSink | `status.delivered`, `status.pending`, `status.dropped`, `status.lastFailure`; see [api.md](api.md#notificationsink) |
| ReworkEvent, DecisionLog, Reclassification, Postmortem, MetricsProvider | no status |
";

/// The page.
pub(super) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for of in ConditionType::ALL {
        let rows: Vec<Vec<String>> = cases(of)
            .iter()
            .map(|case| {
                let status = match case.status {
                    ConditionStatus::True => "True",
                    ConditionStatus::False => "False",
                    ConditionStatus::Unknown => "Unknown",
                };
                let ticked = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>();
                let reasons = match &case.reasons {
                    Reasons::Words(words) => ticked(words).join(", "),
                    Reasons::Kinds(kinds, besides) => {
                        let mut all: Vec<String> = kinds.iter().map(|kind| kind.link("../")).collect();
                        all.extend(ticked(besides));
                        all.join(", ")
                    }
                };
                vec![status.to_owned(), case.meaning.to_owned(), reasons]
            })
            .collect();
        let about = if of.abnormal() { "Present only while True.\n\n" } else { "" };
        text.push_str(&format!("\n## {}\n\n{about}", of.name()));
        text.push_str(&table(&["Status", "Means", "Reasons"], &rows));
    }
    text.push_str(WAIT);
    text
}
