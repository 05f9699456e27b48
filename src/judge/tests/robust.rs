//! Kept evidence and extreme counts: what is written is read, what overflows is cut, nothing is ever NaN.

use proptest::prelude::*;

use super::*;

/// The largest counts that are spoken of.
const HUGE: u64 = 1_000_000_000_000_000;

fn arm() -> impl Strategy<Value = Arm> {
    let requests = prop_oneof![Just(0_u64), 1_u64..1_000, 1_u64..HUGE, Just(HUGE)];
    requests.prop_flat_map(|requests| (0..=requests).prop_map(move |bad| Arm { requests, bad }))
}

fn polls(most: usize) -> impl Strategy<Value = Vec<Poll>> {
    proptest::collection::vec((arm(), arm()).prop_map(|(canary, stable)| Poll { canary, stable }), 0..most)
}

fn policy() -> impl Strategy<Value = Policy> {
    let share = || prop_oneof![Just(0.5), Just(1e-300), (-12.0_f64..-0.31).prop_map(|exponent| 10_f64.powf(exponent))];
    let ratio = || prop_oneof![Just(LARGEST_RATIO), 1.001_f64..10.0];
    (ratio(), share(), share(), ratio(), share(), share(), prop_oneof![Just(1.0), Just(1e300), 1.0_f64..20.0]).prop_map(
        |(tolerance, floor, alpha, exclude_ratio, exclude_floor, beta, dispersion)| Policy {
            tolerance,
            floor,
            alpha,
            exclude_ratio,
            exclude_floor,
            beta,
            dispersion,
            stakes: Stakes::Lasting,
        },
    )
}

fn sound(capital: &Capital) -> bool {
    let Capital { relative, floor, harm, safe, fuse } = *capital;
    [relative, floor, harm, safe, fuse].iter().all(|capital| capital.is_finite() && *capital >= 0.0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn evidence_is_read_as_it_was_written(polls in polls(30), more in polls(5), settling in polls(3)) {
        let judge = Judge::new(Policy::default()).unwrap();
        let mut evidence = Evidence::default();
        for poll in &polls {
            judge.look(&mut evidence, poll);
        }
        for poll in &settling {
            judge.look_while_settling(&mut evidence, poll);
        }
        let text = evidence.to_text();
        prop_assert!(text.len() <= codec::LENGTH, "{}", text.len());
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
        let mut read = Evidence::from_text(&text).unwrap();
        prop_assert_eq!(read, evidence);
        // A restart in the middle changes nothing.
        for poll in &more {
            judge.look(&mut evidence, poll);
            judge.look(&mut read, poll);
        }
        prop_assert_eq!(judge.capital(&read), judge.capital(&evidence));
        prop_assert_eq!(read.to_text(), evidence.to_text());
    }

    #[test]
    fn garbage_is_no_evidence(text in ".{0,800}", bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(Evidence::from_text(&text), None);
        let json = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(serde_json::from_str::<Evidence>(&json).unwrap(), Evidence::default());
        // Whatever is read from a text that was tampered with, capitals stay numbers.
        let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, &bytes);
        prop_assert!(Evidence::from_text(&text).is_none_or(|read| read.to_text() == text));
    }

    #[test]
    fn a_changed_byte_is_refused_or_a_number(polls in polls(5), place in 0..KEPT_LENGTH, letter in "[A-Za-z0-9_-]") {
        let judge = Judge::new(Policy::default()).unwrap();
        let mut evidence = Evidence::default();
        for poll in &polls {
            judge.look(&mut evidence, poll);
        }
        let mut text = evidence.to_text();
        prop_assert!([codec::LENGTH, KEPT_LENGTH].contains(&text.len()), "{}", text.len());
        text.replace_range(place..=place, &letter);
        if let Some(mut read) = Evidence::from_text(&text) {
            prop_assert!(sound(&judge.capital(&read)), "{:?}", judge.capital(&read));
            judge.look(&mut read, &Poll::new(1, 100, 1, 900));
            prop_assert!(sound(&judge.capital(&read)), "{:?}", judge.capital(&read));
        }
        text.pop();
        prop_assert_eq!(Evidence::from_text(&text), None);
    }

    #[test]
    fn capitals_are_numbers_whatever_is_counted(policy in policy(), polls in polls(60)) {
        let judge = Judge::new(policy).unwrap();
        let mut evidence = Evidence::default();
        for poll in &polls {
            judge.look(&mut evidence, poll);
            let capital = judge.capital(&evidence);
            prop_assert!(sound(&capital), "{capital:?}");
        }
        prop_assert_eq!(Evidence::from_text(&evidence.to_text()), Some(evidence));
        let rate = evidence.polls().min(1);
        for forecast in [Forecast::new(&judge, f64::from(rate), 0.1), Forecast::new(&judge, 0.001, 0.0)] {
            // They end, and what they say is a number.
            prop_assert!(forecast.until_safe(&evidence).is_none_or(|requests| requests > 0));
            prop_assert!(forecast.harm_after(0.5, 100.0).is_none_or(f64::is_finite));
            prop_assert!(forecast.detects(1e6, 100.0).is_none_or(|rate| (0.0..=1.0).contains(&rate)));
        }
    }

    /// What was never seen does not count: polls without requests only lay stakes.
    #[test]
    fn nothing_seen_is_no_evidence(polls in 0_usize..2_000) {
        let (judge, evidence) = after([(polls, (0, 0, 0, 0))]);
        let capital = judge.capital(&evidence);
        for capital in [capital.relative, capital.floor, capital.fuse, capital.safe] {
            prop_assert!((capital - 1.0).abs() < 1e-9, "{capital}");
        }
    }
}

#[test]
fn four_signals_fit_into_two_kilobytes() {
    let (_, evidence) = after([(1_000, (1, HUGE, 2, HUGE))]);
    let text = evidence.to_text();
    assert_eq!(text.len(), codec::LENGTH);
    assert!(4 * text.len() < 2_048 + 1, "{}", 4 * text.len());
    assert_eq!(serde_json::to_string(&evidence).unwrap().len(), text.len() + 2);
}

/// A million polls, half a year of them: all cash is spent long before, and bets that were lost are 0. What is 0 stays 0
/// even if a later factor is larger than any float.
#[test]
fn a_million_polls_and_then_a_disaster() {
    let judge = Judge::new(Policy::default()).unwrap();
    let mut evidence = Evidence::default();
    for poll in 0..1_000_000_u32 {
        // Steps are cheap; the whole judge is asked now and then.
        evidence.fuse.look(&judge.fuse, &Poll::new(0, 3, 0, 3));
        evidence.harm.look(&judge.harm, &Poll::new(0, 3, 1, 3));
        if poll % 50_000 == 0 {
            assert!(sound(&judge.capital(&evidence)), "poll {poll}: {:?}", judge.capital(&evidence));
        }
    }
    for poll in [Poll::new(HUGE, HUGE, 0, HUGE), Poll::new(0, HUGE, HUGE, HUGE), Poll::new(HUGE, HUGE, 0, HUGE)] {
        judge.look(&mut evidence, &poll);
        let capital = judge.capital(&evidence);
        assert!(sound(&capital), "{capital:?}");
        // Every bet was lost: nothing can be won any more, and nothing is made up.
        assert!(capital.harm < 1e-280 && capital.fuse < 1e-280, "{capital:?}");
    }
    assert_eq!(Evidence::from_text(&evidence.to_text()), Some(evidence));
}
