//! `MetricsProvider`: where evidence is read from. Written by the platform admin; users name one and never type a URL.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::units::Duration;

/// What the API server takes as the name of a Secret; a name becomes a part of a path.
pub(super) const SECRET_NAME: &str = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$";
/// What the API server takes as a key in a Secret.
pub(super) const SECRET_KEY: &str = "^[-._a-zA-Z0-9]+$";

/// A Prometheus-compatible server.
#[derive(CustomResource, KubeSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[kube(
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "MetricsProvider",
    plural = "metricsproviders",
    category = "sluice",
    derive = "PartialEq",
    doc = "A Prometheus-compatible server that Rollouts may name. Users name one and never type a URL.",
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address"),
    printcolumn(name = "Scrape", type_ = "string", json_path = ".spec.scrapeInterval"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.auth) || self.address.startsWith('https://') || (has(self.auth.allowPlainHttp) && self.auth.allowPlainHttp)").message("auth: over http:// everyone on the way can read the credential; use an https:// address, or set auth.allowPlainHttp"))]
#[x_kube(validation = Rule::new("!has(self.tls) || self.address.startsWith('https://')").message("tls: the address must start with https://"))]
pub struct MetricsProviderSpec {
    /// Base address of the HTTP API, for example `http://prometheus.monitoring:9090`. No redirect is followed.
    #[schemars(length(min = 8, max = 512))]
    #[x_kube(validation = Rule::new("self.startsWith('http://') || self.startsWith('https://')").message("address must start with http:// or https://"))]
    #[x_kube(validation = Rule::new("!self.matches('^[a-z]+://[^/?#]*@')").message("address must not hold a user or a password; use auth"))]
    pub address: String,
    /// How often the server scrapes the data plane. Sets the pace of reading and how old a sample may be.
    #[serde(default = "default_scrape_interval")]
    pub scrape_interval: Duration,
    /// How long one query may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// The credential that is sent with each query: exactly one of `bearer` and `basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<ProviderAuth>,
    /// Whom the connection trusts and how it shows who it is. Needs an `https://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ProviderTls>,
    /// Headers that are sent with each query, for example the tenant `X-Scope-OrgID`. Everyone who may read this object can read them: no secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(h, self.exists_one(o, o.name.lowerAscii() == h.name.lowerAscii()))").message("headers: each name may be used once; upper and lower case are the same"))]
    pub headers: Vec<ProviderHeader>,
}

const fn default_scrape_interval() -> Duration {
    Duration::from_secs(15)
}

const fn default_timeout() -> Duration {
    Duration::from_secs(5)
}

/// What is sent as `Authorization`: exactly one of `bearer` and `basic`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.bearer) != has(self.basic)").message("auth: give exactly one of bearer and basic"))]
pub struct ProviderAuth {
    /// A token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer: Option<BearerAuth>,
    /// A user name and a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicAuth>,
    /// Send the credential to an `http://` address too, where everyone on the way can read it.
    #[serde(default)]
    pub allow_plain_http: bool,
}

/// `Authorization: Bearer …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BearerAuth {
    /// The Secret with the token, in the operator's own namespace.
    pub secret_ref: TokenRef,
}

/// A token in a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TokenRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key that holds the token. A line end after it is left out.
    #[serde(default = "default_token_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

fn default_token_key() -> String {
    "token".to_owned()
}

/// `Authorization: Basic …`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// The Secret with both, in the operator's own namespace; one of type `kubernetes.io/basic-auth` fits as it is.
    pub secret_ref: SecretRef,
    /// The key that holds the user name.
    #[serde(default = "default_username_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub username_key: String,
    /// The key that holds the password. A line end after it is left out.
    #[serde(default = "default_password_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub password_key: String,
}

fn default_username_key() -> String {
    "username".to_owned()
}

fn default_password_key() -> String {
    "password".to_owned()
}

/// A Secret in the operator's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
}

/// How the two ends of an `https` connection know each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.ca) || has(self.clientCertificate)").message("tls: give ca, clientCertificate or both"))]
pub struct ProviderTls {
    /// Authorities that may have signed the server's certificate, instead of those that the operator's image trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CertificateAuthority>,
    /// What the operator shows to a server that asks for a certificate (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// One or more certificates of authorities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthority {
    /// The Secret with the certificates, in the operator's own namespace.
    pub secret_ref: CertificateRef,
}

/// PEM certificates in a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_NAME))]
    pub name: String,
    /// The key that holds the certificates, as PEM.
    #[serde(default = "default_certificate_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = SECRET_KEY))]
    pub key: String,
}

fn default_certificate_key() -> String {
    "ca.crt".to_owned()
}

/// A certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The Secret of type `kubernetes.io/tls` (keys `tls.crt` and `tls.key`), in the operator's own namespace.
    pub secret_ref: SecretRef,
}

/// One header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderHeader {
    /// Name of the header, such as `X-Scope-OrgID`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.matches('(?i)^(authorization|cookie|host|accept-encoding|connection|expect|keep-alive|te|trailer|transfer-encoding|upgrade|content-.*|proxy-.*)$')").message("headers: this one belongs to the connection or to auth and cannot be set here"))]
    pub name: String,
    /// Its value: visible ASCII, blanks inside.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^[!-~]([ -~]*[!-~])?$"))]
    pub value: String,
}
