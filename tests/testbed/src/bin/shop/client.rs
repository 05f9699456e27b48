//! The other half of the shop: with `LOAD_URL` set it is no server but a client, for clusters that have no other.
//!
//! It sends at a fixed rate for a bounded time and then rests until it is told to end: a container that ended would be
//! started again, and the load would have no end.

use std::time::Duration;

use testbed::load::{self, Config, Handle, Summary};
use tokio::signal::unix::{SignalKind, signal};

use super::settings::{duration, parsed, text};

/// How often it says what came back.
const EVERY: Duration = Duration::from_secs(5);

/// What the environment asks to be sent; `None` if it asks for a server.
pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Config>, String> {
    let Some(url) = text(&variable, "LOAD_URL") else {
        return Ok(None);
    };
    let rate = parsed(&variable, "LOAD_RATE", "requests per second such as 200", |text| text.parse().ok())?;
    let mut config = Config::new(url).rate(rate.unwrap_or(200));
    config = config.duration(duration(&variable, "LOAD_FOR")?.unwrap_or(Duration::from_secs(1_800)));
    config.host = text(&variable, "LOAD_HOST");
    Ok(Some(config))
}

/// Sends until the time is over, then rests; ends when it is told to.
pub(crate) async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    eprintln!("shop: {} requests per second to {} for {:?}", config.rate, config.url, config.duration);
    let handle = load::start(config)?;
    tokio::select! {
        () = tell(&handle) => eprintln!("shop: the time is over, nothing more is sent; a new pod begins again"),
        _ = terminate.recv() => return Ok(()),
    }
    terminate.recv().await;
    Ok(())
}

async fn tell(handle: &Handle) {
    while !handle.is_over() {
        let from = handle.elapsed();
        tokio::time::sleep(EVERY).await;
        eprintln!("{}", line(&handle.between(from, handle.elapsed())));
    }
}

fn line(summary: &Summary) -> String {
    let versions: Vec<_> = summary
        .by_version
        .iter()
        .map(|(version, counts)| format!("{version} {:.0}% ({} failed)", counts.share * 100.0, counts.failed))
        .collect();
    format!("{} requests, {} failed: {}", summary.requests, summary.failed, versions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(pairs: &[(&str, &str)]) -> Result<Option<Config>, String> {
        read(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn it_is_a_client_only_when_it_is_told_whom_to_ask() {
        assert!(asked(&[("LOAD_RATE", "5")]).unwrap().is_none());
        let config = asked(&[
            ("LOAD_URL", "http://gateway:8000"),
            ("LOAD_HOST", "shop.test"),
            ("LOAD_RATE", "5"),
            ("LOAD_FOR", "2m"),
        ]);
        let config = config.unwrap().unwrap();
        assert_eq!((config.rate, config.duration), (5, Duration::from_secs(120)));
        assert_eq!(config.host.as_deref(), Some("shop.test"));
        let least = asked(&[("LOAD_URL", "http://gateway")]).unwrap().unwrap();
        assert_eq!((least.rate, least.duration), (200, Duration::from_secs(1_800)), "it ends by itself");
    }

    #[test]
    fn a_bad_value_is_reported_with_its_variable() {
        for (name, value) in [("LOAD_RATE", "many"), ("LOAD_FOR", "30")] {
            let error = asked(&[("LOAD_URL", "http://gateway"), (name, value)]).expect_err(value);
            assert!(error.starts_with(name), "{error}");
        }
    }
}
