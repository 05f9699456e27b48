//! Which earlier failures a decision may know: those of the same Rollout and of its owner's others.
//!
//! Pure, told the time. Called only where a failure is about to be recorded. Must not compare them.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::api::{REMEMBERED_DAYS, ReworkEvent, Rollout};
use crate::decide::snapshot::ReworkFacts;

/// The most that are handed over: those of the Rollout itself before others, the newest first. What is left out is not
/// counted as coming back.
const MOST: usize = 500;

/// Failures that are on record with a signature.
pub(super) fn of(all: &[Arc<ReworkEvent>], rollout: &Rollout, now: Timestamp) -> Vec<ReworkFacts> {
    let (name, namespace) = (rollout.name_any(), rollout.namespace().unwrap_or_default());
    let team = rollout.spec.owner.as_ref().map(|owner| owner.team.as_str());
    let remembered = SignedDuration::from_hours(i64::from(REMEMBERED_DAYS).saturating_mul(24));
    let own = |one: &ReworkEvent| one.spec.rollout == name && one.namespace().as_deref() == Some(&namespace);
    let concerned = |one: &&Arc<ReworkEvent>| {
        let spec = &one.spec;
        let owners = team.is_some() && spec.owner.as_ref().map(|owner| owner.team.as_str()) == team;
        spec.signature.is_some() && (own(one) || owners) && now.duration_since(spec.verdict_at) <= remembered
    };
    let mut found: Vec<&Arc<ReworkEvent>> = all.iter().filter(concerned).collect();
    // A cache has no order; equal worlds are to look equal.
    found
        .sort_by_cached_key(|one| (!own(one), std::cmp::Reverse(one.spec.verdict_at), one.namespace(), one.name_any()));
    found.into_iter().take(MOST).filter_map(|one| facts(one)).collect()
}

fn facts(one: &ReworkEvent) -> Option<ReworkFacts> {
    let spec = &one.spec;
    Some(ReworkFacts {
        name: one.name_any(),
        namespace: one.namespace().unwrap_or_default(),
        rollout: spec.rollout.clone(),
        release: spec.failed_release.clone(),
        reason: spec.reason.clone(),
        signal: spec.signal.clone(),
        symptoms: spec.symptoms.clone(),
        signature: spec.signature.clone()?,
        at: spec.verdict_at,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rework(name: &str, namespace: &str, rollout: &str, team: Option<&str>, at: &str) -> Arc<ReworkEvent> {
        let object = json!({"metadata": {"name": name, "namespace": namespace}, "spec": {
            "kind": "Rollback", "rollout": rollout, "failedRelease": name, "revision": "r", "trigger": "Automatic",
            "reason": "SignalBreached", "message": "m", "exposedAt": at, "verdictAt": at, "detectSeconds": 1.0,
            "signature": "s", "owner": team.map(|team| json!({"team": team})),
        }});
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn rollout(team: Option<&str>) -> Rollout {
        serde_json::from_value(json!({"metadata": {"name": "shop", "namespace": "demo"}, "spec": {
            "targetRef": {"name": "shop"}, "traffic": {"stableService": "shop", "routes": [{"name": "shop"}]},
            "owner": team.map(|team| json!({"team": team})),
            "analysis": {"providerRef": {"name": "p"}, "signals": [{"name": "e", "errorRatio": {}}]}}}))
        .unwrap()
    }

    fn names(all: &[Arc<ReworkEvent>], team: Option<&str>) -> Vec<String> {
        let now = "2026-04-01T00:00:00Z".parse().unwrap();
        of(all, &rollout(team), now).into_iter().map(|one| format!("{}/{}", one.namespace, one.name)).collect()
    }

    #[test]
    fn those_of_the_rollout_and_of_its_owner() {
        let all = [
            rework("shop-1", "demo", "shop", None, "2026-03-01T00:00:00Z"),
            rework("shop-1", "other", "shop", None, "2026-03-02T00:00:00Z"),
            rework("cart-1", "other", "cart", Some("payments"), "2026-03-03T00:00:00Z"),
            rework("mail-1", "demo", "mail", Some("post"), "2026-03-04T00:00:00Z"),
            rework("shop-0", "demo", "shop", None, "2025-12-31T23:59:59Z"),
        ];
        assert_eq!(names(&all, Some("payments")), ["demo/shop-1", "other/cart-1"]);
        assert_eq!(names(&all, None), ["demo/shop-1"], "nobody is not an owner");
    }

    #[test]
    fn the_newest_five_hundred() {
        let at = |n: usize| format!("2026-03-{:02}T{:02}:{:02}:00Z", 1 + n / 60 / 24, n / 60 % 24, n % 60);
        let all: Vec<_> = (0..600).map(|n| rework(&format!("shop-{n}"), "demo", "shop", None, &at(n))).collect();
        let found = names(&all, None);
        assert_eq!((found.len(), found[0].as_str(), found[499].as_str()), (500, "demo/shop-599", "demo/shop-100"));
        // However much its owner's others fail, a Rollout's own failures are known.
        let mut all: Vec<_> =
            (0..600).map(|n| rework(&format!("cart-{n}"), "demo", "cart", Some("payments"), &at(n))).collect();
        all.push(rework("shop-1", "demo", "shop", None, "2026-02-01T00:00:00Z"));
        assert_eq!(names(&all, Some("payments"))[0], "demo/shop-1");
    }
}
