//! `DecisionLog`: what was decided in an attempt and on what, entry by entry, each tied to the one before by a hash.
//! Written by Sluice only; goes with its Release.
//!
//! Owns the form of an entry, its canonical JSON and its hash. Every number that is not a count is text, so that its form
//! is the same wherever it is read. How entries are made and replayed is in `decide::logbook`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names;
use super::status::VerdictWord;

/// Named values, all of them text.
pub type Values = BTreeMap<String, String>;

/// The decisions of one attempt.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "DecisionLog",
    plural = "decisionlogs",
    shortname = "sdl",
    category = "sluice",
    namespaced,
    derive = "PartialEq",
    doc = "Every decision of one attempt with the counts, the state and the policy that it was made on, each tied to the one before by a hash. Has the name of its Release. Written by Sluice; `sluice explain` replays it.",
    printcolumn(name = "Rollout", type_ = "string", json_path = ".spec.rollout"),
    printcolumn(name = "Entries", type_ = "integer", json_path = ".spec.head.seq"),
    printcolumn(name = "Head", type_ = "string", json_path = ".spec.head.hash", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DecisionLogSpec {
    /// Name of the Rollout that governed the attempt.
    pub rollout: String,
    /// UID of that Rollout.
    pub rollout_uid: String,
    /// Digest of the pod template that was tried.
    pub revision: String,
    /// The last entry. The next one is written only onto this one.
    pub head: LogHead,
    /// The entries, in order.
    #[schemars(length(max = 200))]
    pub entries: Vec<LogEntry>,
}

/// Number and hash of an entry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogHead {
    /// Its number.
    pub seq: u32,
    /// Its hash.
    #[schemars(length(max = 64))]
    pub hash: String,
}

/// One decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogEntry {
    /// Its number, from 1.
    pub seq: u32,
    /// When it was decided.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// What was decided: the words of the timeline, an action of an Intervention, `Held` or `Checkpoint`.
    #[schemars(length(max = 64))]
    pub what: String,
    /// One word that says why; of ends and holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// Who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub by: Option<String>,
    /// The share of live traffic that the canary is meant to have after it, in percent.
    pub weight: u8,
    /// The wave, counted from 1; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u8>,
    /// What all signals together said.
    pub verdict: VerdictWord,
    /// What each signal had seen since the entry before, and what it said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub signals: Vec<LogSignal>,
    /// How many entries were left out between the one before and this one, because the log has a bound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u32,
    /// The hash of the entry before; of the first one that of the genesis (docs/decision-log.md).
    #[schemars(length(max = 64))]
    pub previous: String,
    /// SHA-256 over the canonical JSON of this entry without `hash`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub hash: String,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands out references
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One signal in an entry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogSignal {
    /// Name of the signal.
    #[schemars(length(max = 40))]
    pub name: String,
    /// It is shown and never acted on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// What was looked at since the entry before, in order; more than one where the policy changed in between. Absent if the signal was not looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub looks: Vec<Look>,
    /// What it said when it was last looked at.
    pub verdict: VerdictWord,
    /// Why it could not be read then, in one word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub blind: Option<String>,
}

/// How a signal is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JudgedBy {
    /// Against stable at the same time, by the sequential test.
    Comparison,
    /// The same of restarts.
    Restarts,
    /// A limit on the share of failed requests.
    Threshold,
    /// Limits on the value of a query.
    Query,
    /// A limit on how fast the error budget burns.
    BurnRate,
}

/// What was looked at under one policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Look {
    /// How the signal is judged.
    pub by: JudgedBy,
    /// The policy: every number that the verdict depends on.
    pub policy: Values,
    /// What was known before.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub before: Values,
    /// What was new, in order, separated by spaces; its form depends on `by` (docs/decision-log.md).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub news: String,
    /// `news` is left out because it is too long: so many there were.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u32,
    /// What was known after.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub after: Values,
}

/// In `SignalState`: what is not in an entry of the log yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unlogged {
    /// What was looked at since the last entry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub looks: Vec<Look>,
    /// What the signal said when it was last looked at.
    #[serde(default)]
    pub verdict: VerdictWord,
    /// Why it could not be read then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub blind: Option<String>,
}

/// In `Run`: how far the log has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LogState {
    /// The last entry that was made, written or not.
    #[serde(default)]
    pub head: LogHead,
    /// How large the entries are that were made, in bytes.
    #[serde(default)]
    pub bytes: u32,
    /// How many entries were left out since the last one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u32,
    /// Why the attempt is held, as the last entry about it has it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub held: String,
    /// Entries that are made and not yet seen in the DecisionLog.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub pending: Vec<LogEntry>,
}

impl LogState {
    /// Whether nothing was logged yet.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl LogSignal {
    /// In place of what it could not be read for: there was nothing to judge it by.
    pub const NOT_JUDGED: &'static str = "NotJudged";
}

impl LogEntry {
    /// The word of an entry that only makes room in the status.
    pub const CHECKPOINT: &'static str = "Checkpoint";
    /// The word of an entry that says why an attempt is held.
    pub const HELD: &'static str = "Held";

    /// What the first entry of an attempt is tied to.
    pub fn genesis(rollout_uid: &str, release: &str, revision: &str) -> String {
        names::sha256(format!("sluice.dev/DecisionLog/{rollout_uid}/{release}/{revision}").as_bytes())
    }

    /// The entry as its hash is taken of it: JSON with sorted keys and no white space, without `hash`.
    pub fn canonical(&self) -> String {
        // Maps of `Value` are sorted, and there are no numbers but counts: this is RFC 8785.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.remove("hash");
        }
        value.to_string()
    }

    /// What `hash` must be.
    pub fn digest(&self) -> String {
        names::sha256(self.canonical().as_bytes())
    }
}
