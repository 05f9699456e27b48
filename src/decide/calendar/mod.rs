//! Whether a wave may begin now, and if not, when it may.
//!
//! Owns what the times of `spec.schedule` mean in their zone. The zone data is part of the program: nothing of the
//! machine is read.
//!
//! A window and a freeze are spans between two moments. A time that a change of the clock leaves out is the moment of
//! the change, and one that comes twice is its first coming: a window opens once a day, whatever the clock does.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::words::quote;
use crate::api::{Day, Schedule};

/// How far ahead the next opening is looked for.
const HORIZON: SignedDuration = SignedDuration::from_hours(400 * 24);
/// Windows that a sentence names.
const NAMED: usize = 3;

/// No wave may begin now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Closed {
    /// One word for programs.
    pub(super) reason: &'static str,
    /// Why, and when it opens.
    pub(super) sentence: String,
    /// When a wave may begin, if that is within the horizon.
    pub(super) opens: Option<Timestamp>,
}

/// What is wrong with a schedule that its schema cannot say; names the field.
pub(super) fn problem(schedule: &Schedule) -> Option<String> {
    Calendar::of(schedule).err()
}

/// Why no wave may begin now. A schedule that cannot be read lets none begin.
pub(super) fn closed(schedule: &Schedule, now: Timestamp) -> Option<Closed> {
    let calendar = match Calendar::of(schedule) {
        Ok(calendar) => calendar,
        Err(problem) => return Some(Closed { reason: "OutsideWindow", sentence: problem, opens: None }),
    };
    let frozen = calendar.frozen(now);
    if frozen.is_none() && calendar.in_window(now) {
        return None;
    }
    let opens = calendar.opens(now);
    let zone = calendar.name();
    let opening = match opens {
        Some(at) => format!("; opens {}", calendar.zone.to_datetime(at).strftime("%a %Y-%m-%d %H:%M")),
        None => format!("; it does not open within {} days", HORIZON.as_hours().wrapping_div(24)),
    };
    Some(match frozen {
        Some(freeze) => {
            let until = calendar.zone.to_datetime(freeze.until).strftime("%Y-%m-%d %H:%M").to_string();
            let reason = freeze.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            // Its end is when it opens, unless a window or another freeze says otherwise.
            let opening = if opens == Some(freeze.until) { String::new() } else { opening };
            Closed { reason: "Frozen", sentence: format!("frozen until {until} {zone}{reason}{opening}"), opens }
        }
        None => {
            let windows = calendar.windows_text();
            Closed {
                reason: "OutsideWindow",
                sentence: format!("outside the windows of {zone} ({windows}){opening}"),
                opens,
            }
        }
    })
}

/// A schedule as it was understood.
struct Calendar<'a> {
    schedule: &'a Schedule,
    zone: TimeZone,
    windows: Vec<Window>,
    freezes: Vec<Freeze<'a>>,
}

struct Window {
    days: Vec<Day>,
    from: Time,
    to: Time,
}

struct Freeze<'a> {
    from: Timestamp,
    until: Timestamp,
    reason: Option<&'a str>,
}

impl<'a> Calendar<'a> {
    fn of(schedule: &'a Schedule) -> Result<Self, String> {
        let zone = TimeZoneDatabase::bundled().get(&schedule.time_zone).map_err(|_| {
            format!(
                "spec.schedule.timeZone: {} is no time zone of the IANA database, such as Europe/Zurich",
                quote(&schedule.time_zone)
            )
        })?;
        let mut windows = Vec::new();
        for (index, window) in schedule.windows.iter().enumerate() {
            let field = |name: &str| format!("spec.schedule.windows[{index}].{name}");
            if window.days.is_empty() {
                return Err(format!("{}: name at least one day", field("days")));
            }
            let mut days = window.days.clone();
            days.sort_unstable();
            days.dedup();
            let read = |name: &str, text: &str| {
                time(text).ok_or_else(|| format!("{}: {} is not a time such as 09:00", field(name), quote(text)))
            };
            windows.push(Window { days, from: read("from", &window.from)?, to: read("to", &window.to)? });
        }
        let mut freezes = Vec::new();
        for (index, freeze) in schedule.freezes.iter().enumerate() {
            let field = |name: &str| format!("spec.schedule.freezes[{index}].{name}");
            let read = |name: &str, text: &str| {
                let read = datetime(text).and_then(|local| Some((local, moment(&zone, local)?)));
                read.ok_or_else(|| {
                    format!("{}: {} is not a date such as 2026-12-20 or 2026-12-20T18:00", field(name), quote(text))
                })
            };
            let (from, until) = (read("from", &freeze.from)?, read("until", &freeze.until)?);
            if until.0 <= from.0 {
                return Err(format!(
                    "{}: {:?} is not after from, which is {:?}",
                    field("until"),
                    freeze.until,
                    freeze.from
                ));
            }
            freezes.push(Freeze { from: from.1, until: until.1, reason: freeze.reason.as_deref() });
        }
        Ok(Self { schedule, zone, windows, freezes })
    }

    /// The zone as the database writes it.
    fn name(&self) -> &str {
        self.zone.iana_name().unwrap_or(&self.schedule.time_zone)
    }

    /// The freeze that holds at a moment; of several the one that lasts longest.
    fn frozen(&self, at: Timestamp) -> Option<&Freeze<'a>> {
        self.freezes.iter().filter(|freeze| freeze.from <= at && at < freeze.until).max_by_key(|freeze| freeze.until)
    }

    /// The windows that begin on a day, as moments. One that a change of the clock leaves nothing of is none.
    fn spans(&self, date: Date) -> impl Iterator<Item = (Timestamp, Timestamp)> {
        let today = day(date.weekday());
        self.windows.iter().filter(move |window| window.days.contains(&today)).filter_map(move |window| {
            let last = if window.to <= window.from { date.tomorrow().ok()? } else { date };
            let from = moment(&self.zone, date.to_datetime(window.from))?;
            let to = moment(&self.zone, last.to_datetime(window.to))?;
            (from < to).then_some((from, to))
        })
    }

    /// Whether a moment is in a window; without windows every moment is.
    fn in_window(&self, at: Timestamp) -> bool {
        self.windows.is_empty()
            || days_from(self.date_before(at))
                .take(4)
                .any(|date| self.spans(date).any(|(from, to)| from <= at && at < to))
    }

    /// When the next window begins, after a moment that is in none.
    fn next_window(&self, after: Timestamp, limit: Timestamp) -> Option<Timestamp> {
        // Days can be left out where a zone has crossed the date line; a day more at each end covers that.
        let last = self.zone.to_datetime(limit).date();
        let days = days_from(self.date_before(after)).take_while(|date| *date <= last);
        days.filter_map(|date| self.spans(date).map(|(from, _)| from).filter(|from| *from > after).min())
            .next()
            .filter(|from| *from <= limit)
    }

    /// Two days before the local date, so that every window that may still last has begun since.
    fn date_before(&self, at: Timestamp) -> Date {
        self.zone.to_datetime(at).date().saturating_sub(2.days())
    }

    /// The next moment that is in a window and in no freeze.
    fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let limit = now.checked_add(HORIZON).ok()?;
        let mut at = now;
        // Each turn leaves a freeze behind for good or finds a window.
        for _ in 0..=self.freezes.len().saturating_mul(2).saturating_add(1) {
            if let Some(freeze) = self.frozen(at) {
                at = freeze.until;
            } else if self.in_window(at) {
                return (at <= limit).then_some(at);
            } else {
                at = self.next_window(at, limit)?;
            }
        }
        None
    }

    /// The windows in a few words, such as `Mon-Fri 09:00-16:30`.
    fn windows_text(&self) -> String {
        let all = self.schedule.windows.iter().zip(&self.windows);
        let mut texts: Vec<String> = all
            .take(NAMED)
            .map(|(written, window)| format!("{} {}-{}", days_text(&window.days), written.from, written.to))
            .collect();
        let more = self.windows.len().saturating_sub(NAMED);
        if more > 0 {
            texts.push(format!("{more} more"));
        }
        texts.join(", ")
    }
}

fn days_from(first: Date) -> impl Iterator<Item = Date> {
    std::iter::successors(Some(first), |date| date.tomorrow().ok())
}

const fn day(weekday: Weekday) -> Day {
    match weekday {
        Weekday::Monday => Day::Mon,
        Weekday::Tuesday => Day::Tue,
        Weekday::Wednesday => Day::Wed,
        Weekday::Thursday => Day::Thu,
        Weekday::Friday => Day::Fri,
        Weekday::Saturday => Day::Sat,
        Weekday::Sunday => Day::Sun,
    }
}

/// Sorted days, with three or more in a row as a range.
fn days_text(days: &[Day]) -> String {
    let mut runs: Vec<Vec<Day>> = Vec::new();
    for day in Day::ALL {
        match (days.contains(&day), runs.last_mut()) {
            (true, Some(run)) => run.push(day),
            (true, None) => runs.push(vec![day]),
            (false, _) => runs.push(Vec::new()),
        }
    }
    let texts = runs.iter().map(|run| match run.as_slice() {
        [first, _, .., last] => format!("{}-{}", first.word(), last.word()),
        few => few.iter().map(|day| day.word()).collect::<Vec<_>>().join(","),
    });
    texts.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(",")
}

/// The moment of a local time: the change of the clock if it leaves that time out, the first if it comes twice.
fn moment(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } | AmbiguousOffset::Fold { .. } => ambiguous.earlier().ok(),
        AmbiguousOffset::Gap { .. } => {
            let before = ambiguous.earlier().ok()?;
            zone.following(before).next().map(|change| change.timestamp())
        }
    }
}

/// `HH:MM`, and nothing else that the library would read.
fn time(text: &str) -> Option<Time> {
    shaped(text, "00:00").then(|| text.parse().ok()).flatten()
}

/// A date, or a date and a time, without an offset.
fn datetime(text: &str) -> Option<DateTime> {
    let shapes = ["0000-00-00", "0000-00-00T00:00", "0000-00-00T00:00:00"];
    shapes.iter().any(|shape| shaped(text, shape)).then(|| text.parse().ok()).flatten()
}

/// Digits where the shape has a 0, and its own characters elsewhere.
fn shaped(text: &str, shape: &str) -> bool {
    text.len() == shape.len()
        && text
            .bytes()
            .zip(shape.bytes())
            .all(|(has, wants)| if wants == b'0' { has.is_ascii_digit() } else { has == wants })
}

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;
