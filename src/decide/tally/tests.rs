//! Every hazard of reading counters, one by one.

use super::super::measure::Sample;
use super::super::sources::tests::place;
use super::super::sources::{self, What};
use super::*;
use crate::api::Source;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn series(id: &str, service: &str, code: &str, samples: &[(i64, f64)]) -> Series {
    let service = format!("httproute-demo-shop-gw-x-svc-demo-{service}-0@kubernetesgateway");
    Series {
        id: id.into(),
        labels: [("service".into(), service), ("code".into(), code.into())].into(),
        samples: samples.iter().map(|(second, value)| Sample { at: at(*second), value: *value }).collect(),
    }
}

fn bounds() -> Bounds {
    Bounds {
        began: at(100),
        wave: at(100),
        settled: Some(at(103)),
        interval: Duration::from_secs(1),
        scrape: Duration::from_secs(1),
    }
}

/// Answers of the same time.
pub(super) fn answered<'a>(ask: &'a Ask, series: &'a [Series]) -> Answered<'a> {
    Answered { ask, series, at: Some(at(1_000)) }
}

fn counts() -> Counts {
    sources::resolve(Source::Traefik, None, &place(""), What::Errors).unwrap()
}

fn count(state: &mut TrafficState, series: &[Series]) -> News {
    let counts = counts();
    let asks = counts.asks();
    fold(state, &counts, &[answered(&asks[0], series)], &bounds())
}

#[test]
fn the_first_error_of_a_canary_counts() {
    let mut state = TrafficState::default();
    let seen = [
        series("a", "shop", "200", &[(99, 5000.0), (101, 5090.0)]),
        series("b", "shop-canary", "200", &[(101, 9.0)]),
        series("c", "shop-canary", "500", &[(101, 1.0)]),
    ];
    count(&mut state, &seen);
    assert_eq!(state.run, Tally { canary_requests: 10, canary_errors: 1, stable_requests: 90, stable_errors: 0 });
}

#[test]
fn a_counter_that_starts_over_is_counted_from_zero() {
    let mut state = TrafficState::default();
    count(&mut state, &[series("b", "shop-canary", "200", &[(99, 70.0), (101, 80.0), (102, 4.0), (103, 6.0)])]);
    assert_eq!(state.run.canary_requests, 10 + 4 + 2);
}

#[test]
fn an_old_series_seen_late_does_not_bring_its_history() {
    let mut state = TrafficState::default();
    // Prometheus was away when the run began: no sample before it.
    count(&mut state, &[series("a", "shop", "200", &[(110, 5000.0), (111, 5010.0)])]);
    assert_eq!(state.run.stable_requests, 10);
}

#[test]
fn stable_errors_born_while_watched_count() {
    let mut state = TrafficState::default();
    let seen = [series("a", "shop", "200", &[(99, 10.0), (101, 20.0)]), series("e", "shop", "503", &[(101, 3.0)])];
    count(&mut state, &seen);
    assert_eq!((state.run.stable_requests, state.run.stable_errors), (13, 3));
}

#[test]
fn reading_again_counts_nothing_twice_and_a_restart_skips_nothing() {
    let all = [series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0), (104, 20.0), (105, 21.0)])];
    let mut at_once = TrafficState::default();
    count(&mut at_once, &all);
    let mut in_parts = TrafficState::default();
    count(&mut in_parts, &[series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0)])]);
    count(&mut in_parts, &[series("b", "shop-canary", "200", &[(101, 5.0), (102, 9.0)])]);
    count(&mut in_parts, &all);
    assert_eq!(at_once, in_parts);
    assert_eq!(at_once.run.canary_requests, 21);
    // Only what lies wholly after second 103 speaks about the share.
    assert_eq!(at_once.settled.canary_requests, 1);
}

#[test]
fn first_errors_that_are_read_late_count() {
    let mut state = TrafficState::default();
    count(&mut state, &[series("a", "shop", "200", &[(99, 10.0), (101, 20.0), (102, 30.0)])]);
    let seen = [
        series("a", "shop", "200", &[(102, 30.0), (103, 40.0)]),
        series("c", "shop-canary", "500", &[(101, 2.0), (102, 3.0), (103, 4.0)]),
    ];
    count(&mut state, &seen);
    assert_eq!((state.run.canary_requests, state.run.canary_errors, state.run.stable_requests), (4, 4, 30));
    count(&mut state, &seen);
    assert_eq!(state.run.canary_errors, 4);
}

/// The same series as a target of this name shows it.
fn of(instance: &str, mut series: Series) -> Series {
    series.labels.insert("instance".into(), instance.into());
    series
}

#[test]
fn the_first_error_is_evidence_like_any_other() {
    let mut state = TrafficState::default();
    count(&mut state, &[series("b", "shop-canary", "200", &[(99, 0.0), (103, 9.0), (104, 19.0)])]);
    let seen = [
        series("b", "shop-canary", "200", &[(104, 19.0), (105, 28.0), (106, 38.0)]),
        series("c", "shop-canary", "500", &[(105, 1.0), (106, 1.0)]),
    ];
    let news = count(&mut state, &seen);
    let settled = news.polls.iter().map(|poll| poll.settled.canary_errors).sum::<u64>();
    assert_eq!((settled, state.settled.canary_errors, state.settled.canary_requests), (1, 1, 30));
}

#[test]
fn the_share_is_not_0_where_nobody_counts_the_canary() {
    let mut state = TrafficState::default();
    let stable = |samples: &[(i64, f64)]| of("a", series("a", "shop", "200", samples));
    let canary = |samples: &[(i64, f64)]| of("b", series("b", "shop-canary", "200", samples));
    count(&mut state, &[stable(&[(99, 0.0), (103, 10.0), (110, 80.0)])]);
    assert_eq!((state.run.stable_requests, state.settled), (80, Tally::default()));
    // Its target is found after ten seconds in which it served.
    let seen = [stable(&[(110, 80.0), (111, 90.0), (112, 100.0), (113, 110.0)]), canary(&[(112, 95.0), (113, 105.0)])];
    let mut at_once = state.clone();
    count(&mut at_once, &seen);
    count(&mut state, &[stable(&[(110, 80.0), (111, 90.0)])]);
    count(&mut state, &seen);
    for state in [at_once, state] {
        assert_eq!((state.run.canary_requests, state.run.stable_requests), (105, 110));
        assert_eq!((state.settled.canary_requests, state.settled.stable_requests), (10, 10));
    }
    // A gateway shows nothing of a canary that had no request yet, and is scraped all the time.
    let mut state = TrafficState::default();
    let gateway = of("a", series("b", "shop-canary", "200", &[(112, 7.0)]));
    count(&mut state, &[stable(&[(99, 0.0), (110, 80.0), (111, 90.0), (112, 100.0)]), gateway]);
    assert_eq!((state.settled.canary_requests, state.settled.stable_requests), (7, 20));
}

#[test]
fn other_backends_are_not_ours() {
    let mut state = TrafficState::default();
    count(&mut state, &[series("z", "shop-canary-two", "200", &[(99, 0.0), (101, 5.0)])]);
    assert_eq!(state.run.canary_requests, 0);
}

/// The user's own counters: requests and errors are asked for one by one, for each version.
fn own() -> (Counts, Vec<Ask>) {
    let counters = crate::api::OwnCounters {
        requests: "requests_total{pod=~\"{{pods}}\"}".into(),
        errors: Some("errors_total{pod=~\"{{pods}}\"}".into()),
        fast: None,
    };
    let counts = sources::resolve(Source::Query, Some(&counters), &place(""), What::Errors).unwrap();
    let asks = counts.asks();
    assert_eq!(asks.len(), 4);
    (counts, asks)
}

fn plain(id: &str, samples: &[(i64, f64)]) -> Vec<Series> {
    let samples = samples.iter().map(|(second, value)| Sample { at: at(*second), value: *value }).collect();
    vec![Series { id: id.into(), labels: BTreeMap::new(), samples }]
}

#[test]
fn errors_wait_for_the_answer_about_their_requests() {
    let (counts, asks) = own();
    let ask = |part: &str, pods: &str| {
        asks.iter().find(|ask| ask.promql().contains(part) && ask.promql().contains(pods)).unwrap()
    };
    let (requests, errors) = (ask("requests", "canary"), ask("errors", "canary"));
    let mut state = TrafficState::default();
    let (early, late) = (plain("r", &[(101, 50.0)]), plain("e", &[(101, 2.0), (102, 4.0)]));
    fold(&mut state, &counts, &[answered(requests, &early), answered(errors, &late)], &bounds());
    assert_eq!((state.run.canary_requests, state.run.canary_errors), (50, 2));
    let early = plain("r", &[(101, 50.0), (102, 100.0)]);
    fold(&mut state, &counts, &[answered(requests, &early), answered(errors, &late)], &bounds());
    assert_eq!((state.run.canary_requests, state.run.canary_errors), (100, 4));
}

#[test]
fn counters_that_differ_in_their_names_alone_are_told_apart() {
    // Their labels are the same, so their ids are: what is counted of one is nothing to the other.
    let (counts, asks) = own();
    let mut state = TrafficState::default();
    let read = |second: i64| {
        let grown = second - 100;
        (
            plain("same", &[(99, 0.0), (second, 100.0 * grown as f64)]),
            plain("same", &[(99, 0.0), (second, grown as f64)]),
        )
    };
    for second in [101, 102, 103] {
        let (requests, errors) = read(second);
        fold(&mut state, &counts, &[answered(&asks[0], &requests), answered(&asks[1], &errors)], &bounds());
    }
    assert_eq!((state.run.canary_requests, state.run.canary_errors), (300, 3));
}

#[test]
fn cursors_from_before_errors_were_told_apart_still_count() {
    let (counts, asks) = own();
    let mut state = TrafficState::default();
    let (requests, errors) = (plain("r", &[(99, 0.0), (101, 100.0)]), plain("e", &[(99, 0.0), (101, 4.0)]));
    fold(&mut state, &counts, &[answered(&asks[0], &requests), answered(&asks[1], &errors)], &bounds());
    // As an operator of before has left it.
    let former = state.cursors.get("e.bad").unwrap();
    state.cursors = [("r", 100.0), ("e", former)].into_iter().fold(Default::default(), |mut cursors, (id, value)| {
        crate::api::Cursors::set(&mut cursors, id, value);
        cursors
    });
    let (requests, errors) = (plain("r", &[(102, 200.0)]), plain("e", &[(102, 5.0)]));
    fold(&mut state, &counts, &[answered(&asks[0], &requests), answered(&asks[1], &errors)], &bounds());
    assert_eq!((state.run.canary_requests, state.run.canary_errors), (200, 5));
}

#[test]
fn a_counter_that_ended_long_ago_holds_nothing_back() {
    let (counts, asks) = own();
    let mut state = TrafficState::default();
    let (alive, ended) = (plain("r", &[(101, 50.0), (120, 90.0)]), plain("e", &[(101, 2.0)]));
    let ask =
        |part: &str| asks.iter().find(|ask| ask.promql().contains(part) && ask.promql().contains("canary")).unwrap();
    fold(&mut state, &counts, &[answered(ask("requests"), &alive), answered(ask("errors"), &ended)], &bounds());
    assert_eq!((state.run.canary_requests, state.run.canary_errors, state.until), (90, 2, Some(at(120))));
}

#[test]
fn a_question_that_was_not_asked_for_long_holds_its_counter_back() {
    // Nine seconds without an answer about the canary, since many are asked: its requests were not none.
    let (counts, asks) = own();
    let (canary, stable): (Vec<&Ask>, Vec<&Ask>) = asks.iter().partition(|ask| ask.promql().contains("canary"));
    let mut state = TrafficState::default();
    let grown = |id: &str, until: i64, each: f64| {
        let samples: Vec<(i64, f64)> = (99..=until).map(|second| (second, each * (second - 99) as f64)).collect();
        plain(id, &samples)
    };
    let (old, new) = (grown("c", 104, 10.0), grown("s", 113, 90.0));
    let late = |ask| Answered { at: Some(at(104)), ..answered(ask, &old) };
    let prompt = |ask| Answered { at: Some(at(113)), ..answered(ask, &new) };
    let news = fold(&mut state, &counts, &[late(canary[0]), prompt(stable[0])], &bounds());
    assert_eq!(state.until, Some(at(104)));
    assert_eq!((state.settled.canary_requests, state.settled.stable_requests), (10, 90));
    assert!(news.polls.iter().all(|poll| poll.end <= at(105)), "{news:?}");
    // Answered in the same moment, and nothing newer in it: it has ended.
    let mut state = TrafficState::default();
    fold(&mut state, &counts, &[answered(canary[0], &old), answered(stable[0], &new)], &bounds());
    assert_eq!(state.until, Some(at(113)));
}

#[test]
fn a_code_that_is_born_after_the_weight_settled_is_evidence() {
    let mut state = TrafficState::default();
    let seen = [
        series("b", "shop-canary", "200", &[(101, 5.0), (104, 9.0), (105, 20.0), (106, 30.0)]),
        series("e", "shop-canary", "500", &[(106, 2.0)]),
    ];
    let news = count(&mut state, &seen);
    assert_eq!((state.settled.canary_requests, state.settled.canary_errors), (23, 2));
    let bad: u64 = news.polls.iter().map(|poll| poll.settled.canary_errors).sum();
    assert_eq!(bad, 2, "an error that is the first of its kind is no less an error");
}

#[test]
fn the_interval_that_straddles_a_weight_change_is_no_evidence() {
    let mut state = TrafficState::default();
    let seen = [series("b", "shop-canary", "500", &[(101, 5.0), (102, 9.0), (104, 20.0), (105, 21.0)])];
    let news = count(&mut state, &seen);
    // Settled at 103: only what lies wholly after it is believed, the rest is for disasters.
    let settled: u64 = news.polls.iter().map(|poll| poll.settled.canary_requests).sum();
    let settling: u64 = news.polls.iter().map(|poll| poll.settling.canary_requests).sum();
    assert_eq!((settled, settling), (1, 20));
}
