//! How long the delivery figures take to count, beside reading the Releases once: the ratio says more than
//! milliseconds of somebody's machine. 10,000 Releases, 3,000 ReworkEvents, 20 services, one namespace.
#![allow(clippy::arithmetic_side_effects, clippy::expect_used, clippy::unwrap_used)] // a benchmark may panic

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use jiff::Timestamp;
use serde_json::{Value, json};
use sluice::api::{Reclassification, Release, ReworkEvent};
use sluice::figures::{History, Scope, Settings, WINDOWS, facts};

const RELEASES: i64 = 10_000;
const SERVICES: i64 = 20;

fn main() {
    divan::main();
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// One every half hour over 208 days, three of ten taken back.
fn release(number: i64) -> Value {
    let begin = number * 1800;
    let bad = number % 10 < 3;
    let commits: Vec<Value> =
        (0..5).map(|commit| json!({"sha": format!("{number:032x}{commit:08x}"), "at": at(begin - 7200)})).collect();
    let times = if bad {
        json!({"requestedAt": at(begin), "exposedAt": at(begin + 60), "verdictAt": at(begin + 120),
            "weightZeroAt": at(begin + 121), "recoveredAt": at(begin + 150), "endedAt": at(begin + 160)})
    } else {
        json!({"requestedAt": at(begin), "exposedAt": at(begin + 60), "promotedAt": at(begin + 900),
            "endedAt": at(begin + 960)})
    };
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "Release",
        "metadata": {"name": format!("shop-{number}"), "namespace": "demo", "uid": number.to_string()},
        "spec": {"rollout": format!("shop-{}", number % SERVICES), "rolloutUid": "u", "workload": "Deployment/shop",
            "number": number / SERVICES, "revision": format!("r{number}"),
            "fromRevision": format!("r{}", number - SERVICES), "owner": {"team": "checkout"},
            "change": {"commits": commits, "commitCount": 5}},
        "status": {"outcome": if bad { "RolledBack" } else { "Promoted" }, "message": "one sentence",
            "exposure": {"maxWeight": if bad { 5 } else { 100 }, "requests": 1000, "errors": 10}, "times": times},
    })
}

fn event(number: i64) -> Value {
    let begin = number * 1800;
    json!({
        "apiVersion": "sluice.dev/v1alpha1", "kind": "ReworkEvent",
        "metadata": {"name": format!("shop-{number}"), "namespace": "demo"},
        "spec": {"kind": "Rollback", "rollout": format!("shop-{}", number % SERVICES),
            "failedRelease": format!("shop-{number}"), "revision": format!("r{number}"), "trigger": "Automatic",
            "reason": "SignalBreached", "message": "one sentence", "exposedAt": at(begin + 60),
            "verdictAt": at(begin + 120), "weightZeroAt": at(begin + 121), "detectSeconds": 60.0},
    })
}

fn releases() -> Vec<Value> {
    (0..RELEASES).map(release).collect()
}

fn read<K: serde::de::DeserializeOwned>(values: impl Iterator<Item = Value>) -> Vec<K> {
    values.map(|value| serde_json::from_value(value).unwrap()).collect()
}

/// The records parsed once from the text in which the API server sends them: what a restart costs anyway.
#[divan::bench(sample_count = 5)]
fn read_ten_thousand_releases(bencher: Bencher<'_, '_>) {
    let texts: Vec<String> = releases().iter().map(Value::to_string).collect();
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        let all: Vec<Release> = texts.iter().map(|text| serde_json::from_str(black_box(text)).unwrap()).collect();
        all
    });
}

/// Everything judged, and the figures of every service in every window.
#[divan::bench(sample_count = 5)]
fn count_ten_thousand_releases(bencher: Bencher<'_, '_>) {
    let releases: Vec<Release> = read(releases().into_iter());
    let events: Vec<ReworkEvent> = read((0..RELEASES).filter(|number| number % 10 < 3).map(event));
    let said: Vec<Reclassification> = Vec::new();
    let now = at(RELEASES * 1800);
    bencher.counter(ItemsCount::new(releases.len())).bench_local(|| {
        let history = History::new(&facts(black_box(&releases), &events, &said), Settings::default());
        let services = history.services();
        let all =
            services.keys().map(|service| WINDOWS.map(|days| history.figures(Scope::Service(service), days, now)));
        all.collect::<Vec<_>>()
    });
}
