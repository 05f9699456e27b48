//! Reading the rules of a NetworkPolicy: which peers name stable's pods and not the canary's.
//!
//! Rules stay raw JSON, so that a copy keeps fields that this program does not know. Namespaces are not watched: of
//! their labels only the name is known, which the API server puts on every namespace.

use serde_json::Value;

use super::super::selectors::{Labels, Selector};
use super::{PolicyFacts, Sides};

/// The label with its name that the API server keeps on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// One direction of traffic, in the words of a spec.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direction {
    /// As in `policyTypes`.
    pub(super) kind: &'static str,
    /// The field with the rules.
    pub(super) section: &'static str,
    /// The field of a rule with the peers.
    pub(super) peers: &'static str,
}

const DIRECTIONS: [Direction; 2] = [
    Direction { kind: "Ingress", section: "ingress", peers: "from" },
    Direction { kind: "Egress", section: "egress", peers: "to" },
];

/// The directions that a policy governs. Rules of others have no effect.
pub(super) fn directions(spec: &Value) -> impl Iterator<Item = Direction> {
    let types: Vec<&str> = list(spec, "policyTypes").filter_map(Value::as_str).collect();
    let egress = list(spec, "egress").next().is_some();
    let governs = move |direction: &Direction| match types.is_empty() {
        true => direction.kind == "Ingress" || egress,
        false => types.contains(&direction.kind),
    };
    DIRECTIONS.into_iter().filter(governs).collect::<Vec<_>>().into_iter()
}

/// A list of a spec or rule; one that is missing is empty.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    value.get(field).and_then(Value::as_array).into_iter().flatten()
}

/// Whether a `namespaceSelector` means this namespace; `None` if that hangs on labels that are not known.
fn means(selector: &Value, namespace: &str) -> Option<bool> {
    let known = Labels::from([(NAME_LABEL.to_owned(), namespace.to_owned())]);
    Selector::read(selector).selects_known(&known)
}

/// Whether some peer names pods by their labels in a namespace that may be this one.
pub(super) fn may_reach(spec: &Value, namespace: &str) -> bool {
    directions(spec).any(|direction| {
        list(spec, direction.section)
            .flat_map(|rule| list(rule, direction.peers))
            .any(|peer| peer.get("namespaceSelector").is_some_and(|selector| means(selector, namespace) != Some(false)))
    })
}

/// Reads rules for one Rollout.
pub(super) struct Reader<'a> {
    /// Where its pods are.
    pub(super) namespace: &'a str,
    /// Their labels.
    pub(super) sides: &'a Sides,
}

impl Reader<'_> {
    /// Whether a peer of a policy in namespace `home` can mean pods of our namespace; `None` if it is not known.
    pub(super) fn reaches(&self, peer: &Value, home: &str) -> Option<bool> {
        match (peer.get("namespaceSelector"), peer.get("podSelector")) {
            (Some(selector), _) => means(selector, self.namespace),
            (None, Some(_)) => Some(home == self.namespace),
            (None, None) => Some(false), // addresses
        }
    }

    /// The selector of a peer that picks stable's pods and not the canary's.
    fn stable_only(&self, peer: &Value) -> Option<Selector> {
        let selector = Selector::read(peer.get("podSelector")?);
        self.sides.stable_only(&selector).then_some(selector)
    }

    /// A rule that lets everybody through, or the canary by name.
    fn lets_canary(&self, rule: &Value, direction: Direction, home: &str) -> bool {
        let picks = |peer: &Value| {
            let selector = peer.get("podSelector").map(Selector::read).unwrap_or_default();
            self.reaches(peer, home) == Some(true) && selector.selects(&self.sides.canary)
        };
        list(rule, direction.peers).next().is_none() || list(rule, direction.peers).any(picks)
    }

    /// The peers of a rule that name stable's pods and not the canary's, where no other peer names those. Of a peer
    /// whose namespaces are not known it is assumed that it means ours.
    pub(super) fn lacking<'a>(&self, rule: &'a Value, direction: Direction, home: &str) -> Vec<&'a Value> {
        if self.lets_canary(rule, direction, home) {
            return Vec::new();
        }
        let lacking = |peer: &&Value| self.reaches(peer, home) != Some(false) && self.stable_only(peer).is_some();
        list(rule, direction.peers).filter(lacking).collect()
    }

    /// Where and by which selector a policy of another namespace leaves the canary out for certain, unless it or one of
    /// its neighbours says the same of the canary.
    pub(super) fn leaves_out(&self, policy: &PolicyFacts, beside: &[PolicyFacts]) -> Option<(&'static str, Selector)> {
        let home = policy.namespace.as_str();
        directions(&policy.spec).find_map(|direction| {
            list(&policy.spec, direction.section).find_map(|rule| {
                let certain = |peer: &&Value| self.reaches(peer, home) == Some(true);
                let peer = self.lacking(rule, direction, home).into_iter().find(certain)?;
                let made_up = beside.iter().any(|other| self.makes_up(other, policy, rule, direction));
                let selector = self.stable_only(peer).filter(|_| !made_up)?;
                Some((direction.section, selector))
            })
        })
    }

    /// Whether `other` lets the canary through for the pods of `policy` on the ports of `rule`.
    fn makes_up(&self, other: &PolicyFacts, policy: &PolicyFacts, rule: &Value, direction: Direction) -> bool {
        let ports: Vec<&Value> = list(rule, "ports").collect();
        let same = |one: &Value| {
            let its: Vec<&Value> = list(one, "ports").collect();
            its.is_empty() || its == ports
        };
        other.namespace == policy.namespace
            && other.selector() == policy.selector()
            && directions(&other.spec).any(|its| its.kind == direction.kind)
            && list(&other.spec, direction.section)
                .any(|one| same(one) && self.lets_canary(one, direction, &other.namespace))
    }

    /// Whether a policy of another namespace would leave the canary out if it means our namespace.
    pub(super) fn may_leave_out(&self, policy: &PolicyFacts) -> bool {
        let home = policy.namespace.as_str();
        directions(&policy.spec).any(|direction| {
            list(&policy.spec, direction.section)
                .any(|rule| self.lacking(rule, direction, home).iter().any(|peer| self.reaches(peer, home).is_none()))
        })
    }
}
