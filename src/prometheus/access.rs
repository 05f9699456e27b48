//! From the references of a provider, or of a sink, to a client that is let in.
//!
//! Owns the HTTP clients, one for each pair of authorities and client certificate, and the headers that go with each
//! query. Must not ask anything, and must not put a value of a Secret into a message or a log.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Certificate, ClientBuilder, Identity};

use super::client::ClientError;
use super::decode::Refusal;
use super::secrets::{Age, FORGOTTEN, Hidden, Pace, SecretSource, Secrets};
use crate::clock;
use crate::decide::measure::{Access, Credential, FailureClass, Provider, SecretKey};

/// The keys of a Secret of type `kubernetes.io/tls`.
const CERTIFICATE_KEY: &str = "tls.crt";
const PRIVATE_KEY: &str = "tls.key";
const NO_CERTIFICATE: &str = "holds no usable PEM certificate";

/// There are two of these in a process, for queries and for notifications, and one image.
static WARNED: Once = Once::new();

/// What a query needs to be let in.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    pub(crate) http: reqwest::Client,
    /// Those that hold a secret are marked: they print as "Sensitive".
    pub(super) headers: HeaderMap,
    tls: Tls,
}

/// What a client is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Tls {
    ca: Option<Hidden>,
    /// Certificate and private key.
    identity: Option<(Hidden, Hidden)>,
}

/// Names a client: where its authorities and its certificate are.
type Place = (Option<SecretKey>, Option<String>);

struct Pool {
    tls: Tls,
    http: reqwest::Client,
    used_at: Instant,
}

/// All clients, and the Secrets that they are made of.
pub(crate) struct Keyring {
    secrets: Secrets,
    /// For providers without a CA and a client certificate of their own.
    plain: reqwest::Client,
    /// The system has certificates of authorities.
    system_trust: bool,
    pools: Mutex<HashMap<Place, Pool>>,
}

impl Keyring {
    /// Needs a TLS provider installed in the process.
    pub(crate) fn new(source: Arc<dyn SecretSource>, pace: Pace) -> Result<Self, ClientError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoTlsProvider);
        }
        let (plain, system_trust) = match builder().build() {
            Ok(http) => (http, true),
            Err(error) => {
                // An image without CA certificates can still ask over http.
                WARNED.call_once(|| {
                    tracing::warn!(
                        %error,
                        "no system certificates: https needs tls.ca in the MetricsProvider or NotificationSink"
                    );
                });
                (builder().tls_certs_only([]).build().map_err(ClientError::Build)?, false)
            }
        };
        Ok(Self { secrets: Secrets::new(source, pace), plain, system_trust, pools: Mutex::default() })
    }

    /// What a query to this provider needs.
    pub(crate) async fn admit(&self, provider: &Provider) -> Result<Admission, Refusal> {
        self.resolve(provider, Age::Usual, clock::instant()).await
    }

    /// One value, for whoever needs another than a credential.
    pub(crate) async fn secret(&self, key: &SecretKey) -> Result<Hidden, Refusal> {
        self.secrets.value(key, Age::Usual, clock::instant()).await
    }

    /// The same after the server refused `old`; `None` if the Secrets hold nothing new.
    pub(super) async fn renew(&self, provider: &Provider, old: &Admission) -> Result<Option<Admission>, Refusal> {
        let new = self.resolve(provider, Age::Renewed, clock::instant()).await?;
        Ok(Some(new).filter(|new| new.headers != old.headers || new.tls != old.tls))
    }

    /// Why a server that answers with this HTTP status does so.
    pub(super) fn refused(&self, status: u16, access: &Access) -> Refusal {
        let why = match (&access.credential, &access.client_certificate) {
            (Some(Credential::Bearer(key) | Credential::Basic { password: key, .. }), _) => {
                format!("the credentials in {} were refused", self.secrets.title(&key.secret))
            }
            (None, Some(secret)) => {
                format!("the client certificate in {} was refused", self.secrets.title(secret))
            }
            (None, None) => "the server wants credentials, and spec.auth gives none".to_owned(),
        };
        (FailureClass::HttpStatus, format!("HTTP status {status}: {why}"))
    }

    async fn resolve(&self, provider: &Provider, age: Age, now: Instant) -> Result<Admission, Refusal> {
        let access = &provider.access;
        let mut headers = HeaderMap::new();
        for (name, value) in &access.headers {
            let pair = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_str(value).ok());
            let (name, value) = pair.ok_or_else(|| unusable(format!("spec.headers: {name} cannot be sent")))?;
            headers.insert(name, value);
        }
        if let Some(credential) = &access.credential {
            // The schema says the same; here it is what nobody gets around.
            if !provider.address.starts_with("https://") && !access.allow_plain_http {
                return Err(unusable("spec.auth: not sent over http:// without allowPlainHttp".to_owned()));
            }
            headers.insert(AUTHORIZATION, self.authorization(credential, age, now).await?);
        }
        let mut tls = Tls::default();
        if let Some(key) = &access.ca {
            tls.ca = Some(self.secrets.value(key, age, now).await?);
        }
        if let Some(secret) = &access.client_certificate {
            let key = |key: &str| SecretKey { secret: secret.clone(), key: key.to_owned() };
            let certificate = self.secrets.value(&key(CERTIFICATE_KEY), age, now).await?;
            tls.identity = Some((certificate, self.secrets.value(&key(PRIVATE_KEY), age, now).await?));
        }
        let http = if tls == Tls::default() { self.plain.clone() } else { self.pooled(access, &tls, now)? };
        Ok(Admission { http, headers, tls })
    }

    async fn authorization(&self, credential: &Credential, age: Age, now: Instant) -> Result<HeaderValue, Refusal> {
        let (text, key) = match credential {
            Credential::Bearer(key) => {
                let token = self.secrets.value(key, age, now).await?;
                ([b"Bearer ", token.line()].concat(), key)
            }
            Credential::Basic { username, password } => {
                let user = self.secrets.value(username, age, now).await?;
                if user.line().contains(&b':') {
                    return Err(self.bad(username, "holds a colon, which a user name cannot have"));
                }
                let secret = self.secrets.value(password, age, now).await?;
                let pair = STANDARD.encode([user.line(), b":", secret.line()].concat());
                ([b"Basic ", pair.as_bytes()].concat(), password)
            }
        };
        let mut value = HeaderValue::from_bytes(&text).map_err(|_| self.bad(key, "cannot be sent in a header"))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The client for this certificate and these authorities; made anew when they are others than before.
    fn pooled(&self, access: &Access, tls: &Tls, now: Instant) -> Result<reqwest::Client, Refusal> {
        let place = (access.ca.clone(), access.client_certificate.clone());
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools.retain(|_, pool| now.saturating_duration_since(pool.used_at) < FORGOTTEN);
        if let Some(pool) = pools.get_mut(&place).filter(|pool| pool.tls == *tls) {
            pool.used_at = now;
            return Ok(pool.http.clone());
        }
        let http = self.build(&place, tls)?;
        pools.insert(place, Pool { tls: tls.clone(), http: http.clone(), used_at: now });
        Ok(http)
    }

    fn build(&self, (ca, client_certificate): &Place, tls: &Tls) -> Result<reqwest::Client, Refusal> {
        let authorities = match (ca, &tls.ca) {
            (Some(key), Some(pem)) => Some(self.authorities(key, pem)?),
            (_, _) if self.system_trust => None,
            (_, _) => Some(Vec::new()),
        };
        let mut trusting = match authorities {
            Some(authorities) => builder().tls_certs_only(authorities),
            None => builder(),
        };
        let key = match (client_certificate, &tls.identity) {
            (Some(secret), Some((certificate, private))) => {
                let key = |key: &str| SecretKey { secret: secret.clone(), key: key.to_owned() };
                let found = Certificate::from_pem_bundle(certificate.bytes()).ok().filter(|found| !found.is_empty());
                found.ok_or_else(|| self.bad(&key(CERTIFICATE_KEY), NO_CERTIFICATE))?;
                let both = [certificate.bytes(), b"\n", private.bytes()].concat();
                let identity = Identity::from_pem(&both);
                trusting = trusting.identity(identity.map_err(|_| self.bad(&key(PRIVATE_KEY), "holds no PEM key"))?);
                Some(key(PRIVATE_KEY))
            }
            (_, _) => None,
        };
        trusting.build().map_err(|_| match key {
            Some(key) => self.bad(&key, "does not fit the certificate beside it"),
            None => unusable("the HTTP client cannot be made".to_owned()),
        })
    }

    /// The certificates of authorities, tried on a client of their own, so that a fault is known as theirs.
    fn authorities(&self, key: &SecretKey, pem: &Hidden) -> Result<Vec<Certificate>, Refusal> {
        let found = Certificate::from_pem_bundle(pem.bytes()).ok().filter(|found| !found.is_empty());
        let usable = found.filter(|found| builder().tls_certs_only(found.clone()).build().is_ok());
        usable.ok_or_else(|| self.bad(key, NO_CERTIFICATE))
    }

    fn bad(&self, key: &SecretKey, what: &str) -> Refusal {
        unusable(format!("{}: key {} {what}", self.secrets.title(&key.secret), key.key))
    }
}

fn unusable(text: String) -> Refusal {
    (FailureClass::Credentials, text)
}

/// What all clients have in common. A redirect would take the credential to another server.
fn builder() -> ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
}

#[cfg(test)]
mod tests;
