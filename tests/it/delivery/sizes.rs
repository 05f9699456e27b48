//! How many bytes a record has as it is written, metadata included and managedFields aside. docs/records.md has the
//! numbers.

use sluice::api::{Release, ReworkEvent};

use super::records::{good_and_bad, releases, reworks};

fn size(object: &impl serde::Serialize) -> usize {
    serde_json::to_vec(object).unwrap().len()
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

/// Every list full, every text as long as it can be.
fn largest(mut release: Release, event: &ReworkEvent) -> (Release, ReworkEvent) {
    let mut event = event.clone();
    let images: Vec<String> = (0..20).map(|_| format!("{}={}", text(63), text(512))).collect();
    let digests: Vec<String> = (0..20).map(|_| format!("{}=sha256:{}", text(63), text(64))).collect();
    release.metadata.name = Some(text(63));
    release.metadata.namespace = Some(text(63));
    let spec = &mut release.spec;
    spec.rollout = text(63);
    spec.workload = format!("Deployment/{}", text(253));
    spec.images = images;
    let owner = spec.owner.as_mut().unwrap();
    (owner.team, owner.contact) = (text(128), Some(text(256)));
    spec.remediates = Some(text(253));
    spec.classification.as_mut().unwrap().by = text(256);
    let commit = spec.change.commits[0].clone();
    spec.change.commits = (0..50).map(|_| sluice::api::Commit { sha: text(64), ..commit.clone() }).collect();
    spec.change.release_id = Some(text(128));
    spec.change.reference = Some(text(253));
    spec.change.requested_by = Some(text(253));
    event.spec.owner = spec.owner.clone();
    let status = release.status.as_mut().unwrap();
    status.message = text(1000);
    status.digests = digests;
    let entry = status.timeline[0].clone();
    status.timeline =
        (0..64).map(|_| sluice::api::TimelineEntry { reason: text(40), message: text(1000), at: entry.at }).collect();
    let intervened = serde_json::json!({"name": text(253), "action": "BreakGlass", "by": text(253), "reason": text(500),
        "at": entry.at, "message": text(1000), "uid": text(36)});
    status.interventions = (0..20).map(|_| serde_json::from_value(intervened.clone()).unwrap()).collect();
    status.escaped = Some(sluice::api::Escaped { at: entry.at, signal: text(63), message: text(1000), recorded: true });
    (event.metadata.name, event.metadata.namespace) = (Some(text(63)), Some(text(63)));
    event.spec.rollout = text(63);
    event.spec.failed_release = text(63);
    event.spec.reason = text(40);
    event.spec.message = text(1200);
    event.spec.signal = Some(text(63));
    event.spec.signature = Some(text(64));
    event.spec.remedied_by = Some(text(63));
    (release, event)
}

#[test]
fn records_are_small_and_bounded() {
    let world = good_and_bad();
    let (releases, events) = (releases(&world), reworks(&world));
    let (good, bad, event) = (size(&releases[0]), size(&releases[1]), size(&events[0]));
    let (most, most_event) = largest(releases[1].clone(), &events[0]);
    let (most, most_event) = (size(&most), size(&most_event));
    println!("Release: promoted {good}, rolled back {bad}, largest {most} bytes");
    println!("ReworkEvent: typical {event}, largest {most_event} bytes");
    // docs/records.md states these, in whole kB.
    let page = include_str!("../../../docs/records.md");
    for (what, bytes, stated) in [
        ("a Release that was promoted", good, "at most 5 kB"),
        ("a Release that was taken back", bad, "at most 5 kB"),
        ("a ReworkEvent", event, "at most 2 kB"),
        ("the largest Release", most, "at most 160 kB"),
        ("the largest ReworkEvent", most_event, "at most 8 kB"),
    ] {
        let limit: usize = stated.split(' ').nth(2).unwrap().parse().unwrap();
        assert!(bytes <= limit * 1000, "{what}: {bytes} bytes, and {stated} are stated");
        assert!(page.contains(stated), "docs/records.md does not say {stated}: {what}");
    }
}
