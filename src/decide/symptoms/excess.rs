//! From bad requests by label to what most of the excess has in common.
//!
//! Owns the arithmetic only: pure, told the counts.

use std::collections::BTreeMap;

use super::labels::{self, Tells};
use crate::api::Symptom;

/// So much of the excess the values of a label must have.
const COVER: f64 = 0.8;
/// A label that needs more values for that stands out with none.
const MOST_VALUES: usize = 4;
/// How many symptoms are kept.
const MOST: usize = 8;

/// What a series counted: bad requests of the one version or the other. Buckets of a histogram take away.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bad<'a> {
    pub(super) labels: &'a BTreeMap<String, String>,
    pub(super) pod: Option<&'a str>,
    pub(super) canary: i64,
    pub(super) stable: i64,
}

/// Bad requests of canary and stable by the value of a label.
type ByValue = BTreeMap<String, (i64, i64)>;

/// What most of the excess of the canary has in common: for each label the fewest values that cover [`COVER`] of it.
/// `ratio` is how many requests the canary had for each of stable's. `None` if the canary has no excess at all: then
/// these are not the counts that the verdict was made of.
pub(super) fn dominant(bad: &[Bad<'_>], ratio: f64, pods: usize) -> Option<Vec<Symptom>> {
    let whole = excess(bad.iter().map(|one| (one.canary, one.stable)), ratio);
    if whole.is_nan() || whole < 1.0 {
        return None;
    }
    let mut sums: BTreeMap<(Tells, &str), ByValue> = BTreeMap::new();
    for one in bad {
        for (label, value) in one.labels {
            let Some(tells) = labels::tells(label) else { continue };
            let Some(value) = labels::value(tells, value) else { continue };
            let sum = sums.entry((tells, label)).or_default().entry(value).or_default();
            *sum = (sum.0.saturating_add(one.canary), sum.1.saturating_add(one.stable));
        }
    }
    let mut symptoms = Vec::new();
    for ((_, label), values) in sums {
        let excess = values.into_iter().map(|(value, sum)| (value, excess([sum].into_iter(), ratio)));
        symptoms.extend(cover(excess.collect(), whole).into_iter().map(|(value, share)| Symptom {
            label: label.to_owned(),
            value,
            share,
        }));
    }
    symptoms.truncate(MOST);
    // Pods come and go: that it was one of them says something, which one does not.
    if pods > 1 && symptoms.len() < MOST {
        symptoms.extend(one_pod(bad));
    }
    Some(symptoms)
}

/// How many more were bad than at stable's rate; less than 0 if fewer.
fn excess(bad: impl Iterator<Item = (i64, i64)>, ratio: f64) -> f64 {
    let (canary, stable) =
        bad.fold((0_i64, 0_i64), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)));
    float(canary) - float(stable) * ratio
}

/// The fewest values with their shares in percent, the largest first; none if there are too many.
fn cover(mut values: Vec<(String, f64)>, whole: f64) -> Vec<(String, u8)> {
    values.retain(|(_, excess)| *excess > 0.0);
    values.sort_by(|(one, excess), (other, more)| more.total_cmp(excess).then_with(|| one.cmp(other)));
    // Where one value got better, the others together have more than the excess of all.
    let all = values.iter().map(|(_, excess)| excess).sum::<f64>().max(whole);
    let (mut kept, mut sum) = (Vec::new(), 0.0);
    for (value, excess) in values.into_iter().take(MOST_VALUES) {
        sum += excess;
        kept.push((value, percent(excess / all)));
        // A hair less than the bound is the bound: these are sums of floats.
        if sum >= all * COVER - 1e-9 {
            return kept;
        }
    }
    Vec::new()
}

fn one_pod(bad: &[Bad<'_>]) -> Option<Symptom> {
    let mut pods: BTreeMap<&str, i64> = BTreeMap::new();
    for one in bad {
        let sum = pods.entry(one.pod?).or_default();
        *sum = sum.saturating_add(one.canary);
    }
    let most = pods.values().copied().max().unwrap_or_default();
    let share = float(most) / float(pods.values().fold(0_i64, |sum, one| sum.saturating_add(*one)).max(1));
    let symptom = || Symptom { label: "pod".to_owned(), value: "one".to_owned(), share: percent(share) };
    (share >= COVER).then(symptom)
}

fn percent(share: f64) -> u8 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 100
    let percent = (share * 100.0).round().clamp(0.0, 100.0) as u8;
    percent
}

fn float(count: i64) -> f64 {
    #[allow(clippy::cast_precision_loss)] // counts of requests are far below 2^53
    let float = count as f64;
    float
}

#[cfg(test)]
mod tests {
    use super::*;

    type Labels = BTreeMap<String, String>;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect()
    }

    fn found(rows: &[(Labels, i64, i64)], ratio: f64) -> Option<Vec<String>> {
        let bad: Vec<Bad<'_>> = rows
            .iter()
            .map(|(labels, canary, stable)| Bad {
                labels,
                pod: labels.get("pod").map(String::as_str),
                canary: *canary,
                stable: *stable,
            })
            .collect();
        let symptoms = dominant(&bad, ratio, 3)?;
        Some(symptoms.iter().map(|one| format!("{}={} {}", one.label, one.value, one.share)).collect())
    }

    #[test]
    fn it_is_the_excess_that_counts_not_the_errors() {
        // Canary and stable have as many requests. 404s of both are as they always are; the 40 more are 503s.
        let rows = [
            (labels(&[("code", "502"), ("method", "GET")]), 100, 100),
            (labels(&[("code", "503"), ("method", "GET")]), 30, 0),
            (labels(&[("code", "503"), ("method", "POST")]), 10, 0),
        ];
        assert_eq!(found(&rows, 1.0).unwrap(), ["code=503 100", "method=GET 75", "method=POST 25"]);
        // With a twentieth of stable's requests the same 100 are excess, too: 95 + 40.
        assert_eq!(found(&rows, 0.05).unwrap(), ["code=502 70", "code=503 30", "method=GET 93"]);
    }

    #[test]
    fn the_fewest_values_that_cover_four_fifths() {
        let of = |counts: &[i64]| -> Vec<(Labels, i64, i64)> {
            let row = |(n, count): (usize, &i64)| {
                (labels(&[("route", &format!("/r{}", char::from(b'a' + n as u8)))]), *count, 0)
            };
            counts.iter().enumerate().map(row).collect()
        };
        assert_eq!(found(&of(&[80, 20]), 1.0).unwrap(), ["route=/ra 80"], "exactly four fifths");
        assert_eq!(found(&of(&[79, 21]), 1.0).unwrap(), ["route=/ra 79", "route=/rb 21"]);
        assert_eq!(found(&of(&[10, 30, 60]), 1.0).unwrap(), ["route=/rc 60", "route=/rb 30"], "the largest first");
        assert!(found(&of(&[20, 20, 20, 20, 20]), 1.0).unwrap().len() == 4);
        assert!(found(&of(&[10; 10]), 1.0).unwrap().is_empty(), "everywhere is nowhere");
    }

    #[test]
    fn a_label_that_few_of_the_series_have_covers_nothing() {
        let rows = [(labels(&[("code", "500"), ("zone", "a")]), 20, 0), (labels(&[("code", "500")]), 80, 0)];
        assert_eq!(found(&rows, 1.0).unwrap(), ["code=500 100"]);
    }

    #[test]
    fn a_value_that_got_better_hides_nothing() {
        let rows = [(labels(&[("code", "500")]), 50, 0), (labels(&[("code", "502")]), 0, 30)];
        assert_eq!(found(&rows, 1.0).unwrap(), ["code=500 100"]);
    }

    #[test]
    fn without_excess_nothing_is_known() {
        assert_eq!(found(&[], 1.0), None);
        assert_eq!(found(&[(labels(&[("code", "500")]), 10, 10)], 1.0), None);
        assert_eq!(found(&[(labels(&[("code", "500")]), i64::MIN, i64::MAX)], f64::NAN), None, "and nothing overflows");
    }

    #[test]
    fn slow_requests_are_all_without_the_fast_ones() {
        let rows = [
            (labels(&[("le", "+Inf"), ("http_route", "/a")]), 100, 0),
            (labels(&[("le", "0.3"), ("http_route", "/a")]), -95, 0),
            (labels(&[("le", "+Inf"), ("http_route", "/b")]), 100, 0),
            (labels(&[("le", "0.3"), ("http_route", "/b")]), -20, 0),
        ];
        assert_eq!(found(&rows, 1.0).unwrap(), ["http_route=/b 94"]);
    }

    #[test]
    fn one_pod_is_said_and_not_named() {
        let pod = |name: &str| labels(&[("code", "500"), ("pod", name)]);
        let rows = [(pod("shop-canary-a"), 90, 0), (pod("shop-canary-b"), 10, 0)];
        assert_eq!(found(&rows, 1.0).unwrap(), ["code=500 100", "pod=one 90"]);
        let even = [(pod("shop-canary-a"), 50, 0), (pod("shop-canary-b"), 50, 0)];
        assert_eq!(found(&even, 1.0).unwrap(), ["code=500 100"]);
        // Of one there is nothing to say.
        let bad = [Bad { labels: &rows[0].0, pod: Some("a"), canary: 9, stable: 0 }];
        assert_eq!(dominant(&bad, 1.0, 1).unwrap().len(), 1);
    }

    #[test]
    fn no_more_than_eight_are_kept() {
        let names =
            ["code", "status", "status_code", "http_status", "response_code", "error", "path", "method", "zone"];
        let rows: Vec<_> = ["1", "2", "3", "4"]
            .iter()
            .map(|n| (names.iter().map(|name| ((*name).to_owned(), format!("v{n}"))).collect::<Labels>(), 25, 0))
            .collect();
        assert_eq!(found(&rows, 1.0).unwrap().len(), 8);
    }
}
