//! What is kept of one service: counts per window, and what its status shows. Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::api::DeliveryFigures;
use crate::figures::{Figures, History, REWORK_WINDOW, Rate, Scope, Spread, WINDOWS};

/// The window of the status, in days.
const SHOWN: u32 = 28;

/// The figures of one service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// The team that answered for it last.
    pub team: Option<String>,
    /// Its figures, one for each of [`WINDOWS`].
    pub windows: Vec<Counts>,
    /// Failures that are not over, whenever they began.
    pub open: u64,
    /// What its status shows.
    pub shown: DeliveryFigures,
}

/// The figures of one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// How many days.
    pub days: u32,
    /// Deployments.
    pub deployments: u64,
    /// Of these, what failed.
    pub failed: u64,
    /// Of what failed, what never served everybody.
    pub contained: u64,
    /// Of what failed, the rest.
    pub escaped: u64,
    /// Deployments that were made because of a failure.
    pub rework: u64,
    /// How long failures lasted; absent if none is over.
    pub recovery: Option<Spread>,
    /// From commit until it served everybody; absent where no commits are known.
    pub lead_time: Option<Spread>,
}

impl From<&Figures> for Counts {
    fn from(figures: &Figures) -> Self {
        Self {
            days: figures.window.days,
            deployments: figures.frequency.deployments,
            failed: figures.change_fail.all.count,
            contained: figures.change_fail.contained.count,
            escaped: figures.change_fail.escaped.count,
            rework: figures.rework.rate.count,
            recovery: figures.recovery.as_ref().and_then(|recovery| recovery.time),
            lead_time: figures.lead_time.promoted,
        }
    }
}

impl Service {
    /// The figures of a service, as namespace/name, of what is `recorded` up to a time.
    pub(super) fn of(
        history: &History,
        service: &str,
        team: Option<String>,
        recorded: Timestamp,
        now: Timestamp,
    ) -> Self {
        let all = WINDOWS.map(|days| history.figures(Scope::Service(service), days, now));
        let open = all.first().map(|one| one.open_failures.len()).unwrap_or_default();
        let windows: Vec<Counts> = all.iter().map(Counts::from).collect();
        Self { team, open: u64::try_from(open).unwrap_or(u64::MAX), shown: shown(&windows, recorded, now), windows }
    }

    /// Nothing was recorded.
    pub(super) fn none(now: Timestamp) -> Self {
        Self { team: None, windows: Vec::new(), open: 0, shown: shown(&[], Timestamp::MIN, now) }
    }

    /// Users met something of it within the largest window.
    pub fn lately(&self) -> bool {
        self.windows.iter().any(|counts| counts.deployments > 0)
    }
}

fn shown(windows: &[Counts], recorded_until: Timestamp, at: Timestamp) -> DeliveryFigures {
    let of = |days| windows.iter().find(|counts| counts.days == days);
    let (month, half) = (of(SHOWN), of(REWORK_WINDOW));
    let count = |of: Option<&Counts>, field: fn(&Counts) -> u64| of.map(field).unwrap_or_default();
    let mut figures = DeliveryFigures {
        summary: String::new(),
        at,
        recorded_until,
        days: SHOWN,
        deployments: count(month, |counts| counts.deployments),
        failed: count(month, |counts| counts.failed),
        escaped: count(month, |counts| counts.escaped),
        rework_days: REWORK_WINDOW,
        rework: count(half, |counts| counts.rework),
        rework_of: count(half, |counts| counts.deployments),
        median_recovery_seconds: month.and_then(|counts| tenths(counts.recovery?.median_seconds)),
        median_lead_time_seconds: month.and_then(|counts| tenths(counts.lead_time?.median_seconds)),
    };
    figures.summary = summary(&figures);
    figures
}

/// With one digit: what is written to a status is then read from it as the same number.
fn tenths(seconds: f64) -> Option<f64> {
    let tenths = (seconds * 10.0).round() / 10.0;
    tenths.is_finite().then_some(tenths)
}

fn summary(figures: &DeliveryFigures) -> String {
    let DeliveryFigures { days, deployments, failed, escaped, rework_days, rework, rework_of, .. } = figures;
    let share = |count: u64, of: u64| {
        Rate::new(count, of).rate.map_or_else(String::new, |rate| format!(" ({:.0}%)", rate * 100.0))
    };
    let noun = if *deployments == 1 { "deployment" } else { "deployments" };
    let mut text = format!("{days} days: {deployments} {noun}, {failed} failed{}", share(*failed, *deployments));
    // Text in memory takes whatever is written to it.
    let _ = write!(
        text,
        ", {escaped} escaped; {rework_days} days: rework {rework} of {rework_of}{}",
        share(*rework, *rework_of)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(days: u32, deployments: u64, failed: u64, escaped: u64, rework: u64) -> Counts {
        Counts {
            days,
            deployments,
            failed,
            contained: failed.saturating_sub(escaped),
            escaped,
            rework,
            recovery: None,
            lead_time: None,
        }
    }

    #[test]
    fn the_sentence_has_shares_from_ten_on() {
        let say = |month: Counts, half: Counts| shown(&[month, half], Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
        let many = say(counts(28, 12, 2, 0, 1), counts(180, 40, 5, 1, 3));
        assert_eq!(many.summary, "28 days: 12 deployments, 2 failed (17%), 0 escaped; 180 days: rework 3 of 40 (8%)");
        let few = say(counts(28, 9, 2, 0, 1), counts(180, 9, 2, 0, 3));
        assert_eq!(few.summary, "28 days: 9 deployments, 2 failed, 0 escaped; 180 days: rework 3 of 9");
        assert_eq!((few.median_recovery_seconds, few.median_lead_time_seconds), (None, None), "absent, not 0");
        let most = counts(28, u64::MAX, u64::MAX, u64::MAX, u64::MAX);
        let most = say(most, Counts { days: 180, ..most });
        assert!(most.summary.len() <= 300, "{}", most.summary);
        let one = say(counts(28, 1, 0, 0, 0), counts(180, 1, 0, 0, 0));
        assert_eq!(one.summary, "28 days: 1 deployment, 0 failed, 0 escaped; 180 days: rework 0 of 1");
    }

    #[test]
    fn a_median_comes_back_as_it_was_written() {
        for seconds in [0.0, 0.05, 4.461, 1e-9, 86_399.96, 12_345_678.949_999, 1e15] {
            let figures = tenths(seconds).unwrap();
            let text = serde_json::to_string(&figures).unwrap();
            assert_eq!(serde_json::from_str::<f64>(&text).unwrap(), figures, "{text}");
        }
        assert_eq!(tenths(f64::INFINITY), None);
    }
}
