//! What is told when a draft of a postmortem was made. Not a decision of a pass: the words are here because every word of
//! events is.

use super::plan::{Notice, Severity};
use crate::api::PostmortemCause;

/// The event about a draft, for the Rollout of its Release.
pub fn notice(namespace: &str, release: &str, cause: PostmortemCause) -> Notice {
    Notice {
        key: format!("{release}.postmortem"),
        severity: Severity::Normal,
        reason: "PostmortemDrafted".to_owned(),
        action: "End",
        note: format!(
            "Postmortem {release} was drafted because of {}: complete spec.markdown (kubectl get \
             postmortems.sluice.dev {release} -n {namespace} -o jsonpath='{{.spec.markdown}}')",
            match cause {
                PostmortemCause::Escaped => "a failure that escaped",
                PostmortemCause::Recurrence => "a failure that came back",
                PostmortemCause::BreakGlass => "a template that rolled unproven",
                PostmortemCause::Manual => "a request",
            }
        ),
    }
}
