//! The analysis is proven on stable before anyone is exposed, and what it can see is foretold.
//!
//! Owns the check that every question which will be asked of the canary has a usable answer for stable, the scatter
//! of stable's errors between its pods, and the forecast of each wave. A wrong label shows here and not while users are
//! exposed. Must not move anything.

use std::collections::BTreeMap;

use super::measure::{Ask, Provider, Series};
use super::preflight::{Refusal, refuse, wait};
use super::queries::{self, Stand};
use super::snapshot::Snapshot;
use super::sources::{Counts, Role};
use super::tally::{self, Bounds};
use super::time::{earlier, elapsed, human, times};
use super::verdict::{burn, compare, patience, reading, settle};
use super::words::{as_f64, grouped, percent};
use crate::api::{Duration, Number, RolloutSpec, Run, Signal, SignalState, Tally, TrafficState, WaveForecast};
use crate::judge::{Dispersion, Forecast, Judge, PodCount};

/// What was learned of stable.
#[derive(Debug, Clone, Default)]
pub(super) struct Proof {
    /// One sentence.
    pub(super) message: String,
    /// What each wave can be expected to take and to see.
    pub(super) forecast: Vec<WaveForecast>,
    /// How much stable's errors scatter, by signal.
    pub(super) dispersion: Vec<(String, f64)>,
}

/// What stable did in the time before, as one signal counted it.
struct Seen<'a> {
    signal: &'a Signal,
    /// Where the counts come from, for people.
    from: &'static str,
    counts: Tally,
    seconds: f64,
    dispersion: f64,
}

impl Seen<'_> {
    /// Stable's share of bad requests.
    fn rate(&self) -> f64 {
        as_f64(self.counts.stable_errors) / as_f64(self.counts.stable_requests.max(1))
    }

    /// Requests per second that a canary of this weight would get.
    fn pace(&self, weight: u8) -> f64 {
        (as_f64(self.counts.stable_requests) / self.seconds.max(1e-3) * f64::from(weight) / 100.0).max(1e-9)
    }

    /// The judge of the signal in a wave, if it compares.
    fn judge(&self, spec: &RolloutSpec, wave: usize) -> Option<Judge> {
        let policy = compare::compares(self.signal).then(|| compare::policy(spec, self.signal, wave, self.dispersion));
        Judge::new(policy?).ok()
    }

    /// How many canary requests a wave takes.
    fn requests(&self, spec: &RolloutSpec, wave: usize, weight: u8) -> Option<u64> {
        if let Some(ratio) = self.signal.error_ratio.as_ref().filter(|ratio| ratio.threshold.is_some()) {
            return Some(u64::from(self.signal.consecutive).saturating_mul(u64::from(ratio.min_requests)));
        }
        Forecast::new(&self.judge(spec, wave)?, self.rate(), f64::from(weight) / 100.0).safe_from_start()
    }
}

/// Asks stable everything that the canary will be asked.
pub(super) fn analysis(s: &Snapshot, run: &Run) -> Result<Proof, Refusal> {
    let Some(provider) = &s.provider else {
        return Ok(Proof::default());
    };
    let mut seen = Vec::new();
    for signal in &s.rollout.spec.analysis.signals {
        let proven = match signal {
            Signal { query: Some(query), .. } => value(s, provider, signal, &query.promql),
            Signal { burn_rate: Some(burn), .. } => burning(s, provider, run, signal, burn),
            Signal { restarts: Some(_), .. } => Ok(()),
            _ => counter(s, provider, run, signal).map(|one| seen.extend(one)),
        };
        match proven {
            // A signal on trial holds nothing up.
            Err(_) if signal.dry_run => {}
            proven => proven?,
        }
    }
    let traffic = seen.first().map_or_else(
        || "every signal answers".to_owned(),
        |first| {
            format!(
                "{} reads {} requests of stable in {} from {} ({} bad)",
                first.signal.name,
                grouped(first.counts.stable_requests),
                human(compare::rough(first.seconds)),
                first.from,
                percent(first.rate())
            )
        },
    );
    Ok(Proof {
        message: format!("proven on stable with MetricsProvider {}: {traffic}", provider.name),
        forecast: forecast(s, provider, &seen),
        dispersion: seen.iter().map(|one| (one.signal.name.clone(), one.dispersion)).collect(),
    })
}

/// The counters of one signal: real traffic of stable, and for latency a bucket at the threshold.
fn counter<'a>(s: &Snapshot, provider: &Provider, run: &Run, signal: &'a Signal) -> Result<Option<Seen<'a>>, Refusal> {
    let counts = match queries::counts(s, signal) {
        Some(Ok(counts)) => counts,
        Some(Err(why)) => return Err(refuse(why.reason, format!("signal {}: {}", signal.name, why.sentence))),
        None => return Ok(None),
    };
    let asks = counts.asks();
    let mut answers = Vec::new();
    for ask in &asks {
        let reading = answer(s, provider, signal, ask)?;
        answers.push(tally::Answered::of(reading));
    }
    edges(s, provider, signal, &counts)?;
    let back = queries::lookback(&counts, provider);
    let began = earlier(run.step_at, back);
    let bounds = Bounds {
        began,
        wave: began,
        settled: None,
        interval: s.rollout.spec.analysis.interval,
        scrape: provider.scrape_interval,
    };
    let trusted = counts.chosen(|ask| answers.iter().find(|one| one.ask == ask).map_or(&[][..], |found| found.series));
    let mut counted = TrafficState::default();
    tally::fold(&mut counted, &trusted, &answers, &bounds);
    let stable =
        |(ask, series): &(&Ask, &Series)| trusted.part(ask, series).is_some_and(|part| part.role == Role::Stable);
    let every = || answers.iter().flat_map(|read| read.series.iter().map(move |one| (read.ask, one))).filter(stable);
    let asked = || asks.iter().map(Ask::promql).collect::<Vec<_>>().join("; ");
    if every().all(|(_, one)| one.samples.is_empty()) {
        return Err(wait(
            "NoSeries",
            format!(
                "signal {}: MetricsProvider {} has no counters of stable: no request yet, or other labels. Asked: {}",
                signal.name,
                provider.name,
                asked()
            ),
        ));
    }
    // Counters that nobody reads any more would say nothing of the canary either.
    let newest = every().filter_map(|(_, one)| one.samples.last()).map(|sample| sample.at).max();
    if let Some(age) = newest.map(|at| elapsed(s.now, at)).filter(|age| *age > patience(s, provider)) {
        return Err(wait(
            "SamplesStale",
            format!(
                "signal {}: the newest sample of MetricsProvider {} is {} old; it scrapes every {}. Asked: {}",
                signal.name,
                provider.name,
                human(age),
                provider.scrape_interval,
                asked()
            ),
        ));
    }
    if counted.run.stable_requests == 0 {
        return Err(wait(
            "NoTraffic",
            format!(
                "signal {}: stable has counters and no request in the last {}: nothing could be judged. It goes on with the first requests. Asked: {}",
                signal.name,
                human(back),
                asked()
            ),
        ));
    }
    let moments = || every().flat_map(|(_, one)| one.samples.iter().map(|sample| sample.at.as_millisecond()));
    let (first, last) = (moments().filter(|at| *at >= began.as_millisecond()).min(), moments().max());
    let span = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
    // From the first counted sample back to the one before it is a scrape as well.
    let seconds = Duration::from_millis(span.unsigned_abs()).as_secs_f64() + provider.scrape_interval.as_secs_f64();
    let dispersion = scatter(&trusted, &answers, s.rollout.spec.analysis.interval.max(provider.scrape_interval));
    Ok(Some(Seen { signal, from: counts.name(), counts: counted.run, seconds, dispersion }))
}

/// The answer to a question about stable, or why there is none.
fn answer<'a>(
    s: &'a Snapshot,
    provider: &Provider,
    signal: &Signal,
    ask: &Ask,
) -> Result<&'a super::measure::Reading, Refusal> {
    let Some(reading) = reading(s, provider, ask) else {
        return Err(wait("AwaitingFirstSample", format!("asking MetricsProvider {} about stable", provider.name)));
    };
    match &reading.failure {
        Some(failure) => Err(wait(
            failure.class.reason(),
            format!(
                "signal {}: MetricsProvider {}: {}. Asked: {}",
                signal.name,
                provider.name,
                failure.text,
                ask.promql()
            ),
        )),
        None => Ok(reading),
    }
}

fn edges(s: &Snapshot, provider: &Provider, signal: &Signal, counts: &Counts) -> Result<(), Refusal> {
    for ask in counts.edges() {
        answer(s, provider, signal, &ask)?;
    }
    let read = |ask: &Ask| reading(s, provider, ask).map_or(&[][..], |reading| reading.series.as_slice());
    match counts.edge_missing(read) {
        Some(why) => Err(refuse(
            "NoSuchBucket",
            format!("spec.analysis.signals[{}].latency.over: {why}; choose one of these", signal.name),
        )),
        None => Ok(()),
    }
}

/// A user's query answers with one finite number when stable stands in for the canary.
fn value(s: &Snapshot, provider: &Provider, signal: &Signal, promql: &str) -> Result<(), Refusal> {
    let rendered = queries::render(s, promql, Stand::Stable)
        .map_err(|why| refuse("InvalidSpec", format!("spec.analysis.signals[{}].query.promql: {why}", signal.name)))?;
    answer(s, provider, signal, &Ask::Value(rendered)).map(|_| ())
}

/// A budget that burns already is no time for a new version.
fn burning(
    s: &Snapshot,
    provider: &Provider,
    run: &Run,
    signal: &Signal,
    burn: &crate::api::BurnRate,
) -> Result<(), Refusal> {
    match burn::firing(s, provider, run, signal, burn) {
        Ok((None, _, _)) => Ok(()),
        Ok((Some(found), _, _)) => {
            Err(wait("BudgetBurning", format!("{found} before the version met anyone; it starts when that ends")))
        }
        Err(blind) => Err(wait(blind.reason, blind.sentence)),
    }
}

/// How much stable's errors scatter between its pods, where the counters tell pods apart.
fn scatter(counts: &Counts, answers: &[tally::Answered<'_>], interval: Duration) -> f64 {
    // Buckets of a histogram take away, so what is bad is known only when all series are added up.
    let mut cells: BTreeMap<i64, BTreeMap<&str, (i64, i64)>> = BTreeMap::new();
    let length = interval.as_millis().max(1);
    for (ask, series) in answers.iter().flat_map(|read| read.series.iter().map(move |one| (read.ask, one))) {
        let (Some(part), Some(pod)) = (counts.part(ask, series), counts.pod(ask, series)) else { continue };
        if part.role != Role::Stable {
            continue;
        }
        for pair in series.samples.windows(2) {
            let [before, after] = pair else { continue };
            let grown = tally::delta(before.value, after.value);
            let cell = after.at.as_millisecond().checked_div_euclid(length).unwrap_or(0);
            let (requests, bad) = cells.entry(cell).or_default().entry(pod).or_default();
            *requests = requests.saturating_add(grown.saturating_mul(i64::from(part.n)));
            *bad = bad.saturating_add(grown.saturating_mul(i64::from(part.x)));
        }
    }
    let mut dispersion = Dispersion::default();
    for pods in cells.values() {
        let whole = |count: &i64| u64::try_from(*count).unwrap_or(0);
        let count = |(requests, bad): &(i64, i64)| PodCount { requests: whole(requests), bad: whole(bad) };
        dispersion.add(&pods.values().map(count).collect::<Vec<_>>());
    }
    dispersion.phi()
}

/// What each wave can be expected to take and to see, at the traffic before the attempt.
fn forecast(s: &Snapshot, provider: &Provider, seen: &[Seen<'_>]) -> Vec<WaveForecast> {
    let spec = &s.rollout.spec;
    let interval = spec.analysis.interval.max(provider.scrape_interval).as_secs_f64();
    let settle = settle(provider).as_secs_f64();
    let acting: Vec<&Seen<'_>> = seen.iter().filter(|one| !one.signal.dry_run).collect();
    let wave = |index: usize, weight: u8, bake: Duration, most: Option<Duration>| {
        let needs = |weight: u8| -> Option<f64> {
            let of = |one: &&Seen<'_>| Some(settle + as_f64(one.requests(spec, index, weight)?) / one.pace(weight));
            acting.iter().map(of).try_fold(0.0_f64, |most, one| Some(most.max(one?)))
        };
        let takes = needs(weight).filter(|_| !acting.is_empty());
        let lasts = takes.map(|takes| takes.max(bake.as_secs_f64()));
        let detects = lasts.and_then(|lasts| {
            acting.iter().find_map(|one| {
                let (judge, pace) = (one.judge(spec, index)?, one.pace(weight));
                Forecast::new(&judge, one.rate(), f64::from(weight) / 100.0).detects(pace * lasts, pace * interval)
            })
        });
        let mut warning = String::new();
        if let (Some(takes), Some(most)) = (takes, most)
            && takes > most.as_secs_f64()
        {
            let fits = (1..=100).find(|weight| needs(*weight).is_some_and(|takes| takes <= most.as_secs_f64()));
            warning = match fits {
                Some(fits) => format!("evidence does not come within maxBake {most}; a weight of {fits}% would do"),
                None => format!(
                    "evidence does not come within maxBake {most} at any weight; raise it, or the wave's evidence"
                ),
            };
        }
        if weight == 100 && acting.iter().any(|one| compare::compares(one.signal)) {
            warning = "at 100% there is no stable to compare with; only thresholds and queries can find harm there"
                .to_owned();
        }
        WaveForecast {
            weight,
            takes: lasts.map(compare::rough),
            detects: detects.map(percent).unwrap_or_default(),
            warning,
        }
    };
    let waves = spec.waves.iter().enumerate();
    waves.map(|(index, one)| wave(index, one.weight, one.bake, one.max_bake)).collect()
}

/// The state in which signals begin: the scatter that is known before, and what an earlier attempt with the same
/// template had seen.
pub(super) fn begin(run: &mut Run, proof: &Proof) {
    for (name, dispersion) in &proof.dispersion {
        let known = run.signals.iter_mut().find(|state| state.name == *name);
        let dispersion = Some(Number::from_value((dispersion * 100.0).round() / 100.0)).filter(|one| one.value() > 1.0);
        match known {
            // Evidence that is resumed was gathered under the scatter known then; another one would begin it anew.
            Some(state) if state.evidence.is_some() => {}
            Some(state) => state.dispersion = dispersion,
            None => {
                run.signals.push(SignalState { name: name.clone(), dispersion, ..SignalState::default() });
            }
        }
    }
    run.forecast.clone_from(&proof.forecast);
}

/// The forecast as one sentence.
pub(super) fn plan(forecast: &[WaveForecast], interval: Duration) -> String {
    let wave = |(index, one): (usize, &WaveForecast)| {
        let number = index.saturating_add(1);
        let takes = one.takes.map_or_else(String::new, |takes| format!(" about {takes}"));
        let detects =
            if one.detects.is_empty() { String::new() } else { format!(", finds {} bad or more", one.detects) };
        let warning = if one.warning.is_empty() { String::new() } else { format!(" ({})", one.warning) };
        format!("wave {number} at {}%{takes}{detects}{warning}", one.weight)
    };
    let waves = forecast.iter().enumerate().map(wave).collect::<Vec<_>>().join("; ");
    format!("{waves}. Harm by comparison takes at least 4 polls, {}", human(times(interval, 4)))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::super::measure::Sample;
    use super::super::sources::tests::place;
    use super::super::sources::{self, What};
    use super::*;
    use crate::api::Source;

    #[test]
    fn the_scatter_of_slow_requests_does_not_depend_on_the_order_of_series() {
        let what = What::Slow(Duration::from_millis(300));
        let counts = sources::resolve(Source::Pods, None, &place(""), what).unwrap();
        let ask = counts.asks().into_iter().next().unwrap();
        let series = |pod: &str, le: &str, each: f64| Series {
            id: format!("{pod}{le}"),
            labels: [("namespace", "demo"), ("pod", pod), ("le", le)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            samples: (0..30_i32)
                .map(|at| Sample {
                    at: Timestamp::from_second(i64::from(at) * 10).unwrap(),
                    value: f64::from(at) * each,
                })
                .collect(),
        };
        let (one, two) = ("shop-7d9f8c6b5d-bcdfg", "shop-7d9f8c6b5d-hjklm");
        let mut all = vec![
            series(one, "+Inf", 100.0),
            series(two, "+Inf", 100.0),
            series(one, "0.3", 98.0),
            series(two, "0.3", 97.0),
        ];
        assert!(all.iter().all(|series| counts.part(&ask, series).is_some()));
        let phi = |all: &[Series]| {
            scatter(&counts, &[tally::Answered { ask: &ask, series: all, at: None }], Duration::from_secs(10))
        };
        let before = phi(&all);
        all.reverse();
        assert!((phi(&all) - before).abs() < 1e-9 && before < 1.5, "{before} and {}", phi(&all));
    }
}
