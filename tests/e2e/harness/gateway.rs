//! A client of the shop: bounded requests through the gateway, and an account of every one.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use testbed::load::{Config, Handle, Summary, start};

use super::app::App;

/// How long a client goes on if nobody stops it.
const LONGEST: Duration = Duration::from_secs(400);
/// How long a client waits for an answer: a busy machine is slow, but loses no request.
const PATIENCE: Duration = Duration::from_secs(20);

fn url() -> String {
    std::env::var("SLUICE_GATEWAY_URL").expect("SLUICE_GATEWAY_URL")
}

/// A client that sends requests until it is stopped.
#[derive(Debug)]
pub struct Client {
    handle: Handle,
    started: Timestamp,
}

impl Client {
    /// Waits until the gateway leads to the shop (it learns of new endpoints up to 2 s late, and offers no way to be
    /// told), then sends at this rate.
    pub async fn start(app: &App, rate: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let probe = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut good = 0;
        while good < 5 {
            let answer = probe.get(url()).header("host", app.host()).send().await;
            good = if answer.is_ok_and(|answer| answer.status().is_success()) { good + 1 } else { 0 };
            assert!(Instant::now() < deadline, "the gateway does not lead to {} after 30s", app.host());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let mut config = Config::new(url()).host(app.host()).rate(rate).duration(LONGEST);
        config.timeout = PATIENCE;
        let started = Timestamp::now();
        Self { handle: start(config).expect("a client"), started }
    }

    /// The account of the requests that were sent between two times.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> Summary {
        let since = |at: Timestamp| Duration::try_from(at.duration_since(self.started)).unwrap_or_default();
        self.handle.between(since(from), since(to))
    }

    /// Goes on until so many more requests were answered.
    pub async fn more(&self, requests: u64) {
        let before = self.handle.snapshot().requests;
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.handle.snapshot().requests < before + requests {
            assert!(Instant::now() < deadline, "the client was to send {requests} more requests in 60s");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The account so far.
    pub fn so_far(&self) -> Summary {
        self.handle.snapshot()
    }

    /// Stops and returns the whole account.
    pub async fn stop(self) -> Summary {
        self.handle.stop().await
    }
}

/// Fails unless every request was sent and answered well.
pub fn assert_unharmed(summary: &Summary) {
    assert!(
        summary.failed == 0 && summary.skipped == 0,
        "{} of {} requests failed, {} were not sent: {:#?}",
        summary.failed,
        summary.requests,
        summary.skipped,
        summary.failures
    );
}
