//! Asks one question of one server and waits for the answer.
//!
//! Owns the HTTP side: POST, one deadline for the whole exchange, a bound on the body, and the class of every error.
//! Must not retry (the schedule does; only a credential that was rotated is tried at once) and must not put an address
//! or an answer into a message: either may hold a password.

use std::error::Error;
use std::io;
use std::sync::Arc;

use futures::future::BoxFuture;
use prometheus_http_query::Client as Api;

use super::access::{Admission, Keyring};
use super::decode::{self, Refusal};
use super::secrets::{Pace, SecretSource};
use super::source::{Answer, Outcome, Source};
use crate::clock;
use crate::decide::measure::{Ask, FailureClass, Provider};

/// The largest answer that is read.
pub(super) const LARGEST_BODY: usize = 8 * 1024 * 1024;

/// Why no HTTP client can be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// `main` must choose the TLS provider first: reqwest panics otherwise.
    #[error("no TLS provider is installed in this process")]
    NoTlsProvider,
    /// reqwest refuses to build.
    #[error("cannot build the HTTP client for metrics")]
    Build(#[source] reqwest::Error),
}

/// The end of one exchange that is no answer.
enum Fault {
    /// The server does not take the credentials, or wants some: HTTP status 401 or 403.
    Unwelcome(u16),
    Other(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Other(refusal)
    }
}

/// Connections to any number of servers, and what lets us in there.
#[derive(Clone)]
pub struct Client {
    keyring: Arc<Keyring>,
}

impl Client {
    /// Needs a TLS provider installed in the process.
    pub fn new(secrets: Arc<dyn SecretSource>) -> Result<Self, ClientError> {
        Ok(Self::with(Keyring::new(secrets, Pace::default())?))
    }

    /// Lets this keyring open the doors.
    pub(super) fn with(keyring: Keyring) -> Self {
        Self { keyring: Arc::new(keyring) }
    }

    async fn answer(&self, provider: &Provider, ask: &Ask, window: u64) -> Result<Answer, Refusal> {
        let admission = self.keyring.admit(provider).await?;
        let mut answer = exchange(&admission, provider, ask, window).await;
        if let Err(Fault::Unwelcome(_)) = answer
            && let Some(renewed) = self.keyring.renew(provider, &admission).await?
        {
            answer = exchange(&renewed, provider, ask, window).await;
        }
        answer.map_err(|fault| match fault {
            Fault::Unwelcome(status) => self.keyring.refused(status, &provider.access),
            Fault::Other(refusal) => refusal,
        })
    }
}

impl Source for Client {
    fn ask<'a>(&'a self, provider: &'a Provider, ask: &'a Ask, window: u64) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let began = clock::instant();
            let answer = self.answer(provider, ask, window).await;
            Outcome { answer, took: clock::instant().saturating_duration_since(began) }
        })
    }
}

/// One question and its answer within the provider's time.
async fn exchange(admission: &Admission, provider: &Provider, ask: &Ask, window: u64) -> Result<Answer, Fault> {
    match tokio::time::timeout(provider.timeout.std(), converse(admission, provider, ask, window)).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::Other((FailureClass::Timeout, format!("no answer within {}", provider.timeout)))),
    }
}

async fn converse(admission: &Admission, provider: &Provider, ask: &Ask, window: u64) -> Result<Answer, Fault> {
    let unusable = || (FailureClass::Unreachable, "the address is not a usable http or https URL".to_owned());
    let address = provider.address.trim_end_matches('/');
    if !address.starts_with("http://") && !address.starts_with("https://") {
        return Err(unusable().into());
    }
    let api = Api::from(admission.http.clone(), address).map_err(|_| unusable())?;
    let promql = match ask {
        Ask::Counter(selector) => format!("{selector}[{window}s]"),
        Ask::Value(query) => query.clone(),
    };
    // The server gives up when we do, and does not go on computing for nobody.
    let mut query = api.query(promql).timeout(provider.timeout.as_millis());
    for (name, value) in &admission.headers {
        query = query.header(name, value.clone());
    }
    let sent = query.post_raw().await;
    let response = sent.map_err(|error| {
        let source = if let prometheus_http_query::Error::Client(error) = &error { error.inner() } else { None };
        source.map_or_else(unusable, broken)
    })?;
    let status = response.status();
    if status.is_redirection() {
        let text = format!("HTTP status {}; redirects are not followed", status.as_u16());
        return Err((FailureClass::HttpStatus, text).into());
    }
    if matches!(status.as_u16(), 401 | 403) {
        return Err(Fault::Unwelcome(status.as_u16()));
    }
    let body = read(response).await;
    if !status.is_success() {
        let explained = body.ok().and_then(|body| decode::refusal(&body));
        let unexplained = || (FailureClass::HttpStatus, format!("HTTP status {}", status.as_u16()));
        return Err(explained.unwrap_or_else(unexplained).into());
    }
    let body = body?;
    match ask {
        Ask::Counter(_) => Ok(Answer::Counters(decode::counters(&body)?)),
        Ask::Value(_) => Ok(Answer::Value(decode::value(&body)?)),
    }
}

/// The body, as long as it is not too large; memory is bounded even if its length was not announced.
async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, Refusal> {
    let too_large = || (FailureClass::TooLarge, format!("the answer is larger than {} MiB", LARGEST_BODY >> 20));
    if response.content_length().is_some_and(|length| length > LARGEST_BODY as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        if body.len().saturating_add(chunk.len()) > LARGEST_BODY {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What broke, in known words.
fn broken(error: &reqwest::Error) -> Refusal {
    let text = if error.is_builder() {
        "the address is not a usable http or https URL".to_owned()
    } else if let Some(cause) = cause(error) {
        cause
    } else if error.is_connect() {
        "no connection".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let class = if error.is_timeout() { FailureClass::Timeout } else { FailureClass::Unreachable };
    (class, text)
}

/// The innermost cause that has known words.
fn cause(error: &reqwest::Error) -> Option<String> {
    let mut next = error.source();
    let mut found = None;
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref() {
            return Some(tls_words(tls).to_owned());
        }
        next = error.source();
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if io.kind() != io::ErrorKind::Other {
                found = Some(io.kind().to_string());
            }
            // `source` of an `io::Error` skips the error that it wraps.
            next = io.get_ref().map_or(next, |wrapped| Some(wrapped));
        }
    }
    found
}

fn tls_words(error: &rustls::Error) -> &'static str {
    use rustls::{AlertDescription as Alert, CertificateError as Flaw};
    if let rustls::Error::AlertReceived(alert) = error {
        return if matches!(alert, Alert::CertificateRequired) {
            "it wants a client certificate"
        } else if matches!(
            alert,
            Alert::BadCertificate | Alert::CertificateExpired | Alert::CertificateUnknown | Alert::UnknownCA
        ) {
            "it does not take the client certificate"
        } else {
            "the TLS handshake failed"
        };
    }
    let rustls::Error::InvalidCertificate(flaw) = error else {
        return "the TLS handshake failed";
    };
    if matches!(flaw, Flaw::UnknownIssuer) {
        "its certificate is signed by an unknown authority"
    } else if matches!(flaw, Flaw::Expired | Flaw::ExpiredContext { .. }) {
        "its certificate has expired"
    } else if matches!(flaw, Flaw::NotValidForName | Flaw::NotValidForNameContext { .. }) {
        "its certificate is for another name"
    } else {
        "its certificate is not valid"
    }
}

#[cfg(test)]
mod tests;
