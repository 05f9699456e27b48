//! What a status must be before anything is decided on it.
//!
//! People with the right to do so can write a status, and older versions wrote other ones. Owns what is set right then;
//! each time towards less: no weight, no evidence. What this program writes itself passes unchanged. Must not judge.

use crate::api::{Outcome, RolloutStatus, Step};

/// The status with everything set right that would make a decision contradict itself.
pub(super) fn sound(status: &RolloutStatus) -> RolloutStatus {
    let mut status = status.clone();
    if let Some(run) = status.run.as_mut() {
        let on_its_way_out = matches!(run.step, Step::Reverting | Step::Closing);
        // A weight that was never committed is nobody's intent.
        run.max_weight = run.max_weight.min(100);
        run.weight = run.weight.min(run.max_weight);
        match run.outcome {
            None if on_its_way_out => run.outcome = Some(Outcome::Aborted),
            Some(_) if !on_its_way_out && run.step != Step::Done => run.step = Step::Closing,
            Some(_) | None => {}
        }
        if run.outcome.is_some_and(|outcome| outcome != Outcome::Promoted) {
            run.weight = 0;
        }
    }
    status
}
