//! What a series counted since the exposure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::measure::{Sample, Series};
use super::Window;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn series(samples: &[(i64, f64)]) -> Series {
    let samples = samples.iter().map(|(second, value)| Sample { at: at(*second), value: *value }).collect();
    Series { id: "a".to_owned(), labels: BTreeMap::new(), samples }
}

const WHOLE: Option<Timestamp> = None;

fn grown(born_after: Option<Timestamp>, samples: &[(i64, f64)]) -> i64 {
    Window { began: at(100), born_after }.grown(&series(samples))
}

#[test]
fn the_first_increment_of_a_new_series_counts() {
    assert_eq!(grown(WHOLE, &[(130, 7.0)]), 7);
    assert_eq!(grown(WHOLE, &[(130, 7.0), (145, 9.0)]), 9);
    assert_eq!(grown(WHOLE, &[]), 0);
}

#[test]
fn what_was_counted_before_the_exposure_does_not() {
    assert_eq!(grown(WHOLE, &[(70, 1000.0), (90, 1003.0), (100, 1004.0), (115, 1010.0)]), 6);
    assert_eq!(grown(WHOLE, &[(90, 1003.0)]), 0);
}

#[test]
fn a_counter_that_starts_over_counts_on() {
    assert_eq!(grown(WHOLE, &[(90, 50.0), (115, 52.0), (130, 3.0), (145, 4.0)]), 2 + 3 + 1);
}

#[test]
fn of_a_long_run_the_part_that_is_read() {
    // The readings begin at 5000, long after the exposure: what is there then counts its growth, what comes later all.
    let born_after = Some(at(5_015));
    assert_eq!(grown(born_after, &[(5_000, 900.0), (5_015, 901.0)]), 1);
    assert_eq!(grown(born_after, &[(5_060, 4.0)]), 4);
}
