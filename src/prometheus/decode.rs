//! From the bytes of a Prometheus HTTP API answer to samples.
//!
//! Pure and total: every answer becomes samples or one [`FailureClass`]. No sample is dropped silently, and no text of
//! an answer reaches a message: what is said is counted or picked from known words. Must not do I/O.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use crate::decide::measure::{FailureClass, Sample, Series};

/// The most series that one counter may have.
pub(super) const MOST_SERIES: usize = 256;

/// Why an answer is of no use: the class, and one sentence.
pub type Refusal = (FailureClass, String);

/// A string of the answer, borrowed where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What is read first: all that does not depend on the type of the result.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    status: Text<'a>,
    #[serde(borrow)]
    error_type: Option<Text<'a>>,
    #[serde(borrow)]
    warnings: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    data: Option<Kind<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kind<'a> {
    #[serde(borrow)]
    result_type: Text<'a>,
}

/// What is read second, once the type is known.
#[derive(Deserialize)]
struct Answer<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    result: T,
}

/// Unix seconds and a number as text.
#[derive(Deserialize)]
struct Point<'a>(f64, #[serde(borrow)] Text<'a>);

#[derive(Deserialize)]
struct MatrixSeries<'a> {
    metric: BTreeMap<String, String>,
    #[serde(borrow, default)]
    values: Vec<Point<'a>>,
    histograms: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct VectorElement<'a> {
    #[serde(borrow)]
    value: Option<Point<'a>>,
    histogram: Option<IgnoredAny>,
}

/// The raw samples of every series, from the answer to `selector[range]`. No series is an answer too.
pub(super) fn counters(body: &[u8]) -> Result<Vec<Series>, Refusal> {
    match result_type(body)?.0.as_ref() {
        "matrix" => {}
        other => return Err(wrong_type(other, "the raw samples of a counter")),
    }
    let Answer { data: Data { result } } = parse::<Answer<Vec<MatrixSeries<'_>>>>(body)?;
    if result.len() > MOST_SERIES {
        return Err((
            FailureClass::ManySeries,
            format!("{} series match; at most {MOST_SERIES} are read", result.len()),
        ));
    }
    let mut series: BTreeMap<String, Series> = BTreeMap::new();
    for one in result {
        let one = series_of(one)?;
        if series.insert(one.id.clone(), one).is_some() {
            return Err(malformed("two series have the same labels"));
        }
    }
    Ok(series.into_values().collect())
}

/// The one number of an instant query.
pub(super) fn value(body: &[u8]) -> Result<Sample, Refusal> {
    match result_type(body)?.0.as_ref() {
        "scalar" => {
            let Answer { data: Data { result } } = parse::<Answer<Point<'_>>>(body)?;
            sample(&result)
        }
        "vector" => {
            let Answer { data: Data { result } } = parse::<Answer<Vec<VectorElement<'_>>>>(body)?;
            let count = result.len();
            let mut elements = result.into_iter();
            match (elements.next(), elements.next()) {
                (None, _) => Err((FailureClass::Empty, "no series matches".to_owned())),
                (Some(_), Some(_)) => {
                    Err((FailureClass::ManySeries, format!("{count} series match; the query must give one number")))
                }
                (Some(VectorElement { histogram: Some(_), .. }), None) => {
                    Err(malformed("the result is a native histogram, not a number"))
                }
                (Some(VectorElement { value: None, .. }), None) => Err(malformed("a series has no value")),
                (Some(VectorElement { value: Some(point), histogram: None }), None) => sample(&point),
            }
        }
        other => Err(wrong_type(other, "one number")),
    }
}

/// Why the server refused, if the body of an HTTP error is a Prometheus error.
pub(super) fn refusal(body: &[u8]) -> Option<Refusal> {
    let head: Head<'_> = serde_json::from_slice(body).ok()?;
    (head.status.0 == "error").then(|| refused(head.error_type.as_ref()))
}

/// Digest of labels, the same in every process: it is kept in the cluster, so it is short. Two of 256 series have the
/// same one once in 30 million times, and then the answer is refused.
pub(super) fn series_id(labels: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    for part in labels.iter().flat_map(|(name, value)| [name, value]) {
        digest.update(part.as_bytes());
        // No byte of UTF-8, so that no two sets of labels give the same input.
        digest.update([0xff]);
    }
    digest.finalize().iter().take(5).fold(String::with_capacity(10), |mut id, byte| {
        // Writing to a String cannot fail.
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// The type of the result, if the answer is a complete success.
fn result_type(body: &[u8]) -> Result<Text<'_>, Refusal> {
    let head: Head<'_> = parse(body)?;
    match head.status.0.as_ref() {
        "success" => {}
        "error" => return Err(refused(head.error_type.as_ref())),
        _ => return Err(malformed("the status is neither success nor error")),
    }
    // Servers without the field `infos` (Prometheus up to 2.53) give their remarks on the query as warnings.
    let remark = |text: &Text<'_>| text.0.starts_with("PromQL info:");
    let warnings = head.warnings.iter().flatten().filter(|text| !remark(text)).count();
    if warnings > 0 {
        let plural = if warnings == 1 { "" } else { "s" };
        return Err((
            FailureClass::Partial,
            format!("the server gave {warnings} warning{plural}: the answer may be incomplete"),
        ));
    }
    head.data.map(|data| data.result_type).ok_or_else(|| malformed("it has no data"))
}

fn refused(error_type: Option<&Text<'_>>) -> Refusal {
    match error_type.map(|text| text.0.as_ref()) {
        Some("timeout") => (FailureClass::Timeout, "the server gave up after the query's timeout".to_owned()),
        Some("bad_data") => (FailureClass::BadQuery, "the server cannot read the query (bad_data)".to_owned()),
        Some("execution") => {
            (FailureClass::BadQuery, "the query fails or reads too much on the server (execution)".to_owned())
        }
        Some(word @ ("canceled" | "internal" | "unavailable" | "not_found" | "not_acceptable")) => {
            (FailureClass::HttpStatus, format!("the server answered with an error ({word})"))
        }
        Some(_) | None => (FailureClass::HttpStatus, "the server answered with an error of an unknown type".to_owned()),
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    // The error's text may quote the answer; its kind does not.
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => malformed("it does not have the expected form"),
        serde_json::error::Category::Eof => malformed("it ends early"),
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => malformed("it is not JSON"),
    })
}

fn malformed(why: &str) -> Refusal {
    (FailureClass::Malformed, format!("the answer is not usable: {why}"))
}

fn wrong_type(found: &str, expected: &str) -> Refusal {
    let known = ["matrix", "vector", "scalar", "string", "streams"];
    let found = known.into_iter().find(|word| *word == found).unwrap_or("unknown");
    malformed(&format!("its type is {found} where {expected} is expected"))
}

fn series_of(read: MatrixSeries<'_>) -> Result<Series, Refusal> {
    if read.histograms.is_some() {
        return Err(malformed("a series is a native histogram, not a counter"));
    }
    let mut labels = read.metric;
    labels.remove("__name__");
    let samples = read.values.iter().map(sample).collect::<Result<Vec<_>, _>>()?;
    if !samples.is_sorted_by(|earlier, later| earlier.at < later.at) {
        return Err(malformed("the samples of a series are not in order of time"));
    }
    Ok(Series { id: series_id(&labels), labels, samples })
}

fn sample(Point(seconds, text): &Point<'_>) -> Result<Sample, Refusal> {
    let at = timestamp(*seconds).ok_or_else(|| malformed("a time is out of range"))?;
    let value: f64 = text.0.parse().map_err(|_| malformed("a value is not a number"))?;
    if value.is_nan() {
        Err((FailureClass::NotANumber, "a value is NaN".to_owned()))
    } else if value.is_infinite() {
        Err((FailureClass::Infinite, "a value is infinite".to_owned()))
    } else {
        Ok(Sample { at, value })
    }
}

/// Unix seconds to the millisecond; `None` outside the range of timestamps.
fn timestamp(seconds: f64) -> Option<Timestamp> {
    let milliseconds = (seconds * 1000.0).round();
    // The cast saturates, and what it saturates to is out of range; NaN would become 0.
    #[allow(clippy::cast_possible_truncation)]
    let whole = milliseconds as i64;
    if milliseconds.is_nan() { None } else { Timestamp::from_millisecond(whole).ok() }
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
