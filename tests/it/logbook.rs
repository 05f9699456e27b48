//! The decision log: of every attempt there is one, it replays to the same verdicts, and whatever is changed in it is
//! found at the entry that was changed.

use proptest::prelude::*;
use serde_json::json;
use sluice::api::{Action, DecisionLogSpec, LogEntry, LogHead, Outcome, Step, VerdictWord};
use sluice::decide::logbook::replay::{Log, Replayed, replay};
use sluice::explain_command::{Explained, Format, Logs};

use crate::world::{Behaviour, World, comparing};

/// The name and the log of the last attempt.
fn last(world: &World) -> (String, DecisionLogSpec) {
    let release = world.status.run.as_ref().unwrap().release.clone();
    let log = world.logs.get(&release).unwrap_or_else(|| panic!("no log of {release}")).clone();
    (release, log)
}

pub fn replayed(release: &str, log: &DecisionLogSpec) -> Replayed {
    let DecisionLogSpec { rollout_uid, revision, head, entries, .. } = log;
    replay(&Log { release, rollout_uid, revision, head: Some(head), entries })
}

/// The hashes as whoever changes a log and knows how it is made would write them.
fn resealed(mut log: DecisionLogSpec, release: &str) -> DecisionLogSpec {
    let mut previous = LogEntry::genesis(&log.rollout_uid, release, &log.revision);
    for entry in &mut log.entries {
        entry.previous = previous;
        entry.hash = entry.digest();
        previous = entry.hash.clone();
    }
    let last = log.entries.last().unwrap();
    log.head = LogHead { seq: last.seq, hash: last.hash.clone() };
    log
}

fn words(log: &DecisionLogSpec) -> Vec<&str> {
    log.entries.iter().map(|entry| entry.what.as_str()).collect()
}

fn tried(signals: serde_json::Value, errors: f64, seconds: u32) -> World {
    let mut world = World::new();
    world.spec = comparing(signals);
    world.settle(3);
    world.behave("v2", Behaviour { errors, ..Behaviour::default() });
    world.apply("v2");
    world.settle(seconds);
    world
}

fn shop(errors: f64) -> World {
    let world = tried(
        json!([
            {"name": "errors", "errorRatio": {}},
            {"name": "slow", "latency": {"over": "300ms"}},
            {"name": "ceiling", "errorRatio": {"threshold": "20%"}},
            {"name": "restarts", "restarts": {}},
            {"name": "saturation", "query": {"promql": "max(cpu)", "max": "0.9"}},
            {"name": "trial", "errorRatio": {"tolerance": "2"}, "dryRun": true},
        ]),
        errors,
        600,
    );
    assert_eq!(world.status.run.as_ref().unwrap().step, Step::Done, "{}", world.status.message);
    world
}

#[test]
fn a_promoted_and_a_rolled_back_release_have_logs_that_replay() {
    for (errors, outcome, end) in [(0.0, Outcome::Promoted, "Promoted"), (0.3, Outcome::RolledBack, "RolledBack")] {
        let world = shop(errors);
        let run = world.status.run.as_ref().unwrap();
        assert_eq!(run.outcome, Some(outcome), "{}", world.status.message);
        assert!(run.log.pending.is_empty());
        let (release, log) = last(&world);
        assert_eq!(log.head.seq, u32::try_from(log.entries.len()).unwrap());
        assert!(words(&log).contains(&end) && words(&log).contains(&"WaveStarted"), "{:?}", words(&log));
        let found = replayed(&release, &log);
        assert_eq!(found.differs, None);
        assert_eq!(found.lines.len(), log.entries.len());
        let polls: usize = found.lines.iter().flat_map(|line| &line.replayed).map(|signal| signal.news).sum();
        assert!(polls > 10, "{polls}");
        assert!(found.lines.iter().all(|line| line.gaps.is_empty()));
        // Few requests: several entries at a time.
        assert!(world.log_writes < 20, "{} writes of {} entries", world.log_writes, log.entries.len());
        let size = serde_json::to_string(&log).unwrap().len();
        assert!(size < 60_000, "{size}");
    }
}

#[test]
fn the_log_says_what_the_verdict_was_made_of() {
    let (_, log) = last(&shop(0.3));
    let harm = log.entries.iter().find(|entry| entry.what == "RolledBack").unwrap();
    assert_eq!((harm.verdict, harm.reason.as_deref(), harm.weight), (VerdictWord::Harm, Some("SignalBreached"), 0));
    let errors = harm.signals.iter().find(|signal| signal.name == "errors").unwrap();
    assert_eq!(errors.looks[0].policy["tolerance"], "1.25");
    assert!(!errors.looks[0].news.is_empty());
}

/// Every way of changing a log, and the entry at which it is to be found.
#[test]
fn a_changed_count_policy_or_verdict_is_found_at_its_entry() {
    let (release, log) = last(&shop(0.3));
    let place = log.entries.iter().position(|entry| entry.what == "RolledBack").unwrap();
    let seq = log.entries[place].seq;
    let at = |log: &DecisionLogSpec| replayed(&release, log).differs.map(|differs| differs.seq);
    type Change = fn(&mut LogEntry);
    let changes: [(&str, Change); 6] = [
        ("a count", |entry| {
            let look = &mut entry.signals[0].looks[0];
            look.news = look.news.replacen('/', "7/", 1);
        }),
        ("the policy", |entry| {
            drop(entry.signals[0].looks[0].policy.insert("tolerance".into(), "3".into()));
        }),
        ("the verdict of a signal", |entry| entry.signals[0].verdict = VerdictWord::NoData),
        ("the verdict of all", |entry| entry.verdict = VerdictWord::Safe),
        ("the odds", |entry| drop(entry.signals[0].looks[0].after.insert("harm".into(), "1".into()))),
        ("a poll taken out", |entry| {
            let look = &mut entry.signals[0].looks[0];
            look.news = look.news.split_once(' ').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
        }),
    ];
    for (what, change) in changes {
        let mut changed = log.clone();
        change(&mut changed.entries[place]);
        assert_eq!(at(&changed), Some(seq), "{what}, by its hash");
        assert_eq!(at(&resealed(changed, &release)), Some(seq), "{what}, although all hashes were made anew");
    }
    // A verdict that nothing stands behind.
    let first = log.entries.iter().position(|entry| !entry.signals.is_empty()).unwrap();
    let mut bare = log.clone();
    bare.entries[first].signals.iter_mut().for_each(|signal| signal.looks.clear());
    assert_eq!(at(&resealed(bare, &release)), Some(log.entries[first].seq), "a verdict without counts");
    let mut removed = log.clone();
    removed.entries.remove(place);
    assert_eq!(at(&removed), Some(seq + 1), "an entry removed");
    let mut swapped = log.clone();
    swapped.entries.swap(1, 2);
    assert_eq!(at(&swapped), Some(3), "two entries swapped");
    let mut cut = log.clone();
    cut.entries.pop();
    assert_eq!(at(&cut), Some(log.head.seq), "the last entry cut off");
}

#[test]
fn the_log_goes_on_where_the_timeline_has_no_more_room() {
    let mut world = World::new();
    world.spec = comparing(json!([{"name": "ceiling", "errorRatio": {"threshold": "20%"}}]));
    let wave = world.spec.waves[0].clone();
    world.spec.waves = (1..=20)
        .map(|number| {
            let mut wave = wave.clone();
            wave.weight = serde_json::from_value(json!(number)).unwrap();
            wave
        })
        .collect();
    world.settle(3);
    world.apply("v2");
    world.settle(3000);
    let run = world.status.run.as_ref().unwrap();
    assert_eq!(run.outcome, Some(Outcome::Promoted), "{}", world.status.message);
    let (release, log) = last(&world);
    let passed = words(&log).iter().filter(|what| **what == "WavePassed").count();
    assert_eq!((passed, run.timeline.len() < log.entries.len()), (20, true), "{:?}", words(&log));
    assert_eq!(replayed(&release, &log).differs, None);
}

#[test]
fn a_person_is_in_the_log_and_so_is_a_hold() {
    let mut world = World::new();
    world.settle(3);
    world.apply("v2");
    world.settle(8);
    world.ask(Action::Hold);
    world.settle(90);
    world.ask(Action::Abort);
    world.settle(300);
    let (release, log) = last(&world);
    assert_eq!(replayed(&release, &log).differs, None);
    let asked: Vec<_> =
        log.entries.iter().filter(|entry| entry.by.is_some()).map(|entry| entry.what.as_str()).collect();
    assert_eq!(asked, ["Hold", "Abort"]);
    let held = log.entries.iter().filter(|entry| entry.what == LogEntry::HELD).count();
    assert_eq!(held, 1, "{:?}", words(&log));
}

#[test]
fn thousands_of_polls_stay_within_the_bounds_and_the_end_is_kept() {
    let mut world = World::new();
    world.spec =
        comparing(json!([{"name": "errors", "errorRatio": {}}, {"name": "slow", "latency": {"over": "300ms"}}]));
    world.settle(3);
    world.apply("v2");
    world.settle(10);
    world.ask(Action::Hold);
    let mut largest = 0;
    for _ in 0..250 {
        world.settle(40);
        let run = serde_json::to_string(&world.status.run).unwrap();
        largest = largest.max(run.len());
    }
    assert!(largest < 60_000, "the status had {largest} bytes");
    world.behave("v2", Behaviour { errors: 0.5, ..Behaviour::default() });
    world.settle(300);
    let (release, log) = last(&world);
    assert_eq!(world.status.run.as_ref().unwrap().outcome, Some(Outcome::RolledBack), "{}", world.status.message);
    let size = serde_json::to_string(&log).unwrap().len();
    assert!(log.entries.len() <= 200 && size <= 200_000, "{} entries, {size} bytes", log.entries.len());
    let left_out: u32 = log.entries.iter().map(|entry| entry.omitted).sum();
    assert!(left_out > 50, "{left_out}");
    assert!(words(&log).contains(&"RolledBack"));
    assert_eq!(replayed(&release, &log).differs, None);
}

#[test]
fn nothing_waits_for_a_log_that_cannot_be_written() {
    let mut world = World::new();
    world.settle(3);
    world.log_refused = true;
    world.behave("v2", Behaviour { errors: 0.3, ..Behaviour::default() });
    world.apply("v2");
    world.settle(200);
    let run = world.status.run.as_ref().unwrap();
    assert_eq!((run.step, run.outcome), (Step::Done, Some(Outcome::RolledBack)));
    // What is not written is in the status until the next attempt, and explained from there.
    assert!(!run.log.pending.is_empty() && run.log.pending.len() <= 16);
    world.log_refused = false;
    world.settle(700);
    let (release, log) = last(&world);
    assert_eq!(replayed(&release, &log).differs, None);
}

#[test]
fn explain_reads_logs_and_what_is_not_written_yet() {
    let (release, log) = last(&shop(0.3));
    let object = |log: &DecisionLogSpec| {
        json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "DecisionLog",
            "metadata": {"name": release, "namespace": "demo"}, "spec": log})
    };
    let explain = |text: &str| {
        let mut logs = Logs::default();
        logs.add("a text", text);
        let explained = Explained::new(&logs.take(None, None).unwrap());
        let mut output = Vec::new();
        explained.print(Format::Text, &mut output).unwrap();
        (explained, String::from_utf8(output).unwrap())
    };
    let (explained, text) = explain(&object(&log).to_string());
    assert!(explained.same, "{text}");
    let last = text.lines().last().unwrap();
    assert_eq!(last, format!("{} entries, chain whole, every verdict the same", log.entries.len()));
    assert!(text.contains("errors: ") && text.contains("are harm)"), "{text}");
    // The last two are still in the status of the Rollout.
    let mut earlier = log.clone();
    let pending = earlier.entries.split_off(log.entries.len() - 2);
    let before = earlier.entries.last().unwrap();
    earlier.head = LogHead { seq: before.seq, hash: before.hash.clone() };
    let mut rollout = serde_json::to_value(crate::world::rollout()).unwrap();
    rollout["metadata"]["namespace"] = json!("demo");
    rollout["status"] = json!({"run": {"release": release, "number": 1, "revision": log.revision, "fromRevision": "a",
        "step": "Closing", "stepAt": "2026-01-01T00:00:00Z", "log": {"pending": pending}}});
    let list = json!({"kind": "List", "items": [object(&earlier), rollout]});
    let (explained, text) = explain(&list.to_string());
    assert_eq!((explained.same, explained.pending, explained.entries), (true, 2, log.entries.len()), "{text}");
    // What was changed is said in the last line.
    let mut changed = log.clone();
    changed.entries[3].weight = 99;
    let (explained, text) = explain(&object(&changed).to_string());
    assert_eq!(explained.differs.unwrap().seq, 4);
    assert!(text.lines().last().unwrap().contains("entry 4 differs: it was changed"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_replay_is_the_decision(
        errors in prop_oneof![Just(0.0), 0.0_f64..0.5],
        stable in prop_oneof![Just(0.0), 0.0_f64..0.05],
        slow in prop_oneof![Just(0.0), 0.0_f64..0.4],
        rate in 5.0_f64..500.0,
        crashes in any::<bool>(),
        outage in 0_u32..60,
        seldom in any::<bool>(),
        waves in prop_oneof![Just(&[10_u8, 25, 50][..]), Just(&[5, 90][..])],
    ) {
        let mut world = World::new();
        world.rate = rate;
        world.seldom = seldom.then_some(world.now);
        world.spec = comparing(json!([
            {"name": "errors", "errorRatio": {}},
            {"name": "slow", "latency": {"over": "300ms"}},
            {"name": "restarts", "restarts": {}, "dryRun": true},
            {"name": "ceiling", "errorRatio": {"threshold": "40%"}, "consecutive": 2, "of": 3},
        ]));
        world.settle(3);
        world.behave("v1", Behaviour { errors: stable, ..Behaviour::default() });
        world.behave("v2", Behaviour { errors, slow, crashes, ..Behaviour::default() });
        world.apply("v2");
        world.settle(20);
        world.edit_waves(waves);
        world.prometheus = false;
        world.settle(outage);
        world.prometheus = true;
        world.settle(120);
        world.ask(Action::Abort);
        world.settle(300);
        let run = world.status.run.clone().unwrap();
        prop_assert_eq!(run.step, Step::Done, "{}", world.status.message);
        let (release, log) = last(&world);
        let found = replayed(&release, &log);
        prop_assert_eq!(&found.differs, &None, "{:?}", words(&log));
        // What ended it is what the log says.
        let end = log.entries.iter().find(|entry| entry.reason.is_some() && entry.what != LogEntry::HELD).unwrap();
        prop_assert_eq!(&end.reason, &run.reason);
        if run.reason.as_deref() == Some("SignalBreached") {
            let breached = end.signals.iter().find(|signal| Some(&signal.name) == run.signal.as_ref()).unwrap();
            prop_assert_eq!(breached.verdict, VerdictWord::Harm);
        }
    }
}

#[test]
fn explain_says_what_it_cannot_read_and_reads_the_rest() {
    let (release, log) = last(&shop(0.3));
    let object = |name: &str, log: &DecisionLogSpec| {
        json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "DecisionLog",
            "metadata": {"name": name, "namespace": "demo"}, "spec": log})
    };
    let read = |objects: &[serde_json::Value]| {
        let mut logs = Logs::default();
        for (number, object) in objects.iter().enumerate() {
            logs.add(&format!("file {number}"), &object.to_string());
        }
        logs
    };
    let whole = object(&release, &log);
    let broken = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "DecisionLog",
        "metadata": {"name": "other", "namespace": "demo"}, "spec": {"entries": 1}});
    // Another Release's spoils nothing; its own is an error that says where.
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [broken, whole]});
    let logs = read(&[list, json!({"apiVersion": "example.com/v1", "kind": "AllowList"})]);
    let said: Vec<&String> = logs.unreadable().collect();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("file 0, document 1, items[0]: DecisionLog demo/other cannot be read: "), "{said:?}");
    assert_eq!(logs.clone().take(Some(&release), Some("demo")).unwrap().entries.len(), log.entries.len());
    let refused = logs.take(Some("other"), None).unwrap_err().to_string();
    assert!(refused.contains("DecisionLog demo/other cannot be read: "), "{refused}");
    // The same file twice, and an earlier state of it.
    let mut earlier = log.clone();
    earlier.entries.truncate(log.entries.len() - 1);
    let before = earlier.entries.last().unwrap();
    earlier.head = LogHead { seq: before.seq, hash: before.hash.clone() };
    let earlier = object(&release, &earlier);
    for files in [[whole.clone(), whole.clone()], [whole.clone(), earlier.clone()], [earlier, whole.clone()]] {
        let found = read(&files).take(Some(&release), None).unwrap();
        assert_eq!(found.entries.len(), log.entries.len());
    }
    // Two that differ are not put together.
    let mut changed = log.clone();
    changed.entries[0].what.push('!');
    let refused =
        read(&[whole.clone(), object(&release, &changed)]).take(Some(&release), None).unwrap_err().to_string();
    assert!(refused.contains("say different things"), "{refused}");
    // Of another group, or a version that is not known.
    let mut foreign = whole.clone();
    foreign["apiVersion"] = json!("example.com/v1");
    let mut later = whole;
    later["apiVersion"] = json!("sluice.dev/v2");
    assert!(read(&[foreign]).take(None, None).is_err());
    let refused = read(&[later]).take(Some(&release), None).unwrap_err().to_string();
    assert!(refused.contains("apiVersion is sluice.dev/v2, and only sluice.dev/v1alpha1 can be read"), "{refused}");
}
