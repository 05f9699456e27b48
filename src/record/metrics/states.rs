//! What each Rollout is and how it stands: identity, phase, conditions, what it waits for.

use std::fmt;

use super::Seen;
use super::encode::Families;
use crate::api::{ConditionStatus, ConditionType, Phase};
use crate::decide::reasons::{Kind, REASONS};

/// Every phase, so that each Rollout shows 1 for one and 0 for the others.
const PHASES: [Phase; 16] = [
    Phase::Adopting,
    Phase::Stable,
    Phase::Preflight,
    Phase::Starting,
    Phase::Shifting,
    Phase::Baking,
    Phase::Held,
    Phase::Promoting,
    Phase::Settling,
    Phase::Promoted,
    Phase::RollingBack,
    Phase::RolledBack,
    Phase::Withdrawing,
    Phase::Leaving,
    Phase::Stalled,
    Phase::Disabled,
];

const STATUSES: [(ConditionStatus, &str); 3] =
    [(ConditionStatus::True, "true"), (ConditionStatus::False, "false"), (ConditionStatus::Unknown, "unknown")];

/// A Rollout is held for it too, although it is first of all a refusal.
const PROVIDER_MISSING: &str = "ProviderMissing";

/// 1 or 0.
const fn flag(holds: bool) -> f64 {
    if holds { 1.0 } else { 0.0 }
}

pub(super) fn encode(all: &[Seen<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauges("rollout_info", "What each Rollout governs", |put| {
        all.iter().try_for_each(|seen| {
            let labels = [
                ("namespace", seen.namespace.as_str()),
                ("name", &seen.name),
                ("workload", &seen.spec.target_ref.name),
                ("provider", &seen.spec.analysis.provider_ref.name),
                ("team", seen.team()),
            ];
            put(&labels, 1.0)
        })
    })?;
    families.gauges("rollout_phase", "1 for the phase a Rollout is in", |put| {
        all.iter().try_for_each(|seen| {
            PHASES.iter().try_for_each(|phase| {
                let word = format!("{phase:?}");
                let labels = [("namespace", seen.namespace.as_str()), ("name", &seen.name), ("phase", &word)];
                put(&labels, flag(seen.status.phase == *phase))
            })
        })
    })?;
    families.gauges(
        "rollout_status_condition",
        "1 for the status that each condition has, 0 for the others",
        |put| {
            all.iter().try_for_each(|seen| {
                ConditionType::ALL.iter().try_for_each(|type_| {
                    let condition = seen.status.conditions.iter().find(|condition| condition.type_ == *type_);
                    STATUSES.iter().try_for_each(|(status, word)| {
                        let labels = [
                            ("namespace", seen.namespace.as_str()),
                            ("name", &seen.name),
                            ("condition", type_.name()),
                            ("status", word),
                        ];
                        put(&labels, flag(condition.is_some_and(|condition| condition.status == *status)))
                    })
                })
            })
        },
    )?;
    families.gauges("rollout_waiting", "1 for the reason for which an attempt waits, 0 for the others", |put| {
        let reasons = REASONS.iter().filter(|reason| reason.kind == Kind::Hold).map(|reason| reason.name);
        let reasons: Vec<&str> = reasons.chain([PROVIDER_MISSING]).collect();
        all.iter().try_for_each(|seen| {
            let ready = seen.status.conditions.iter().find(|condition| condition.type_ == ConditionType::Ready);
            let now = ready.filter(|ready| ready.status != ConditionStatus::True).map(|ready| ready.reason.as_str());
            reasons.iter().try_for_each(|reason| {
                let labels = [("namespace", seen.namespace.as_str()), ("name", &seen.name), ("reason", reason)];
                put(&labels, flag(now == Some(reason)))
            })
        })
    })
}
