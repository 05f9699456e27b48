//! How the operator passes over the toy world: decides, commits, acts, records; whole, cut short, or late.

use jiff::Timestamp;
use sluice::api::{Condition, Outcome, RolloutStatus};
use sluice::decide::{self, Decision};
use sluice::reference;

use super::World;

/// docs/reference has what is told and what stands in conditions.
fn on_the_pages(decision: &Decision) {
    for notice in &decision.events {
        let known = reference::may_be_told(&notice.reason, notice.severity);
        assert!(known, "docs/reference/events.md has no {:?} event {}", notice.severity, notice.reason);
    }
    for Condition { type_, status, reason, .. } in &decision.status.conditions {
        let known = reference::may_stand(*type_, *status, reason);
        assert!(known, "docs/reference/conditions.md has no {reason} of {}={status:?}", type_.name());
    }
}

impl World {
    /// One whole pass: decide, look the decision over, commit, act, record.
    pub fn pass(&mut self) -> Decision {
        let snapshot = self.snapshot();
        let decision = decide::decide(&snapshot);
        decide::check(&snapshot, &decision).unwrap();
        on_the_pages(&decision);
        let version = self.status_version;
        self.carry_out(version, &decision, usize::MAX);
        decision
    }

    /// The version of the Rollout, for stale passes.
    pub fn rollout_version(&self) -> u64 {
        self.status_version
    }

    /// Commits the intent if the Rollout is still the one that was read, then does the first `writes` writes.
    /// Fewer than all means a crash in between. False when the commit was refused.
    pub fn carry_out(&mut self, read: u64, decision: &Decision, writes: usize) -> bool {
        // Not where the status was another one than what was decided on.
        let acts = read == self.status_version && !decision.plan.is_empty() && decision.status != self.status;
        assert!(decision.material || !acts, "the intent of {:?} may wait", decision.plan);
        let lately = |at: Timestamp| self.now.duration_since(at).as_millis() < i128::from(decision.refresh.as_millis());
        let due = decision.material || !self.seldom.is_some_and(lately);
        if decision.status != self.status && due {
            self.seldom = self.seldom.map(|_| self.now);
            if read != self.status_version {
                return false;
            }
            self.learn(&decision.status);
            self.status = decision.status.clone();
            self.version += 1;
            self.status_version = self.version;
        }
        self.wanted.clone_from(&decision.measure);
        for (position, write) in decision.plan.iter().enumerate() {
            if position >= writes {
                return true;
            }
            if !self.write(write) {
                return true;
            }
        }
        if decision.plan.len() > writes {
            return true;
        }
        for notice in &decision.events {
            self.events.push(format!("{} {}", notice.reason, notice.note));
            self.log.push(format!("event {}: {}", notice.reason, notice.note));
        }
        let writes = self.records;
        for record in decision.records.iter().filter(|_| writes) {
            self.keep(record);
        }
        true
    }

    /// Why a version may be stable, as far as the status itself says so.
    fn learn(&mut self, next: &RolloutStatus) {
        if self.status.stable.is_none() {
            self.known.extend(next.stable.iter().map(|stable| stable.digest.clone()));
        }
        if let Some(run) = &next.run
            && matches!(run.outcome, Some(Outcome::Promoted | Outcome::Bypassed))
        {
            self.known.insert(run.revision.clone());
        }
    }

    /// Passes and seconds until nothing is to be done or `seconds` are over.
    pub fn settle(&mut self, seconds: u32) {
        for _ in 0..seconds {
            for _ in 0..20 {
                let decision = self.pass();
                if decision.plan.is_empty() && decision.records.is_empty() && !decision.material {
                    break;
                }
            }
            self.tick();
        }
    }
}
