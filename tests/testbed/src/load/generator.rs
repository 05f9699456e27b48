//! Sends the requests when they are due. It counts nothing itself; the account does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Url, header};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::Config;
use super::account::{Account, Outcome};

/// How soon an order to stop is noticed between two requests of a slow schedule.
const ATTENTION: Duration = Duration::from_millis(50);

pub(super) async fn drive(config: Config, url: Url, client: Client, account: &Arc<Account>, stop: &AtomicBool) {
    let places = Arc::new(Semaphore::new(config.in_flight));
    let mut requests = JoinSet::new();
    let started = account.started();
    let mut number: u64 = 0;
    while !stop.load(Ordering::Relaxed) && started.elapsed() < config.duration {
        let due = due(number, config.rate);
        let left = due.saturating_sub(started.elapsed());
        if !left.is_zero() {
            tokio::time::sleep(left.min(ATTENTION)).await;
            continue;
        }
        number = number.saturating_add(1);
        account.note_delay(started.elapsed().saturating_sub(due));
        // What has ended need not be kept until the end.
        while requests.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            account.skip();
            continue;
        };
        let mut request = client.get(url.clone());
        if let Some(host) = &config.host {
            request = request.header(header::HOST, host);
        }
        let account = Arc::clone(account);
        requests.spawn(async move {
            let sent = Instant::now();
            account.send();
            account.record(sent, answer(request).await);
            drop(place);
        });
    }
    while requests.join_next().await.is_some() {}
    account.end();
}

/// When request `number` is due, counted from the start.
fn due(number: u64, rate: u32) -> Duration {
    let nanos = u128::from(number).saturating_mul(1_000_000_000).checked_div(u128::from(rate));
    Duration::from_nanos(nanos.and_then(|nanos| u64::try_from(nanos).ok()).unwrap_or(u64::MAX))
}

async fn answer(request: reqwest::RequestBuilder) -> Outcome {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return Outcome::Broken(chain(&error)),
    };
    let status = response.status().as_u16();
    let version = response.headers().get("x-version").and_then(|value| value.to_str().ok());
    let version = version.unwrap_or("none").to_owned();
    match response.bytes().await {
        Ok(_) => Outcome::Answered { status, version },
        Err(error) => Outcome::Broken(chain(&error)),
    }
}

/// The error with its causes: the outermost alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_does_not_drift() {
        assert_eq!(due(0, 200), Duration::ZERO);
        assert_eq!(due(1, 200), Duration::from_millis(5));
        assert_eq!(due(3_000_000, 3), Duration::from_secs(1_000_000));
        assert_eq!(due(1, 3), Duration::from_nanos(333_333_333));
    }
}
