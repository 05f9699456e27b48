//! Conditions as kstatus and `kubectl wait` read them.
//!
//! Owns the closed set of condition types and the merge that keeps transition times. Which condition
//! holds is decided in `decide::report`, not here.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The conditions a Rollout can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// The wanted version serves everybody and nothing is going on.
    Ready,
    /// Work is going on; present only while true (kstatus).
    Reconciling,
    /// Work cannot go on without a person; present only while true (kstatus).
    Stalled,
    /// The last attempt ended; the reason says how.
    Complete,
    /// The admission gate was proven to hold new templates of the workload back.
    Gated,
    /// The signals can be read for the stable version.
    AnalysisReady,
}

impl ConditionType {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 6] =
        [Self::Ready, Self::Reconciling, Self::Stalled, Self::Complete, Self::Gated, Self::AnalysisReady];

    /// Conditions that are removed instead of being set to False, because their presence alone means something.
    pub const fn abnormal(self) -> bool {
        match self {
            Self::Reconciling | Self::Stalled => true,
            Self::Ready | Self::Complete | Self::Gated | Self::AnalysisReady => false,
        }
    }

    /// The name as it stands in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Complete => "Complete",
            Self::Gated => "Gated",
            Self::AnalysisReady => "AnalysisReady",
        }
    }
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It is not known yet.
    Unknown,
}

/// One condition, in the standard form of the Kubernetes API conventions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// The type of the condition.
    #[serde(rename = "type")]
    pub type_: ConditionType,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The generation of the spec that the condition was judged on.
    pub observed_generation: i64,
    /// When the status last changed.
    #[schemars(schema_with = "super::units::time_schema")]
    pub last_transition_time: Timestamp,
    /// One word in CamelCase for programs.
    #[schemars(length(min = 1, max = 128))]
    pub reason: String,
    /// One sentence for people.
    #[schemars(length(max = 2048))]
    pub message: String,
}

/// The new list of conditions: those of `now`, each with the transition time of `before` where its status did not
/// change; abnormal conditions that do not hold are left out.
pub fn merge_conditions(before: &[Condition], now: Vec<Condition>) -> Vec<Condition> {
    now.into_iter()
        .filter(|new| !(new.type_.abnormal() && new.status != ConditionStatus::True))
        .map(|mut new| {
            if let Some(old) = before.iter().find(|old| old.type_ == new.type_ && old.status == new.status) {
                new.last_transition_time = old.last_transition_time;
            }
            new
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(type_: ConditionType, status: ConditionStatus, second: i64) -> Condition {
        Condition {
            type_,
            status,
            observed_generation: 1,
            last_transition_time: Timestamp::from_second(second).unwrap(),
            reason: "Because".into(),
            message: String::new(),
        }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let before = [condition(ConditionType::Ready, ConditionStatus::False, 1)];
        let same = merge_conditions(&before, vec![condition(ConditionType::Ready, ConditionStatus::False, 9)]);
        assert_eq!(same[0].last_transition_time.as_second(), 1);
        let other = merge_conditions(&before, vec![condition(ConditionType::Ready, ConditionStatus::True, 9)]);
        assert_eq!(other[0].last_transition_time.as_second(), 9);
    }

    #[test]
    fn abnormal_conditions_leave_when_they_end() {
        let now = vec![condition(ConditionType::Stalled, ConditionStatus::False, 2)];
        assert!(merge_conditions(&[], now).is_empty());
    }
}
