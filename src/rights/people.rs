//! The roles for people: who may read, who may stop and repeat, who may let a version pass the evidence.
//!
//! What makes a release safer or only repeats it goes with the built-in roles; what lets a version pass the evidence is
//! bound on purpose.

/// Some verbs on some kinds of ours.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Resources of the group `sluice.dev`.
    pub resources: &'static [&'static str],
    /// What may be done. `approve`, `abort` and the like are asked for by the admission policies.
    pub verbs: &'static [&'static str],
    /// Why, where it needs saying.
    pub why: &'static str,
}

/// A ClusterRole for people.
#[derive(Debug, Clone, Copy)]
pub struct Role {
    /// Its name.
    pub name: &'static str,
    /// The built-in roles that it comes with. `edit` has what `view` has, and `admin` what `edit` has.
    pub with: &'static [&'static str],
    /// Whom it is for.
    pub why: &'static str,
    /// What it grants.
    pub rules: &'static [Rule],
}

/// Every role for people.
pub const ROLES: &[Role] = &[
    Role {
        name: "sluice-viewer",
        with: &["view"],
        why: "Reading. No object of ours holds a credential: MetricsProviders and NotificationSinks name their Secrets. These two kinds are in no namespace, so a RoleBinding does not show them.",
        rules: &[Rule {
            resources: &[
                "rollouts",
                "releases",
                "reworkevents",
                "decisionlogs",
                "metricsproviders",
                "notificationsinks",
                "interventions",
                "reclassifications",
                "postmortems",
            ],
            verbs: &["get", "list", "watch"],
            why: "",
        }],
    },
    Role {
        name: "sluice-editor",
        with: &["edit", "admin"],
        why: "The team that owns the workload: its Rollouts, and every action that ends, halts or repeats an attempt. An attempt that is tried again is judged again. Status, Releases and ReworkEvents are the operator's to write.",
        rules: &[
            Rule {
                resources: &["rollouts"],
                verbs: &["create", "update", "patch", "delete", "abort", "hold", "resume", "retry"],
                why: "",
            },
            Rule {
                resources: &["interventions"],
                verbs: &["create", "delete"],
                why: "An Intervention may be deleted: what was asked and done is in the Release.",
            },
            Rule {
                resources: &["postmortems"],
                verbs: &["create", "update", "patch", "delete"],
                why: "Drafts of postmortems are theirs to complete, to make by hand, and to throw away.",
            },
        ],
    },
    Role {
        name: "sluice-approver",
        with: &[],
        why: "Whoever answers for a version that goes on: not aggregated, so that the author of a change does not approve it merely because he may edit the Deployment.",
        rules: &[
            Rule { resources: &["rollouts"], verbs: &["approve", "promote"], why: "" },
            Rule { resources: &["interventions"], verbs: &["create"], why: "" },
        ],
    },
    Role {
        name: "sluice-breakglass",
        with: &[],
        why: "Whoever may let an unproven template roll, by an Intervention or by the annotation sluice.dev/break-glass: not aggregated, because it puts all of Sluice out of action for that template.",
        rules: &[
            Rule { resources: &["rollouts"], verbs: &["breakglass"], why: "" },
            Rule { resources: &["interventions"], verbs: &["create"], why: "" },
        ],
    },
    Role {
        name: "sluice-reclassifier",
        with: &[],
        why: "Whoever may say afterwards that a Release failed, or did not, or what it was for: not aggregated, because the figures of a team are not worth much if the team alone can change them. Nobody is given `delete`: what was said stays.",
        rules: &[Rule { resources: &["reclassifications"], verbs: &["create"], why: "" }],
    },
];
