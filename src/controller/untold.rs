//! Events of intents whose write failed: it may have been done, and only its answer lost.
//!
//! Then the next pass finds that very status, has nothing to decide again, and nobody would be told. Remembered in this
//! process alone: whoever is killed in between tells nothing, and status and records say it all the same.

use crate::api::RolloutStatus;
use crate::decide::{Decision, Notice};

/// So many writes in a row may fail before the oldest is forgotten.
const MOST: usize = 8;

/// What may be committed without having been told.
#[derive(Debug, Clone, Default)]
pub(super) struct Untold(Vec<(RolloutStatus, Vec<Notice>)>);

impl Untold {
    /// The write of this intent failed.
    pub(super) fn failed(&mut self, decision: &Decision) {
        if decision.events.is_empty() {
            return;
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        self.0.push((decision.status.clone(), decision.events.clone()));
    }

    /// This is committed: what belongs to it, to be told. The others can no longer come true: each of them was to replace
    /// what this one has replaced.
    pub(super) fn committed(&mut self, status: &RolloutStatus) -> Vec<Notice> {
        let Some(place) = self.0.iter().position(|(intent, _)| intent == status) else { return Vec::new() };
        let events = self.0.swap_remove(place).1;
        self.0.clear();
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Severity;

    fn decided(message: &str, event: &str) -> Decision {
        let notice = Notice {
            key: event.to_owned(),
            severity: Severity::Normal,
            reason: event.to_owned(),
            action: "Shift",
            note: String::new(),
        };
        let status = RolloutStatus { message: message.to_owned(), ..RolloutStatus::default() };
        Decision {
            status,
            material: true,
            refresh: crate::api::Duration::from_secs(1),
            plan: Vec::new(),
            records: Vec::new(),
            events: vec![notice],
            measure: Vec::new(),
            next_check: None,
        }
    }

    #[test]
    fn what_was_committed_without_an_answer_is_told_once_and_what_was_not_never() {
        let mut untold = Untold::default();
        let (first, second) = (decided("a", "First"), decided("b", "Second"));
        untold.failed(&first);
        untold.failed(&second);
        assert_eq!(untold.committed(&RolloutStatus::default()), []);
        assert_eq!(untold.committed(&second.status), second.events);
        assert_eq!(untold.committed(&second.status), []);
        assert_eq!(untold.committed(&first.status), [], "it was never written");
    }

    #[test]
    fn it_does_not_grow() {
        let mut untold = Untold::default();
        (0..100).for_each(|number| untold.failed(&decided(&number.to_string(), "Told")));
        assert_eq!(untold.0.len(), MOST);
        assert_eq!(untold.committed(&decided("99", "Told").status).len(), 1);
    }
}
