//! The edges of a histogram's buckets: how a threshold is written in the label `le`, and edges for people.
//!
//! Owns units and spellings. Asks nothing.

use super::super::queries::{quoted, regex};
use crate::api::Duration;

/// The label of the bucket without an upper edge: it counts everything.
pub(super) const ALL: &str = "+Inf";

/// In what a histogram measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Milliseconds,
}

/// The texts of `le` that mean this threshold. Which one is used depends on the client library, and from version 3 on
/// Prometheus writes whole numbers with `.0` itself (Prometheus 3.0 migration guide, "le and quantile label values").
pub(super) fn texts(unit: Unit, threshold: Duration) -> Vec<String> {
    let plain = match unit {
        Unit::Seconds => threshold.as_secs_f64().to_string(),
        Unit::Milliseconds => threshold.as_millis().to_string(),
    };
    if plain.contains('.') { vec![plain] } else { vec![plain.clone(), format!("{plain}.0")] }
}

/// The matcher of the label for these edges, and for the bucket of everything if `all`.
pub(super) fn matcher(texts: &[String], all: bool) -> String {
    let edges: Vec<String> =
        texts.iter().map(String::as_str).chain(all.then_some(ALL)).map(|text| quoted(&regex(text))).collect();
    format!("le=~\"{}\"", edges.join("|"))
}

/// Edges as durations, in order, each once, without the last one that is no edge.
pub(super) fn people<'s>(unit: Unit, le: impl Iterator<Item = &'s str>) -> Vec<String> {
    let scale = match unit {
        Unit::Seconds => 1_000.0,
        Unit::Milliseconds => 1.0,
    };
    let mut edges: Vec<f64> = le
        .filter_map(|text| text.parse::<f64>().ok())
        .filter(|edge| edge.is_finite())
        .map(|edge| edge * scale)
        .collect();
    edges.sort_by(f64::total_cmp);
    let mut texts: Vec<String> = edges.into_iter().map(span).collect();
    texts.dedup();
    texts
}

fn span(milliseconds: f64) -> String {
    // Seconds times 1000 are not exact: 0.0025 must not become 2.4999999999999996ms.
    let rounded = |value: f64| ((value * 10_000.0).round() / 10_000.0).to_string();
    if milliseconds < 1_000.0 {
        format!("{}ms", rounded(milliseconds))
    } else if milliseconds < 60_000.0 {
        format!("{}s", rounded(milliseconds / 1_000.0))
    } else {
        format!("{}m", rounded(milliseconds / 60_000.0))
    }
}
