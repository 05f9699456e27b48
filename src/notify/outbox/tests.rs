//! Order, bounds, pauses and restarts, with a clock that the test turns.
#![allow(clippy::arithmetic_side_effects)] // small numbers

use super::super::event::Subject;
use super::*;
use crate::api::{DeliveryFailure, SinkEvent};

const DOWN: Undelivered = Undelivered { class: DeliveryFailure::Unreachable, http_status: None };
const BROKEN: Undelivered = Undelivered { class: DeliveryFailure::HttpStatus, http_status: Some(500) };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_000_000_i64.saturating_add(second)).unwrap()
}

fn event(id: &str, order: Option<Timestamp>) -> Event {
    Event {
        word: SinkEvent::Promoted,
        id: id.to_owned(),
        order,
        at: at(0),
        subject: Subject::Service { predicate: "upgraded" },
        namespace: String::new(),
        rollout: String::new(),
        release: String::new(),
        workload: String::new(),
        artifact: String::new(),
        message: String::new(),
        link: None,
        data: serde_json::Map::new(),
    }
}

/// Events of these seconds, called by their second.
fn seconds(seconds: impl IntoIterator<Item = i64>) -> Happened {
    let events = seconds.into_iter().map(|second| event(&second.to_string(), Some(at(second)))).collect();
    Happened { events, standing: BTreeSet::new() }
}

fn outbox(now: i64) -> Outbox {
    Outbox::new("uid", NotificationSinkStatus::default(), at(0), at(now))
}

fn restarted(outbox: &Outbox, now: i64) -> Outbox {
    let written = serde_json::to_value(outbox.status(1)).unwrap();
    Outbox::new("uid", serde_json::from_value(written).unwrap(), at(0), at(now))
}

/// Delivers all there is; the ids in order.
fn drain(outbox: &mut Outbox, happened: &Happened, now: i64) -> Vec<String> {
    let mut taken = Vec::new();
    while let Some(event) = outbox.next(happened, at(now)) {
        taken.push(event.id.clone());
        outbox.delivered(event, at(now));
        if outbox.unsaved >= UNSAVED {
            outbox.saved(1);
        }
    }
    outbox.saved(1);
    taken
}

#[test]
fn each_is_delivered_once_and_in_order() {
    let mut outbox = outbox(0);
    let mut happened = seconds([1, 2, 3]);
    assert_eq!(drain(&mut outbox, &happened, 10), ["1", "2", "3"]);
    assert_eq!(drain(&mut outbox, &happened, 11), Vec::<String>::new());
    // A record that is seen late.
    happened.events.insert(1, event("late", Some(at(1))));
    assert_eq!(drain(&mut outbox, &happened, 12), ["late"]);
    assert_eq!(drain(&mut restarted(&outbox, 20), &happened, 20), Vec::<String>::new());
    let status = outbox.status(1);
    assert_eq!((status.delivered, status.dropped, status.pending), (4, 0, 0));
    assert_eq!(status.last_delivered_at, Some(at(12)));
}

#[test]
fn what_was_before_the_sink_is_not_its_business() {
    let created = at(100);
    let mut outbox = Outbox::new("uid", NotificationSinkStatus::default(), created, at(200));
    assert_eq!(outbox.after(), created);
    assert_eq!(drain(&mut outbox, &seconds([1, 99, 100, 101]), 200), ["101"]);
}

#[test]
fn what_was_not_written_down_is_delivered_again_with_its_id() {
    let mut first = outbox(0);
    let happened = seconds([1, 2]);
    let event = first.next(&happened, at(5)).unwrap();
    first.delivered(event, at(5));
    assert!(!first.to_save(0), "another is due at once");
    let before = restarted(&outbox(0), 6);
    let mut second = before;
    assert_eq!(drain(&mut second, &happened, 6), ["1", "2"]);
}

#[test]
fn no_more_than_ten_are_delivered_unwritten() {
    let mut outbox = outbox(0);
    let happened = seconds(1..=30);
    let mut taken = 0;
    while let Some(event) = outbox.next(&happened, at(60)) {
        outbox.delivered(event, at(60));
        taken += 1;
    }
    assert_eq!(taken, 10);
    assert!(outbox.to_save(0));
    assert_eq!(outbox.status(0).pending, 20);
    outbox.saved(0);
    assert!(outbox.next(&happened, at(60)).is_some());
}

#[test]
fn pauses_double_and_end_with_the_first_that_is_taken() {
    let mut outbox = outbox(0);
    let happened = seconds([1]);
    let mut now = at(10);
    let mut pauses = Vec::new();
    for _ in 0..12 {
        let event = outbox.next(&happened, now).unwrap();
        outbox.failed(event, DOWN, now);
        assert!(outbox.next(&happened, now).is_none(), "no second try at once");
        let next = outbox.next_try.unwrap();
        pauses.push(next.duration_since(now).as_secs_f64());
        now = next;
    }
    for (number, pause) in pauses.iter().enumerate() {
        let longest = 2_f64.powi(i32::try_from(number).unwrap()).min(300.0);
        assert!((longest / 2.0..=longest).contains(pause), "{pauses:?}");
    }
    let status = outbox.status(0);
    assert_eq!((status.failing_since, status.pending), (Some(at(10)), 1));
    let failure = status.last_failure.unwrap();
    assert_eq!((failure.class, failure.http_status), (DeliveryFailure::Unreachable, None));
    let event = outbox.next(&happened, now).unwrap();
    outbox.delivered(event, now);
    assert_eq!((outbox.status(0).failing_since, outbox.next_try), (None, None));
    // Two sinks that fail together do not try together.
    assert_ne!(pause("a", 5, at(0)), pause("b", 5, at(0)));
}

#[test]
fn a_sink_that_is_changed_is_tried_at_once_and_only_once() {
    let mut outbox = outbox(0);
    let happened = seconds([1]);
    let try_at = |outbox: &mut Outbox, second| {
        let Some(event) = outbox.next(&happened, at(second)) else { return false };
        outbox.failed(event, DOWN, at(second));
        true
    };
    for round in 0..10 {
        assert!(try_at(&mut outbox, 1000 * (round + 1)));
    }
    outbox.meets(0);
    assert!(!try_at(&mut outbox, 10_001), "the same spec waits");
    outbox.meets(2);
    assert!(try_at(&mut outbox, 10_001));
    outbox.meets(2);
    assert!(!try_at(&mut outbox, 10_001), "also if it could not be written down that it was tried");
    // It begins with short pauses again.
    assert!(try_at(&mut outbox, 10_002));
    assert_eq!(outbox.status(2).failing_since, Some(at(1000)));
}

#[test]
fn what_is_a_day_old_is_given_up_and_counted() {
    let mut outbox = outbox(0);
    let happened = seconds([1, 2, 90_000]);
    let event = outbox.next(&happened, at(10)).unwrap();
    outbox.failed(event, DOWN, at(10));
    assert_eq!(drain(&mut outbox, &happened, 86_410), ["90000"]);
    assert_eq!((outbox.status(0).delivered, outbox.status(0).dropped), (1, 2));
    assert_eq!(drain(&mut restarted(&outbox, 86_420), &happened, 86_420), Vec::<String>::new());
    assert_eq!(restarted(&outbox, 86_420).status(0).dropped, 2);
}

#[test]
fn one_that_is_not_taken_keeps_no_other_back() {
    let mut outbox = outbox(0);
    let happened = seconds([1, 2, 3]);
    let event = outbox.next(&happened, at(10)).unwrap();
    outbox.failed(event, BROKEN, at(10));
    let mut taken = Vec::new();
    while let Some(event) = outbox.next(&happened, at(20)) {
        if event.id == "1" {
            break;
        }
        taken.push(event.id.clone());
        outbox.delivered(event, at(20));
    }
    assert_eq!(taken, ["2", "3"]);
    let event = outbox.next(&happened, at(20)).unwrap();
    assert_eq!(event.id, "1", "it is tried again after them");
    // While it waits, the cursor does.
    let mut outbox = restarted(&outbox, 30);
    outbox.next(&happened, at(20_000));
    assert!(outbox.after() < at(1));
    assert_eq!(drain(&mut outbox, &happened, 20_000), ["1"]);
}

#[test]
fn what_the_sink_will_never_take_is_given_up_at_once() {
    for status in [400, 413, 415, 422] {
        let mut outbox = outbox(0);
        let happened = seconds([1, 2]);
        let event = outbox.next(&happened, at(10)).unwrap();
        let why = Undelivered { class: DeliveryFailure::HttpStatus, http_status: Some(status) };
        outbox.failed(event, why, at(10));
        assert_eq!(drain(&mut outbox, &happened, 10), ["2"]);
        assert_eq!((outbox.status(0).dropped, outbox.status(0).failing_since), (1, None), "{status}");
        assert_eq!(outbox.status(0).last_failure.unwrap().http_status, Some(status));
    }
    for status in [301, 401, 403, 404, 408, 410, 429, 500, 503] {
        let why = Undelivered { class: DeliveryFailure::HttpStatus, http_status: Some(status) };
        assert!(!why.is_final(), "{status}");
    }
}

#[test]
fn no_more_than_ten_are_refused_unwritten() {
    let mut outbox = outbox(0);
    let happened = seconds(1..=200);
    let why = Undelivered { class: DeliveryFailure::HttpStatus, http_status: Some(400) };
    let mut tried = 0;
    for second in 0..200 {
        let Some(event) = outbox.next(&happened, at(300 + second)) else { break };
        outbox.failed(event, why, at(300 + second));
        tried += 1;
        assert_eq!(outbox.to_save(0), tried == 10, "{tried}");
    }
    assert_eq!(tried, 10);
    assert_eq!((outbox.status(0).dropped, outbox.status(0).pending), (10, 190));
    outbox.saved(0);
    assert_eq!(outbox.next(&happened, at(310)).unwrap().id, "11");
}

#[test]
fn what_is_remembered_is_bounded() {
    // One that is refused for ever, and a thousand others.
    let mut outbox = outbox(0);
    let happened = seconds(1..=1200);
    let event = outbox.next(&happened, at(2000)).unwrap();
    assert_eq!(event.id, "1");
    outbox.failed(event, BROKEN, at(2000));
    let mut taken = 0;
    for _ in 0..1300 {
        let Some(event) = outbox.next(&happened, at(2010)) else { break };
        if event.id == "1" {
            outbox.failed(event, BROKEN, at(2000));
            continue;
        }
        outbox.delivered(event, at(2010));
        outbox.saved(0);
        taken += 1;
        assert!(outbox.recent.len() <= ROOM + 1, "{}", outbox.recent.len());
    }
    assert_eq!((taken, outbox.status(0).dropped), (1199, 1), "the one that is refused is given up for the others");
    assert!(outbox.after() > at(600));
    assert_eq!(drain(&mut restarted(&outbox, 2020), &happened, 2020), Vec::<String>::new());
}

#[test]
fn the_cursor_waits_for_what_is_recorded_late() {
    let mut outbox = outbox(0);
    let mut happened = seconds([1, 5000]);
    assert_eq!(drain(&mut outbox, &happened, 5001), ["1", "5000"]);
    assert_eq!(outbox.after(), at(5001 - 3600));
    assert_eq!(outbox.recent.len(), 1);
    // A process that has just begun: what the one before it was to record comes now.
    let mut outbox = Outbox::new("uid", NotificationSinkStatus::default(), at(0), at(9000));
    assert_eq!(drain(&mut outbox, &happened, 9000), ["1", "5000"]);
    happened.events.insert(1, event("crashed", Some(at(2))));
    assert_eq!(drain(&mut outbox, &happened, 9100), ["crashed"]);
    assert_eq!(drain(&mut outbox, &happened, 9000 + 3600), Vec::<String>::new());
    assert_eq!(outbox.after(), at(9000));
    // Time that passes is written down as well.
    assert!(!outbox.to_save(1));
    outbox.next(&happened, at(9000 + 7201));
    outbox.saved(1);
    outbox.next(&happened, at(9000 + 7201 + 3601));
    assert!(outbox.to_save(1));
}

#[test]
fn what_lasts_is_told_once_and_again_when_it_comes_back() {
    let mut outbox = outbox(0);
    let standing = |ids: &[&str]| Happened {
        events: ids.iter().map(|id| event(id, None)).collect(),
        standing: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    assert_eq!(drain(&mut outbox, &standing(&["a", "b"]), 100_000), ["a", "b"]);
    assert_eq!(drain(&mut outbox, &standing(&["a"]), 400_000), Vec::<String>::new());
    let mut outbox = restarted(&outbox, 400_001);
    assert_eq!(drain(&mut outbox, &standing(&["a"]), 400_001), Vec::<String>::new());
    assert_eq!(drain(&mut outbox, &standing(&["a", "b"]), 400_002), ["b"]);
    // More than can be remembered: the rest when some of it is over.
    let names: Vec<String> = (0..300).map(|number| format!("n{number:03}")).collect();
    let many = |skip: usize| standing(&names.iter().skip(skip).map(String::as_str).collect::<Vec<_>>());
    assert_eq!(drain(&mut outbox, &many(0), 400_003).len(), STANDING);
    assert_eq!(drain(&mut outbox, &many(0), 400_004).len(), 0);
    assert_eq!(drain(&mut outbox, &many(10), 400_005).len(), 10);
}
