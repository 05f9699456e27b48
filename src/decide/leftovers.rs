//! ReplicaSets that a gated workload must not wake.
//!
//! While a Deployment is paused and has no pods, its controller scales up the ReplicaSet of the present template if there
//! is one, else the one that was made last (kubernetes/pkg/controller/deployment, FindActiveOrLatest). After a promotion
//! that was taken back that is the bad version. So those are deleted as soon as the gate is closed.

use super::draft::Draft;
use super::plan::Write;
use super::snapshot::Workload;
use crate::api::Revision;

/// Plans to delete the ReplicaSets without pods that would come up instead of stable's.
pub(super) fn remove(d: &mut Draft<'_>, workload: &Workload, stable: &Revision) {
    if !workload.paused || workload.digest == stable.digest {
        return;
    }
    let Some(proven) = d.s.replica_sets.iter().find(|set| set.digest == stable.digest) else { return };
    let empty = d.s.replica_sets.iter().filter(|set| set.replicas == 0 && set.present == 0);
    for set in empty.filter(|set| set.digest != stable.digest) {
        if set.digest == workload.digest || set.created_at >= proven.created_at {
            d.plan.push(Write::DeleteReplicaSet {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            });
        }
    }
}

/// A version that runs behind the closed gate although it is not stable.
pub(super) fn intruder<'a>(d: &Draft<'a>, workload: &Workload, stable: &Revision) -> Option<&'a str> {
    let held = workload.paused && workload.digest != stable.digest;
    let serving = |digest: &str| d.s.replica_sets.iter().any(|set| set.digest == digest && set.replicas > 0);
    let known = |digest: &str| digest == stable.digest || d.status.alongside.as_deref() == Some(digest);
    let other = d.s.replica_sets.iter().find(|set| !known(&set.digest) && set.replicas > 0);
    other.filter(|_| held && !serving(&stable.digest)).map(|set| set.name.as_str())
}
