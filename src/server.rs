//! The admin server: `/livez`, `/readyz`, `/metrics`. Answers only; changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
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

async fn metrics(State(admin): State<Admin>) -> impl IntoResponse {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            "metrics cannot be encoded\n".to_owned(),
        ),
    }
}
