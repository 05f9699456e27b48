//! What one complete release writes: every request that changes something, and what each write of the status changed.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::harness::app::{COARSE, Plan};
use crate::harness::audit::{self, Write};
use crate::harness::gateway::{Client, assert_unharmed};
use crate::harness::look::{percents, weights};
use crate::harness::record::{Kind, Seen};
use crate::harness::shared;

/// Writes of a good release of four waves, at most: events, records and refreshed counts with it. The goal is below 20.
const MOST: usize = 70;
/// Of them refused: a pass that began before its cache had shown the write of the one before it is done again.
const REFUSED: usize = 6;

#[test]
fn a_release_of_four_waves_costs_few_writes() {
    shared("writes", |world| {
        Box::pin(async move {
            let app = world.app("shop");
            world.deploy(&app).await;
            let waves = vec![(5, "4s"), (20, "4s"), (50, "4s"), (80, "4s")];
            world.adopt(&app, &Plan { waves, evidence: COARSE, ..Plan::default() }).await;
            let client = Client::start(&app, 100).await;

            let began = Timestamp::now();
            let adopted = world.get(Kind::Rollout, "shop").unwrap();
            world.apply(&[app.version("v2").deployment()]).await;
            world.complete("shop", "Promoted", 150).await;
            assert_unharmed(&client.stop().await);
            assert_eq!(percents(&weights(&world.record, "shop")), [0.0, 5.0, 20.0, 50.0, 80.0, 0.0]);

            let mut writes = audit::log(&world.namespace, began);
            writes.sort_by_key(|write| write.at);
            let history = world.record.history(Kind::Rollout, "shop");
            eprintln!("{}", told(&writes, &adopted, &history, began));
            assert!(writes.len() <= MOST, "{} writes of one release", writes.len());
            let refused: Vec<&Write> = writes.iter().filter(|write| write.code >= 400).collect();
            assert!(refused.len() <= REFUSED, "{refused:#?}");
        })
    });
}

/// A line for each write, then how many there were of each kind.
fn told(writes: &[Write], adopted: &Value, history: &[Seen], began: Timestamp) -> String {
    let mut versions = history.iter().filter(|seen| seen.at > began).peekable();
    let (mut before, mut text) = (adopted, String::new());
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, write) in writes.iter().enumerate() {
        let seconds = write.at.duration_since(began).as_secs_f64();
        text.push_str(&format!("{:>3} {seconds:7.3}s {} {}\n", number + 1, write.what, write.code));
        let kind = write.what.rsplit_once(' ').map_or("", |(kind, _)| kind);
        *kinds.entry(kind).or_default() += 1;
        // The operator alone writes the status: the n-th write is the n-th version.
        let status = write.what.contains("rollouts/status") && write.code < 400;
        if let Some(seen) = status.then(|| versions.next()).flatten() {
            for line in changes("", before.get("status"), seen.object.get("status")) {
                text.push_str(&format!("                 {line}\n"));
            }
            before = &seen.object;
        }
    }
    for (kind, count) in kinds {
        text.push_str(&format!("{count:>4} × {kind}\n"));
    }
    text + &format!("{:>4} writes in all, {} versions of the Rollout not told\n", writes.len(), versions.count())
}

/// The leaves that differ, with what they were and are.
fn changes(path: &str, before: Option<&Value>, after: Option<&Value>) -> Vec<String> {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            keys.into_iter().flat_map(|key| changes(&format!("{path}.{key}"), old.get(key), new.get(key))).collect()
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => (0..old.len().max(new.len()))
            .flat_map(|index| changes(&format!("{path}[{index}]"), old.get(index), new.get(index)))
            .collect(),
        (before, after) if before == after => Vec::new(),
        (before, after) => vec![format!("{path}: {} -> {}", short(before), short(after))],
    }
}

fn short(value: Option<&Value>) -> String {
    let text = value.map_or_else(|| "–".to_owned(), Value::to_string);
    if text.chars().count() <= 160 { text } else { text.chars().take(160).chain(['…']).collect() }
}
