//! The part of `Rollout.status` that holds what was counted and what it is worth.
//!
//! Owns the form of counts, cursors, capitals and forecasts. Samples up to `until` are never counted again, so a
//! restart neither skips nor counts twice: what came later is read again from Prometheus.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::decision_log::Unlogged;
use super::units::{Duration, Number};
use crate::judge::{self, Evidence};

/// Requests of one counter that are already counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficState {
    /// Time of the newest sample that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub until: Option<Timestamp>,
    /// Last value of each series, by the digest of its labels.
    #[serde(default, skip_serializing_if = "Cursors::is_empty")]
    pub cursors: Cursors,
    /// The interval that is not complete yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<OpenPoll>,
    /// Counts of the whole run.
    #[serde(default)]
    pub run: Tally,
    /// Counts of this wave.
    #[serde(default)]
    pub wave: Tally,
    /// Counts of this wave since the weight can be expected to have taken effect; the observed share is taken from these.
    #[serde(default)]
    pub settled: Tally,
}

/// An interval of which more may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpenPoll {
    /// When it ends.
    #[schemars(schema_with = "super::units::time_schema")]
    pub end: Timestamp,
    /// What was counted while the share was still changing; only a disaster is believed then.
    #[serde(default)]
    pub settling: Tally,
    /// What was counted since.
    #[serde(default)]
    pub settled: Tally,
}

/// Requests and errors of both versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tally {
    /// Requests that the canary served.
    #[serde(default)]
    pub canary_requests: u64,
    /// Failed (or slow) requests of these.
    #[serde(default)]
    pub canary_errors: u64,
    /// Requests that stable served in the same time.
    #[serde(default)]
    pub stable_requests: u64,
    /// Failed (or slow) requests of these.
    #[serde(default)]
    pub stable_errors: u64,
}

impl Tally {
    /// Adds counts to counts.
    pub fn add(&mut self, more: &Self) {
        let Self { canary_requests, canary_errors, stable_requests, stable_errors } = more;
        self.canary_requests = self.canary_requests.saturating_add(*canary_requests);
        self.canary_errors = self.canary_errors.saturating_add(*canary_errors);
        self.stable_requests = self.stable_requests.saturating_add(*stable_requests);
        self.stable_errors = self.stable_errors.saturating_add(*stable_errors);
    }
}

/// What one signal has seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignalState {
    /// Name of the signal.
    pub name: String,
    /// Time of the newest sample that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub until: Option<Timestamp>,
    /// Of a signal that compares: its capitals, which are kept from wave to wave (see docs/verdicts.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "evidence_schema")]
    pub evidence: Option<Evidence>,
    /// With `allowAbsoluteOnly`: the capitals against the floor alone, from the time in which stable had no requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "evidence_schema")]
    pub absolute: Option<Evidence>,
    /// What the capitals were won against: tolerance, floor and alpha. Under another policy they begin anew.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub policy: String,
    /// How much more than by chance stable's errors scattered between its pods before the attempt; 1 if not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<Number>,
    /// What this signal counted, if its counter is not that of the traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Box<TrafficState>>,
    /// Of thresholds, queries and burn rates: the last closed samples of this wave, oldest first: `o` passed, `x` breached.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 20))]
    pub samples: String,
    /// How many samples have closed in this wave.
    #[serde(default)]
    pub closed: u32,
    /// Canary requests in the sample that has not closed yet.
    #[serde(default)]
    pub open_requests: u64,
    /// Failed requests of these.
    #[serde(default)]
    pub open_errors: u64,
    /// What is not in the decision log yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unlogged: Option<Box<Unlogged>>,
}

impl SignalState {
    /// A wave begins: samples speak of one wave only, capitals against harm of the whole run.
    pub fn next_wave(&mut self) {
        let Self {
            name: _,
            until: _,
            policy: _,
            dispersion: _,
            evidence,
            absolute: _,
            counts,
            samples,
            closed,
            open_requests,
            open_errors,
            unlogged: _,
        } = self;
        samples.clear();
        (*closed, *open_requests, *open_errors) = (0, 0, 0);
        if let Some(evidence) = evidence {
            evidence.next_wave();
        }
        if let Some(counts) = counts {
            counts.next_wave();
        }
    }
}

impl TrafficState {
    /// A wave begins: its counts start at nothing. What is not complete yet belongs to the wave before and speaks for no
    /// other: only a disaster is believed of it.
    pub fn next_wave(&mut self) {
        let Self { until: _, cursors: _, open, run: _, wave, settled } = self;
        if let Some(OpenPoll { end: _, settling, settled }) = open {
            settling.add(&std::mem::take(settled));
        }
        *wave = Tally::default();
        *settled = Tally::default();
    }
}

/// The evidence on a version that was tried before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptEvidence {
    /// Digest of its template.
    pub revision: String,
    /// Digest of the template that it was compared with; against another one it would be another question.
    pub stable: String,
    /// What each signal that compares had seen.
    #[schemars(length(max = 10))]
    pub signals: Vec<KeptSignal>,
}

/// What one signal had seen of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptSignal {
    /// Name of the signal.
    pub name: String,
    /// What the capitals were won against.
    #[schemars(length(max = 200))]
    pub policy: String,
    /// The scatter of errors that was taken into account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<Number>,
    /// The capitals.
    #[schemars(schema_with = "evidence_schema")]
    pub evidence: Evidence,
}

/// What one wave can be expected to take and to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaveForecast {
    /// Its weight, in percent.
    pub weight: u8,
    /// How long it takes until the evidence is there, at the traffic before the attempt and if the version is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes: Option<Duration>,
    /// The smallest share of bad requests of the canary that is found as harm in this time, such as `1.3%`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detects: String,
    /// What does not fit, and what would.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub warning: String,
}

/// The last value of each series, as `id=value` separated by spaces: many small objects would fill a status.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cursors(BTreeMap<String, f64>);

impl Cursors {
    /// Series whose values are kept; those beyond it are not counted.
    pub const MOST: usize = 256;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last value of a series.
    pub fn get(&self, id: &str) -> Option<f64> {
        self.0.get(id).copied()
    }

    /// Remembers the last value of a series.
    pub fn set(&mut self, id: &str, value: f64) {
        if self.0.len() < Self::MOST || self.0.contains_key(id) {
            self.0.insert(id.to_owned(), value);
        }
    }

    /// Whether no further series can be remembered.
    pub fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }
}

impl Serialize for Cursors {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // `f64` prints the shortest text that reads back as the same number.
        let entries: Vec<String> = self.0.iter().map(|(id, value)| format!("{id}={value}")).collect();
        serializer.serialize_str(&entries.join(" "))
    }
}

impl<'de> Deserialize<'de> for Cursors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // An entry that cannot be read is no cursor; a whole status must not be lost for it.
        let entry = |entry: &str| {
            let (id, value) = entry.split_once('=')?;
            Some((id.to_owned(), value.parse().ok().filter(|value: &f64| value.is_finite())?))
        };
        Ok(Self(text.split(' ').filter_map(entry).take(Self::MOST).collect()))
    }
}

impl JsonSchema for Cursors {
    fn schema_name() -> Cow<'static, str> {
        "Cursors".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 16384})
    }

    fn inline_schema() -> bool {
        true
    }
}

fn evidence_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": judge::EVIDENCE_LENGTH})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_read_back_as_they_were() {
        let mut cursors = Cursors::default();
        cursors.set("ab", 1.0);
        cursors.set("cd", 0.1 + 0.2);
        let text = serde_json::to_string(&cursors).unwrap();
        assert_eq!(text, "\"ab=1 cd=0.30000000000000004\"");
        assert_eq!(serde_json::from_str::<Cursors>(&text).unwrap(), cursors);
        let odd: Cursors = serde_json::from_str("\"ab=1 x cd=NaN =3 ef=2\"").unwrap();
        assert_eq!((odd.get("ab"), odd.get("cd"), odd.get("ef")), (Some(1.0), None, Some(2.0)));
    }

    #[test]
    fn cursors_are_bounded() {
        let mut cursors = Cursors::default();
        for id in 0..1000 {
            cursors.set(&id.to_string(), 1e15);
        }
        assert!(serde_json::to_string(&cursors).unwrap().len() < 16_384);
        cursors.set("5", 7.0);
        assert_eq!(cursors.get("5"), Some(7.0));
    }
}
