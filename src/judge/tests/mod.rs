//! Tests of the judge: published values, an exact reference, kept evidence, extreme counts, error rates, forecasts.
#![allow(clippy::arithmetic_side_effects)] // tests may panic

mod exact;
mod forecast;
mod rates;
mod robust;
mod traffic;

use super::*;

fn after(polls: impl IntoIterator<Item = (usize, (u64, u64, u64, u64))>) -> (Judge, Evidence) {
    let judge = Judge::new(Policy::default()).unwrap();
    let mut evidence = Evidence::default();
    for (times, (x_c, n_c, x_s, n_s)) in polls {
        for _ in 0..times {
            judge.look(&mut evidence, &Poll::new(x_c, n_c, x_s, n_s));
        }
    }
    (judge, evidence)
}

/// The vectors of the design, to 6 digits.
#[test]
fn the_published_vectors() {
    let vectors = [
        (vec![(10, (0, 100, 1, 900))], 0.586616, 0.595947),
        (vec![(4, (5, 100, 1, 900))], 206.422003, 208.717655),
        (vec![(6, (1, 100, 1, 900))], 24.386932, 440.500254),
        (vec![(1, (50, 100, 0, 900))], 2.820794, 2.820794),
        (vec![(3, (50, 100, 450, 900))], 0.496107, 50.547210),
        (vec![(1, (0, 0, 3, 900)), (1, (4, 100, 0, 900))], 2.672519, 2.686222),
        (vec![(20, (0, 500, 0, 500))], 1.000000, 0.472064),
    ];
    for (polls, relative, floor) in vectors {
        let (judge, evidence) = after(polls.clone());
        let capital = judge.capital(&evidence);
        assert!((capital.relative - relative).abs() < 1e-6, "{polls:?}: {capital:?}");
        assert!((capital.floor - floor).abs() < 1e-6, "{polls:?}: {capital:?}");
    }
}

/// Half of all failing is seen by the fuse at once, while the harm test waits for its fourth poll.
#[test]
fn the_fuse_sees_a_disaster_in_one_poll() {
    let (judge, evidence) = after([(1, (50, 100, 0, 900))]);
    assert_eq!(judge.verdict(&evidence), Verdict::Harm);
    assert!(judge.capital(&evidence).harm < judge.harm_at());
    let mut settling = Evidence::default();
    judge.look_while_settling(&mut settling, &Poll::new(50, 100, 0, 900));
    assert_eq!(judge.verdict(&settling), Verdict::Harm);
    assert_eq!(settling.polls(), 0);
}

/// Safe speaks of one wave; what speaks for harm is kept.
#[test]
fn a_wave_begins_without_safety() {
    let (judge, mut evidence) = after([(4, (0, 500, 5, 4500))]);
    assert_eq!(judge.verdict(&evidence), Verdict::Safe);
    let before = judge.capital(&evidence);
    evidence.next_wave();
    let capital = judge.capital(&evidence);
    assert_eq!((capital.harm, capital.fuse), (before.harm, before.fuse));
    assert!((capital.safe - 1.0).abs() < 1e-12);
    assert!(!evidence.is_fresh() && Evidence::default().is_fresh());
}

#[test]
fn policies_without_sense_are_refused_by_field() {
    let default = Policy::default();
    for (policy, expected) in [
        (Policy { tolerance: 0.9, ..default }, "tolerance is 0.9, it must be between 1 and 1000"),
        (Policy { tolerance: 1e307, ..default }, "it must be between 1 and 1000"),
        (Policy { floor: 0.0, ..default }, "floor is 0, it must be above 0 and at most 0.5"),
        (Policy { alpha: f64::NAN, ..default }, "alpha is NaN"),
        (Policy { exclude_ratio: 1.0, ..default }, "r2 is 1, it must be more than 1"),
        (Policy { exclude_ratio: f64::INFINITY, ..default }, "r2 is inf"),
        (Policy { exclude_floor: 0.51, ..default }, "floor2 is 0.51"),
        (Policy { beta: -0.1, ..default }, "beta is -0.1"),
        (Policy { dispersion: 0.99, ..default }, "phi is 0.99, it must be 1 or more"),
    ] {
        let said = Judge::new(policy).unwrap_err().to_string();
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
}

#[test]
fn phi_is_one_for_requests_on_their_own_and_large_for_bursts() {
    let pod = |bad| PodCount { requests: 100, bad };
    let mut even = Dispersion::default();
    let mut bursts = Dispersion::default();
    for poll in 0..240 {
        even.add(&[pod(1), pod(1), pod(1), pod(1)]);
        bursts.add(&[pod(if poll % 20 == 0 { 8 } else { 0 }), pod(0), pod(0), pod(0)]);
    }
    assert!((even.phi() - 1.0).abs() < 1e-12);
    // Eight errors at once weigh about as much as one: 8 (1 - 1/4) 4/3.
    assert!((bursts.phi() - 8.0).abs() < 0.2, "{}", bursts.phi());
    // One pod, or none that serves, says nothing.
    let mut nothing = Dispersion::default();
    nothing.add(&[pod(50)]);
    nothing.add(&[pod(50), PodCount::default()]);
    assert_eq!(nothing, Dispersion::default());
    assert!((nothing.phi() - 1.0).abs() < 1e-12);
}

/// Both kinds of stakes are the same for 256 polls; after that one of them lasts.
#[test]
fn stakes_last_beyond_the_published_ones() {
    let lasting = Judge::new(Policy { stakes: Stakes::Lasting, ..Policy::default() }).unwrap();
    let published = Judge::new(Policy::default()).unwrap();
    let (mut one, mut other) = (Evidence::default(), Evidence::default());
    let clean = Poll::new(0, 100, 1, 900);
    for poll in 1..=20_000 {
        lasting.look(&mut one, &clean);
        published.look(&mut other, &clean);
        if poll <= 256 {
            assert_eq!(lasting.capital(&one), published.capital(&other), "{poll}");
        }
    }
    assert!(published.capital(&other).relative < 1e-3, "{:?}", published.capital(&other));
    assert!(lasting.capital(&one).relative > 2e-3, "{:?}", lasting.capital(&one));
    // Capital never grows on what is no worse than stable.
    assert!(lasting.capital(&one).relative < 1.0);
}
