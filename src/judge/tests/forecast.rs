//! What is forecast lies near what happens: the medians of the design and the theory of the delays.

use super::traffic::Traffic;
use super::*;

fn excluding(ratio: f64, floor: f64) -> Judge {
    Judge::new(Policy { exclude_ratio: ratio, exclude_floor: floor, ..Policy::default() }).unwrap()
}

/// Canary requests to Safe with a canary share of 10 %: the medians of the design, which were measured in polls of 10
/// requests. Without errors nothing is random; the verdict then falls within the poll after the forecast.
#[test]
fn safe_takes_what_the_table_says() {
    for (ratio, floor, median) in [(10.0, 0.05, 98), (5.0, 0.02, 232), (3.0, 0.01, 458), (2.0, 0.005, 907)] {
        let forecast = Forecast::new(&excluding(ratio, floor), 0.0, 0.1).safe_from_start().unwrap();
        assert!((forecast..=forecast + 10).contains(&median), "{ratio}x {floor}: {forecast}, not {median}");
    }
    for (ratio, floor, median) in [(3.0, 0.01, 546.0), (2.0, 0.005, 1_500.0)] {
        let forecast = Forecast::new(&excluding(ratio, floor), 0.01, 0.1).safe_from_start().unwrap() as f64;
        // Chance helps: of eight bets the one that has luck counts, so medians lie below the expected path.
        assert!((1.0..1.35).contains(&(forecast / median)), "{ratio}x {floor}: {forecast}, not {median}");
    }
}

/// What is still missing shrinks by what was seen, and nothing is missing from what is Safe.
#[test]
fn what_is_missing_shrinks() {
    let judge = excluding(3.0, 0.01);
    let mut evidence = Evidence::default();
    let forecast = Forecast::new(&judge, 0.0, 0.1);
    let start = forecast.until_safe(&evidence).unwrap();
    assert_eq!(Some(start), forecast.safe_from_start());
    for _ in 0..3 {
        judge.look(&mut evidence, &Poll::new(0, 100, 0, 900));
    }
    assert_eq!(forecast.until_safe(&evidence), Some(start - 300));
    let left = start - 300;
    judge.look(&mut evidence, &Poll::new(0, left - 1, 0, 9 * left));
    assert_eq!(judge.verdict(&evidence), Verdict::Undecided);
    judge.look(&mut evidence, &Poll::new(0, 1, 0, 9));
    assert_eq!(judge.verdict(&evidence), Verdict::Safe);
}

/// What nobody can wait for is not promised.
#[test]
fn what_takes_for_ever_is_not_forecast() {
    let judge = excluding(2.0, 1e-12);
    assert_eq!(Forecast::new(&judge, 0.0, 0.1).safe_from_start(), None);
    assert_eq!(Forecast::new(&judge, 0.01, 0.1).harm_after(0.01, 100.0), None);
    assert_eq!(Forecast::new(&judge, 0.01, 0.1).detects(100.0, 100.0), None);
    // Errors that both versions share tell them apart: the comparison alone makes this one Safe.
    assert!(Forecast::new(&judge, 0.5, 0.1).safe_from_start().unwrap() < 100);
}

/// The delay of the design's theory, w = 10 %: between ln(1/alpha)/g and ln(16/alpha)/g, here with the harm test's part
/// of alpha and polls so small that the cap plays no role.
#[test]
fn harm_takes_what_the_theory_says() {
    let judge = Judge::new(Policy::default()).unwrap();
    for (stable, canary, low, high) in [
        (0.001, 0.01, 508.0, 814.0),
        (0.001, 0.05, 57.0, 91.0),
        (0.01, 0.02, 2822.0, 4520.0),
        (0.01, 0.05, 179.0, 287.0),
    ] {
        let forecast = Forecast::new(&judge, stable, 0.1);
        let delay = forecast.harm_after(canary, 1.0).unwrap();
        // The ladder has rungs, the best of them is a little off the true ratio.
        assert!((low..high * 1.1).contains(&delay), "{stable} -> {canary}: {delay}");
    }
}

/// Medians of runs lie within half and twice the forecast, also where the cap decides.
#[test]
fn harm_is_forecast_near_the_median() {
    let judge = Judge::new(Policy::default()).unwrap();
    for (stable, canary, share) in [(0.001, 0.01, 0.1), (0.001, 0.05, 0.1), (0.01, 0.05, 0.1), (0.01, 0.05, 0.5)] {
        let forecast = Forecast::new(&judge, stable, share).harm_after(canary, 100.0).unwrap();
        let mut delays: Vec<f64> = (0..41)
            .map(|seed| {
                let (mut evidence, mut traffic) = (Evidence::default(), Traffic::new(seed, 100.0, share));
                while judge.verdict(&evidence) != Verdict::Harm {
                    judge.look(&mut evidence, &traffic.poll(canary, stable));
                }
                f64::from(evidence.polls()) * 100.0
            })
            .collect();
        delays.sort_unstable_by(f64::total_cmp);
        assert!((0.5..2.0).contains(&(delays[20] / forecast)), "{stable} -> {canary}: {} vs {forecast}", delays[20]);
        // And the other way round: the smallest rate that is found within so many requests. Where the cap decides, that
        // is smaller than this one.
        let (back, allowed) = (Forecast::new(&judge, stable, share), forecast * 1.000_001);
        let found = back.detects(allowed, 100.0).unwrap();
        assert!(found <= canary * 1.000_001, "{found} vs {canary}");
        assert!(back.harm_after(found, 100.0).unwrap() <= allowed);
        assert!(back.harm_after(found * 0.99, 100.0).unwrap() > allowed);
    }
}
