//! Whatever records of the schema say, there are figures, and each is one that can be.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice::api::{ChangeKind, Reclassification, Release, ReworkEvent};
use sluice::figures::{History, Rate, Scope, Settings, WINDOWS, facts};

fn time() -> impl Strategy<Value = Option<Timestamp>> {
    let whole = (0_i64..400).prop_map(|hours| Timestamp::from_second(1_790_000_000 + hours * 3600).unwrap());
    prop_oneof![
        1 => Just(None),
        4 => whole.prop_map(Some),
        1 => prop_oneof![Just(Timestamp::MIN), Just(Timestamp::MAX)].prop_map(Some),
    ]
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = Value> {
    proptest::sample::select(words).prop_map(|word| if word.is_empty() { Value::Null } else { json!(word) })
}

/// Without what is null: a field that is absent.
fn bare(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(|field| *field = bare(field.take()));
    }
    value
}

fn release() -> impl Strategy<Value = Release> {
    let what = (
        proptest::sample::select(&["a", "b", "c", "d", "e"][..]),
        one_of(&["shop", "cart"]).prop_map(|name| if name.is_null() { json!("shop") } else { name }),
        any::<u32>(),
        one_of(&["r1", "r2", "r3"]),
        one_of(&["r1", "r2", "r3"]),
        one_of(&["", "a", "b", "gone"]),
        one_of(&["", "id"]),
        one_of(&["", "Planned", "Rework", "Hotfix", "Security"]),
        one_of(&["Low", "Medium", "High"]),
        proptest::collection::vec((one_of(&["x", "y"]), time()), 0..4),
    );
    let ends = &[
        "",
        "Promoted",
        "RolledBack",
        "Aborted",
        "Superseded",
        "SupersededUnderSuspicion",
        "FailedBeforeExposure",
        "Bypassed",
        "Escaped",
    ];
    let how = (
        one_of(ends),
        one_of(&["", "Preflight", "BeforeExposure", "Wave", "Promotion", "Watch", "Later"]),
        proptest::option::of(any::<u8>()),
        one_of(&["", "s1", "s2"]),
        any::<Option<f64>>(),
        any::<u8>(),
        proptest::collection::vec(time(), 9),
        time(),
    );
    (what, how).prop_map(|(what, how)| {
        let (name, rollout, number, revision, from, remediates, id, kind, confidence, commits) = what;
        let (outcome, stage, wave, signature, budget, weight, times, escaped) = how;
        let commits: Vec<Value> = commits.into_iter().map(|(sha, at)| bare(json!({"sha": sha, "at": at}))).collect();
        let classification =
            if kind.is_null() { Value::Null } else { json!({"kind": kind, "confidence": confidence, "by": "test"}) };
        let escaped = escaped.map(|at| json!({"at": at, "signal": "s", "message": "m"}));
        let value = json!({
            "apiVersion": "sluice.dev/v1alpha1", "kind": "Release", "metadata": {"name": name, "namespace": "demo"},
            "spec": {"rollout": rollout, "rolloutUid": "u", "workload": "Deployment/shop", "number": number,
                "revision": revision, "fromRevision": from, "remediates": remediates, "classification": classification,
                "change": {"releaseId": id, "commits": commits, "commitCount": number}},
            "status": {"outcome": outcome, "stage": stage, "wave": wave, "signature": signature,
                "exposure": {"maxWeight": weight, "requests": 1, "errors": 0}, "escaped": escaped,
                "times": {"requestedAt": times[0], "exposedAt": times[1], "verdictAt": times[2],
                    "weightZeroAt": times[3], "recoveredAt": times[4], "promotedAt": times[5], "endedAt": times[6]}},
        });
        let mut release: Release = serde_json::from_value(bare(value)).unwrap();
        // NaN and infinity, which JSON does not have.
        release.status.as_mut().unwrap().budget_percent = budget;
        release
    })
}

fn event() -> impl Strategy<Value = ReworkEvent> {
    let kinds = one_of(&["Rollback", "Escaped", "Bypass", "Hotfix"]);
    let names = one_of(&["a", "b", "c", "gone"]);
    (kinds, names, one_of(&["", "a", "e", "gone"]), time(), time(), any::<f64>(), any::<Option<u32>>()).prop_map(
        |(kind, release, remedy, exposed, verdict, verify, recurrence)| {
            let (exposed, verdict) = (exposed.unwrap_or_default(), verdict.unwrap_or_default());
            let value = json!({
                "apiVersion": "sluice.dev/v1alpha1", "kind": "ReworkEvent", "metadata": {"name": "e", "namespace": "demo"},
                "spec": {"kind": kind, "rollout": "shop", "failedRelease": release, "revision": "r", "trigger": "Manual",
                    "reason": "R", "message": "m", "exposedAt": exposed, "verdictAt": verdict, "weightZeroAt": verdict,
                    "detectSeconds": 1.0, "recurrence": recurrence, "remediedBy": remedy, "signature": "s1"},
            });
            let mut event: ReworkEvent = serde_json::from_value(bare(value)).unwrap();
            event.spec.verify_seconds = Some(verify);
            event
        },
    )
}

fn reclassification() -> impl Strategy<Value = Reclassification> {
    let kinds = proptest::option::of(proptest::sample::select(&[ChangeKind::Planned, ChangeKind::Hotfix][..]));
    (one_of(&["a", "b", "c", "gone"]), kinds, any::<Option<bool>>(), one_of(&["", "a", "b"]), time()).prop_map(
        |(release, kind, failed, remediates, at)| {
            let value = json!({
                "apiVersion": "sluice.dev/v1alpha1", "kind": "Reclassification",
                "metadata": {"name": "r", "namespace": "demo", "creationTimestamp": at},
                "spec": {"release": release, "kind": kind, "failed": failed, "remediates": remediates, "reason": "why"},
            });
            serde_json::from_value(bare(value)).unwrap()
        },
    )
}

fn sound(rate: &Rate) {
    assert!(rate.count <= rate.n, "{rate:?}");
    assert_eq!(rate.rate.is_some(), rate.n >= 10, "{rate:?}");
    if let (Some(share), Some(low), Some(high)) = (rate.rate, rate.low, rate.high) {
        assert!((0.0..=share).contains(&low) && (share..=1.0).contains(&high), "{rate:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_records_say_there_are_figures(
        releases in proptest::collection::vec(release(), 0..24),
        events in proptest::collection::vec(event(), 0..6),
        said in proptest::collection::vec(reclassification(), 0..4),
        now in time(),
        unlike in any::<bool>(),
    ) {
        let mut releases = releases;
        for (index, release) in releases.iter_mut().enumerate().filter(|_| unlike) {
            release.metadata.name = Some(format!("{}{index}", release.metadata.name.clone().unwrap()));
        }
        let history = History::new(&facts(&releases, &events, &said), Settings::default());
        let now = now.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut backwards = releases.clone();
        backwards.reverse();
        prop_assert_eq!(&History::new(&facts(&backwards, &events, &said), Settings::default()), &history);
        for days in WINDOWS.into_iter().chain([0, u32::MAX]) {
            for scope in [Scope::All, Scope::Owner(None), Scope::Service("demo/shop"), Scope::Service("demo/cart")] {
                let figures = history.figures(scope, days, now);
                let n = figures.frequency.deployments;
                let fail = &figures.change_fail;
                for rate in [&fail.all, &fail.contained, &fail.escaped, &figures.rework.rate] {
                    sound(rate);
                    prop_assert_eq!(rate.n, n);
                }
                sound(&figures.recurrence);
                prop_assert_eq!(fail.contained.count + fail.escaped.count, fail.all.count);
                prop_assert_eq!(figures.recurrence.n, fail.all.count);
                prop_assert_eq!(figures.recovery.is_none(), fail.all.count == 0);
                prop_assert_eq!(figures.batches.sizes.iter().map(|one| one.failed.n).sum::<u64>(), n);
                // A number that is none would be null.
                prop_assert!(!serde_json::to_string(&figures).unwrap().contains("null"));
            }
        }
    }
}
