//! Every reason that a condition, an event or a record can carry: what it means and what to do about it.
//!
//! A closed list. docs/reasons.md is generated from it, and a test holds it against every word in `decide`.

/// Where a reason is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work cannot go on, or does not begin, until something is mended. Nothing has been given traffic for it.
    Refusal,
    /// An attempt waits where it is; the canary keeps its weight and is judged.
    Hold,
    /// Data cannot be read: nothing advances, and nothing is taken back for it.
    Blind,
    /// Work goes on.
    Going,
    /// How and why an attempt ended.
    End,
    /// Told by an event, beside what the conditions say.
    Event,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Refusal, Self::Hold, Self::Blind, Self::Going, Self::End, Self::Event];

    const fn title(self) -> &'static str {
        match self {
            Self::Refusal => "Refusals: something must be mended first",
            Self::Hold => "Holds: an attempt waits",
            Self::Blind => "Data that cannot be read",
            Self::Going => "Work in progress, and rest",
            Self::End => "Ends of an attempt",
            Self::Event => "Further events",
        }
    }

    const fn about(self) -> &'static str {
        match self {
            Self::Refusal => {
                "Of `Ready` and `Stalled` (or `Reconciling` where it can pass by itself). No user meets the new template."
            }
            Self::Hold => {
                "Of `Ready` and `Reconciling`, mostly with the phase `Held`. Stable serves, the canary keeps its weight and is judged: harm still takes it back."
            }
            Self::Blind => {
                "Of `AnalysisReady`; of `Ready` as long as it lasts. After `analysis.noDataTimeout` the phase is `Held`, reason `AnalysisBlind`."
            }
            Self::Going => {
                "Of `Ready`, `Reconciling`, `Gated`, `AnalysisReady` and `Complete`. Nothing needs to be done."
            }
            Self::End => "Of `Complete`, in `status.run.reason`, in Releases and ReworkEvents, and as events.",
            Self::Event => "`kubectl events --for rollouts.sluice.dev/NAME`.",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, Copy)]
pub struct Reason {
    /// The word in the object.
    pub name: &'static str,
    /// Where it is met.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub next: &'static str,
}

const fn reason(kind: Kind, name: &'static str, meaning: &'static str, next: &'static str) -> Reason {
    Reason { name, kind, meaning, next }
}

use Kind::{Blind, End, Event, Going, Hold, Refusal};

/// Every reason, in the order of the document.
pub const REASONS: &[Reason] = &[
    reason(
        Refusal,
        "TargetMissing",
        "the Deployment of `spec.targetRef` does not exist",
        "create it, or correct a new Rollout; heals by itself",
    ),
    reason(
        Refusal,
        "ServiceMissing",
        "the Service of `spec.traffic.stableService` does not exist",
        "create it; heals by itself",
    ),
    reason(
        Refusal,
        "RouteMissing",
        "a route of `spec.traffic.routes` does not exist, or its kind is not served",
        "create it, or install that CRD of the Gateway API",
    ),
    reason(
        Refusal,
        "ProviderMissing",
        "the MetricsProvider does not exist; in mid-run the wave is held",
        "the platform team makes it; heals by itself",
    ),
    reason(
        Refusal,
        "InvalidSpec",
        "a field says what cannot be done; the message names it",
        "correct the field; nothing has moved",
    ),
    reason(
        Refusal,
        "AlreadyGoverned",
        "an older Rollout names the same Deployment, or its label names another",
        "delete one of the two",
    ),
    reason(
        Refusal,
        "Paused",
        "the Deployment is paused and no single version serves it",
        "`kubectl rollout resume`, then it is adopted",
    ),
    reason(
        Refusal,
        "CannotRunTwice",
        "`hostPort`, `hostNetwork`, a PersistentVolumeClaim or the strategy `Recreate`: canary and stable cannot run side by side",
        "take that out of the template, or release this workload without Sluice",
    ),
    reason(
        Refusal,
        "SelectorUnsupported",
        "the Deployment's selector is not made of `matchLabels` only",
        "selectors are immutable: make a new Deployment",
    ),
    reason(
        Refusal,
        "LabelsLeak",
        "a Service or a PodDisruptionBudget would select the canary's pods too",
        "narrow the selector that the message names, for example by the label that both selectors share",
    ),
    reason(
        Refusal,
        "NetworkPolicyDiffers",
        "a NetworkPolicy treats canary and stable differently and cannot be copied",
        "add a peer or a selector for `sluice.dev/role: canary` to the policy that the message names",
    ),
    reason(
        Refusal,
        "NameTaken",
        "an object with the name that the canary needs was made by somebody else",
        "rename or delete it; for the Service name another in `spec.traffic.canaryService`",
    ),
    reason(
        Refusal,
        "RouteUnsuitable",
        "the governed rule cannot be weighted: stable missing or listed twice, several rules, the canary listed with a weight",
        "change the rule, or name one with `rule`",
    ),
    reason(
        Refusal,
        "RouteNotAccepted",
        "no gateway has accepted the route yet",
        "look at the route's status; passes by itself",
    ),
    reason(
        Refusal,
        "DataPlaneUnsupported",
        "the route's controller is not known, there are two, or its counters cannot tell canary and stable apart",
        "docs/data-planes.md has the ways out, such as `source: Pods`",
    ),
    reason(
        Refusal,
        "GateNotHolding",
        "a dry run showed that a new template would roll at once. Also of `Gated`",
        "apply deploy/policies.yaml; it is tried again every 15 s",
    ),
    reason(
        Refusal,
        "PolicyMissing",
        "an admission policy of the gate is missing or was changed; the message names it. Also of `Gated`",
        "apply deploy/policies.yaml",
    ),
    reason(
        Refusal,
        "NoStableYet",
        "no version has been healthy: the newest template is let go, so that it can be the first. With `source: Pods`: the stable ReplicaSet is not known",
        "mend the template until its pods are available",
    ),
    reason(
        Refusal,
        "StableTemplateMissing",
        "the ReplicaSet with the stable template is gone, so it cannot be put back",
        "apply the wanted template",
    ),
    reason(
        Refusal,
        "NoTraffic",
        "stable has counters and had no request in the last minutes: nothing could be compared",
        "send some: it goes on with the first requests. An idle service cannot be judged",
    ),
    reason(
        Refusal,
        "NoSuchBucket",
        "no bucket of the histogram ends at `latency.over`; in a wave: the canary's histogram has other buckets than stable's",
        "take one of the edges in the message, or configure the gateway's buckets",
    ),
    reason(
        Refusal,
        "BudgetBurning",
        "a `burnRate` signal breaches before anyone met the version; or the budget of `errorBudget` burns faster than `fastBurn`, also in mid-wave",
        "mend that first, it goes on then; or set `dryRun: true` on the signal. docs/budgets.md",
    ),
    reason(Refusal, "InvalidQuery", "a variable of a query is not known", "correct `query.promql`"),
    reason(
        Refusal,
        "ScaledToZero",
        "the Deployment has no replicas: there is nothing to try a template beside. In mid-run it ends the attempt, and the template is not rejected",
        "scale it up; the template is tried then",
    ),
    reason(
        Hold,
        "BudgetLow",
        "little of the error budget is left",
        "a repair goes on, or what is approved: docs/budgets.md",
    ),
    reason(
        Hold,
        "BudgetExhausted",
        "no error budget is left: planned releases wait",
        "a repair goes on: docs/budgets.md",
    ),
    reason(Hold, "BudgetUnknown", "the error budget cannot be read", "mend the query; `onMissing` says what goes on"),
    reason(
        Hold,
        "AwaitingApproval",
        "a wave or the promotion has `approval: Required`",
        "create an Intervention with `action: Approve`",
    ),
    reason(Hold, "HeldByPerson", "an Intervention `Hold` is in force", "create one with `action: Resume`"),
    reason(
        Hold,
        "OutsideWindow",
        "no window of `spec.schedule` is open; a running wave keeps its weight",
        "wait until the time in the message; with traffic also `Promote`",
    ),
    reason(Hold, "Frozen", "a freeze of `spec.schedule` is in force", "the same"),
    reason(
        Hold,
        "GroupBusy",
        "another Rollout of `spec.group` has an attempt past Preflight",
        "wait; the message names it",
    ),
    reason(
        Hold,
        "FallbackTooSmall",
        "fewer pods are available than served before the attempt or its last wave: stable could not take all traffic back",
        "see why pods are missing: `kubectl get pods`, quota, nodes",
    ),
    reason(
        Hold,
        "TrafficConflict",
        "others change the governed rule, or its backends were changed, or the route is gone; while the canary comes up, after `progressDeadline` an end",
        "put the backends back, or let the other side ignore the weights of this rule; then `Resume`. It is tried again 10 minutes after the first time",
    ),
    reason(
        Hold,
        "EvidenceTooSlow",
        "`maxBake` is over and the evidence is not enough, or the share does not follow",
        "docs/operations.md, \"What waits\"; it goes on when evidence comes",
    ),
    reason(
        Hold,
        "AnalysisBlind",
        "data is missing for longer than `noDataTimeout`",
        "the message has the cause; see the next table",
    ),
    reason(
        Hold,
        "AwaitingEvidence",
        "the bake time is over and evidence is not enough yet",
        "wait: the message says how many requests are missing",
    ),
    reason(
        Hold,
        "AwaitingShare",
        "the observed share does not follow the weight yet",
        "wait; if it stays, look for sticky sessions and other ways to the Service",
    ),
    reason(
        Hold,
        "AwaitingGateway",
        "a gateway has not accepted the route's newest generation",
        "look at the route's status; before the first acceptance `progressDeadline` ends it",
    ),
    reason(Blind, "AwaitingFirstSample", "no answer yet", "a scrape or two"),
    reason(
        Blind,
        "NoSeries",
        "the counters have no series of stable (Preflight) or of the canary",
        "see that Prometheus scrapes the data plane; the message has the query",
    ),
    reason(Blind, "SamplesStale", "the newest sample is too old", "see that Prometheus scrapes its targets"),
    reason(
        Blind,
        "TooManySeries",
        "more series than can be followed",
        "a source with fewer labels, or `source: Query`",
    ),
    reason(Blind, "PrometheusUnreachable", "no connection", "address, network, TLS of the MetricsProvider"),
    reason(Blind, "QueryTimeout", "no answer within `timeout`", "the server is slow, or `timeout` too short"),
    reason(Blind, "QueryHttpStatus", "the server answered with an HTTP error", "the message has the status"),
    reason(Blind, "QueryRefused", "the server refused the query", "correct the query; the message has what it said"),
    reason(
        Blind,
        "CredentialsUnusable",
        "a Secret is missing, unreadable or unusable",
        "the message names Secret and key",
    ),
    reason(Blind, "AnswerMalformed", "the answer is no answer of a Prometheus", "see what is behind the address"),
    reason(Blind, "AnswerTooLarge", "the answer is larger than is read", "fewer series"),
    reason(Blind, "AnswerPartial", "the answer carries warnings: a part is missing", "see the store that failed"),
    reason(Blind, "AnswerEmpty", "the query answered with nothing", "a query must answer with one number"),
    reason(
        Blind,
        "AnswerManySeries",
        "several series, or more than 256 of a counter",
        "aggregate, or use fewer labels",
    ),
    reason(Blind, "AnswerNaN", "the value is not a number", "guard the division in the query"),
    reason(Blind, "AnswerInfinite", "the value is infinite", "the same"),
    reason(Going, "Observing", "the Rollout was just seen", "–"),
    reason(Going, "Adopting", "the label is being put on the Deployment", "–"),
    reason(Going, "WaitingForStable", "the Deployment is rolling; what is complete becomes stable", "–"),
    reason(Going, "ProvingGate", "the gate is being proven by a dry run", "–"),
    reason(Going, "Stable", "at rest", "–"),
    reason(
        Going,
        "CanaryNotAvailable",
        "canary pods are coming up; after `progressDeadline` an end",
        "if it stays: the pod's status in the message",
    ),
    reason(
        Going,
        "CanaryNotCreated",
        "pods of the canary cannot be made, for example for a quota; after `progressDeadline` an end",
        "the message has what the controller says",
    ),
    reason(Going, "SettingWeight", "the weight is being written", "–"),
    reason(Going, "Baking", "the bake time is running", "–"),
    reason(Going, "Promoting", "the Deployment rolls to the analysed template", "–"),
    reason(Going, "Settling", "promoted; the canary is being removed", "–"),
    reason(Going, "RollingBack", "weight 0; the canary is being removed", "–"),
    reason(Going, "Reverting", "the stable template is put back and the Deployment rolls back", "–"),
    reason(Going, "Withdrawing", "the attempt ends because its template is no longer wanted, or rolls without it", "–"),
    reason(Going, "Recovering", "the canary is gone; whether what remains is well goes into the record", "–"),
    reason(Going, "Recording", "the records are being written", "–"),
    reason(Going, "Clearing", "what the last attempt left is taken away before the next one begins", "–"),
    reason(Going, "Leaving", "the Rollout is being deleted", "–"),
    reason(Going, "Disabling", "`spec.disabled` was set: traffic goes back", "–"),
    reason(Going, "Disabled", "`spec.disabled` is true: nothing is governed", "set it to false to be governed again"),
    reason(Going, "Readable", "of `AnalysisReady`: the signals can be read", "–"),
    reason(Going, "NotAskedYet", "of `AnalysisReady`: nothing was held back yet", "–"),
    reason(Going, "Proven", "of `Gated`: a dry run showed that a new template is held back", "–"),
    reason(Going, "Resting", "of `Gated`: the Deployment is kept paused (`spec.gate: Resting`)", "–"),
    reason(Going, "NotProvenYet", "of `Gated`: not tried yet", "–"),
    reason(Going, "InProgress", "of `Complete`: an attempt is going on", "–"),
    reason(Going, "NoReleaseYet", "of `Complete`: no attempt yet", "–"),
    reason(End, "Promoted", "it serves everybody", "–"),
    reason(
        End,
        "RolledBack",
        "taken back after it had traffic; the template waits behind the gate",
        "apply a fix, or the stable template; `Retry` tries it once more",
    ),
    reason(End, "FailedBeforeExposure", "taken back before it had a single request", "the same"),
    reason(End, "Aborted", "a person went back; the reason says how", "–"),
    reason(End, "Superseded", "a newer template came", "–"),
    reason(End, "SupersededUnderSuspicion", "a newer template came while the evidence spoke against this one", "–"),
    reason(
        End,
        "Bypassed",
        "a template rolled unproven: past the gate, by break-glass, or while the gate did not hold. Also of `Gated`, as long as it rolls",
        "see who: the message, the Intervention, the audit log",
    ),
    reason(End, "SignalBreached", "a signal found harm", "docs/runbooks/RolloutAutomaticallyRolledBack.md"),
    reason(
        End,
        "CrashLoop",
        "a canary container restarted 3 times before there was traffic, or 2 times more than then while there is",
        "`kubectl logs --previous`; the pods are gone with the canary, so look where logs are collected",
    ),
    reason(
        End,
        "ImageUnavailable",
        "an image cannot be pulled within `progressDeadline`; at once for `ErrImageNeverPull` and `InvalidImageName`",
        "correct the image or the pull secret",
    ),
    reason(
        End,
        "NoReadyEndpoint",
        "no endpoint of the canary is ready while it is given traffic",
        "see the readiness probe",
    ),
    reason(
        End,
        "TrafficNotAccepted",
        "the weight of a wave was not set and accepted by every gateway within `progressDeadline`",
        "look at the route's status",
    ),
    reason(
        End,
        "PromotionStuck",
        "the Deployment did not finish rolling within `promotion.deadline`",
        "see why its pods are not available",
    ),
    reason(End, "ReturnedToStable", "the stable template was applied again", "–"),
    reason(End, "TargetDeleted", "the Deployment was deleted", "–"),
    reason(
        End,
        "GateBypassed",
        "the Deployment was un-paused by somebody else, for example with the annotation `sluice.dev/break-glass`",
        "as `Bypassed`",
    ),
    reason(End, "AbortedByPerson", "an Intervention `Abort`", "–"),
    reason(End, "BreakGlass", "an Intervention `BreakGlass` let it through", "–"),
    reason(End, "RolloutDeleted", "the Rollout was deleted", "–"),
    reason(End, "RolloutDisabled", "`spec.disabled` was set", "–"),
    reason(Event, "Adopted", "the Deployment's version is taken as stable", "–"),
    reason(
        Event,
        "NewTemplate",
        "a template is held back; as a reason of an end: it came before the one before was done",
        "–",
    ),
    reason(Event, "PreflightPassed", "the surroundings are fine", "–"),
    reason(
        Event,
        "PreflightWarning",
        "something stops nothing and may still hurt: no `lifecycle.preStop`, `maxUnavailable` is not 0, a NetworkPolicy of another namespace that may leave the canary out",
        "the message says what; once per attempt",
    ),
    reason(
        Event,
        "Planned",
        "what each wave will take and can find",
        "a Warning if evidence does not come within `maxBake`, or a wave has nothing to compare with",
    ),
    reason(Event, "WaveStarted", "a weight is decided", "–"),
    reason(Event, "WaveBaking", "the share follows; the bake clock runs", "–"),
    reason(Event, "WavePassed", "Safe and baked", "–"),
    reason(Event, "WavesSkipped", "an Intervention `Promote` skipped the waves that were left", "–"),
    reason(
        Event,
        "WeightMismatch",
        "the observed share is not the weight, and not by chance; once per wave",
        "docs/operations.md, \"What waits\"",
    ),
    reason(
        Event,
        "AnnotationUnreadable",
        "an annotation of the Deployment is left out of the record",
        "correct it, see docs/records.md",
    ),
    reason(
        Event,
        "RecurringDefect",
        "the same failure was seen before within 90 days",
        "see `spec.signature` of the ReworkEvents",
    ),
    reason(Event, "WeightZero", "the canary has no more traffic", "–"),
    reason(
        Event,
        "TrafficReasserted",
        "someone else changed the rule; the weight is set again",
        "let the other side ignore the weights",
    ),
    reason(
        Event,
        "ScalerConflict",
        "others change the HorizontalPodAutoscaler again and again, or its `behavior` is too long to be kept; it may shrink stable",
        "let the other side ignore `spec.behavior`, or shorten it",
    ),
    reason(Event, "Intervention", "a person asked for something, and it was done", "–"),
    reason(
        Event,
        "BudgetOverridden",
        "a step began in spite of the error budget; the note says as what or by whom",
        "–",
    ),
    reason(Event, "BudgetRecovered", "the error budget is no reason to wait any more", "–"),
    reason(
        Event,
        "Escaped",
        "harm was found after the promotion; recorded, nothing is taken back",
        "apply a fix or the template before; it is a new attempt",
    ),
    reason(
        Event,
        "LeftPaused",
        "the Rollout was deleted or disabled and let go of a Deployment with an unproven template: it stays paused",
        "apply the stable template, or `kubectl rollout resume`",
    ),
];

/// The document.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Reasons\n\n\
         This page lists every reason of conditions, events and records: what it means and what to do. It is generated:\n\
         change `src/decide/reasons.rs` and run `make reasons`. `sluice reasons` prints the same; with a name, that one.\n",
    );
    for kind in Kind::ALL {
        let (title, about) = (kind.title(), kind.about());
        text.push_str(&format!(
            "\n## {title}\n\n{about}\n\n| Reason | What it means | What to do |\n| --- | --- | --- |\n"
        ));
        for Reason { name, meaning, next, .. } in REASONS.iter().filter(|one| one.kind == kind) {
            text.push_str(&format!("| `{name}` | {meaning} | {next} |\n"));
        }
    }
    text
}
