//! docs/reference/events.md: every event, when it is told and how grave it is.
//!
//! A closed list, which tests hold against every place in `decide` that tells one, and against what simulated rollouts
//! tell. What the words mean and what to do is in `decide::reasons`, and is not repeated here.

use super::table;
use crate::decide::Severity;
use crate::decide::reasons::{Kind, REASONS};

/// How grave an event is, as far as that is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// As planned, always.
    Normal,
    /// A person should look, always.
    Warning,
    /// Warning in the case that is named, else Normal.
    WarningIf(&'static str),
}

/// Where in the life of a Rollout an event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// While an attempt goes on.
    Attempt,
    /// At the end of an attempt; the reason is the outcome.
    End,
    /// When an error budget turns while an attempt goes on.
    Budget,
    /// Beside attempts.
    Beside,
}

impl When {
    const ALL: [Self; 4] = [Self::Attempt, Self::End, Self::Budget, Self::Beside];

    const fn title(self) -> &'static str {
        match self {
            Self::Attempt => "While an attempt goes on",
            Self::End => "At the end of an attempt",
            Self::Budget => "When the error budget turns and no step waits for it",
            Self::Beside => "Beside attempts",
        }
    }
}

/// One event.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Where in the life of a Rollout.
    pub when: When,
    /// Its reason.
    pub reason: &'static str,
    /// How grave.
    pub of_type: Type,
    /// When exactly, and how often.
    pub moment: &'static str,
}

const fn told(when: When, reason: &'static str, of_type: Type, moment: &'static str) -> Told {
    Told { when, reason, of_type, moment }
}

use Type::{Normal, Warning, WarningIf};
use When::{Attempt, Beside, Budget, End};

/// Every event but those about waiting, in the order of the page.
pub const TOLD: &[Told] = &[
    told(Attempt, "NewTemplate", Normal, "a template that is neither stable nor rejected is seen behind the gate"),
    told(Attempt, "AnnotationUnreadable", Warning, "with it, if an annotation of the Deployment cannot be used"),
    told(Attempt, "PreflightPassed", Normal, "all checks passed and every signal was read for stable"),
    told(Attempt, "PreflightWarning", Warning, "with it, if something may hurt that stops nothing"),
    told(Attempt, "Planned", WarningIf("a wave has a warning in its forecast"), "with it: the forecast of each wave"),
    told(Attempt, "WaveStarted", Normal, "once per wave, when its weight is decided"),
    told(Attempt, "WaveBaking", Normal, "once per wave, when the observed share follows the weight"),
    told(
        Attempt,
        "WeightMismatch",
        Warning,
        "once per wave, if the observed share is not the weight and not by chance",
    ),
    told(Attempt, "WavePassed", Normal, "once per wave, when it is baked and Safe"),
    told(Attempt, "WavesSkipped", Warning, "an Intervention `Promote` skips the waves that are left"),
    told(Attempt, "Promoting", Normal, "the last wave passed: the gate opens and the Deployment rolls"),
    told(Attempt, "TrafficReasserted", Warning, "each time the weight is set again, 5 times in 10 minutes at most"),
    told(Attempt, "ScalerConflict", Warning, "once, when the HorizontalPodAutoscaler is left alone"),
    told(
        Attempt,
        "WeightZero",
        Normal,
        "the attempt ended after the canary had a weight, and no route gives it one any more",
    ),
    told(End, "Promoted", Normal, "every pod runs the new version"),
    told(End, "RolledBack", Warning, "Harm, or a failure, once the canary was given a weight"),
    told(End, "FailedBeforeExposure", Warning, "a failure before the canary was given a weight"),
    told(
        End,
        "Aborted",
        WarningIf("a person asked for it with `Abort`"),
        "it ends for another reason than the version",
    ),
    told(End, "Superseded", Normal, "a newer template came"),
    told(End, "SupersededUnderSuspicion", Normal, "a newer template came while the evidence spoke against this one"),
    told(End, "Bypassed", Warning, "the template rolls unproven"),
    told(End, "RecurringDefect", Warning, "with it, if the same defect was seen before within 90 days"),
    told(Budget, "BudgetRecovered", Normal, "the budget is no reason to wait any more"),
    told(Budget, "BudgetLow", Warning, "little is left"),
    told(Budget, "BudgetExhausted", Warning, "nothing is left"),
    told(Budget, "BudgetBurning", Warning, "it burns faster than `fastBurn`"),
    told(Budget, "BudgetUnknown", Warning, "it cannot be read"),
    told(Budget, "BudgetOverridden", Warning, "a step begins in spite of it"),
    told(
        Beside,
        "Adopted",
        WarningIf("nothing is left of the version that was stable"),
        "a version that serves is taken as stable",
    ),
    told(Beside, "Intervention", Normal, "each Intervention that was honoured"),
    told(Beside, "Escaped", Warning, "once per promoted version, if harm is found in it"),
    told(Beside, "PostmortemDrafted", Normal, "the draft was created"),
    told(Beside, "LeftPaused", Warning, "the Rollout goes, or is disabled, and leaves an unproven template paused"),
];

/// The kinds of reasons with which something is waited for.
const WAITS: [Kind; 3] = [Kind::Refusal, Kind::Hold, Kind::Blind];

/// Whether the page has an event of this reason and type.
pub fn may_be_told(reason: &str, severity: Severity) -> bool {
    let listed = TOLD.iter().filter(|told| told.reason == reason).any(|told| match (told.of_type, severity) {
        (Normal, Severity::Warning) | (Warning, Severity::Normal) => false,
        (Normal, Severity::Normal) | (Warning, Severity::Warning) => true,
        (WarningIf(_), Severity::Normal | Severity::Warning) => true,
    });
    let waits = || REASONS.iter().any(|one| one.name == reason && WAITS.contains(&one.kind));
    listed || (severity == Severity::Warning && waits())
}

const HEAD: &str = "\
# Events

This page lists every Kubernetes Event that Sluice tells, when, and as which type. It is generated: change
`src/reference/events.rs` and run `make reference`. What each reason means and what to do is in
[reasons.md](../reasons.md).

Every event is of `events.k8s.io/v1` and stands on the Rollout (`regarding`), in its namespace, with the Deployment as
`related`; also what concerns a Release, a canary, a route or a draft of a postmortem. `reportingController` is
`sluice.dev/controller`, `reportingInstance` the pod, `note` has at most 1,000 characters. The same event is published
once, also after a crash: its name is derived from what it tells. The API server forgets events, after an hour with its
defaults; what must last is in `status.run.timeline` and in the [records](../records.md).

```
kubectl events -n demo --for rollouts.sluice.dev/shop
kubectl events -n demo --for rollouts.sluice.dev/shop --types=Warning
kubectl get events -n demo --field-selector reason=RolledBack
```
";

const WAITING: &str = "
## When something begins to wait

When the phase becomes `Held`, or a person must act (`Stalled` is True, but not for a template that was taken back), and
each time the reason changes then: a Warning with the reason that `Ready` has and with its message. Every reason of
these lists can be told so:

";

/// The page.
pub(super) fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for when in When::ALL {
        let rows: Vec<Vec<String>> = TOLD
            .iter()
            .filter(|told| told.when == when)
            .map(|told| {
                let of_type = match told.of_type {
                    Normal => "Normal".to_owned(),
                    Warning => "Warning".to_owned(),
                    WarningIf(case) => format!("Normal; Warning if {case}"),
                };
                vec![format!("`{}`", told.reason), of_type, told.moment.to_owned()]
            })
            .collect();
        text.push_str(&format!("\n## {}\n\n", when.title()));
        text.push_str(&table(&["Reason", "Type", "Told when"], &rows));
    }
    text.push_str(WAITING);
    for kind in WAITS {
        text.push_str(&format!("- {}\n", kind.link("../")));
    }
    text
}
