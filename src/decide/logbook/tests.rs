//! The form of an entry, the chain, and the bounds.

use serde_json::json;

use super::looks::{number, poll, read_poll};
use super::replay::{Log, replay};
use super::*;
use crate::api::{JudgedBy, Look, Tally, Values};

fn entry() -> LogEntry {
    LogEntry {
        seq: 1,
        at: jiff::Timestamp::from_second(1_000_000).unwrap(),
        what: "WaveStarted".into(),
        reason: None,
        by: None,
        weight: 10,
        wave: Some(1),
        verdict: VerdictWord::None,
        signals: Vec::new(),
        omitted: 0,
        previous: LogEntry::genesis("uid", "shop-1", "abc"),
        hash: String::new(),
    }
}

fn tally(canary_errors: u64, canary_requests: u64, stable_errors: u64, stable_requests: u64) -> Tally {
    Tally { canary_requests, canary_errors, stable_requests, stable_errors }
}

#[test]
fn the_canonical_form_and_the_hash_are_pinned() {
    // Taken by another program: a log must read the same in every version.
    let entry = entry();
    assert_eq!(entry.previous, "1f2b2c1ae357ccce4db8fe953978c7a882723efaf1796ccea505321acca57979");
    assert_eq!(
        entry.canonical(),
        format!(
            "{{\"at\":\"1970-01-12T13:46:40Z\",\"previous\":\"{}\",\"seq\":1,\"verdict\":\"None\",\"wave\":1,\"weight\":10,\"what\":\"WaveStarted\"}}",
            entry.previous
        )
    );
    assert_eq!(entry.digest(), "2ad197150b42e7216e3b98eb121fd22be55f0c3c7aeef2d0b033b3c63e925012");
    let read: LogEntry = serde_json::from_value(serde_json::to_value(&entry).unwrap()).unwrap();
    assert_eq!(read.digest(), entry.digest());
    assert_ne!(LogEntry { weight: 11, ..entry.clone() }.digest(), entry.digest());
    // The hash is not part of what it is taken of.
    assert_eq!(LogEntry { hash: "x".into(), ..entry.clone() }.digest(), entry.digest());
}

#[test]
fn polls_and_numbers_read_back_as_they_were() {
    let nothing = Tally::default();
    for (settling, settled, text) in [
        (nothing, tally(1, 20, 0, 180), "1/20:0/180"),
        (tally(0, 5, 2, 45), nothing, "~0/5:2/45"),
        (tally(0, 5, 2, 45), tally(1, 20, 0, 180), "~0/5:2/45,1/20:0/180"),
        (nothing, nothing, "0/0:0/0"),
    ] {
        assert_eq!(poll(&settling, &settled), text);
        assert_eq!(read_poll(text), Some((settling, settled)));
    }
    for text in ["", "1/2", "1/2:3", "~", "a/1:0/1", "1/2:3/4,", "-1/2:0/0"] {
        assert_eq!(read_poll(text), None, "{text}");
    }
    for value in [0.0, 1.0, 0.1 + 0.2, 1e300, 1e-300, 206.153_846_1, 0.001, -5.5, 123_456_789_012.0] {
        assert_eq!(number(value).parse::<f64>().unwrap(), value);
        assert!(number(value).len() <= 24, "{}", number(value));
    }
}

#[test]
fn an_entry_that_is_too_long_loses_its_longest_counts_and_says_how_many() {
    let look = |news: String| Look {
        by: JudgedBy::Comparison,
        policy: Values::default(),
        before: Values::default(),
        news,
        left_out: 0,
        after: Values::default(),
    };
    let signal = |name: &str, polls: usize| LogSignal {
        name: name.into(),
        dry_run: false,
        looks: vec![look(vec!["1/20:0/180"; polls].join(" "))],
        verdict: VerdictWord::Safe,
        blind: None,
    };
    let mut entry = LogEntry { signals: vec![signal("errors", 3_000), signal("slow", 60)], ..entry() };
    assert!(shorten(&mut entry) <= LONGEST);
    let left_out: Vec<u32> = entry.signals.iter().map(|signal| signal.looks[0].left_out).collect();
    assert_eq!(left_out, [3_000, 0]);
}

const fn log(entries: &[LogEntry]) -> Log<'_> {
    Log { release: "shop-1", rollout_uid: "uid", revision: "abc", head: None, entries }
}

#[test]
fn a_chain_that_is_cut_or_begins_elsewhere_is_found() {
    let mut first = entry();
    first.hash = first.digest();
    let mut second = LogEntry { seq: 2, previous: first.hash.clone(), ..entry() };
    second.hash = second.digest();
    let whole = [first.clone(), second.clone()];
    assert_eq!(replay(&log(&whole)).differs, None);
    let seq = |log: &Log<'_>| replay(log).differs.map(|differs| differs.seq);
    assert_eq!(seq(&Log { release: "shop-2", ..log(&whole) }), Some(1), "of another Release");
    assert_eq!(seq(&log(&[second.clone()])), Some(2), "the first is gone");
    assert_eq!(seq(&log(&[second.clone(), first.clone()])), Some(2), "in another order");
    let head = LogHead { seq: 2, hash: second.hash.clone() };
    assert_eq!(seq(&Log { head: Some(&head), ..log(&whole) }), None);
    assert_eq!(seq(&Log { head: Some(&head), ..log(&[first.clone()]) }), Some(2), "the last is gone");
    assert_eq!(seq(&log(&[LogEntry { weight: 50, ..first }, second])), Some(1), "a weight was changed");
}

#[test]
fn what_decided_must_carry_what_was_decided() {
    let unfounded = |what: &str, reason: Option<&str>| {
        let mut entry = LogEntry { what: what.into(), reason: reason.map(Into::into), ..entry() };
        entry.hash = entry.digest();
        let entries = [entry];
        replay(&log(&entries)).differs
    };
    assert!(unfounded("WavePassed", None).is_some_and(|differs| differs.what.contains("needs Safe")));
    assert!(unfounded("RolledBack", Some("SignalBreached")).is_some());
    assert_eq!(unfounded("RolledBack", Some("PodsCrash")), None);
    assert_eq!(json!(unfounded("WaveStarted", None)), json!(null));
}
