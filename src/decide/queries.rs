//! Which questions a Rollout has for Prometheus.
//!
//! Owns which counter a signal is read from, the rendering of user queries, the escaping of everything that is put
//! into PromQL, and what is due at each step. What data planes call their counters is in `sources`. Asks nothing.

use super::measure::{Ask, Measurement, Provider};
use super::snapshot::Snapshot;
use super::sources::{self, Counts, Place, Unsupported, What};
use super::template::{Filling, fill};
use super::time::{earlier, times};
use super::verdict;
use crate::api::{Duration, OwnCounters, Run, Signal, Source, Step, TrafficState, Watching};

/// How far back stable's traffic is read before an attempt.
const LOOKBACK: Duration = Duration::from_secs(300);
/// The same where pods count one by one: from this the scatter of errors between them is taken.
const LOOKBACK_PODS: Duration = Duration::from_secs(3600);

/// The counter of a signal, if it has one; or why it cannot be read here.
pub(super) fn counts(snapshot: &Snapshot, signal: &Signal) -> Option<Result<Counts, Unsupported>> {
    let (source, own, what) = match signal {
        Signal { error_ratio: Some(ratio), .. } => (ratio.source, ratio.counters.as_ref(), What::Errors),
        Signal { latency: Some(latency), .. } => (latency.source, latency.counters.as_ref(), What::Slow(latency.over)),
        Signal { burn_rate: Some(burn), .. } => (burn.source, burn.counters.as_ref(), What::Errors),
        _ => return None,
    };
    Some(sources::resolve(source, own, &Place::of(snapshot), what))
}

/// The counter that the observed share is taken from: that of the first error ratio, or what the data plane has.
pub(super) fn traffic(snapshot: &Snapshot) -> Result<Counts, Unsupported> {
    let signals = &snapshot.rollout.spec.analysis.signals;
    let ratio = signals.iter().find_map(|signal| signal.error_ratio.as_ref());
    let other = signals.iter().find_map(|signal| signal.latency.as_ref()).map(|latency| latency.source);
    let (source, own): (Source, Option<&OwnCounters>) = match (ratio, other) {
        (Some(ratio), _) => (ratio.source, ratio.counters.as_ref()),
        (None, Some(source)) if source != Source::Query => (source, None),
        (None, _) => (Source::Auto, None),
    };
    sources::resolve(source, own, &Place::of(snapshot), What::Errors)
}

/// The variables that a user's query may name.
const VARIABLES: [&str; 7] =
    ["namespace", "workload", "canaryPods", "stablePods", "canaryService", "stableService", "interval"];

/// In whose place a query is rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Canary,
    /// With stable's values in place of the canary's: to see whether the query answers at all before there is a canary.
    Stable,
}

/// The user's query with its variables filled in, or the variable that is not known.
pub(super) fn render(snapshot: &Snapshot, promql: &str, stand: Stand) -> Result<String, String> {
    let spec = &snapshot.rollout.spec;
    let stable_set = snapshot.rollout.status.stable.as_ref().map_or("", |stable| stable.replica_set.as_str());
    let stable_pods = || Filling::Pattern(format!("{}-[a-z0-9]+", regex(stable_set)));
    let text = |text: &str| Filling::Text(text.to_owned());
    let value = |name: &str| -> Option<Filling> {
        Some(match (name, stand) {
            ("namespace", _) => text(&snapshot.rollout.namespace),
            ("workload", _) => text(&spec.target_ref.name),
            ("canaryPods", Stand::Canary) => {
                Filling::Pattern(format!("{}-[a-z0-9]+-[a-z0-9]+", regex(&super::canary::name(snapshot))))
            }
            ("canaryPods" | "stablePods", _) => stable_pods(),
            ("canaryService", Stand::Canary) => text(&spec.traffic.canary_service_name()),
            ("canaryService" | "stableService", _) => text(&spec.traffic.stable_service),
            ("interval", _) => Filling::Text(format!("{}ms", spec.analysis.interval.as_millis())),
            _ => return None,
        })
    };
    fill(promql, &VARIABLES, value)
}

/// How far back a counter is read before an attempt, bounded by what is kept of it.
pub(super) fn lookback(counts: &Counts, provider: &Provider) -> Duration {
    // 256 series of so many samples are well below the largest answer that is read.
    let most = times(provider.scrape_interval, 500);
    let span = if counts.source() == Source::Pods { LOOKBACK_PODS } else { LOOKBACK };
    span.max(times(provider.scrape_interval, 20)).min(most)
}

/// The questions that are due while a run is at its present step; none at rest.
pub(super) fn due(snapshot: &Snapshot, provider: &Provider, run: &Run) -> Vec<Measurement> {
    let every = snapshot.rollout.spec.analysis.interval.max(provider.scrape_interval);
    let mut due = Due { provider, every, measurements: Vec::new() };
    match run.step {
        Step::Preflight => before(snapshot, run, &mut due),
        Step::Starting | Step::Shifting | Step::Baking | Step::Promoting => during(snapshot, run, &mut due),
        // The last counts of a canary that is on its way out belong into its record.
        Step::Reverting | Step::Closing => {
            if let Ok(counts) = traffic(snapshot) {
                due.counter(&counts, since(&run.traffic, run));
            }
            for (ask, since) in super::symptoms::due(snapshot, run) {
                due.add(ask, since);
            }
        }
        Step::Done => {}
    }
    super::budget::due(snapshot, provider, run, &mut due.measurements);
    due.measurements
}

/// The questions about a version that was promoted, which is stable now.
pub(super) fn watching(snapshot: &Snapshot, provider: &Provider, watching: &Watching) -> Vec<Measurement> {
    let every = snapshot.rollout.spec.analysis.interval.max(provider.scrape_interval);
    let mut due = Due { provider, every, measurements: Vec::new() };
    for signal in snapshot.rollout.spec.analysis.signals.iter().filter(|signal| super::after::absolute(signal)) {
        let state = watching.signals.iter().find(|state| state.name == signal.name);
        if let (true, Some(Ok(counts))) = (signal.error_ratio.is_some(), counts(snapshot, signal)) {
            let counted = state.and_then(|state| state.counts.as_deref()).and_then(|counts| counts.until);
            due.counter(&counts, counted.unwrap_or(watching.since));
        }
        if let Some(query) = &signal.query
            && let Ok(promql) = render(snapshot, &query.promql, Stand::Stable)
        {
            let since = state.and_then(|state| state.until).unwrap_or(watching.since);
            due.add(Ask::Value(promql), earlier(since, times(every, 2)));
        }
        if let Some(burn) = &signal.burn_rate {
            for ask in verdict::burn::asks(snapshot, signal, burn) {
                due.add(ask, earlier(watching.since, every));
            }
        }
    }
    due.measurements
}

/// Everything that will be asked is tried on stable first.
fn before(snapshot: &Snapshot, run: &Run, due: &mut Due<'_>) {
    let back = |counts: &Counts| earlier(run.step_at, lookback(counts, due.provider));
    let mut counters = Vec::new();
    for signal in &snapshot.rollout.spec.analysis.signals {
        match counts(snapshot, signal) {
            Some(Ok(counts)) if signal.burn_rate.is_none() => {
                counters.push((back(&counts), counts));
            }
            _ => {}
        }
    }
    if let Ok(counts) = traffic(snapshot) {
        counters.push((back(&counts), counts));
    }
    for (since, counts) in counters {
        due.counter(&counts, since);
        for ask in counts.edges() {
            // Only the newest of each is looked at, to see which edges there are.
            due.add(ask, run.step_at);
        }
    }
    values(snapshot, run, Stand::Stable, due);
}

fn during(snapshot: &Snapshot, run: &Run, due: &mut Due<'_>) {
    let shared = traffic(snapshot);
    if let Ok(counts) = &shared {
        due.counter(counts, since(&run.traffic, run));
    }
    for signal in snapshot.rollout.spec.analysis.signals.iter().filter(|signal| signal.burn_rate.is_none()) {
        if let Some(Ok(counts)) = counts(snapshot, signal)
            && shared.as_ref() != Ok(&counts)
        {
            let state = run.signals.iter().find(|state| state.name == signal.name);
            let own = state.and_then(|state| state.counts.as_deref());
            due.counter(&counts, own.map_or(began(run), |own| since(own, run)));
        }
    }
    if run.weight > 0 {
        values(snapshot, run, Stand::Canary, due);
    }
}

/// The questions that are answered with one number.
fn values(snapshot: &Snapshot, run: &Run, stand: Stand, due: &mut Due<'_>) {
    for signal in &snapshot.rollout.spec.analysis.signals {
        if let Some(query) = &signal.query
            && let Ok(promql) = render(snapshot, &query.promql, stand)
        {
            let state = run.signals.iter().find(|state| state.name == signal.name);
            let since = state.and_then(|state| state.until).unwrap_or(began(run));
            // The last value that was counted is kept, so that it can be shown.
            due.add(Ask::Value(promql), earlier(since, times(due.every, 2)));
        }
        if let Some(burn) = &signal.burn_rate {
            for ask in verdict::burn::asks(snapshot, signal, burn) {
                due.add(ask, earlier(run.step_at, due.every));
            }
        }
    }
}

/// When the run began to count.
fn began(run: &Run) -> jiff::Timestamp {
    run.times.exposed_at.unwrap_or(run.step_at)
}

fn since(counted: &TrafficState, run: &Run) -> jiff::Timestamp {
    counted.until.unwrap_or(began(run))
}

/// The questions as they are gathered.
struct Due<'a> {
    provider: &'a Provider,
    every: Duration,
    measurements: Vec<Measurement>,
}

impl Due<'_> {
    fn counter(&mut self, counts: &Counts, since: jiff::Timestamp) {
        for ask in counts.asks() {
            self.add(ask, since);
        }
    }

    /// One question once, from the earliest time that anybody needs.
    fn add(&mut self, ask: Ask, since: jiff::Timestamp) {
        match self.measurements.iter_mut().find(|known| known.ask == ask) {
            Some(known) => known.since = known.since.min(since),
            None => {
                let (provider, every) = (self.provider.clone(), self.every);
                self.measurements.push(Measurement { provider, ask, every, since });
            }
        }
    }
}

/// A text as a literal part of a regular expression (RE2).
pub(super) fn regex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A text as part of a double-quoted PromQL string.
pub(super) fn quoted(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '"' => {
                escaped.push('\\');
                escaped.push(c);
            }
            '\n' => escaped.push_str("\\n"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_users_name_cannot_leave_its_string() {
        assert_eq!(quoted("a\"} or vector(0) #\\"), "a\\\"} or vector(0) #\\\\");
        assert_eq!(quoted(&regex("shop.v1")), "shop\\\\.v1");
    }
}
