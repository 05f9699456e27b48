//! A bounded load generator: requests at a fixed rate, whatever the answers, and an account of every one.
//!
//! The schedule is open loop: request number n is due n/rate seconds after the start, even if earlier ones
//! have not been answered. What limits it is the number in flight, the duration, and nothing else; what the
//! limit holds back is counted as skipped. It runs on threads of its own, so that a busy or single-threaded
//! caller does not slow it down.

mod account;
mod generator;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::sync::oneshot;

use account::Account;
pub use account::{Failure, Latency, Summary, VersionCounts};

/// What to send, where, how fast and for how long.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address, for example `http://10.250.0.1:8000/`.
    pub url: String,
    /// The `Host` header, by which the gateway chooses a route; that of the URL if not given.
    pub host: Option<String>,
    /// Requests per second.
    pub rate: u32,
    /// When to stop if nobody does earlier.
    pub duration: Duration,
    /// How many requests may wait for their answers at once.
    pub in_flight: usize,
    /// How long to wait for an answer.
    pub timeout: Duration,
}

impl Config {
    /// 200 requests per second for at most ten minutes.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            host: None,
            rate: 200,
            duration: Duration::from_secs(600),
            in_flight: 2_000,
            timeout: Duration::from_secs(5),
        }
    }

    /// Sets the `Host` header.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Sets the requests per second.
    #[must_use]
    pub fn rate(mut self, rate: u32) -> Self {
        self.rate = rate;
        self
    }

    /// Sets when to stop.
    #[must_use]
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = duration;
        self
    }

    fn check(&self) -> Result<()> {
        ensure!(
            (1..=5_000).contains(&self.rate),
            "a rate of {} requests per second is out of bounds: give 1 to 5000",
            self.rate
        );
        ensure!(
            self.duration <= Duration::from_secs(7_200),
            "a load of {:?} is out of bounds: give at most 2h",
            self.duration
        );
        ensure!(self.in_flight > 0, "at least one request must be allowed in flight");
        Ok(())
    }
}

/// A load that runs; dropping it stops it.
#[derive(Debug)]
pub struct Handle {
    account: Arc<Account>,
    stop: Arc<AtomicBool>,
    ended: oneshot::Receiver<()>,
}

/// Starts sending. Any caller will do, with or without a runtime of its own.
///
/// # Errors
/// When the configuration is out of bounds or a thread cannot be started.
pub fn start(config: Config) -> Result<Handle> {
    config.check()?;
    // The HTTP client asks for a provider even where no TLS is spoken; one that is there already will do.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = reqwest::Url::parse(&config.url).with_context(|| format!("{:?} is not a URL", config.url))?;
    let mut client = reqwest::Client::builder()
        .timeout(config.timeout)
        .pool_max_idle_per_host(config.in_flight)
        .no_proxy()
        .http1_only();
    if url.scheme() == "http" {
        // In an image there are no authorities, and none are needed.
        client = client.tls_certs_only([]);
    }
    let client = client.build().context("cannot make an HTTP client")?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("load").enable_all().build()?;
    let account = Arc::new(Account::new(Instant::now()));
    let stop = Arc::new(AtomicBool::new(false));
    let (send, ended) = oneshot::channel();
    std::thread::Builder::new().name("load".to_owned()).spawn({
        let (account, stop) = (Arc::clone(&account), Arc::clone(&stop));
        move || {
            runtime.block_on(generator::drive(config, url, client, &account, &stop));
            // Nobody may be waiting.
            let _ = send.send(());
        }
    })?;
    Ok(Handle { account, stop, ended })
}

impl Handle {
    /// The time since the start; two of these are an interval for [`Handle::between`].
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.account.elapsed()
    }

    /// The account so far.
    #[must_use]
    pub fn snapshot(&self) -> Summary {
        self.account.summary(Duration::ZERO, self.elapsed())
    }

    /// The account of the requests that were sent in an interval and have been answered.
    #[must_use]
    pub fn between(&self, from: Duration, to: Duration) -> Summary {
        self.account.summary(from, to)
    }

    /// Whether the load has ended by itself and every answer is in.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.account.is_over()
    }

    /// Stops sending, waits for the answers that are still out, and returns the whole account.
    pub async fn stop(self) -> Summary {
        self.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }

    /// Waits until the duration is over and every answer is in, and returns the whole account.
    pub async fn finish(mut self) -> Summary {
        // An error means that the thread is gone, so there is nothing to wait for.
        let _ = (&mut self.ended).await;
        self.snapshot()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
