//! The table as docs/rights.md. Owns its text; a test compares it with the file.

use super::people::ROLES;
use super::{Feature, Right, Scope, rows};

const BEFORE: &str = "# Rights\n\n\
This page lists what the operator may do and why, and which roles there are for people. It is generated, like the\n\
manifests that grant it: change `src/rights/` and run `make rights`. `sluice rights` prints this page.\n\n\
- Nothing has a wildcard. No Secret is listed or watched: single ones are read by name, in the operator's namespace.\n\
- Rights say which kinds may be written. [deploy/base/limits.yaml](../deploy/base/limits.yaml) says which fields:\n  \
[gate.md](gate.md#what-the-operator-itself-may-not-do).\n\
- The operator makes pods from a template that someone else wrote, with that Deployment's ServiceAccount: whoever may\n  \
change a governed Deployment may run pods there anyway. What else follows from its rights:\n  \
[security.md](security.md#what-a-compromised-operator-can-do).\n\
- Every right is used, and no call is denied: the end-to-end tests end with a comparison of this table and the audit\n  \
log of the API server. See [below](#compared-with-an-audit-log).\n";

const AFTER: &str = "\n## Not every namespace\n\n\
`deploy/components/namespaced` grants the rights of the first three tables by Roles in the watched namespaces in place\n\
of ClusterRoles. For each further one:\n\n\
```\n\
sluice rights --in-namespace payments | kubectl apply -f -\n\
```\n\n\
The kinds that are in no namespace are read all the same: their table stays a ClusterRole.\n\n\
## Compared with an audit log\n\n\
```\n\
sluice rights --audit audit.log                    # how often each right was used, and every call that was denied\n\
sluice rights --audit audit.log --every-right-used # fails if one was never used\n\
```\n\n\
It reads logs of the API server at the level `Metadata` or higher, one JSON object per line, and counts the calls of the\n\
operator's ServiceAccount (`--namespace`, `--service-account`) alone: not those of others, and none by impersonation. It\n\
fails if a call was denied by RBAC, or was allowed by something that is not in the table. A refusal by an admission\n\
policy is neither.\n\n\
`tests/e2e.sh` does this after every run, and wants every right used after a run of all tests.\n";

/// The document.
pub fn markdown() -> String {
    let mut text = String::from(BEFORE);
    let sections = [
        ("In every namespace", Feature::Core, Scope::Watched),
        ("HTTPRoutes", Feature::HttpRoutes, Scope::Watched),
        ("GRPCRoutes", Feature::GrpcRoutes, Scope::Watched),
        ("Kinds that are in no namespace", Feature::Core, Scope::Cluster),
        ("Secrets, in the operator's namespace", Feature::Secrets, Scope::Own),
        ("The Lease, in the operator's namespace", Feature::Lease, Scope::Own),
    ];
    for (title, feature, scope) in sections {
        text.push_str(&format!(
            "\n## {title}\n\n{} `{}`: {}.\n\n| Group | Resource | Verbs | Why |\n| --- | --- | --- | --- |\n",
            if scope == Scope::Own { "Role" } else { "ClusterRole" },
            feature.role_in(scope),
            feature.about(),
        ));
        rows(feature, scope).for_each(|right| text.push_str(&row(right)));
    }
    text.push_str(
        "\n## Roles for people\n\n\
         In [deploy/base/roles.yaml](../deploy/base/roles.yaml), on kinds of the group `sluice.dev`. Who may ask for what:\n\
         [gate.md](gate.md#who-may-ask-for-what). MetricsProviders and NotificationSinks are written by `cluster-admin`\n\
         alone: see [security.md](security.md#who-is-trusted-with-what).\n\n\
         | ClusterRole | Comes with | May | Why |\n| --- | --- | --- | --- |\n",
    );
    for role in ROLES {
        let with = match role.with {
            [] => "nothing: bind it".to_owned(),
            built_in => words(built_in),
        };
        let rules: Vec<String> =
            role.rules.iter().map(|rule| format!("{}: {}", words(rule.resources), rule.verbs.join(", "))).collect();
        let whys: Vec<&str> = [role.why]
            .into_iter()
            .chain(role.rules.iter().map(|rule| rule.why))
            .filter(|why| !why.is_empty())
            .collect();
        text.push_str(&format!("| `{}` | {with} | {} | {} |\n", role.name, rules.join("; "), whys.join(" ")));
    }
    text.push_str(AFTER);
    text
}

fn row(right: &Right) -> String {
    let group = if right.group.is_empty() { "core".to_owned() } else { format!("`{}`", right.group) };
    let names = match right.names {
        [] => String::new(),
        names => format!(" of {}", words(names)),
    };
    let page = match right.page {
        "" => String::new(),
        page => format!(" See [{}]({page}).", page.split('#').next().unwrap_or(page)),
    };
    format!("| {group} | {} | {}{names} | {}{page} |\n", words(right.resources), right.verbs.join(", "), right.why)
}

fn words(all: &[&str]) -> String {
    all.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
