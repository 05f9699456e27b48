//! The shop's settings: how each environment variable is read, and what is wrong with one that cannot be.

use std::time::Duration;

/// How the shop behaves.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Settings {
    pub(crate) version: String,
    pub(crate) port: u16,
    pub(crate) error_rate: Rate,
    /// The errors of `error_rate` begin this long after the start.
    pub(crate) error_after: Duration,
    pub(crate) error_burst: Burst,
    pub(crate) latency: Duration,
    pub(crate) slow_rate: Rate,
    pub(crate) slow_latency: Duration,
    pub(crate) crash_after: Option<Duration>,
    pub(crate) never_ready: bool,
    pub(crate) ready_after: Duration,
}

/// The share of requests that something happens to.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Rate(f64);

impl Rate {
    /// Whether it happens to request number `number`. `salt` keeps two rates apart.
    ///
    /// Steps of the golden ratio spread the hits evenly: any stretch of requests has very nearly its share.
    pub(crate) fn hits(self, number: u64, salt: u32) -> bool {
        const STEP: f64 = 0.618_033_988_749_894_9;
        // Exact up to 2^53 requests.
        let position = (number as f64).mul_add(STEP, f64::from(salt) * 0.37);
        position.fract() >= 1.0 - self.0
    }
}

/// Requests by number that something happens to, once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Burst(std::ops::RangeInclusive<u64>);

impl Burst {
    pub(crate) fn hits(&self, number: u64) -> bool {
        self.0.contains(&number)
    }
}

impl Default for Burst {
    #[allow(clippy::reversed_empty_ranges)] // none
    fn default() -> Self {
        Self(1..=0)
    }
}

impl Settings {
    /// Reads the settings from the environment, given as a function of a variable's name.
    pub(crate) fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let version = text(&variable, "VERSION").unwrap_or_else(|| "v1".to_owned());
        // It becomes a header and a label.
        if !version.chars().all(|c| c.is_ascii_alphanumeric() || ".-_+".contains(c)) {
            return Err(format!("VERSION is {version:?}: use letters, digits and . - _ +"));
        }
        Ok(Self {
            version,
            port: parsed(&variable, "PORT", "a port number such as 8080", |text| text.parse().ok())?.unwrap_or(8080),
            error_rate: parsed(&variable, "ERROR_RATE", "a share such as 5% or 0.05", rate)?.unwrap_or_default(),
            error_after: duration(&variable, "ERROR_AFTER")?.unwrap_or_default(),
            error_burst: parsed(&variable, "ERROR_BURST", "numbers of requests such as 100-104", burst)?
                .unwrap_or_default(),
            latency: duration(&variable, "LATENCY")?.unwrap_or_default(),
            slow_rate: parsed(&variable, "SLOW_RATE", "a share such as 5% or 0.05", rate)?.unwrap_or_default(),
            slow_latency: duration(&variable, "SLOW_LATENCY")?.unwrap_or_default(),
            crash_after: duration(&variable, "CRASH_AFTER")?,
            never_ready: parsed(&variable, "NEVER_READY", "true or false", |text| text.parse().ok())?.unwrap_or(false),
            ready_after: duration(&variable, "READY_AFTER")?.unwrap_or_default(),
        })
    }
}

impl Settings {
    /// Whether request number `number` fails, so long after the start.
    pub(crate) fn fails(&self, number: u64, up: Duration) -> bool {
        (up >= self.error_after && self.error_rate.hits(number, 0)) || self.error_burst.hits(number)
    }
}

/// A variable's value; one that is set to nothing counts as not set.
pub(crate) fn text(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

pub(crate) fn parsed<T>(
    variable: &impl Fn(&str) -> Option<String>,
    name: &str,
    wanted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(value) = text(variable, name) else {
        return Ok(None);
    };
    parse(&value).map(Some).ok_or_else(|| format!("{name} is {value:?}: give {wanted}"))
}

pub(crate) fn duration(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Duration>, String> {
    parsed(variable, name, "a time such as 250ms, 2s or 1m", testbed::duration::parse)
}

fn rate(text: &str) -> Option<Rate> {
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&share).then_some(Rate(share))
}

fn burst(text: &str) -> Option<Burst> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(Burst(first..=last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, String> {
        Settings::read(|name| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.to_owned()))
    }

    #[test]
    fn values_are_read_in_both_spellings() {
        let settings = read(&[
            ("VERSION", "v3"),
            ("ERROR_RATE", "5%"),
            ("SLOW_RATE", "0.05"),
            ("ERROR_BURST", "100-104"),
            ("LATENCY", "20ms"),
            ("CRASH_AFTER", "1.5s"),
            ("NEVER_READY", "true"),
            ("PORT", ""),
        ])
        .unwrap();
        assert_eq!(settings.error_rate, settings.slow_rate);
        assert_eq!(settings.latency, Duration::from_millis(20));
        assert_eq!(settings.crash_after, Some(Duration::from_millis(1500)));
        assert!(settings.never_ready);
        assert_eq!(settings.port, 8080);
        assert_eq!((0..1000).filter(|&number| settings.error_burst.hits(number)).count(), 5);
    }

    #[test]
    fn errors_begin_when_they_are_told_to() {
        let settings = read(&[("ERROR_RATE", "100%"), ("ERROR_AFTER", "20s"), ("ERROR_BURST", "3-3")]).unwrap();
        let failed = |up: u64| (0..10).filter(|&number| settings.fails(number, Duration::from_secs(up))).count();
        assert_eq!((failed(0), failed(19), failed(20)), (1, 1, 10));
        let at_once = read(&[("ERROR_RATE", "100%")]).unwrap();
        assert!(at_once.fails(0, Duration::ZERO));
    }

    #[test]
    fn a_bad_value_is_reported_with_its_variable() {
        for (name, value) in [
            ("ERROR_RATE", "120%"),
            ("ERROR_RATE", "often"),
            ("ERROR_BURST", "9-5"),
            ("ERROR_BURST", "7"),
            ("SLOW_RATE", "-0.1"),
            ("ERROR_AFTER", "30"),
            ("LATENCY", "20"),
            ("READY_AFTER", "-1s"),
            ("CRASH_AFTER", "5 years"),
            ("NEVER_READY", "yes"),
            ("PORT", "99999"),
            ("VERSION", "v\"1"),
        ] {
            let error = read(&[(name, value)]).expect_err(value);
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn a_rate_is_met_in_every_stretch_of_requests() {
        for (share, low, high) in [(0.0, 0, 0), (0.05, 49, 51), (0.5, 499, 501), (1.0, 1000, 1000)] {
            for start in [0_u64, 777, 1_000_000] {
                let hits = (start..start + 1000).filter(|&number| Rate(share).hits(number, 0)).count();
                assert!((low..=high).contains(&hits), "{share} of 1000 from {start}: {hits}");
            }
        }
    }
}
