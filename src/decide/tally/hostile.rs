//! Samples of any counter in any order of arrival: what is counted is bounded, counted once, and gives capitals that are
//! numbers.

use proptest::prelude::*;

use super::super::measure::Sample;
use super::super::sources::tests::place;
use super::super::sources::{self, What};
use super::tests::answered;
use super::*;
use crate::api::{Cursors, Source};
use crate::judge::{Evidence, Judge, Policy, Poll};
use crate::nasty;

/// Counters that go down, below 0, beyond 2^63, at the ends of time.
fn series() -> impl Strategy<Value = Vec<Series>> {
    let value = prop_oneof![
        4 => (0_u32..10_000).prop_map(f64::from),
        1 => proptest::sample::select(vec![-1.0, -0.0, 0.5, 5e-324, 9e15, 1e19, f64::MAX, f64::MIN]),
    ];
    let at = prop_oneof![
        8 => 90_i64..130,
        1 => proptest::sample::select(vec![Timestamp::MIN.as_second(), 0, 1_000_000_000, Timestamp::MAX.as_second()]),
    ];
    let service = proptest::sample::select(vec!["shop", "shop-canary", "other", ""]);
    let code = prop_oneof![3 => proptest::sample::select(vec!["200", "500", "5xx", ""]).prop_map(str::to_owned), 1 => nasty::text()];
    let one = (0_u8..6, service, code, proptest::collection::btree_map(at, value, 0..8)).prop_map(
        |(id, service, code, samples)| {
            let service = format!("httproute-demo-shop-gw-x-svc-demo-{service}-0@kubernetesgateway");
            let sample = |(second, value): (i64, f64)| Sample { at: Timestamp::from_second(second).unwrap(), value };
            Series {
                id: id.to_string(),
                labels: [("service".into(), service), ("code".into(), code)].into(),
                samples: samples.into_iter().map(sample).collect(),
            }
        },
    );
    proptest::collection::vec(one, 0..6)
}

fn bounds(interval: u64, scrape: u64) -> Bounds {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    Bounds {
        began: at(100),
        wave: at(105),
        settled: Some(at(107)),
        interval: Duration::from_millis(interval),
        scrape: Duration::from_millis(scrape),
    }
}

proptest! {
    #![proptest_config(nasty::cases(500))]

    #[test]
    fn any_samples(
        answers in proptest::collection::vec(series(), 1..5),
        interval in proptest::sample::select(vec![0_u64, 1, 1_000, 15_000, u64::MAX]),
        scrape in proptest::sample::select(vec![0_u64, 1, 1_000, 60_000, u64::MAX]),
    ) {
        let counts = sources::resolve(Source::Traefik, None, &place(""), What::Errors).unwrap();
        let asks = counts.asks();
        let (mut state, bounds) = (TrafficState::default(), bounds(interval, scrape));
        let judge = Judge::new(Policy::default()).unwrap();
        let mut evidence = Evidence::default();
        for series in &answers {
            let until = state.until;
            let news = fold(&mut state, &counts, &[answered(&asks[0], series.as_slice())], &bounds);
            prop_assert!(state.until >= until, "what was counted is counted again");
            // The same answer again adds nothing.
            let mut again = state.clone();
            let nothing = fold(&mut again, &counts, &[answered(&asks[0], series.as_slice())], &bounds);
            prop_assert!(nothing.increments.is_empty() || nothing.increments.values().all(|one| one.counts == Tally::default()) || state.cursors.is_full(), "{nothing:?}");
            for poll in &news.polls {
                for counts in [poll.settling, poll.settled] {
                    judge.look(&mut evidence, &Poll::new(counts.canary_errors, counts.canary_requests, counts.stable_errors, counts.stable_requests));
                }
            }
            let capital = judge.capital(&evidence);
            for capital in [capital.relative, capital.floor, capital.harm, capital.safe, capital.fuse] {
                prop_assert!(capital.is_finite() && capital >= 0.0, "{capital}");
            }
            prop_assert_eq!(Evidence::from_text(&evidence.to_text()), Some(evidence));
        }
        // What is written to status is read back.
        let text = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<TrafficState>(&text).unwrap(), state);
    }
}

#[test]
fn a_million_series_cost_no_more_cursors() {
    let counts = sources::resolve(Source::Traefik, None, &place(""), What::Errors).unwrap();
    let asks = counts.asks();
    let service = "httproute-demo-shop-gw-x-svc-demo-shop-canary-0@kubernetesgateway";
    let one = |id: usize| Series {
        id: id.to_string(),
        labels: [("service".into(), service.into()), ("code".into(), "200".into()), ("pod".into(), id.to_string())]
            .into(),
        samples: vec![Sample { at: Timestamp::from_second(101).unwrap(), value: 1.0 }],
    };
    let series: Vec<Series> = (0..1_000).map(one).collect();
    let mut state = TrafficState::default();
    fold(&mut state, &counts, &[answered(&asks[0], &series)], &bounds(1_000, 1_000));
    assert!(state.cursors.is_full());
    assert!(serde_json::to_string(&state).unwrap().len() < 20_000 && Cursors::MOST < 1_000);
}
