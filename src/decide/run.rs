//! An attempt on its way up: preflight, canary, waves, promotion.
//!
//! Each step looks at the world, plans what is missing, and goes on when nothing is. Interrupts (another template,
//! pods that fail, harm) are looked at before the step, in every step.

use super::draft::{Draft, End};
use super::neighbours::clones;
use super::plan::{Severity, Write};
use super::snapshot::{ReplicaSetFacts, RouteFacts, Workload};
use super::time::{elapsed, human, left};
use super::verdict::{self, Assessment};
use super::weights::{self, RouteState};
use super::words::grouped;
use super::{canary, permission, pods, preflight, proof, rest, scaler, warnings};
use crate::api::{
    Conflicts, Duration, Outcome, Phase, Run, SignalState, Step, Tally, VerdictWord, Wave, WaveState, names,
};

/// How often others may change a governed rule within `CONFLICT_WINDOW` before the wave is held.
const MOST_CONFLICTS: u8 = 5;
const CONFLICT_WINDOW: Duration = Duration::from_secs(600);

/// Goes as far as the world allows in one pass.
pub(super) fn advance(d: &mut Draft<'_>) {
    // Each pass of the loop is a step forward; there are fewer steps than this.
    for _ in 0..10 {
        interrupt(d);
        // What an interrupt changed is no step forward yet: the step it leads to is taken once in this pass.
        let Some(step) = d.active().map(|run| run.step) else {
            return;
        };
        follow(d, step);
        match d.active().map(|run| run.step) {
            Some(Step::Preflight) => check(d),
            Some(Step::Starting) => start(d),
            Some(Step::Shifting) => shift(d),
            Some(Step::Baking) => bake(d),
            Some(Step::Promoting) => promote(d),
            Some(Step::Reverting) => super::closing::revert(d),
            Some(Step::Closing) => super::closing::close(d),
            Some(Step::Done) | None => return,
        }
        if d.active().map(|run| run.step) == Some(step) {
            return;
        }
    }
}

/// What ends an attempt whatever step it is in.
fn interrupt(d: &mut Draft<'_>) {
    let Some(run) = d.active() else { return };
    if run.outcome.is_some() {
        return;
    }
    let (step, weight, restarts_before) = (run.step, run.weight, run.restarts_before);
    let revision = run.revision.clone();
    let Some(workload) = d.workload() else {
        let message = format!("Deployment {} was deleted during the run", d.s.rollout.spec.target_ref.name);
        return d.end(End::by_person(Outcome::Aborted, "TargetDeleted", message));
    };
    let stable = d.status.stable.as_ref().map(|stable| stable.digest.clone()).unwrap_or_default();
    if workload.digest != revision {
        let short = names::short(&workload.digest);
        if step == Step::Promoting && replaced(d, workload, &revision) {
            return;
        }
        if workload.digest == stable {
            let message = format!("the stable template {short} was applied again");
            return d.end(End::by_person(Outcome::Aborted, "ReturnedToStable", message));
        }
        let message = format!("template {short} came before {} was done", names::short(&revision));
        return d.end(End::by_person(Outcome::Superseded, "NewTemplate", message));
    }
    if !workload.paused && step != Step::Promoting {
        let message = format!("Deployment {} was let go by hand before the analysis was done", workload.name);
        d.bypassed = Some(message.clone());
        return d.end(End::by_person(Outcome::Bypassed, "GateBypassed", message));
    }
    if workload.replicas == 0 && step != Step::Promoting {
        let message = format!("Deployment {} was scaled to 0; it is tried again when it is scaled up", workload.name);
        return d.end(End::by_person(Outcome::Aborted, "ScaledToZero", message));
    }
    if step != Step::Preflight
        && let Some((reason, sentence)) = pods::fault(&d.s.canary_pods, weight, restarts_before, d.s.canary_endpoints)
    {
        return d.end(End::taken_back(reason, sentence));
    }
    if weight > 0
        && let Some(harm) = assess(d).and_then(|assessment| assessment.harm)
    {
        let mut end = End::taken_back("SignalBreached", harm.sentence);
        end.signal = Some(harm.signal);
        end.sample_at = Some(harm.sample_at);
        d.end(end);
    }
}

/// Another template came while the Deployment rolled. If the promoted version serves alone by then it is the stable one,
/// and true is returned; else its pods go on serving beside stable's.
fn replaced(d: &mut Draft<'_>, workload: &Workload, revision: &str) -> bool {
    let others = d.s.replica_sets.iter().any(|set| set.digest != revision && set.replicas > 0);
    let own = d.s.replica_sets.iter().find(|set| set.digest == revision && set.replicas > 0);
    match own {
        Some(set) if !others && set.available == workload.replicas => {
            promoted(d, set);
            true
        }
        Some(_) => {
            d.status.alongside = Some(revision.to_owned());
            false
        }
        None => false,
    }
}

/// While the canary is there, its NetworkPolicies follow those that they are made of. `start` sees to the first ones.
fn follow(d: &mut Draft<'_>, step: Step) {
    if let (Step::Shifting | Step::Baking | Step::Promoting, Some(workload)) = (step, d.s.workload.as_ref()) {
        // A name that somebody took in mid-run is nothing to take the canary back for.
        d.plan.extend(clones::keep(d.s, workload).unwrap_or_default());
    }
}

/// Judges the signals; counts only what is new, so asking twice in one pass gives the same answer.
fn assess(d: &mut Draft<'_>) -> Option<Assessment> {
    let provider = d.s.provider.as_ref()?;
    let run = d.status.run.as_mut()?;
    let assessment = verdict::assess(d.s, provider, run);
    d.status.verdict = assessment.word;
    d.analysis = Some(match &assessment.blind {
        Some(blind) => super::draft::AnalysisWord {
            ready: false,
            reason: blind.reason.to_owned(),
            message: blind.sentence.clone(),
        },
        None => super::draft::AnalysisWord {
            ready: true,
            reason: "Readable".to_owned(),
            message: format!("signals are read from MetricsProvider {}", provider.name),
        },
    });
    if let (Some(skewed), Some(run)) = (&assessment.skewed, d.active().cloned()) {
        let key = format!("{}.skewed.{}", run.release, run.wave.as_ref().map_or(0, |wave| wave.index));
        d.notify(Severity::Warning, key, "WeightMismatch", "Judge", skewed.clone());
    }
    Some(assessment)
}

fn check(d: &mut Draft<'_>) {
    let (Some(workload), Some(run)) = (d.workload(), d.active().cloned()) else { return };
    let analysis = proof::analysis(d.s, &run);
    let (ready, reason, message) = match &analysis {
        Ok(proof) => (true, "Readable", proof.message.clone()),
        Err(refusal) => (false, refusal.reason, refusal.message.clone()),
    };
    d.analysis = Some(super::draft::AnalysisWord { ready, reason: reason.to_owned(), message });
    let checked = preflight::references(d.s)
        .and_then(|()| preflight::workload(d.s, workload))
        .and_then(|()| preflight::routes(d.s))
        .and_then(|backups| analysis.map(|proof| (backups, proof)));
    let first = d.s.rollout.spec.waves.first().cloned();
    let permitted = permission::may_begin(d, &run, first.as_ref());
    match checked {
        Ok(_) if let Err(wait) = &permitted => {
            let short = names::short(&workload.digest);
            d.progress(Phase::Held, wait.reason, format!("template {short} is held back: {}", wait.sentence));
        }
        Ok((backups, proof)) => {
            if let Some(run) = d.status.run.as_mut() {
                run.routes = backups;
                proof::begin(run, &proof);
            }
            d.log(
                Severity::Normal,
                "PreflightPassed",
                "Check",
                format!("template {} can be tried, {}", names::short(&workload.digest), proof.message),
            );
            let advice = warnings::of(d.s, workload);
            if !advice.is_empty() {
                d.log(Severity::Warning, "PreflightWarning", "Check", advice.join("; "));
            }
            let scrape = d.s.provider.as_ref().map_or(Duration::default(), |provider| provider.scrape_interval);
            let interval = d.s.rollout.spec.analysis.interval.max(scrape);
            let warned = proof.forecast.iter().any(|wave| !wave.warning.is_empty());
            let severity = if warned { Severity::Warning } else { Severity::Normal };
            d.log(severity, "Planned", "Check", proof::plan(&proof.forecast, interval));
            d.go(Step::Starting);
        }
        Err(refusal) if refusal.needs_person => d.stuck(refusal.reason, refusal.message),
        Err(refusal) => d.progress(
            Phase::Preflight,
            refusal.reason,
            format!("template {} is held back: {}", names::short(&workload.digest), refusal.message),
        ),
    }
}

/// Brings up as many canary pods as the next wave needs.
fn start(d: &mut Draft<'_>) {
    let (s, Some(workload), Some(run)) = (d.s, d.workload(), d.active().cloned()) else {
        return;
    };
    let Some((next, wave)) = next_wave(d, &run) else {
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
    run.max_weight = run.max_weight.max(weight);
    if run.times.exposed_at.is_none() {
        run.times.exposed_at = Some(now);
        run.restarts_before = s.canary_pods.iter().map(|pod| pod.restarts).max().unwrap_or(0);
    }
    run.traffic.next_wave();
    run.signals.iter_mut().for_each(SignalState::next_wave);
    d.log(
        Severity::Normal,
        "WaveStarted",
        "Shift",
        format!("wave {}/{total}: {weight}% of live traffic to {size} canary pods", next.saturating_add(1)),
    );
    d.go(Step::Shifting);
}

/// The wave that comes after the present weight. Waves that were edited in mid-run are taken as they are now, but the
/// weight never falls on the way up, and no wave is begun twice.
fn next_wave(d: &Draft<'_>, run: &Run) -> Option<(usize, Wave)> {
    let waves = d.s.rollout.spec.waves.iter().cloned().enumerate();
    waves.into_iter().find(|(_, wave)| run.wave.is_none() || wave.weight > run.weight)
}

/// Under traffic the canary grows with the workload, so that each of its pods has no more to do than one of stable's.
fn grow(d: &mut Draft<'_>, run: &Run) {
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

/// Plans what brings every route to the intended weight. `Ok(true)` when all have it.
fn keep_weights(d: &mut Draft<'_>, run: &Run) -> Result<bool, String> {
    if run.times.exposed_at.is_none() {
        return Ok(true);
    }
    let traffic = &d.s.rollout.spec.traffic;
    let canary = traffic.canary_service_name();
    let mut settled = true;
    for backup in &run.routes {
        let Some(route) = d.route(backup.kind, &backup.route) else {
            return Err(format!("{} {} is gone", backup.kind, backup.route));
        };
        match weights::towards(route, backup, &traffic.stable_service, &canary, Some(run.weight)) {
            RouteState::Settled => {}
            RouteState::Needs(patch) => {
                settled = false;
                fought(d, run, route)?;
                let (kind, name) = (route.kind, route.name.clone());
                d.plan.push(Write::PatchRoute { kind, name, weight: Some(run.weight), patch });
            }
            RouteState::Conflict(why) => return Err(why),
        }
    }
    Ok(settled)
}

/// Counts a weight that was in force and has to be set again, because someone else wrote the route. After
/// `MOST_CONFLICTS` within `CONFLICT_WINDOW` the route is left as they want it: their weights lead to stable.
fn fought(d: &mut Draft<'_>, run: &Run, route: &RouteFacts) -> Result<(), String> {
    let (now, version) = (d.s.now, &route.resource_version);
    let route = format!("{:?} {}", route.kind, route.name);
    if run.step == Step::Starting || run.wave.as_ref().is_none_or(|wave| wave.accepted_at.is_none()) {
        return Ok(());
    }
    let last = format!("{route}/{version}");
    let known = run.conflicts.clone().filter(|conflicts| left(now, conflicts.since, CONFLICT_WINDOW).is_some());
    let mut conflicts = known.unwrap_or(Conflicts { count: 0, since: now, last: String::new() });
    if conflicts.last != last {
        if conflicts.count >= MOST_CONFLICTS {
            d.passed(conflicts.since, CONFLICT_WINDOW);
            return Err(format!(
                "others changed {route} {} times in {CONFLICT_WINDOW}; it is left alone until {CONFLICT_WINDOW} after the first time, or Resume. Let them ignore the weights of this rule (docs/gitops.md)",
                conflicts.count.saturating_add(1)
            ));
        }
        conflicts.count = conflicts.count.saturating_add(1);
        conflicts.last = last;
        let note = format!("someone else changed {route}; the weight of {}% is set again", run.weight);
        let key = format!("{}.reasserted.{version}", run.release);
        d.notify(Severity::Warning, key, "TrafficReasserted", "Shift", note);
        if let Some(run) = d.status.run.as_mut() {
            run.conflicts = Some(conflicts);
        }
    }
    Ok(())
}

/// Sets the wave's weight and waits until the gateway and the requests follow.
fn shift(d: &mut Draft<'_>) {
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
            let bake = wave_spec(d, &run).map(|wave| wave.bake).unwrap_or_default();
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
fn bake(d: &mut Draft<'_>) {
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
    let baked = d.passed(bake_at, wave.bake);
    if !baked {
        let rest = left(s.now, bake_at, wave.bake).map(human).unwrap_or_default();
        return d.progress(Phase::Baking, "Baking", format!("{title}: {}; {rest} to bake", assessment.sentence));
    }
    if assessment.word != VerdictWord::Safe {
        let late = wave.max_bake.is_some_and(|most| d.passed(bake_at, most));
        let (phase, reason) = if late { (Phase::Held, "EvidenceTooSlow") } else { (Phase::Baking, "AwaitingEvidence") };
        let who = if late { owner(d) } else { String::new() };
        return d.progress(phase, reason, format!("{title}: {}{who}", assessment.sentence));
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
            format!("all waves passed on {requests} canary requests; the gate opens and {replicas} pods roll"),
        );
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

/// Lets the workload roll to the analysed template while the canary keeps its share and its judgement.
fn promote(d: &mut Draft<'_>) {
    let (s, Some(workload), Some(run)) = (d.s, d.workload(), d.active().cloned()) else {
        return;
    };
    let kept = keep_weights(d, &run);
    if workload.paused {
        d.plan.push(Write::OpenGate {
            workload: workload.name.clone(),
            resource_version: workload.resource_version.clone(),
        });
    }
    let reach = reach(workload, run.weight);
    if let Some(run) = d.status.run.as_mut() {
        run.effective_weight = Some(reach);
    }
    d.progress(
        Phase::Promoting,
        "Promoting",
        format!(
            "{} of {} pods run the new version, {} available; {reach}% of traffic meets it",
            workload.updated, workload.replicas, workload.available
        ),
    );
    grow(d, &run);
    scaler::freeze(d);
    let new_set = s.replica_sets.iter().find(|set| set.digest == run.revision);
    if let (false, true, Some(set), Ok(_)) = (workload.paused, workload.complete(), new_set, &kept) {
        return promoted(d, set);
    }
    let deadline = s.rollout.spec.promotion_deadline();
    if d.passed(run.step_at, deadline) {
        d.end(End::taken_back(
            "PromotionStuck",
            format!("{} of {} pods run the new version after {deadline}", workload.updated, workload.replicas),
        ));
    }
}

/// The share of live traffic that meets the new version while the Deployment rolls, in percent: the canary's weight,
/// and the rolled part of the rest.
fn reach(workload: &Workload, weight: u8) -> u8 {
    let weight = u64::from(weight.min(100));
    let (updated, all) = (u64::from(workload.updated.min(workload.replicas)), u64::from(workload.replicas.max(1)));
    let rest = 100_u64.saturating_sub(weight).saturating_mul(updated).saturating_add(all / 2);
    let rest = rest.checked_div(all).unwrap_or(0);
    u8::try_from(weight.saturating_add(rest)).unwrap_or(100)
}

/// The new version serves alone.
fn promoted(d: &mut Draft<'_>, set: &ReplicaSetFacts) {
    let Some(run) = d.active().cloned() else { return };
    let s = d.s;
    let requests = grouped(run.traffic.run.canary_requests);
    d.status.stable = Some(rest::revision(set));
    d.status.alongside = None;
    if let Some(run) = d.status.run.as_mut() {
        run.times.promoted_at = Some(s.now);
        run.max_weight = 100;
        run.effective_weight = Some(100);
    }
    let took = run.times.requested_at.map(|then| human(elapsed(s.now, then))).unwrap_or_default();
    let passed = run.timeline.iter().filter(|entry| entry.reason == "WavePassed").count();
    let skipped = run.timeline.iter().any(|entry| entry.reason == "WavesSkipped");
    let rest = if skipped { ", the rest skipped by a person" } else { "" };
    let summary =
        format!("promoted after {took} and {passed} waves{rest}: {requests} canary requests, no signal breached");
    let mut end = End::taken_back("Promoted", summary);
    end.outcome = Outcome::Promoted;
    d.end(end);
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
    waves.iter().find(|wave| wave.weight == run.weight).or(waves.get(index)).or(waves.last()).cloned()
}

fn wave_title(d: &Draft<'_>, run: &Run) -> String {
    let index = run.wave.as_ref().map_or(0, |wave| usize::from(wave.index)).saturating_add(1);
    format!("wave {index}/{} at {}%", d.s.rollout.spec.waves.len(), run.weight)
}
