//! The admin server: `/livez`, `/readyz`, `/metrics`. Answers only; changes nothing.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

use crate::watch::Freshness;

/// What the server answers from.
#[derive(Clone)]
pub struct Admin {
    /// The metrics.
    pub registry: Arc<Registry>,
    /// The watches.
    pub freshness: Freshness,
}

/// Serves until `stop` completes.
pub async fn serve(
    listen: SocketAddr,
    admin: Admin,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    let listener = tokio::net::TcpListener::bind(listen).await?;
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

/// Ready once every kind has been listed; says which are missing.
async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let missing = admin.freshness.missing();
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not watched yet: {}\n", missing.join(", ")))
    }
}

/// How much of an answer is made at once.
const PART: usize = 64 * 1024;

/// In parts, each given back as it is sent: with a thousand Rollouts an answer is several MB. It is made before any of it is
/// sent, since whoever reads slowly must not hold the metrics.
async fn metrics(State(admin): State<Admin>) -> Response {
    let mut parts = Parts::default();
    match prometheus_client::encoding::text::encode(&mut parts, &admin.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let parts = parts.0.into_iter().map(Ok::<_, Infallible>);
            ([(header::CONTENT_TYPE, kind)], Body::from_stream(futures::stream::iter(parts))).into_response()
        }
        Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], "metrics cannot be encoded\n")
                .into_response()
        }
    }
}

/// Text in pieces that are never moved to make room.
#[derive(Default)]
struct Parts(Vec<String>);

impl fmt::Write for Parts {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        match self.0.last_mut().filter(|last| last.len().saturating_add(more.len()) <= PART) {
            Some(last) => last.push_str(more),
            None => {
                let mut next = String::with_capacity(PART.max(more.len()));
                next.push_str(more);
                self.0.push(next);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn parts_make_the_same_text_and_do_not_grow() {
        let mut parts = Parts::default();
        let lines: Vec<String> = (0..20_000).map(|line| format!("line {line}\n")).collect();
        for line in &lines {
            parts.write_str(line).unwrap();
        }
        assert!(parts.0.iter().rev().skip(1).all(|part| part.capacity() == PART && part.len() > PART / 2));
        parts.write_str(&"x".repeat(3 * PART)).unwrap();
        assert_eq!(parts.0.concat(), lines.concat() + &"x".repeat(3 * PART));
    }
}
