//! The Lease object: what is read from it, and what it becomes. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::LEASE;
use super::candidate::Sight;

/// What a released Lease says of how long it lasts: nobody has to wait, whatever they make of an empty holder.
const RELEASED: i32 = 1;

/// What a candidate needs of it.
pub(super) fn sight(lease: &Lease) -> Sight {
    let spec = lease.spec.as_ref();
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).and_then(|seconds| u64::try_from(seconds).ok());
    Sight {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()).filter(|holder| !holder.is_empty()),
        // The holder's own word: a version with other figures may run beside this one during an upgrade.
        lasts: lasts.filter(|seconds| *seconds > 0).map_or(LEASE, Duration::from_secs),
    }
}

/// The Lease as `me` takes or renews it. With the resourceVersion that was read, where there was one. The times are
/// for people.
pub(super) fn claimed(read: Option<&Lease>, name: &str, me: &str, now: Timestamp) -> Lease {
    let mut lease = read.cloned().unwrap_or_else(|| Lease {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: None,
    });
    lease.metadata.managed_fields = None;
    let mut spec = lease.spec.take().unwrap_or_default();
    let before = spec.holder_identity.take();
    if before.as_deref() != Some(me) {
        spec.acquire_time = Some(MicroTime(now));
        let transitions = spec.lease_transitions.unwrap_or_default();
        spec.lease_transitions = Some(if read.is_some() { transitions.saturating_add(1) } else { 0 });
    }
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(me.to_owned()),
        lease_duration_seconds: Some(i32::try_from(LEASE.as_secs()).unwrap_or(i32::MAX)),
        renew_time: Some(MicroTime(now)),
        ..spec
    });
    lease
}

/// The Lease as its holder gives it up.
pub(super) fn released(read: &Lease, now: Timestamp) -> Lease {
    let mut lease = read.clone();
    lease.metadata.managed_fields = None;
    lease.spec = Some(LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(RELEASED),
        renew_time: Some(MicroTime(now)),
        ..lease.spec.unwrap_or_default()
    });
    lease
}
