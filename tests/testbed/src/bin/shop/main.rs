//! `shop`: the demo's application, an HTTP server that fails, dawdles, crashes or never gets ready as told.
//!
//! Everything about its behaviour comes from the environment, so that two values of one variable make a
//! good and a bad version of it. It draws its failures from a counter, so a rate is met exactly. With `LOAD_URL` it is
//! a client instead, see [`client`].

// The rule protects decisions of the operator, which must be repeatable; this is a test's server.
#![allow(clippy::disallowed_methods)]

mod client;
mod metrics;
mod settings;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use metrics::Metrics;
use settings::Settings;

struct Shop {
    settings: Settings,
    metrics: Metrics,
    started: Instant,
    served: AtomicU64,
}

fn main() -> ExitCode {
    let variable = |name: &str| std::env::var(name).ok();
    let ended = client::read(variable).and_then(|asked| match asked {
        Some(config) => Ok(in_runtime(client::run(config))),
        None => Settings::read(variable).map(|settings| in_runtime(async { Ok(serve(settings).await?) })),
    });
    match ended {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            eprintln!("shop: {error:#}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("shop: {error}");
            ExitCode::from(2)
        }
    }
}

fn in_runtime(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn serve(settings: Settings) -> std::io::Result<()> {
    if let Some(after) = settings.crash_after {
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            eprintln!("shop: crashing, as CRASH_AFTER says");
            std::process::exit(1);
        });
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let listener = TcpListener::bind(("0.0.0.0", settings.port)).await?;
    eprintln!("shop: version {} listens on port {}", settings.version, settings.port);
    let shop = Arc::new(Shop {
        metrics: Metrics::new(&settings.version),
        settings,
        started: Instant::now(),
        served: AtomicU64::new(0),
    });
    let app = Router::new()
        .route("/", get(page))
        .route("/healthz", get(health))
        .route("/metrics", get(show_metrics))
        .with_state(shop);
    // It stops taking connections, finishes the requests it has, and ends.
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await
}

async fn page(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    let began = Instant::now();
    let number = shop.served.fetch_add(1, Ordering::Relaxed);
    let settings = &shop.settings;
    let mut delay = settings.latency;
    if settings.slow_rate.hits(number, 1) {
        delay = delay.saturating_add(settings.slow_latency);
    }
    if delay > Duration::ZERO {
        tokio::time::sleep(delay).await;
    }
    let fails = settings.fails(number, shop.started.elapsed());
    let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    shop.metrics.record(status == StatusCode::OK, began.elapsed());
    let version = settings.version.clone();
    let body =
        if status == StatusCode::OK { format!("shop {version}\n") } else { format!("shop {version}: out of order\n") };
    (status, [(HeaderName::from_static("x-version"), version)], body)
}

async fn health(State(shop): State<Arc<Shop>>) -> (StatusCode, &'static str) {
    let settings = &shop.settings;
    if settings.never_ready || shop.started.elapsed() < settings.ready_after {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    } else {
        (StatusCode::OK, "ready\n")
    }
}

async fn show_metrics(State(shop): State<Arc<Shop>>) -> impl IntoResponse {
    ([("content-type", "text/plain; version=0.0.4")], shop.metrics.text())
}
