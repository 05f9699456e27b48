//! The waves: canary pods, a weight, the time and the evidence at it.
//!
//! Must not decide whether a wave may begin: `permission` does.

use std::collections::BTreeSet;

use super::attempt::IMAGES;
use super::draft::{Draft, End};
use super::neighbours::clones;
use super::plan::{Severity, Write};
use super::routing::keep_weights;
use super::run::assess;
use super::snapshot::{PodFacts, Workload};
use super::time::{elapsed, human, left};
use super::verdict::Assessment;
use super::words::{grouped, several};
use super::{budget, canary, permission, pods, scaler, weights};
use crate::api::{Phase, Run, SignalState, Step, Tally, VerdictWord, Wave, WaveState, names};

/// Brings up as many canary pods as the next wave needs.
pub(super) fn start(d: &mut Draft<'_>) {
    let (s, Some(workload), Some(run)) = (d.s, d.workload(), d.active().cloned()) else {
        return;
    };
    let Some((next, wave)) = next_wave(d, &run) else {
        // The waves that were left were taken out of the spec meanwhile.
        if let Err(wait) = permission::may_begin(d, &run, None) {
            return d.progress(Phase::Held, wait.reason, format!("no wave is left; {}", wait.sentence));
        }
        budget::begins(d, "the promotion");
        return d.go(Step::Promoting);
    };
    let size = canary::size(workload.replicas, wave.weight);
    let kept = keep_weights(d, &run);
    // No pod of the canary without the policies that it needs.
    let fenced = clones::keep(s, workload).map(|writes| d.plan.extend(writes));
    let made = fenced.is_ok() && make(d, workload, &run, size) && kept.is_ok();
    let (mut reason, mut awaited) = pods::awaited(s.canary.as_ref(), &s.canary_pods, size);
    if let Err(why) = kept {
        (reason, awaited) = ("TrafficConflict", why);
    }
    if let Err(why) = fenced {
        (reason, awaited) = ("NameTaken", why);
    }
    let total = s.rollout.spec.waves.len();
    d.progress(
        Phase::Starting,
        reason,
        format!("wave {}/{total}: bringing up the canary for {}%: {awaited}", next.saturating_add(1), wave.weight),
    );
    if !made {
        if d.overdue() {
            let deadline = s.rollout.spec.progress_deadline;
            d.end(End::taken_back(reason, format!("{awaited} after {deadline}")));
        }
        return;
    }
    // Much may have happened while the pods came up.
    if let Err(wait) = permission::may_begin(d, &run, Some(&wave)) {
        let title = format!("wave {}/{total} at {}% is ready", next.saturating_add(1), wave.weight);
        return d.progress(Phase::Held, wait.reason, format!("{title}: {}", wait.sentence));
    }
    let (now, weight) = (s.now, wave.weight);
    let Some(run) = d.status.run.as_mut() else { return };
    run.wave = Some(WaveState {
        index: u8::try_from(next).unwrap_or(u8::MAX),
        started_at: now,
        accepted_at: None,
        bake_at: None,
    });
    run.weight = weight;
    run.serving = run.serving.max(workload.available);
    run.max_weight = run.max_weight.max(weight);
    if run.times.exposed_at.is_none() {
        run.times.exposed_at = Some(now);
        run.digests = digests(&s.canary_pods);
        run.restarts_before = s.canary_pods.iter().map(|pod| pod.restarts).max().unwrap_or(0);
    }
    run.traffic.next_wave();
    run.signals.iter_mut().for_each(SignalState::next_wave);
    d.log(
        Severity::Normal,
        "WaveStarted",
        "Shift",
        format!(
            "wave {}/{total}: {weight}% of live traffic to {}",
            next.saturating_add(1),
            several(size, "canary pod")
        ),
    );
    budget::begins(d, &format!("wave {}/{total} at {weight}%", next.saturating_add(1)));
    d.go(Step::Shifting);
}

/// The wave that comes after the present weight. Waves that were edited in mid-run are taken as they are now, but the
/// weight never falls on the way up, and no wave is begun twice.
fn next_wave(d: &Draft<'_>, run: &Run) -> Option<(usize, Wave)> {
    let waves = d.s.rollout.spec.waves.iter().cloned().enumerate();
    waves.into_iter().find(|(_, wave)| run.wave.is_none() || wave.weight > run.weight)
}

/// Under traffic the canary grows with the workload, so that each of its pods has no more to do than one of stable's.
pub(super) fn grow(d: &mut Draft<'_>, run: &Run) {
    let (Some(workload), Some(canary)) = (&d.s.workload, &d.s.canary) else { return };
    let size = canary::size(workload.replicas, run.weight);
    if canary.ours && canary.revision == run.revision && canary.replicas < size {
        d.plan.push(Write::ScaleCanary {
            name: canary.name.clone(),
            resource_version: canary.resource_version.clone(),
            replicas: size,
        });
    }
}

/// Plans what the canary lacks; true when it is there, available and reachable.
fn make(d: &mut Draft<'_>, workload: &Workload, run: &Run, size: u32) -> bool {
    let s = d.s;
    if !scaler::freeze(d) {
        return false;
    }
    let service = s.canary_service.as_ref();
    if service.is_none()
        && let Some(body) = canary::service(s, workload)
    {
        d.plan.push(Write::CreateService { body });
    }
    let Some(canary) = &s.canary else {
        // Only the very template that was checked is copied.
        if let Some(template) = s.template.as_ref().filter(|template| names::template_digest(template) == run.revision)
        {
            let body = canary::deployment(s, workload, template, size);
            d.plan.push(Write::CreateCanary { body });
        }
        return false;
    };
    if !canary.ours || service.is_some_and(|service| !service.ours) {
        return false;
    }
    if canary.revision != run.revision {
        d.plan.push(Write::DeleteCanary { name: canary.name.clone(), uid: canary.uid.clone() });
        return false;
    }
    // Under traffic it only grows: fewer pods for the same share would be a change of its own.
    if canary.replicas < size || (canary.replicas != size && run.weight == 0) {
        d.plan.push(Write::ScaleCanary {
            name: canary.name.clone(),
            resource_version: canary.resource_version.clone(),
            replicas: size,
        });
        return false;
    }
    service.is_some() && canary.observed && canary.available >= size && s.canary_endpoints >= size
}

/// Sets the wave's weight and waits until the gateway and the requests follow.
pub(super) fn shift(d: &mut Draft<'_>) {
    let (s, Some(run)) = (d.s, d.active().cloned()) else {
        return;
    };
    let title = wave_title(d, &run);
    let settled = keep_weights(d, &run);
    let accepted =
        run.routes.iter().filter_map(|backup| d.route(backup.kind, &backup.route)).try_for_each(weights::accepted);
    let awaited = match (&settled, &accepted) {
        (Err(why), _) => Some(("TrafficConflict", why.clone())),
        (Ok(false), _) => Some(("SettingWeight", format!("setting the weight of {} route(s)", run.routes.len()))),
        (Ok(true), Err(why)) => Some(("AwaitingGateway", why.clone())),
        (Ok(true), Ok(())) => None,
    };
    if let Some((reason, why)) = awaited {
        d.progress(Phase::Shifting, reason, format!("{title}: {why}"));
        again(d);
        // Before the gateway has once accepted the weight, waiting has an end.
        if run.wave.as_ref().is_some_and(|wave| wave.accepted_at.is_none()) && d.overdue() {
            d.end(End::taken_back("TrafficNotAccepted", format!("{why} after {}", s.rollout.spec.progress_deadline)));
        }
        return;
    }
    let now = s.now;
    if let Some(wave) = d.status.run.as_mut().and_then(|run| run.wave.as_mut()) {
        wave.accepted_at.get_or_insert(now);
    }
    let Some(assessment) = assess(d) else { return };
    match &assessment.share {
        Ok(share) => {
            if let Some(wave) = d.status.run.as_mut().and_then(|run| run.wave.as_mut()) {
                wave.bake_at = Some(now);
            }
            let bake =
                wave_spec(d, &run).map(|wave| budget::bake(&s.rollout.spec, &run, wave.bake)).unwrap_or_default();
            d.log(Severity::Normal, "WaveBaking", "Bake", format!("{title}: {share}; baking for at least {bake}"));
            d.go(Step::Baking);
        }
        Err(share) => {
            let accepted_at = run.wave.as_ref().and_then(|wave| wave.accepted_at).unwrap_or(now);
            let most = wave_spec(d, &run).and_then(|wave| wave.max_bake);
            let (phase, reason, why) = if let Some(held) = held(d, &assessment) {
                held
            } else if most.is_some_and(|most| d.passed(accepted_at, most)) {
                (Phase::Held, "EvidenceTooSlow", format!("{share}{}", owner(d)))
            } else {
                (Phase::Shifting, "AwaitingShare", share.clone())
            };
            d.progress(phase, reason, format!("{title}: {why}"));
        }
    }
}

/// A weight that the gateway had once accepted has to be set again, because someone else wrote the route: what was
/// counted meanwhile was at another weight, and the share is looked at from now on.
fn again(d: &mut Draft<'_>) {
    let now = d.s.now;
    let Some(run) = d.status.run.as_mut() else { return };
    if let Some(accepted_at) = run.wave.as_mut().and_then(|wave| wave.accepted_at.as_mut()) {
        *accepted_at = now;
        run.traffic.settled = Tally::default();
    }
}

/// Judges at the wave's weight until there is evidence and the bake time is over.
pub(super) fn bake(d: &mut Draft<'_>) {
    let (s, Some(run)) = (d.s, d.active().cloned()) else {
        return;
    };
    let title = wave_title(d, &run);
    let kept = keep_weights(d, &run);
    grow(d, &run);
    scaler::freeze(d);
    let Some(assessment) = assess(d) else {
        let name = &s.rollout.spec.analysis.provider_ref.name;
        return d.progress(Phase::Held, "ProviderMissing", format!("{title}: MetricsProvider {name} is gone; holding"));
    };
    let (Some(wave), Some(bake_at)) = (wave_spec(d, &run), run.wave.as_ref().and_then(|wave| wave.bake_at)) else {
        return d.go(Step::Shifting);
    };
    if let Err(why) = kept {
        return d.progress(Phase::Held, "TrafficConflict", format!("{title}: {why}; holding"));
    }
    if let Some((phase, reason, why)) = held(d, &assessment) {
        return d.progress(phase, reason, format!("{title}: {why}"));
    }
    if let Err(wait) = budget::paused(s, &run) {
        return d.progress(Phase::Held, wait.reason, format!("{title}: {}; {}", assessment.sentence, wait.sentence));
    }
    let (bake, aside) = (budget::bake(&s.rollout.spec, &run, wave.bake), budget::aside(s, &run));
    let baked = d.passed(bake_at, bake);
    if !baked {
        let rest = left(s.now, bake_at, bake).map(human).unwrap_or_default();
        return d.progress(Phase::Baking, "Baking", format!("{title}: {}; {rest} to bake{aside}", assessment.sentence));
    }
    if assessment.word != VerdictWord::Safe {
        let late = wave.max_bake.is_some_and(|most| d.passed(bake_at, most));
        let (phase, reason) = if late { (Phase::Held, "EvidenceTooSlow") } else { (Phase::Baking, "AwaitingEvidence") };
        let who = if late { owner(d) } else { String::new() };
        return d.progress(phase, reason, format!("{title}: {}{who}{aside}", assessment.sentence));
    }
    if !kept.unwrap_or(false) {
        return d.progress(Phase::Baking, "SettingWeight", format!("{title}: the weight is being set again"));
    }
    let next = next_wave(d, &run);
    if let Err(wait) = permission::may_begin(d, &run, next.as_ref().map(|(_, wave)| wave)) {
        return d.progress(Phase::Held, wait.reason, format!("{title}: {}; {}", assessment.sentence, wait.sentence));
    }
    let took = human(elapsed(s.now, bake_at));
    d.log(Severity::Normal, "WavePassed", "Judge", format!("{title}: {} after {took}", assessment.sentence));
    d.go(if next.is_some() { Step::Starting } else { Step::Promoting });
    if d.active().is_some_and(|run| run.step == Step::Promoting) {
        let replicas = d.s.workload.as_ref().map_or(0, |workload| workload.replicas);
        let requests = grouped(run.traffic.run.canary_requests);
        d.log(
            Severity::Normal,
            "Promoting",
            "Promote",
            format!(
                "all waves passed on {requests} canary requests; the gate opens and {} {}",
                several(replicas, "pod"),
                if replicas == 1 { "rolls" } else { "roll" }
            ),
        );
        budget::begins(d, "the promotion");
    }
}

/// Why a wave is held although nothing is wrong with the canary; only once the patience for missing data is over does
/// the phase say so.
fn held(d: &mut Draft<'_>, assessment: &Assessment) -> Option<(Phase, &'static str, String)> {
    let blind = assessment.blind.as_ref()?;
    let timeout = d.s.rollout.spec.analysis.no_data_timeout;
    if d.passed(blind.since, timeout) {
        let since = human(elapsed(d.s.now, blind.since));
        return Some((Phase::Held, "AnalysisBlind", format!("{} (for {since})", blind.sentence)));
    }
    let phase = match d.active().map(|run| run.step) {
        Some(Step::Shifting) => Phase::Shifting,
        Some(Step::Promoting) => Phase::Promoting,
        _ => Phase::Baking,
    };
    Some((phase, blind.reason, blind.sentence.clone()))
}

/// Who should look at a wave that waits too long.
fn owner(d: &Draft<'_>) -> String {
    let contact = d.s.rollout.spec.owner.as_ref().and_then(|owner| owner.contact.as_ref());
    contact.map(|contact| format!("; {contact} should look")).unwrap_or_default()
}

/// The wave that a run is in. If waves were taken out of the spec in mid-run the last one stands for it: being given a
/// weight is no reason to be judged less.
fn wave_spec(d: &Draft<'_>, run: &Run) -> Option<Wave> {
    let index = run.wave.as_ref().map(|wave| usize::from(wave.index))?;
    let waves = &d.s.rollout.spec.waves;
    waves.get(index).or(waves.last()).cloned()
}

fn wave_title(d: &Draft<'_>, run: &Run) -> String {
    let index = run.wave.as_ref().map_or(0, |wave| usize::from(wave.index)).saturating_add(1);
    format!("wave {index}/{} at {}%", d.s.rollout.spec.waves.len(), run.weight)
}

/// The image digests that the canary's pods run, each once.
fn digests(pods: &[PodFacts]) -> Vec<String> {
    let all: BTreeSet<&String> = pods.iter().flat_map(|pod| &pod.digests).collect();
    all.into_iter().take(IMAGES).cloned().collect()
}
