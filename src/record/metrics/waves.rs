//! How far each attempt is: waves, weights, observed shares, and since when.

use std::fmt;

use super::encode::Families;
use super::{Seen, share};
use crate::api::{Duration, Run, Step, WaveState};

/// The attempt in progress and its wave.
fn wave<'a>(seen: &'a Seen<'_>) -> Option<(&'a Run, &'a WaveState)> {
    let run = seen.status.run.as_ref().filter(|run| run.step != Step::Done)?;
    Some((run, run.wave.as_ref()?))
}

/// The wave is being gone through: neither over, nor being taken back.
const fn under_way(step: Step) -> bool {
    match step {
        Step::Starting | Step::Shifting | Step::Baking => true,
        // These have an end of their own: a deadline, or nothing left to wait for.
        Step::Preflight | Step::Promoting | Step::Reverting | Step::Closing | Step::Done => false,
    }
}

/// How long the wave is expected to take: its bake time, or the forecast where that is longer.
fn expected(seen: &Seen<'_>, run: &Run, wave: &WaveState) -> Duration {
    let bake = seen.spec.waves.get(usize::from(wave.index)).map(|wave| wave.bake).unwrap_or_default();
    let forecast = run.forecast.iter().find(|forecast| forecast.weight == run.weight);
    bake.max(forecast.and_then(|forecast| forecast.takes).unwrap_or_default())
}

pub(super) fn encode(all: &[Seen<'_>], families: &mut Families<'_, '_>) -> fmt::Result {
    families.gauges("rollout_wave", "The wave a Rollout is in, from 1; 0 when it is in none", |put| {
        all.iter()
            .try_for_each(|seen| put(&seen.named(), wave(seen).map_or(0.0, |(_, wave)| f64::from(wave.index) + 1.0)))
    })?;
    families.gauges("rollout_waves", "How many waves a Rollout has", |put| {
        all.iter().try_for_each(|seen| {
            put(&seen.named(), f64::from(u32::try_from(seen.spec.waves.len()).unwrap_or(u32::MAX)))
        })
    })?;
    families.gauges(
        "rollout_wave_started_timestamp_seconds",
        "When the weight of the wave in progress was decided; from the object itself, so it survives restarts",
        |put| {
            all.iter().try_for_each(|seen| match wave(seen).filter(|(run, _)| under_way(run.step)) {
                Some((_, wave)) => put(&seen.named(), wave.started_at.as_duration().as_secs_f64()),
                None => Ok(()),
            })
        },
    )?;
    families.gauges(
        "rollout_wave_expected_seconds",
        "How long the wave in progress is expected to take: its bake time, or the forecast where that is longer",
        |put| {
            all.iter().try_for_each(|seen| match wave(seen).filter(|(run, _)| under_way(run.step)) {
                Some((run, wave)) => put(&seen.named(), expected(seen, run, wave).as_secs_f64()),
                None => Ok(()),
            })
        },
    )?;
    families.gauges(
        "rollout_canary_weight_ratio",
        "The share of live traffic that the canary is meant to have",
        |put| {
            all.iter().try_for_each(|seen| {
                put(&seen.named(), seen.status.run.as_ref().map_or(0.0, |run| f64::from(run.weight) / 100.0))
            })
        },
    )?;
    families.gauges(
        "rollout_effective_weight_ratio",
        "While the Deployment rolls: the share of live traffic that meets the new version, canary and rolled pods",
        |put| {
            all.iter().try_for_each(|seen| {
                let run = seen.status.run.as_ref().filter(|run| run.step == Step::Promoting);
                let Some(reach) = run.and_then(|run| run.effective_weight) else { return Ok(()) };
                put(&seen.named(), f64::from(reach) / 100.0)
            })
        },
    )?;
    let observed = |seen: &Seen<'_>| {
        let settled = seen.status.run.as_ref().filter(|run| run.weight > 0).map(|run| run.traffic.settled)?;
        let total = settled.canary_requests.saturating_add(settled.stable_requests);
        (total > 0).then_some((settled.canary_requests, total))
    };
    families.gauges(
        "rollout_canary_observed_ratio",
        "The share of requests that the canary was seen to get in this wave",
        |put| {
            all.iter().try_for_each(|seen| match observed(seen) {
                Some((canary, total)) => put(&seen.named(), share(canary, total)),
                None => Ok(()),
            })
        },
    )?;
    families.gauges(
        "rollout_canary_observed_requests",
        "How many requests of both versions that share was taken from",
        |put| {
            all.iter().try_for_each(|seen| match observed(seen) {
                Some((_, total)) => put(&seen.named(), share(total, 1)),
                None => Ok(()),
            })
        },
    )
}
