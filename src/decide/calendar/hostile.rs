//! Schedules of any text, at any moment: read or refused by name, and what is said of the next opening is true.

use proptest::prelude::*;

use super::*;
use crate::api::{Freeze, Window};
use crate::nasty;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec!["00:00", "09:00", "23:59", "02:30", "12:00"]).prop_map(str::to_owned),
        1 => "([01][0-9]|2[0-3]):[0-5][0-9]",
        1 => nasty::text(),
    ]
}

fn date() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => "20(25|26)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9])(T(0[0-9]|2[0-3]):[0-5][0-9])?",
        2 => "[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?",
        1 => nasty::text(),
    ]
}

fn zone() -> impl Strategy<Value = String> {
    // Zones that left days out, that change at midnight, and by half an hour.
    let zones = [
        "UTC",
        "Europe/Zurich",
        "America/New_York",
        "Pacific/Apia",
        "Africa/Cairo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
    ];
    prop_oneof![6 => proptest::sample::select(zones.to_vec()).prop_map(str::to_owned), 1 => nasty::text()]
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let window = (proptest::sample::subsequence(Day::ALL.to_vec(), 0..=7), text(), text())
        .prop_map(|(days, from, to)| Window { days, from, to });
    let freeze = (date(), date(), proptest::option::of(nasty::text())).prop_map(|(from, until, reason)| Freeze {
        from,
        until,
        reason,
    });
    (zone(), proptest::collection::vec(window, 0..4), proptest::collection::vec(freeze, 0..4))
        .prop_map(|(time_zone, windows, freezes)| Schedule { time_zone, windows, freezes })
}

fn moments() -> impl Strategy<Value = Timestamp> {
    let second = prop_oneof![8 => 1_735_689_600_i64..1_798_761_600, 1 => Timestamp::MIN.as_second()..=Timestamp::MAX.as_second()];
    prop_oneof![
        20 => second.prop_map(|second| Timestamp::from_second(second).unwrap_or(Timestamp::MAX)),
        1 => Just(Timestamp::MIN),
        1 => Just(Timestamp::MAX),
    ]
}

proptest! {
    #![proptest_config(nasty::cases(400))]

    #[test]
    fn any_schedule_at_any_moment(schedule in schedule(), now in moments()) {
        let closed = closed(&schedule, now);
        match (problem(&schedule), &closed) {
            (Some(problem), closed) => {
                prop_assert!(problem.starts_with("spec.schedule."), "{problem}");
                prop_assert!(problem.len() < 600, "{problem}");
                prop_assert!(closed.as_ref().is_some_and(|closed| closed.opens.is_none()), "it lets a wave begin");
            }
            (None, Some(Closed { opens: Some(opens), .. })) => {
                prop_assert!(*opens > now && super::closed(&schedule, *opens).is_none(), "{opens} is not open");
                // Nothing opens before.
                let before = Timestamp::from_second(opens.as_second().saturating_sub(1)).unwrap_or(now);
                prop_assert!(before <= now || super::closed(&schedule, before).is_some(), "{before} is open already");
            }
            (None, Some(_) | None) => {}
        }
    }
}

#[test]
fn no_message_repeats_a_large_value() {
    let large = nasty::megabyte("09:00");
    let window = |from: &str, to: &str| vec![Window { days: vec![Day::Mon], from: from.to_owned(), to: to.to_owned() }];
    let freeze = |from: &str, until: &str| {
        vec![Freeze { from: from.to_owned(), until: until.to_owned(), reason: Some(large.clone()) }]
    };
    let utc = || "UTC".to_owned();
    for schedule in [
        Schedule { time_zone: large.clone(), windows: Vec::new(), freezes: Vec::new() },
        Schedule { time_zone: utc(), windows: window(&large, "10:00"), freezes: Vec::new() },
        Schedule { time_zone: utc(), windows: window("09:00", &large), freezes: Vec::new() },
        Schedule { time_zone: utc(), windows: Vec::new(), freezes: freeze(&large, "2026-01-01") },
        Schedule { time_zone: utc(), windows: Vec::new(), freezes: freeze("2026-01-01", &large) },
        Schedule { time_zone: utc(), windows: Vec::new(), freezes: freeze("2026-01-02", "2026-01-01") },
    ] {
        let problem = problem(&schedule).unwrap();
        assert!(problem.len() < 600, "{} bytes", problem.len());
    }
}

#[test]
fn the_corpus() {
    for text in nasty::texts() {
        for schedule in [
            Schedule { time_zone: text.clone(), windows: Vec::new(), freezes: Vec::new() },
            Schedule {
                time_zone: "UTC".into(),
                windows: vec![Window { days: vec![Day::Mon], from: text.clone(), to: text.clone() }],
                freezes: Vec::new(),
            },
            Schedule {
                time_zone: "UTC".into(),
                windows: Vec::new(),
                freezes: vec![Freeze { from: text.clone(), until: "9999-12-31".into(), reason: None }],
            },
        ] {
            let read = problem(&schedule).is_none();
            let closed = closed(&schedule, Timestamp::UNIX_EPOCH);
            assert!(read || closed.is_some_and(|closed| closed.opens.is_none()), "{schedule:?}");
        }
    }
}
