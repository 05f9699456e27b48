//! What a person should know before a canary is made although it stops nothing.

use super::neighbours;
use super::snapshot::{Snapshot, Workload};

/// One sentence for each.
pub(super) fn of(s: &Snapshot, workload: &Workload) -> Vec<String> {
    let mut warnings = Vec::new();
    let Workload { name, pre_stop, max_unavailable, .. } = workload;
    if !pre_stop {
        warnings.push(format!(
            "the first container of Deployment {name} has no lifecycle.preStop: requests may fail while pods leave; add lifecycle.preStop.sleep.seconds: 5"
        ));
    }
    if let Some(share) = max_unavailable.as_ref().filter(|share| !["0", "0%"].contains(&share.as_str())) {
        warnings.push(format!(
            "spec.strategy.rollingUpdate.maxUnavailable of Deployment {name} is {share}: while it is promoted, pods may leave before new ones are available; set it to 0"
        ));
    }
    warnings.extend(neighbours::unclear(s, workload));
    warnings
}
