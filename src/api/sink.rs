//! `NotificationSink`: where others are told what happened. Written by the platform admin; users never type a URL.

use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::provider::{ProviderTls, SECRET_KEY, SECRET_NAME};
use super::units::Duration;

/// A server that is told what happened.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "NotificationSink",
    plural = "notificationsinks",
    shortname = "ssink",
    category = "sluice",
    status = "NotificationSinkStatus",
    derive = "PartialEq",
    doc = "A server that is told what happened: CloudEvents with the types of CDEvents, or messages as Slack takes them. Belongs to the platform admin.",
    printcolumn(name = "Format", type_ = "string", json_path = ".spec.format"),
    printcolumn(name = "Delivered", type_ = "integer", json_path = ".status.delivered"),
    printcolumn(name = "Pending", type_ = "integer", json_path = ".status.pending"),
    printcolumn(name = "Dropped", type_ = "integer", json_path = ".status.dropped"),
    printcolumn(name = "Last", type_ = "date", json_path = ".status.lastDeliveredAt"),
    printcolumn(name = "Failing", type_ = "date", json_path = ".status.failingSince"),
    printcolumn(name = "Failure", type_ = "string", json_path = ".status.lastFailure.class"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.url) != has(self.urlSecretRef)").message("give exactly one of url and urlSecretRef"))]
#[x_kube(validation = Rule::new("!has(self.url) || self.url.startsWith('https://') || (has(self.allowPlainHttp) && self.allowPlainHttp)").message("url: over http:// everyone on the way can read and change what is sent; use an https:// address, or set allowPlainHttp"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.url) || self.url.startsWith('https://')").message("tls: the url must start with https://"))]
pub struct NotificationSinkSpec {
    /// Where each notification is posted. Everyone who may read this object can read it: an address that is itself a credential, such as a webhook of Slack, belongs into `urlSecretRef`. No redirect is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 1024))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("url must start with http:// or https://"))]
    #[x_kube(validation = Rule::new("!self.matches('^[a-z]+://[^/?#]*@')").message("url must not hold a user or a password; use urlSecretRef"))]
    pub url: Option<String>,
    /// The key of a Secret that holds the address instead, in the operator's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret_ref: Option<SecretKeyRef>,
    /// Post to an `http://` address too.
    #[serde(default)]
    pub allow_plain_http: bool,
    /// What is posted.
    #[serde(default)]
    pub format: SinkFormat,
    /// What this cluster is called in notifications, for receivers of several clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([-._A-Za-z0-9]*[A-Za-z0-9])?$"))]
    pub environment: Option<String>,
    /// Only what happens in these namespaces is told; without the list, in every namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100), inner(length(min = 1, max = 63)))]
    pub namespaces: Vec<String>,
    /// What is told.
    #[serde(default = "default_events")]
    #[schemars(length(min = 1, max = 16))]
    pub events: Vec<SinkEvent>,
    /// The key with which each notification is signed (HMAC-SHA256, header `Sluice-Signature`), in a Secret of the operator's own namespace. A line end after it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac_secret_ref: Option<SecretKeyRef>,
    /// Whom the connection trusts and how it shows who it is. Needs an `https://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProviderTls>,
    /// How long one delivery may take, at most one minute.
    #[serde(default = "default_timeout")]
    #[x_kube(validation = Rule::new("duration(self) > duration('0s') && duration(self) <= duration('1m')").message("timeout must be more than 0s and at most 1m"))]
    pub timeout: Duration,
}

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}

/// Everything but what goes well by itself or is only the answer to something that was told.
fn default_events() -> Vec<SinkEvent> {
    SinkEvent::ALL.into_iter().filter(|event| !matches!(event, SinkEvent::Superseded | SinkEvent::Approved)).collect()
}

/// One key of a Secret in the operator's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

/// What is posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SinkFormat {
    /// A CloudEvent 1.0 in structured mode, with a CDEvent as its data.
    #[default]
    CloudEvents,
    /// `{"text": …}`, as Slack and what imitates it take it.
    Slack,
}

/// What can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SinkEvent {
    /// A version serves everybody.
    Promoted,
    /// A version was taken back after it had served live traffic.
    RolledBack,
    /// A person went back to the stable version.
    Aborted,
    /// A newer template came before an attempt was done.
    Superseded,
    /// A version was taken back before it had served a single request.
    FailedBeforeExposure,
    /// A template rolled without having been proven.
    Bypassed,
    /// Harm was found in a version that serves everybody.
    Escaped,
    /// An attempt waits for a person's approval.
    AwaitingApproval,
    /// A person approved.
    Approved,
    /// The verdict on a version is harm; it is being taken back.
    IncidentDetected,
    /// What was harmed has recovered, or the version that did it is gone.
    IncidentResolved,
}

impl SinkEvent {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Promoted,
        Self::RolledBack,
        Self::Aborted,
        Self::Superseded,
        Self::FailedBeforeExposure,
        Self::Bypassed,
        Self::Escaped,
        Self::AwaitingApproval,
        Self::Approved,
        Self::IncidentDetected,
        Self::IncidentResolved,
    ];

    /// The name as it stands in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Promoted => "Promoted",
            Self::RolledBack => "RolledBack",
            Self::Aborted => "Aborted",
            Self::Superseded => "Superseded",
            Self::FailedBeforeExposure => "FailedBeforeExposure",
            Self::Bypassed => "Bypassed",
            Self::Escaped => "Escaped",
            Self::AwaitingApproval => "AwaitingApproval",
            Self::Approved => "Approved",
            Self::IncidentDetected => "IncidentDetected",
            Self::IncidentResolved => "IncidentResolved",
        }
    }
}

/// How the deliveries go. Numbers and classes only: nothing that the sink answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotificationSinkStatus {
    /// The generation of the spec that was delivered by.
    #[serde(default)]
    pub observed_generation: i64,
    /// How many notifications the sink took.
    #[serde(default)]
    pub delivered: u64,
    /// How many were given up: the sink refused them, or they became too old while it took none.
    #[serde(default)]
    pub dropped: u64,
    /// How many wait to be delivered.
    #[serde(default)]
    pub pending: u32,
    /// When the sink last took one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub last_delivered_at: Option<Timestamp>,
    /// Since when every delivery has failed; absent while they succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::units::time_schema")]
    pub failing_since: Option<Timestamp>,
    /// The last delivery that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<SinkFailure>,
    /// What was delivered, so that a restart delivers the rest and nothing twice that it need not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<SinkCursor>,
}

/// A delivery that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinkFailure {
    /// When it failed.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
    /// Why it failed.
    pub class: DeliveryFailure,
    /// The HTTP status, if there was an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
}

/// Why a delivery failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeliveryFailure {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// The sink answered with an HTTP status that is no success (redirects included: none is followed).
    HttpStatus,
    /// A Secret that the sink names is not there or cannot be used.
    Credentials,
    /// The address is no usable URL, or it is `http://` without `allowPlainHttp`.
    Address,
}

impl DeliveryFailure {
    /// The name as it stands in the object.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "Timeout",
            Self::Unreachable => "Unreachable",
            Self::HttpStatus => "HttpStatus",
            Self::Credentials => "Credentials",
            Self::Address => "Address",
        }
    }
}

/// How far the deliveries have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SinkCursor {
    /// Everything up to this time is settled: delivered, or given up and counted.
    #[schemars(schema_with = "super::units::time_schema")]
    pub after: Timestamp,
    /// What is settled of the time after that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1024))]
    pub recent: Vec<Settled>,
    /// What lasts, such as an attempt that waits for approval, and was delivered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub standing: Vec<String>,
}

/// A notification that is settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// Its id.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Its place in the order of time.
    #[schemars(schema_with = "super::units::time_schema")]
    pub at: Timestamp,
}
