//! The rule written down once more, slowly and exactly: fractions of whole numbers of any length, straight from
//! docs/verdicts.md. `num-bigint` alone, without reducing fractions: the greatest common divisors of `num-rational`
//! would take far longer than the products, and 106 bits of a double-double are no reference for capitals that are
//! products of thousands of factors.

use num_bigint::BigUint;
use proptest::prelude::*;

use super::*;

/// A fraction that is not reduced.
#[derive(Debug, Clone)]
struct Exact(BigUint, BigUint);

fn exact(numerator: u64, denominator: u64) -> Exact {
    Exact(numerator.into(), denominator.into())
}

impl Exact {
    fn times(&self, other: &Self) -> Self {
        Self(&self.0 * &other.0, &self.1 * &other.1)
    }

    fn over(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1, &self.1 * &other.0)
    }

    fn plus(&self, other: &Self) -> Self {
        Self(&self.0 * &other.1 + &other.0 * &self.1, &self.1 * &other.1)
    }

    /// 1 − self.
    fn rest(&self) -> Self {
        Self(&self.1 - &self.0, self.1.clone())
    }

    fn power(&self, exponent: u64) -> Self {
        let exponent = u32::try_from(exponent).unwrap();
        Self(self.0.pow(exponent), self.1.pow(exponent))
    }

    fn at_most(self, other: &Self) -> Self {
        if &self.0 * &other.1 > &other.0 * &self.1 { other.clone() } else { self }
    }

    /// |value / self − 1|.
    fn relative_error(&self, value: f64) -> f64 {
        let bits = value.to_bits();
        let (mantissa, exponent) = ((bits & ((1 << 52) - 1)) | (1 << 52), (bits >> 52) as i64 - 1075);
        assert!((bits >> 52) > 0 && value.is_finite(), "{value} is not a normal number");
        let shift = |number: BigUint, up: i64| if up > 0 { number << up } else { number };
        let value = shift(&self.1 * mantissa, exponent);
        let this = shift(self.0.clone(), -exponent);
        let difference = if value > this { &value - &this } else { &this - &value };
        quotient(&difference, &this)
    }
}

/// a / b, rounded somehow.
fn quotient(a: &BigUint, b: &BigUint) -> f64 {
    let leading = |number: &BigUint| {
        let shift = number.bits().saturating_sub(64);
        ((number >> shift).iter_u64_digits().next().unwrap_or(0) as f64, shift as i32)
    };
    let ((a, shift_a), (b, shift_b)) = (leading(a), leading(b));
    a / b * 2_f64.powi(shift_a - shift_b)
}

/// The rungs as fractions.
const RUNGS_EXACT: [(u64, u64); RUNGS] = [(5, 4), (8, 5), (11, 5), (7, 2), (6, 1), (12, 1), (30, 1), (100, 1)];

/// θ(r) = r w / (r w + 1 − w) with w = n_c / (n_c + n_s).
fn theta(ratio: &Exact, poll: &Poll) -> Exact {
    let canary = &ratio.0 * poll.canary.requests;
    Exact(canary.clone(), canary + &ratio.1 * poll.stable.requests)
}

/// (θ1/θ0)^x_c × ((1−θ1)/(1−θ0))^x_s.
fn relative_factor(null: &Exact, alternative: &Exact, poll: &Poll) -> Exact {
    if poll.stable.requests == 0 || poll.canary.requests == 0 {
        return exact(1, 1);
    }
    let (one, zero) = (theta(alternative, poll), theta(null, poll));
    one.over(&zero).power(poll.canary.bad).times(&one.rest().over(&zero.rest()).power(poll.stable.bad))
}

/// (q/ε)^x_c × ((1−q)/(1−ε))^(n_c−x_c).
fn floor_factor(null: &Exact, alternative: &Exact, poll: &Poll) -> Exact {
    let good = poll.canary.requests - poll.canary.bad;
    let on_good = alternative.rest().over(&null.rest()).power(good);
    alternative.over(null).power(poll.canary.bad).times(&on_good)
}

/// One process: stakes, bets, cash.
fn capital(polls: &[Poll], most: Option<&Exact>, factor: impl Fn(usize, &Poll) -> Exact) -> Exact {
    let mut cash = exact(1, 1);
    let mut bets = vec![exact(0, 1); RUNGS];
    for (number, poll) in polls.iter().enumerate() {
        let stake = cash.times(&if number == 0 { exact(1, 2) } else { exact(1, 256) });
        cash = cash.times(&if number == 0 { exact(1, 2) } else { exact(255, 256) });
        let part = stake.times(&exact(1, RUNGS as u64));
        for (rung, bet) in bets.iter_mut().enumerate() {
            let factor = factor(rung, poll);
            *bet = bet.plus(&part).times(&most.map_or(factor.clone(), |most| factor.at_most(most)));
        }
    }
    bets.iter().fold(cash, |sum, bet| sum.plus(bet))
}

/// Values whose cube root is whole, so that the cap is exact too: alpha as 1/n, and n^(1/3).
const ALPHAS: [(u64, u64); 3] = [(1000, 10), (64, 4), (8, 2)];
const TOLERANCES: [(u64, u64); 4] = [(1, 1), (5, 4), (3, 2), (2, 1)];
const FLOORS: [u64; 4] = [10_000, 1000, 100, 20];
const EXCLUDED: [(u64, u64, u64); 3] = [(2, 1, 200), (3, 1, 100), (10, 1, 20)];

fn ratio((numerator, denominator): (u64, u64)) -> f64 {
    float(numerator) / float(denominator)
}

fn arm(most: u64) -> impl Strategy<Value = Arm> {
    let requests = prop_oneof![1 => Just(0_u64), 4 => 1_u64..40, 8 => 40..most];
    requests.prop_flat_map(|requests| (0..=requests.min(15)).prop_map(move |bad| Arm { requests, bad }))
}

fn polls() -> impl Strategy<Value = Vec<Poll>> {
    // Powers as high as the canary's requests are fractions of that many digits.
    let poll = (arm(200), arm(1_000_000)).prop_map(|(canary, stable)| Poll { canary, stable });
    proptest::collection::vec(poll, 1..8)
}

/// The bound that `bets` states, for a null of `ratio` and `floor`: per poll twice the sum of the absolute values that
/// are added up as logarithms, and 8, in units of 2^-52.
fn bound(polls: &[Poll], null_ratio: f64, null_floor: f64, up: bool) -> f64 {
    let terms = polls.iter().map(|poll| {
        let (bad, all_bad) = (float(poll.canary.bad), float(poll.canary.bad + poll.stable.bad));
        let level = |ratio: f64| (poll.share() * (ratio - 1.0)).ln_1p().abs();
        let of = |rung: f64| {
            let (to, rate) = if up {
                (null_ratio * rung, (null_floor * rung).min(0.9))
            } else {
                (null_ratio / rung, null_floor / rung)
            };
            let good = float(poll.canary.requests) - bad;
            let relative = bad * (1.0 + rung.ln()) + all_bad * (level(null_ratio) + level(to));
            let floor = bad * (1.0 + rung.ln()) - good * ((-rate).ln_1p() + (-null_floor).ln_1p());
            relative.max(floor)
        };
        2.0 * LADDER.map(of).into_iter().fold(0.0, f64::max) + 8.0
    });
    terms.sum::<f64>() * f64::EPSILON
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn capitals_are_what_exact_arithmetic_says(
        polls in polls(),
        alpha in proptest::sample::select(&ALPHAS[..]),
        tolerance in proptest::sample::select(&TOLERANCES[..]),
        floor in proptest::sample::select(&FLOORS[..]),
        excluded in proptest::sample::select(&EXCLUDED[..]),
    ) {
        let policy = Policy {
            tolerance: ratio(tolerance),
            floor: ratio((1, floor)),
            alpha: ratio((1, alpha.0)),
            exclude_ratio: ratio((excluded.0, excluded.1)),
            exclude_floor: ratio((1, excluded.2)),
            ..Policy::default()
        };
        let judge = Judge::new(policy).unwrap();
        let mut evidence = Evidence::default();
        for poll in &polls {
            judge.look(&mut evidence, poll);
        }
        let found = judge.capital(&evidence);

        let rung = |rung: usize| exact(RUNGS_EXACT[rung].0, RUNGS_EXACT[rung].1);
        let (most, null) = (exact(alpha.1, 1), exact(tolerance.0, tolerance.1));
        let share = exact(1, floor);
        let check = |name: &str, found: f64, expected: Exact, bound: f64| {
            let error = expected.relative_error(found);
            prop_assert!(error <= bound, "{name} {found}: off by {error:e}, allowed {bound:e}");
            Ok(())
        };

        let expected = capital(&polls, Some(&most), |j, poll| relative_factor(&null, &null.times(&rung(j)), poll));
        check("relative", found.relative, expected, bound(&polls, policy.tolerance, policy.floor, true))?;
        let highest = exact(9, 10);
        let expected = capital(&polls, Some(&most), |j, poll| {
            floor_factor(&share, &share.times(&rung(j)).at_most(&highest), poll)
        });
        check("floor", found.floor, expected, bound(&polls, policy.tolerance, policy.floor, true))?;

        let (ten, fifth) = (exact(10, 1), exact(1, 5));
        let relative = capital(&polls, None, |j, poll| relative_factor(&ten, &ten.times(&rung(j)), poll));
        let floor = capital(&polls, None, |j, poll| floor_factor(&fifth, &fifth.times(&rung(j)).at_most(&highest), poll));
        check("fuse", found.fuse, relative.at_most(&floor), bound(&polls, FUSE_RATIO, FUSE_FLOOR, true))?;

        let (null, share) = (exact(excluded.0, excluded.1), exact(1, excluded.2));
        let safe = (0..RUNGS).fold(exact(0, 1), |sum, j| {
            let product = |factor: &dyn Fn(&Poll) -> Exact| {
                polls.iter().fold(exact(1, 1), |product, poll| product.times(&factor(poll)))
            };
            let relative = product(&|poll| relative_factor(&null, &null.over(&rung(j)), poll));
            sum.plus(&relative).plus(&product(&|poll| floor_factor(&share, &share.over(&rung(j)), poll)))
        });
        let safe = safe.times(&exact(1, 2 * RUNGS as u64));
        check("safe", found.safe, safe, bound(&polls, policy.exclude_ratio, policy.exclude_floor, false))?;
    }

    /// phi takes the root of that order of each factor: twice the errors with phi 2 are worth the errors with phi 1.
    #[test]
    fn phi_divides_the_evidence(polls in polls(), phi in 1_u64..6) {
        let with = |dispersion: f64, times: u64| {
            // Alpha is so small that no poll is cut.
            let judge = Judge::new(Policy { dispersion, alpha: 1e-300, ..Policy::default() }).unwrap();
            let mut evidence = Evidence::default();
            for Poll { canary, stable } in &polls {
                let counts = [canary.bad, canary.requests, stable.bad, stable.requests].map(|count| count * times);
                judge.look(&mut evidence, &Poll::new(counts[0], counts[1], counts[2], counts[3]));
            }
            judge.capital(&evidence)
        };
        let (one, many) = (with(1.0, 1), with(float(phi), phi));
        for (one, many) in [(one.relative, many.relative), (one.floor, many.floor), (one.safe, many.safe)] {
            prop_assert!((one / many - 1.0).abs() < 1e-9, "{one} {many}");
        }
    }

    /// One poll multiplies no bet by more than alpha^(-1/3): not three polls suffice, whatever they bring.
    #[test]
    fn three_polls_never_decide_without_the_fuse(polls in proptest::collection::vec((arm(1_000), arm(1_000_000)), 3)) {
        let judge = Judge::new(Policy::default()).unwrap();
        let mut evidence = Evidence::default();
        for (canary, stable) in polls {
            judge.look(&mut evidence, &Poll { canary, stable });
        }
        prop_assert!(judge.capital(&evidence).harm < judge.harm_at());
    }
}
