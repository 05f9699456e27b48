//! How much memory recorded Releases take in the operator: through the same reading, slimming and caches, and with the
//! figures counted. A binary of its own: it looks at the memory of the whole process. docs/records.md states the bound.
#![allow(clippy::arithmetic_side_effects, clippy::disallowed_methods, unreachable_pub, dead_code)] // a test may panic
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::wildcard_enum_match_arm
)] // helpers of tests too

#[path = "it/delivery/records.rs"]
mod records;
#[allow(unused_imports)] // parts of it only the other tests need
#[path = "it/world/mod.rs"]
mod world;

use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use sluice::api::{Reclassification, Release, ReworkEvent};
use sluice::delivery::Live;
use sluice::watch::guard::Guarded;
use sluice::watch::kept;
use sluice::watch::triggers::Concerns;

/// So many that what else the process does does not matter.
const RELEASES: usize = 5_000;
/// Services that they belong to, all of one namespace.
const SERVICES: usize = 20;
/// What docs/records.md states: of 1,000 Releases and 300 ReworkEvents.
const BOUND_OF_A_THOUSAND: usize = 8 * 1024 * 1024;

/// Resident memory of this process in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// An object as the API server sends it, with managedFields, read and slimmed as the watch does.
fn received<K: Concerns + Clone + serde::de::DeserializeOwned>(mut object: Value, number: usize) -> K {
    let service = format!("service-{}", number % SERVICES);
    object["metadata"]["name"] = json!(format!("{service}-{number}-0a1b2c3d"));
    object["metadata"]["uid"] = json!(format!("0b8ad4ee-73f4-4c2c-9c5c-{number:012}"));
    object["metadata"]["resourceVersion"] = json!((1_000_000 + number).to_string());
    object["metadata"]["labels"]["sluice.dev/rollout-name"] = json!(service);
    let fields: Vec<(String, Value)> = (0..20).map(|field| (format!("f:field-{field}"), json!({}))).collect();
    object["metadata"]["managedFields"] = json!([{
        "manager": "sluice", "operation": "Update", "apiVersion": "sluice.dev/v1alpha1", "fieldsType": "FieldsV1",
        "time": "2026-01-01T00:00:00Z", "fieldsV1": fields.into_iter().collect::<serde_json::Map<_, _>>(),
    }]);
    object["spec"]["rollout"] = json!(service);
    let text = serde_json::to_vec(&object).unwrap();
    let read: Guarded<K> = serde_json::from_slice(&text).unwrap();
    kept(read.0.unwrap_or_else(|unreadable| panic!("{}", unreadable.error)))
}

#[test]
fn a_thousand_releases_take_no_more_than_is_stated() {
    let world = records::good_and_bad();
    let releases: Vec<Value> = records::releases(&world).iter().map(|one| serde_json::to_value(one).unwrap()).collect();
    let event = serde_json::to_value(&records::reworks(&world)[0]).unwrap();
    let (mut cache, mut events) = (Writer::<Release>::default(), Writer::<ReworkEvent>::default());
    let reclassifications = Writer::<Reclassification>::default();
    let live = Live::new(cache.as_reader(), events.as_reader(), reclassifications.as_reader());

    let before = resident();
    for number in 0..RELEASES {
        // Three of ten are taken back.
        let bad = number % 10 < 3;
        cache.apply_watcher_event(&Event::Apply(received(releases[usize::from(bad)].clone(), number)));
        if bad {
            let mut event = event.clone();
            event["spec"]["failedRelease"] = json!(format!("service-{}-{number}-0a1b2c3d", number % SERVICES));
            events.apply_watcher_event(&Event::Apply(received(event, number)));
        }
    }
    let kept = resident() - before;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(live.count(world.now));
    let counted = resident() - before;
    assert_eq!(cache.as_reader().len(), RELEASES);
    assert_eq!(live.services().unwrap().len(), SERVICES);
    println!("{} bytes kept for each Release, {} with the figures counted", kept / RELEASES, counted / RELEASES);
    let thousand = counted / (RELEASES / 1000);
    println!("{thousand} bytes for 1,000 Releases and 300 ReworkEvents; the bound is {BOUND_OF_A_THOUSAND}");
    assert!(thousand <= BOUND_OF_A_THOUSAND, "{thousand}");
    assert!(include_str!("../docs/records.md").contains("8 MiB"), "docs/records.md does not state the bound");
}
