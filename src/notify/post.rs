//! Posts one notification.
//!
//! Owns the HTTP side: address, signature, one deadline, no redirect, and the class of every failure. Must not retry
//! (the outbox does), must not read what the sink answers beside its status, and must not put an address into a
//! message or a log: it may be a credential.

use std::sync::Arc;
use std::time::Duration as Span;

use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::sign;
use crate::api::{DeliveryFailure, NotificationSinkSpec, SecretKeyRef};
use crate::decide::measure::{Access, Provider, SecretKey};
use crate::prometheus::{ClientError, Keyring, Pace, SecretSource};

/// How long one delivery may take, whatever the sink asks for.
const LONGEST: Span = Span::from_secs(60);

/// One delivery.
#[derive(Debug)]
pub struct Parcel<'a> {
    /// Name of the sink.
    pub sink: &'a str,
    /// Where to and how.
    pub spec: &'a NotificationSinkSpec,
    /// The id of the notification.
    pub id: &'a str,
    /// The time, for the signature.
    pub at: Timestamp,
    /// What is posted.
    pub body: Vec<u8>,
    /// The type of that.
    pub content_type: &'static str,
}

/// Why a delivery failed: a class and a number, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Undelivered {
    /// Why.
    pub class: DeliveryFailure,
    /// What the sink answered, if it did.
    pub http_status: Option<u16>,
}

impl Undelivered {
    const fn of(class: DeliveryFailure) -> Self {
        Self { class, http_status: None }
    }

    /// The sink has read this very notification and will not take it: 400, 413, 415 and 422. Everything else may be
    /// set right at the sink, or in its address or its rights.
    pub(super) const fn is_final(self) -> bool {
        matches!(self.http_status, Some(400 | 413 | 415 | 422))
    }
}

/// Delivers.
pub trait Post: Send + Sync {
    /// Makes one delivery, within a bounded time.
    fn post<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<(), Undelivered>>;
}

/// Delivers over HTTP.
pub struct HttpPost {
    keyring: Keyring,
}

impl HttpPost {
    /// Needs a TLS provider installed in the process.
    pub fn new(secrets: Arc<dyn SecretSource>) -> Result<Self, ClientError> {
        Ok(Self { keyring: Keyring::new(secrets, Pace::default())? })
    }

    async fn deliver(&self, parcel: Parcel<'_>) -> Result<(), Undelivered> {
        let Parcel { sink, spec, id, at, body, content_type } = parcel;
        let address = self.address(spec).await?;
        let url = Url::parse(&address).map_err(|_| Undelivered::of(DeliveryFailure::Address))?;
        // The schema says the same of what is not in a Secret; here it is what nobody gets around.
        match url.scheme() {
            "https" => {}
            "http" if spec.allow_plain_http => {}
            _ => return Err(Undelivered::of(DeliveryFailure::Address)),
        }
        let tls = spec.tls.as_ref();
        let key = |secret: &str, key: &str| SecretKey { secret: secret.to_owned(), key: key.to_owned() };
        let door = Provider {
            name: sink.to_owned(),
            address,
            scrape_interval: spec.timeout,
            timeout: spec.timeout,
            access: Access {
                ca: tls.and_then(|tls| tls.ca.as_ref()).map(|ca| key(&ca.secret_ref.name, &ca.secret_ref.key)),
                client_certificate: tls
                    .and_then(|tls| tls.client_certificate.as_ref())
                    .map(|certificate| certificate.secret_ref.name.clone()),
                ..Access::default()
            },
        };
        let admission = self.keyring.admit(&door).await.map_err(|_| Undelivered::of(DeliveryFailure::Credentials))?;
        let mut request = admission.http.post(url).header(CONTENT_TYPE, content_type).header("idempotency-key", id);
        if let Some(reference) = &spec.hmac_secret_ref {
            let key = self.secret(reference).await?;
            request = request.header(sign::HEADER, sign::signature(key.line(), at, &body));
        }
        let timeout = spec.timeout.std().min(LONGEST);
        // The body of the answer is not read: nothing that the sink says can get anywhere.
        let answer = request.body(body).timeout(timeout).send().await.map_err(|error| {
            let class = if error.is_timeout() { DeliveryFailure::Timeout } else { DeliveryFailure::Unreachable };
            Undelivered::of(class)
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        Err(Undelivered { class: DeliveryFailure::HttpStatus, http_status: Some(status.as_u16()) })
    }

    async fn address(&self, spec: &NotificationSinkSpec) -> Result<String, Undelivered> {
        match (&spec.url, &spec.url_secret_ref) {
            (Some(url), None) => Ok(url.clone()),
            (None, Some(reference)) => {
                let value = self.secret(reference).await?;
                let text = str::from_utf8(value.line()).map_err(|_| Undelivered::of(DeliveryFailure::Address))?;
                Ok(text.to_owned())
            }
            (Some(_), Some(_)) | (None, None) => Err(Undelivered::of(DeliveryFailure::Address)),
        }
    }

    async fn secret(&self, reference: &SecretKeyRef) -> Result<crate::prometheus::Hidden, Undelivered> {
        let key = SecretKey { secret: reference.name.clone(), key: reference.key.clone() };
        self.keyring.secret(&key).await.map_err(|_| Undelivered::of(DeliveryFailure::Credentials))
    }
}

impl Post for HttpPost {
    fn post<'a>(&'a self, parcel: Parcel<'a>) -> BoxFuture<'a, Result<(), Undelivered>> {
        Box::pin(self.deliver(parcel))
    }
}

#[cfg(test)]
mod tests;
