//! I1, I2, I8: the canary's share only rises wave by wave, is 0 soon after an end and stays so, and what goes back to
//! stable finds pods there.

use jiff::{SignedDuration, Timestamp};

use super::attempts::{millis, waves};
use super::{Attempts, Counts, Deeds, Moment};
use crate::api::{Key, Store, number, text};
use crate::plan::Weather;
use crate::traffic::{share, weights};
use crate::world::{self, Actor, Written};

/// What is remembered of the weights.
#[derive(Debug, Default)]
pub struct Weights {
    /// The attempt whose weights these are.
    release: String,
    /// The wave weights that it was given, with the time of the write.
    given: Vec<(u64, u64)>,
    /// Pods of stable when the first was given.
    floor: Option<(i64, u64)>,
    /// Since when weight is to be taken back.
    owed: Option<u64>,
    told: bool,
}

/// How long weight may take to go in good weather, and after bad weather has ended, in milliseconds.
const PROMPTLY: u64 = 5_000;
const AFTER_STORM: u64 = 75_000;
/// How much earlier than the bake a wave may follow: nothing but rounding.
const ROUNDING: u64 = 20;
/// What is lost of a time that is written in whole seconds.
const WHOLE: SignedDuration = SignedDuration::from_secs(1);

/// Pods of a Deployment that can serve.
fn available(store: &Store, deployment: &str) -> i64 {
    let uid = store.get(&Key::demo("Deployment", deployment)).map_or("", |one| text(one, "/metadata/uid"));
    let sets = store.list("ReplicaSet", "demo").filter(|set| text(set, "/metadata/ownerReferences/0/uid") == uid);
    sets.map(|set| number(set, "/status/availableReplicas")).sum()
}

fn percent(weights: (u64, u64)) -> u64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // between 0 and 100
    let percent = (share(weights) * 100.0).round() as u64;
    percent
}

impl Weights {
    /// The operator wrote something.
    pub fn moved(
        &mut self,
        written: &Written,
        moment: &Moment<'_>,
        attempts: &Attempts,
        deeds: &Deeds,
        found: &mut Vec<String>,
    ) {
        let takes_pods = written.key.name == "shop-canary"
            && (written.change.new.is_none()
                || matches!((&written.change.old, &written.change.new), (Some(old), Some(new))
                    if number(new, "/spec/replicas") < number(old, "/spec/replicas")));
        if takes_pods && matches!(written.key.kind, "Deployment" | "Service") {
            let exposed =
                attempts.current().is_some_and(|(release, _)| release == self.release) && !self.given.is_empty();
            canary_goes(written, moment, deeds, exposed, found);
        }
        if written.key.kind != "HTTPRoute" {
            return;
        }
        let (Some(old), Some(new)) = (&written.change.old, &written.change.new) else {
            return;
        };
        let (before, after) = (weights(old), weights(new));
        // A request that was given up may come at any time: then it is for the next pass to take back what it gave.
        if share(after) > share(before) && !matches!(written.actor, Actor::Late(_)) {
            self.rises(moment, attempts, deeds, percent(after), found);
        }
        if share(after) < share(before) && self.floor.is_some() {
            let (floor, since) = self.floor.unwrap_or_default();
            let theirs = deeds.sized.is_some_and(|at| at >= since.saturating_sub(15_000));
            let promoting = attempts.current().is_some_and(|(_, attempt)| attempt.step == "Promoting");
            if available(moment.store, "shop") < floor && !theirs && !promoting {
                found.push(format!(
                    "I8: traffic goes back to stable, which has {} available pods, {floor} when it was taken away",
                    available(moment.store, "shop")
                ));
            }
        }
    }

    fn rises(&mut self, moment: &Moment<'_>, attempts: &Attempts, deeds: &Deeds, to: u64, found: &mut Vec<String>) {
        let Some((release, attempt)) = attempts.current() else {
            return found.push(format!("I1: {to} % without an attempt"));
        };
        let Some(rollout) = moment.rollout() else {
            return found.push(format!("I1: {to} % without a Rollout"));
        };
        let crowded = moment.crowded();
        if !["Starting", "Shifting", "Baking", "Promoting"].contains(&attempt.step.as_str()) && !crowded {
            found.push(format!("I2: the share rises to {to} % in step {}", attempt.step));
        }
        let intended = number(rollout, "/status/run/weight");
        if i64::try_from(to).unwrap_or(0) > intended && !crowded {
            found.push(format!("I1: {to} % is given, {intended} % is committed"));
        }
        // A wave that was committed before the Hold is set all the same when its first write was lost.
        let time = |pointer: &str| text(rollout, pointer).parse::<Timestamp>().ok();
        let (held, began) = (time("/status/hold/at"), time("/status/run/wave/startedAt"));
        if held.is_some() && began > held && self.last() < Some(to) && !crowded {
            found.push(format!("I1: the share rises to {to} % while a Hold is committed"));
        }
        if self.release != release {
            *self = Self { release: release.to_owned(), ..Self::default() };
        }
        if !attempt.waves.iter().any(|(weight, _, _)| *weight == to) {
            found.push(format!("I1: {to} % is no wave: {:?}", attempt.waves));
        }
        if self.floor.is_none() {
            let wanted = moment.workload().map_or(0, |workload| number(workload, "/spec/replicas"));
            self.floor = Some((available(moment.store, "shop").min(wanted), moment.now));
        }
        if self.last() >= Some(to) {
            return; // given before: set again after somebody else wrote the route
        }
        let canary = moment.store.get(&Key::demo("Deployment", "shop-canary"));
        let (ready, wanted) =
            (available(moment.store, "shop-canary"), canary.map_or(1, |canary| number(canary, "/spec/replicas")));
        // The canary of a workload that is scaled grows after its wave has begun.
        let scaled = deeds.sized.is_some() || moment.store.list("HorizontalPodAutoscaler", "demo").next().is_some();
        if ready < wanted && !scaled && deeds.edited.is_none() && !crowded {
            found.push(format!("I6: {to} % is given to a canary with {ready} of {wanted} pods"));
        }
        self.in_order(moment, attempt, deeds, &waves(rollout), to, found);
        self.given.push((to, moment.now));
    }

    /// The next wave, after the one before was there for its bake, with the approval that it wants.
    fn in_order(
        &self,
        moment: &Moment<'_>,
        attempt: &super::attempts::Attempt,
        deeds: &Deeds,
        waves: &[(u64, u64, bool)],
        to: u64,
        found: &mut Vec<String>,
    ) {
        let position = waves.iter().position(|(weight, _, _)| *weight == to);
        let Some(position) = position.filter(|_| !attempt.edited) else {
            return;
        };
        if waves.get(position).is_some_and(|(_, _, approval)| *approval) {
            // Asked for since the attempt began, by the whole seconds that Interventions carry. Where clocks jump no
            // two times can be compared.
            let began = moment.rollout().map_or("", |rollout| text(rollout, "/status/run/times/requestedAt"));
            let began = began.parse::<Timestamp>().ok().filter(|_| moment.plan.jumps.is_empty());
            let meant = |asked: &u64| began.is_none_or(|began| began.duration_since(world::second(*asked)) < WHOLE);
            let approved =
                ["Approve", "Promote"].map(|action| deeds.asked.get(action).into_iter().flatten().any(meant));
            if !approved.contains(&true) {
                found.push(format!("I1: {to} % wants an approval that nobody gave since the attempt began"));
            }
        }
        let before = position.checked_sub(1).and_then(|before| waves.get(before));
        match (before, self.given.last()) {
            (None, None) => {}
            (Some((weight, bake, _)), Some((given, at))) if weight == given => {
                let lasted = moment.now.saturating_sub(*at);
                if lasted.saturating_add(ROUNDING) < *bake && moment.plan.jumps.is_empty() {
                    found.push(format!("I1: {given} % was given for {lasted} of {bake} ms before {to} % follows"));
                }
            }
            (_, last) => found.push(format!("I1: {to} % follows {last:?}; waves {waves:?}")),
        }
    }

    fn last(&self) -> Option<u64> {
        self.given.iter().map(|(weight, _)| *weight).max()
    }

    /// A second went by.
    pub fn second(&mut self, moment: &Moment<'_>, counts: &mut Counts, found: &mut Vec<String>) {
        let route = moment.store.get(&Key::demo("HTTPRoute", "shop"));
        let given = route.map_or((1, 0), |route| weights(route));
        let outcome = moment.rollout().map_or("", |rollout| text(rollout, "/status/run/outcome"));
        let back = !outcome.is_empty() && outcome != "Promoted";
        if !back || given.1 == 0 {
            if let Some(since) = self.owed.take() {
                let took = moment.now.saturating_sub(since);
                counts.slowest_zero = counts.slowest_zero.max(took);
                if moment.plan.weather == Weather::Calm {
                    counts.slowest_calm = counts.slowest_calm.max(took);
                }
            }
            self.told = false;
            return;
        }
        let since = *self.owed.get_or_insert(moment.now);
        let quiet = moment.plan.weather == Weather::Calm;
        let due = if quiet {
            since.saturating_add(PROMPTLY)
        } else {
            since.max(moment.plan.calm_at).saturating_add(AFTER_STORM)
        };
        if moment.now > due && !self.told {
            self.told = true;
            found.push(format!(
                "I2: {} ms after the outcome {outcome} the route still gives the canary {given:?}",
                moment.now.saturating_sub(since)
            ));
        }
    }
}

/// The canary or a pod of it is taken away.
fn canary_goes(written: &Written, moment: &Moment<'_>, deeds: &Deeds, exposed: bool, found: &mut Vec<String>) {
    // A gateway that does not follow, and routes that people write, are not in our hands.
    if !moment.plan.deaf.is_empty() || deeds.routed.is_some() || moment.crowded() {
        return;
    }
    let (weights, since) = (moment.traffic.effective, moment.traffic.drained_since);
    if weights.1 > 0 {
        found
            .push(format!("I6: {} {} goes while the gateway sends it {weights:?}", written.key.kind, written.key.name));
    } else if written.change.new.is_none() && moment.plan.jumps.is_empty() && exposed {
        let drain = moment.rollout().map_or(0, |rollout| millis(text(rollout, "/spec/traffic/drain")));
        let lasted = moment.now.saturating_sub(since);
        if lasted.saturating_add(ROUNDING) < drain {
            found.push(format!("I6: the canary goes {lasted} ms after its last traffic, drain is {drain} ms"));
        }
    }
}
