//! Asks one question of one server and waits for the answer.
//!
//! Owns the HTTP side: POST, no redirects, one deadline for the whole exchange, a bound on the body, and the class of
//! every error. Must not retry (the schedule does) and must not put an address or an answer into a message: either
//! may hold a password.

use std::error::Error;
use std::io;
use std::time::Duration as Span;

use prometheus_http_query::Client as Api;
use reqwest::redirect::Policy;

use super::decode::{self, Refusal};
use crate::clock;
use crate::decide::measure::{Ask, FailureClass, Provider, Sample, Series};

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

/// What a question was answered with.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// To `Ask::Counter`.
    Counters(Vec<Series>),
    /// To `Ask::Value`.
    Value(Sample),
}

/// The end of one try.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What came back.
    pub(super) answer: Result<Answer, Refusal>,
    /// How long it took.
    pub(super) took: Span,
}

/// A pool of connections to any number of servers.
#[derive(Debug, Clone)]
pub(super) struct Client {
    http: reqwest::Client,
}

impl Client {
    /// Needs a TLS provider installed in the process.
    pub(super) fn new() -> Result<Self, ClientError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(ClientError::NoTlsProvider);
        }
        let builder = || {
            reqwest::Client::builder()
                .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
                .redirect(Policy::none())
                .retry(reqwest::retry::never())
        };
        let http = match builder().build() {
            Ok(http) => http,
            Err(error) => {
                // An image without CA certificates can still ask over http.
                tracing::warn!(error = %error, "no system certificates: https metrics providers will not be trusted");
                builder().tls_certs_only([]).build().map_err(ClientError::Build)?
            }
        };
        Ok(Self { http })
    }

    /// Asks once. A counter is read `window` seconds back.
    pub(super) async fn ask(&self, provider: &Provider, ask: &Ask, window: u64) -> Outcome {
        let began = clock::instant();
        let answer = match tokio::time::timeout(provider.timeout.std(), self.exchange(provider, ask, window)).await {
            Ok(answer) => answer,
            Err(_) => Err((FailureClass::Timeout, format!("no answer within {}", provider.timeout))),
        };
        Outcome { answer, took: began.elapsed() }
    }

    async fn exchange(&self, provider: &Provider, ask: &Ask, window: u64) -> Result<Answer, Refusal> {
        let unusable = || (FailureClass::Unreachable, "the address is not a usable http or https URL".to_owned());
        let address = provider.address.trim_end_matches('/');
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(unusable());
        }
        let api = Api::from(self.http.clone(), address).map_err(|_| unusable())?;
        let promql = match ask {
            Ask::Counter(selector) => format!("{selector}[{window}s]"),
            Ask::Value(query) => query.clone(),
        };
        // The server gives up when we do, and does not go on computing for nobody.
        let sent = api.query(promql).timeout(provider.timeout.as_millis()).post_raw().await;
        let response = sent.map_err(|error| {
            let source = if let prometheus_http_query::Error::Client(error) = &error { error.inner() } else { None };
            source.map_or_else(unusable, broken)
        })?;
        let status = response.status();
        if status.is_redirection() {
            let text = format!("HTTP status {}; redirects are not followed", status.as_u16());
            return Err((FailureClass::HttpStatus, text));
        }
        let body = read(response).await;
        if !status.is_success() {
            let explained = body.ok().and_then(|body| decode::refusal(&body));
            return Err(
                explained.unwrap_or_else(|| (FailureClass::HttpStatus, format!("HTTP status {}", status.as_u16())))
            );
        }
        let body = body?;
        match ask {
            Ask::Counter(_) => decode::counters(&body).map(Answer::Counters),
            Ask::Value(_) => decode::value(&body).map(Answer::Value),
        }
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
    use rustls::CertificateError as Fault;
    let rustls::Error::InvalidCertificate(fault) = error else {
        return "the TLS handshake failed";
    };
    if matches!(fault, Fault::UnknownIssuer) {
        "its certificate is signed by an unknown authority"
    } else if matches!(fault, Fault::Expired | Fault::ExpiredContext { .. }) {
        "its certificate has expired"
    } else if matches!(fault, Fault::NotValidForName | Fault::NotValidForNameContext { .. }) {
        "its certificate is for another name"
    } else {
        "its certificate is not valid"
    }
}

#[cfg(test)]
mod tests;
