//! Times that are easy to get wrong: changes of the clock, midnight, weekdays, and the opening after all of them.
#![allow(clippy::arithmetic_side_effects)] // small numbers

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn schedule(zone: &str, windows: Value, freezes: Value) -> Schedule {
    serde_json::from_value(json!({"timeZone": zone, "windows": windows, "freezes": freezes})).unwrap()
}

fn zurich(windows: Value, freezes: Value) -> Schedule {
    schedule("Europe/Zurich", windows, freezes)
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn office() -> Value {
    json!([{"days": ["Mon", "Tue", "Wed", "Thu", "Fri"], "from": "09:00", "to": "16:30"}])
}

/// When it opens; `now` must be closed.
fn opens(schedule: &Schedule, now: &str) -> Option<String> {
    closed(schedule, at(now)).unwrap().opens.map(|at| at.to_string())
}

/// Closed just before, open from the first moment to just before the second, closed from there.
fn open_from_to(schedule: &Schedule, from: &str, to: &str) {
    let just_before = |moment: &str| at(moment).checked_sub(SignedDuration::from_nanos(1)).unwrap();
    assert!(closed(schedule, just_before(from)).is_some(), "before {from}");
    assert_eq!(closed(schedule, at(from)), None, "at {from}");
    assert_eq!(closed(schedule, just_before(to)), None, "before {to}");
    assert!(closed(schedule, at(to)).is_some(), "at {to}");
}

#[test]
fn an_empty_schedule_is_always_open() {
    let empty: Schedule = serde_json::from_value(json!({})).unwrap();
    assert_eq!((empty.time_zone.as_str(), problem(&empty)), ("UTC", None));
    assert_eq!(closed(&empty, at("2026-11-25T12:00:00Z")), None);
}

#[test]
fn outside_the_windows() {
    let schedule = zurich(office(), json!([]));
    assert_eq!(problem(&schedule), None);
    // Wednesday in winter: an hour ahead of UTC.
    open_from_to(&schedule, "2026-11-25T08:00:00Z", "2026-11-25T15:30:00Z");
    let friday = closed(&schedule, at("2026-11-27T16:00:00Z")).unwrap();
    assert_eq!(friday.reason, "OutsideWindow");
    assert_eq!(
        friday.sentence,
        "outside the windows of Europe/Zurich (Mon-Fri 09:00-16:30); opens Mon 2026-11-30 09:00"
    );
    assert_eq!(friday.opens, Some(at("2026-11-30T08:00:00Z")));
    // In summer two hours.
    open_from_to(&schedule, "2026-07-01T07:00:00Z", "2026-07-01T14:30:00Z");
}

#[test]
fn weekdays_are_those_of_the_zone() {
    let monday = json!([{"days": ["Mon"], "from": "00:00", "to": "12:00"}]);
    // In Auckland it is Monday while it is Sunday in UTC, in Los Angeles still Sunday while UTC has Monday.
    open_from_to(
        &schedule("Pacific/Auckland", monday.clone(), json!([])),
        "2026-06-07T12:00:00Z",
        "2026-06-08T00:00:00Z",
    );
    open_from_to(&schedule("America/Los_Angeles", monday, json!([])), "2026-06-08T07:00:00Z", "2026-06-08T19:00:00Z");
}

#[test]
fn a_window_that_crosses_midnight_belongs_to_the_day_on_which_it_begins() {
    let night = zurich(json!([{"days": ["Fri"], "from": "22:00", "to": "04:00"}]), json!([]));
    open_from_to(&night, "2026-11-27T21:00:00Z", "2026-11-28T03:00:00Z");
    assert_eq!(opens(&night, "2026-11-27T01:00:00Z").as_deref(), Some("2026-11-27T21:00:00Z"), "not Thursday's night");
    // Equal times are a whole day.
    let sunday = zurich(json!([{"days": ["Sun"], "from": "06:00", "to": "06:00"}]), json!([]));
    open_from_to(&sunday, "2026-11-29T05:00:00Z", "2026-11-30T05:00:00Z");
    // Windows that touch are one.
    let all = zurich(json!([{"from": "00:00", "to": "12:00"}, {"from": "12:00", "to": "00:00"}]), json!([]));
    for hour in 0..48 {
        assert_eq!(
            closed(&all, at("2026-11-25T00:00:00Z").checked_add(SignedDuration::from_hours(hour)).unwrap()),
            None
        );
    }
}

#[test]
fn a_time_that_is_left_out_is_the_change_of_the_clock() {
    // 2026-03-29: 02:00 is followed by 03:00, which is 01:00 UTC.
    let from = |from: &str, to: &str| zurich(json!([{"days": ["Sun"], "from": from, "to": to}]), json!([]));
    open_from_to(&from("02:30", "04:00"), "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z");
    open_from_to(&from("01:00", "02:30"), "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z");
    open_from_to(&from("01:00", "04:00"), "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z");
    // One that lies in the hour that is left out is left out too.
    let lost = from("02:00", "02:45");
    assert_eq!(opens(&lost, "2026-03-28T12:00:00Z").as_deref(), Some("2026-04-05T00:00:00Z"));
}

#[test]
fn a_time_that_comes_twice_counts_once() {
    // 2026-10-25: 03:00 is followed by 02:00, which is 01:00 UTC; 02:30 is at 00:30 and at 01:30 UTC.
    let from = |from: &str, to: &str| zurich(json!([{"days": ["Sun"], "from": from, "to": to}]), json!([]));
    open_from_to(&from("02:30", "04:00"), "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z");
    open_from_to(&from("01:00", "02:30"), "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z");
    let short = from("02:00", "02:45");
    open_from_to(&short, "2026-10-25T00:00:00Z", "2026-10-25T00:45:00Z");
    assert_eq!(opens(&short, "2026-10-25T00:45:00Z").as_deref(), Some("2026-11-01T01:00:00Z"), "not an hour later");
}

#[test]
fn frozen() {
    let year_end = json!([{"from": "2026-12-20", "until": "2027-01-04T08:00", "reason": "year end"}]);
    let always = zurich(json!([]), year_end.clone());
    assert_eq!(problem(&always), None);
    let there = closed(&always, at("2026-12-24T12:00:00Z")).unwrap();
    assert_eq!(there.reason, "Frozen");
    assert_eq!(there.sentence, "frozen until 2027-01-04 08:00 Europe/Zurich: year end");
    assert_eq!(there.opens, Some(at("2027-01-04T07:00:00Z")));
    assert_eq!(closed(&always, at("2026-12-19T22:59:59Z")), None, "a date alone is its midnight");
    assert!(closed(&always, at("2026-12-19T23:00:00Z")).is_some());
    // A freeze that ends outside the windows opens with the next one.
    let windows = closed(&zurich(office(), year_end), at("2026-12-24T12:00:00Z")).unwrap();
    assert_eq!(windows.sentence, "frozen until 2027-01-04 08:00 Europe/Zurich: year end; opens Mon 2027-01-04 09:00");
    assert_eq!(windows.opens, Some(at("2027-01-04T08:00:00Z")));
}

#[test]
fn a_freeze_inside_a_window_and_freezes_in_a_row() {
    let lunch = zurich(
        office(),
        json!([
            {"from": "2026-11-25T12:00", "until": "2026-11-25T13:00"},
            {"from": "2026-11-25T12:30", "until": "2026-11-25T14:00:30"},
            {"from": "2026-11-25T14:00:30", "until": "2026-11-25T16:30"},
        ]),
    );
    assert_eq!(closed(&lunch, at("2026-11-25T10:59:59Z")), None);
    let there = closed(&lunch, at("2026-11-25T11:45:00Z")).unwrap();
    assert_eq!(there.sentence, "frozen until 2026-11-25 14:00 Europe/Zurich; opens Thu 2026-11-26 09:00");
    assert_eq!(there.opens, Some(at("2026-11-26T08:00:00Z")));
    // In the evening before, the next morning counts although its afternoon is frozen.
    assert_eq!(opens(&lunch, "2026-11-24T20:00:00Z").as_deref(), Some("2026-11-25T08:00:00Z"));
}

#[test]
fn what_never_opens_says_so() {
    let long = json!([{"from": "2026-01-01", "until": "2030-01-01"}]);
    let there = closed(&zurich(office(), long), at("2026-11-25T12:00:00Z")).unwrap();
    assert_eq!(there.opens, None);
    assert_eq!(there.sentence, "frozen until 2030-01-01 00:00 Europe/Zurich; it does not open within 400 days");
    // Every Monday is frozen for as far as is looked.
    let mondays = json!([{"days": ["Mon"], "from": "09:00", "to": "10:00"}]);
    let freezes: Vec<Value> = (0..50)
        .map(|week| {
            let monday = Date::constant(2026, 11, 30).saturating_add((7 * week).days());
            json!({"from": monday.to_string(), "until": monday.saturating_add(1.days()).to_string()})
        })
        .collect();
    let frozen = zurich(mondays, json!(freezes));
    assert_eq!(opens(&frozen, "2026-11-25T12:00:00Z").as_deref(), Some("2027-11-15T08:00:00Z"));
}

#[test]
fn problems_name_the_field() {
    let window = |from: &str, to: &str| json!([{"from": from, "to": to}]);
    let freeze = |from: &str, until: &str| json!([{"from": from, "until": until}]);
    for (schedule, expected) in [
        (schedule("Europe/Zuerich", json!([]), json!([])), "spec.schedule.timeZone: \"Europe/Zuerich\""),
        (zurich(window("24:00", "01:00"), json!([])), "spec.schedule.windows[0].from: \"24:00\" is not a time"),
        (zurich(window("09:00", "9:30"), json!([])), "spec.schedule.windows[0].to: \"9:30\""),
        (zurich(window("09:00", "09:0é"), json!([])), "spec.schedule.windows[0].to"),
        (
            zurich(json!([{"days": [], "from": "09:00", "to": "10:00"}]), json!([])),
            "windows[0].days: name at least one",
        ),
        (zurich(json!([]), freeze("2026-02-30", "2026-03-01")), "spec.schedule.freezes[0].from: \"2026-02-30\" is not"),
        (zurich(json!([]), freeze("2026-02-01", "2026-02-02T08:00-02")), "spec.schedule.freezes[0].until"),
        (zurich(json!([]), freeze("2026-02-01", "2026-02-02T08:00Z")), "spec.schedule.freezes[0].until"),
        (zurich(json!([]), freeze("2026-02-01", "2026-02-01T00:00")), "until: \"2026-02-01T00:00\" is not after from"),
    ] {
        let said = problem(&schedule).unwrap();
        assert!(said.contains(expected), "{said}");
        // What cannot be read lets nothing begin.
        let closed = closed(&schedule, at("2026-11-25T12:00:00Z")).unwrap();
        assert_eq!((closed.sentence, closed.opens), (said, None));
    }
}

#[test]
fn days_are_written_short() {
    use Day::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    for (days, expected) in [
        (vec![Mon, Tue, Wed, Thu, Fri], "Mon-Fri"),
        (vec![Sat, Sun], "Sat,Sun"),
        (vec![Mon, Wed, Thu, Fri, Sun], "Mon,Wed-Fri,Sun"),
        (Day::ALL.to_vec(), "Mon-Sun"),
    ] {
        assert_eq!(days_text(&days), expected);
    }
    let many = zurich(
        json!([{"from": "01:00", "to": "02:00"}, {"from": "03:00", "to": "04:00"},
        {"from": "05:00", "to": "06:00"}, {"from": "07:00", "to": "08:00"}]),
        json!([]),
    );
    let said = closed(&many, at("2026-11-25T12:00:00Z")).unwrap().sentence;
    assert!(said.contains("Mon-Sun 05:00-06:00, 1 more); opens Thu 2026-11-26 01:00"), "{said}");
}

fn window() -> impl Strategy<Value = Value> {
    let time = || (0_u8..24, 0_u8..4).prop_map(|(hour, quarter)| format!("{hour:02}:{:02}", quarter * 15));
    (proptest::sample::subsequence(Day::ALL.to_vec(), 1..=7), time(), time())
        .prop_map(|(days, from, to)| json!({"days": days, "from": from, "to": to}))
}

fn freeze() -> impl Strategy<Value = Value> {
    (0_i64..370, 0_i64..24, 1_i64..500).prop_map(|(day, hour, hours)| {
        let from = Date::constant(2026, 1, 1).at(0, 0, 0, 0).saturating_add(day.days()).saturating_add(hour.hours());
        let until = from.saturating_add(hours.hours());
        json!({"from": from.strftime("%Y-%m-%dT%H:%M").to_string(), "until": until.strftime("%Y-%m-%dT%H:%M").to_string()})
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_opens_as_soon_as_it_is_open(
        zone in proptest::sample::select(vec![
            "UTC", "Europe/Zurich", "America/New_York", "America/Havana", "Asia/Kolkata", "Australia/Lord_Howe",
            "Pacific/Apia", "Africa/Casablanca", "Pacific/Kiritimati",
        ]),
        windows in proptest::collection::vec(window(), 0..4),
        freezes in proptest::collection::vec(freeze(), 0..4),
        seconds in 0_i64..(365 * 86_400),
    ) {
        let schedule = schedule(zone, json!(windows), json!(freezes));
        prop_assert_eq!(problem(&schedule), None);
        let now = at("2026-01-01T00:00:00Z").checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let Some(Closed { opens: Some(opens), .. }) = closed(&schedule, now) else { return Ok(()) };
        prop_assert!(opens > now);
        prop_assert_eq!(closed(&schedule, opens), None, "{}", opens);
        let just_before = opens.checked_sub(SignedDuration::from_nanos(1)).unwrap();
        prop_assert!(closed(&schedule, just_before).is_some(), "{}", opens);
        let span = opens.duration_since(now).as_secs();
        for part in 0..40 {
            let between = now.checked_add(SignedDuration::from_secs(span * part / 40)).unwrap();
            prop_assert!(closed(&schedule, between).is_some(), "{between} is open before {opens}");
        }
    }
}
