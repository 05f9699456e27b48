//! What is asked of Prometheus and what came back, as plain data.
//!
//! Owns the vocabulary between `decide` (which names the measurements that are due), `prometheus` (which asks)
//! and `observe` (which hands the answers over). Holds no policy and asks nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::api::Duration;

/// A server to ask, resolved from a MetricsProvider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Provider {
    /// Name of the MetricsProvider.
    pub name: String,
    /// Base address of its HTTP API.
    pub address: String,
    /// How often it scrapes.
    pub scrape_interval: Duration,
    /// How long one query may take.
    pub timeout: Duration,
    /// How it lets us in.
    pub access: Access,
}

/// How a server lets us in. Names where Secrets are and never holds a value of one: this is compared, hashed, printed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize)]
pub struct Access {
    /// What is sent as `Authorization`.
    pub credential: Option<Credential>,
    /// Whether the credential may go over `http://`.
    pub allow_plain_http: bool,
    /// The authorities that are trusted; none means those of the operator's image.
    pub ca: Option<SecretKey>,
    /// The Secret with the client certificate (`tls.crt`, `tls.key`).
    pub client_certificate: Option<String>,
    /// Headers by name; no secrets.
    pub headers: Vec<(String, String)>,
}

/// One credential, by reference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Credential {
    /// A token.
    Bearer(SecretKey),
    /// A user name and a password.
    Basic {
        /// Where the user name is.
        username: SecretKey,
        /// Where the password is.
        password: SecretKey,
    },
}

/// One key of a Secret in the operator's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct SecretKey {
    /// Name of the Secret.
    pub secret: String,
    /// The key in it.
    pub key: String,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Ask {
    /// The raw samples of every series that a selector matches, such as `requests_total{service="a"}`.
    Counter(String),
    /// The one number that a query answers with.
    Value(String),
}

impl Ask {
    /// The PromQL text, for messages.
    pub fn promql(&self) -> &str {
        match self {
            Self::Counter(text) | Self::Value(text) => text,
        }
    }
}

/// A question that is due again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Measurement {
    /// Whom to ask.
    pub provider: Provider,
    /// What to ask.
    pub ask: Ask,
    /// How often.
    pub every: Duration,
    /// Samples up to this time are already counted and need not be kept.
    pub since: Timestamp,
}

/// One value at one time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sample {
    /// For a counter the time of the scrape, for a value the time of the query.
    pub at: Timestamp,
    /// The value; finite.
    pub value: f64,
}

/// The samples of one series, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// Digest of the labels.
    pub id: String,
    /// The labels, without `__name__`.
    pub labels: BTreeMap<String, String>,
    /// Every sample newer than `since`, and the newest one that is not.
    pub samples: Vec<Sample>,
}

/// Why a question has no usable answer. A closed set: it becomes a reason in conditions and a label in metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum FailureClass {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// The server answered with an HTTP status that is not a result (redirects included: none is followed).
    HttpStatus,
    /// A Secret that the provider names is not there or cannot be used.
    Credentials,
    /// The server refused the query (bad PromQL, too many samples, …).
    BadQuery,
    /// The answer is no Prometheus answer.
    Malformed,
    /// The answer is larger than we read.
    TooLarge,
    /// The server warned that the answer may be incomplete.
    Partial,
    /// No series matched.
    Empty,
    /// More than one series where one number was asked.
    ManySeries,
    /// The number is NaN.
    NotANumber,
    /// The number is infinite.
    Infinite,
}

impl FailureClass {
    /// Every class, so that metrics can start at 0.
    pub const ALL: [Self; 12] = [
        Self::Timeout,
        Self::Unreachable,
        Self::HttpStatus,
        Self::Credentials,
        Self::BadQuery,
        Self::Malformed,
        Self::TooLarge,
        Self::Partial,
        Self::Empty,
        Self::ManySeries,
        Self::NotANumber,
        Self::Infinite,
    ];

    /// CamelCase for conditions and events.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Timeout => "QueryTimeout",
            Self::Unreachable => "PrometheusUnreachable",
            Self::HttpStatus => "QueryHttpStatus",
            Self::Credentials => "CredentialsUnusable",
            Self::BadQuery => "QueryRefused",
            Self::Malformed => "AnswerMalformed",
            Self::TooLarge => "AnswerTooLarge",
            Self::Partial => "AnswerPartial",
            Self::Empty => "AnswerEmpty",
            Self::ManySeries => "AnswerManySeries",
            Self::NotANumber => "AnswerNaN",
            Self::Infinite => "AnswerInfinite",
        }
    }
}

/// A question that went unanswered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Why.
    pub class: FailureClass,
    /// One sentence; never the body of an answer.
    pub text: String,
    /// Since when every try has failed.
    pub since: Timestamp,
}

/// What is known of one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reading {
    /// Name of the provider that was asked.
    pub provider: String,
    /// The question.
    pub ask: Ask,
    /// When it was last answered.
    pub answered_at: Option<Timestamp>,
    /// For `Ask::Counter`: its series.
    pub series: Vec<Series>,
    /// For `Ask::Value`: its values newer than `since`, oldest first.
    pub values: Vec<Sample>,
    /// Set while the last try failed. What was read before stays.
    pub failure: Option<Failure>,
}
