//! The state machine of an attempt as a table: which step may follow which, and why.
//!
//! `Draft::go` holds every move against it in debug builds, and the diagram in docs/concepts.md is generated from it.

use crate::api::Step;

/// Every move, in the order of the diagram.
pub const MOVES: &[(Step, Step, &str)] = &[
    (Step::Preflight, Step::Starting, "references, route, neighbours and analysis are fine; the first wave may begin"),
    (Step::Starting, Step::Shifting, "canary pods available, endpoints ready"),
    (Step::Starting, Step::Promoting, "no wave is left, or a person skips those that are"),
    (Step::Shifting, Step::Baking, "gateway accepted, share follows the weight"),
    (Step::Shifting, Step::Promoting, "a person skips the waves that are left"),
    (Step::Baking, Step::Starting, "Safe, baked, and the next wave may begin"),
    (Step::Baking, Step::Shifting, "the wave has no bake clock yet"),
    (Step::Baking, Step::Promoting, "Safe, baked, and the promotion may begin"),
    (Step::Promoting, Step::Closing, "every pod runs the new template"),
    (Step::Promoting, Step::Reverting, "harm, Abort, or the deadline"),
    (Step::Reverting, Step::Closing, "every pod runs the stable template again"),
    (Step::Preflight, Step::Closing, "template no longer wanted, Abort, or let through"),
    (Step::Starting, Step::Closing, "pod fault, deadline, Abort; from wave 2 on harm"),
    (Step::Shifting, Step::Closing, "harm, pod fault, deadline or Abort"),
    (Step::Baking, Step::Closing, "harm, pod fault or Abort"),
    (Step::Closing, Step::Done, "weight 0, route as it was, canary gone, recorded"),
];

/// Whether a step may follow another.
pub fn may_follow(from: Step, to: Step) -> bool {
    MOVES.iter().any(|(one, other, _)| *one == from && *other == to)
}

/// The table as a Mermaid state diagram.
pub fn diagram() -> String {
    let mut text = String::from("stateDiagram-v2\n    [*] --> Preflight: a new template is held back\n");
    for (from, to, why) in MOVES {
        text.push_str(&format!("    {from:?} --> {to:?}: {why}\n"));
    }
    text.push_str("    [*] --> Closing: a template rolled past the gate\n    Done --> [*]\n");
    text
}
