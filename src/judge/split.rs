//! Whether requests are divided as they were meant to be.
//!
//! Capital that bets against "each request goes to the canary with the chance that the weight says", an equal mixture
//! of four shares that are clearly off. With a fixed weight it depends on the totals only, so nothing is kept. Two
//! sided; small deviations, which no user minds, win none of the bets. Not part of any verdict.

use super::float;

/// The odds of a request to go to the canary, as multiples of those that the weight says.
const ODDS: [f64; 4] = [0.4, 0.7, 1.4, 2.5];

/// The capital after so many requests of both versions at a constant weight (0 to 1).
pub fn capital(canary: u64, stable: u64, weight: f64) -> f64 {
    if weight <= 0.0 || weight >= 1.0 {
        return 1.0;
    }
    let bets = ODDS.map(|odds| {
        let share = odds * weight / (odds * weight + 1.0 - weight);
        let log = float(canary) * (share / weight).ln() + float(stable) * ((1.0 - share) / (1.0 - weight)).ln();
        log.min(600.0).exp()
    });
    bets.iter().sum::<f64>() / float(ODDS.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_off_shows_and_a_small_deviation_does_not() {
        assert!(capital(100, 900, 0.1) < 1.0);
        assert!(capital(200, 800, 0.1) > 1_000.0);
        assert!(capital(20, 980, 0.1) > 1_000.0);
        // 9.3% of a million instead of 10% is certain, and of no consequence.
        assert!(capital(93_000, 907_000, 0.1) < 1e-6);
        assert!(capital(u64::MAX, 0, 0.1).is_finite());
        assert!((capital(0, 0, 0.5) - 1.0).abs() < 1e-12);
        assert!((capital(7, 0, 1.0) - 1.0).abs() < 1e-12);
    }
}
