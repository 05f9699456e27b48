//! What was measured. Nothing here measures or prints.

use std::collections::BTreeMap;

use crate::operator::Memory;

/// At one number of Rollouts.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtSize {
    pub(crate) rollouts: usize,
    /// Bytes of JSON that a list of everything watched has.
    pub(crate) listed: usize,
    /// Seconds that such a list takes a plain client.
    pub(crate) list_seconds: f64,
    /// Seconds in which so many were adopted that were not yet.
    pub(crate) adopted: usize,
    pub(crate) adopt_seconds: f64,
    /// Writes of that, dry runs included.
    pub(crate) adopt_writes: usize,
    /// Seconds that as many plain writes take, as many at once.
    pub(crate) plain_seconds: f64,
    /// Leader and standby that saw all of it.
    pub(crate) leader: Memory,
    pub(crate) standby: Memory,
    /// Series that the leader tells Prometheus, and bytes of that.
    pub(crate) told: (usize, usize),
    /// The leader after it has told that once.
    pub(crate) scraped: Memory,
    /// Both started anew with so many there.
    pub(crate) starts: Vec<f64>,
    pub(crate) fresh: Memory,
    pub(crate) fresh_most: u64,
    /// Requests about one Rollout that the start brought.
    pub(crate) start_requests: usize,
    pub(crate) rest: Rest,
}

/// Nothing happens.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rest {
    pub(crate) seconds: f64,
    /// Requests by kind, of both replicas.
    pub(crate) requests: BTreeMap<String, usize>,
    /// Those about one Rollout or its objects.
    pub(crate) about_one: BTreeMap<String, usize>,
    /// Seconds of processor time of leader and standby.
    pub(crate) cpu: f64,
}

/// A number of Rollouts in a wave at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active {
    pub(crate) rollouts: usize,
    /// Seconds until all of them had traffic.
    pub(crate) exposed_seconds: f64,
    /// Seconds from the breaching sample to weight 0, of a few while the others go on.
    pub(crate) few: Vec<f64>,
    /// The same from the first failing request on.
    pub(crate) few_exposed: Vec<f64>,
    /// The same of all others at the same moment.
    pub(crate) every: Vec<f64>,
    pub(crate) every_exposed: Vec<f64>,
    pub(crate) leader: Memory,
}

/// One good release of four waves.
#[derive(Debug, Clone, Default)]
pub(crate) struct Release {
    pub(crate) beside: usize,
    pub(crate) seconds: f64,
    pub(crate) writes: BTreeMap<String, usize>,
}

/// All of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Results {
    pub(crate) sizes: Vec<AtSize>,
    pub(crate) releases: Vec<Release>,
    pub(crate) active: Vec<Active>,
    /// Requests of each Rollout when an hour has passed since its gate was proven.
    pub(crate) hourly: Option<BTreeMap<String, usize>>,
    pub(crate) hourly_of: usize,
    /// What could not be measured, and why.
    pub(crate) missing: Vec<String>,
}

/// The value that so many percent of these do not exceed.
pub(crate) fn percentile(values: &[f64], percent: usize) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100).max(1);
    values.get(rank.min(values.len()).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!((percentile(&values, 50), percentile(&values, 99)), (Some(50.0), Some(99.0)));
        assert_eq!((percentile(&[7.0], 99), percentile(&[], 50)), (Some(7.0), None));
    }
}
