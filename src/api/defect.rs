//! What failures have in common: the labels by which their bad requests stood out, and when two of them are one defect.
//!
//! Owns the signature and the comparison, which `decide` (what comes back) and `figures` (how often) both use. Pure;
//! must not know where the labels come from.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::names;

/// For how many days a failure is remembered: what is alike within them comes back.
pub const REMEMBERED_DAYS: u32 = 90;

/// Labels that say how a request failed. Two failures that have none of these in common are two defects, whatever else
/// they share.
pub const CLASSES: [&str; 15] = [
    "code",
    "status",
    "status_code",
    "http_status",
    "http_status_code",
    "http_response_status_code",
    "response_code",
    "envoy_response_code",
    "grpc_code",
    "grpc_status",
    "grpc_response_status",
    "rpc_grpc_status_code",
    "response_flags",
    "error",
    "error_type",
];

/// A value of a label that most of the excess has in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Symptom {
    /// The label, as the counter has it. `pod` with the value `one`: it was one pod of several. `direction`: on which side of its two limits a query was.
    #[schemars(length(max = 64))]
    pub label: String,
    /// Its value; identifiers in paths are `*`.
    #[schemars(length(max = 64))]
    pub value: String,
    /// How much of the excess it has, in percent.
    #[schemars(range(max = 100))]
    pub share: u8,
}

/// A failure as a record describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defect<'a> {
    /// The signature that it was given.
    pub signature: Option<&'a str>,
    /// Why it was taken back.
    pub reason: &'a str,
    /// By which signal.
    pub signal: Option<&'a str>,
    /// How its bad requests stood out; absent where nobody could say.
    pub symptoms: Option<&'a [Symptom]>,
}

impl Defect<'_> {
    /// The same for the same defect of a Rollout. Without symptoms it is that of versions that knew none.
    pub fn sign(&self, namespace: &str, rollout: &str) -> String {
        let mut texts = vec![namespace, rollout, self.reason, self.signal.unwrap_or_default()];
        texts.extend(self.labels().into_iter().flat_map(|(label, value)| [label, value]));
        names::digest(&texts)
    }

    /// Whether a failure of the same Rollout is the same defect. The signature decides, else what is known of both: where
    /// one of them has no symptoms, only why and by which signal can be compared.
    pub fn same(&self, other: &Defect<'_>) -> bool {
        if self.signature.is_some() && self.signature == other.signature {
            return true;
        }
        match (self.symptoms, other.symptoms) {
            (Some(_), Some(_)) => self.alike(other),
            (Some(_), None) | (None, Some(_)) => (self.reason, self.signal) == (other.reason, other.signal),
            // The signature is made of all that is known, and it is another.
            (None, None) => false,
        }
    }

    /// Whether a failure of another Rollout looks like the same defect. Every service has a signal "errors": without a
    /// symptom on both sides nothing is alike.
    pub fn kin(&self, other: &Defect<'_>) -> bool {
        let known = |one: &Defect<'_>| one.symptoms.is_some_and(|symptoms| !symptoms.is_empty());
        known(self) && known(other) && self.alike(other)
    }

    /// What both have in common, for people.
    pub fn common(&self, others: &[Defect<'_>]) -> Vec<String> {
        let shared = |of: &dyn Fn(&Defect<'_>) -> bool| others.iter().all(of);
        let mut words = Vec::new();
        if shared(&|other| other.reason == self.reason) {
            words.push(self.reason.to_owned());
        }
        if let Some(signal) = self.signal.filter(|_| shared(&|other| other.signal == self.signal)) {
            words.push(format!("signal {signal}"));
        }
        let labels = self.labels().into_iter().filter(|pair| shared(&|other| other.labels().contains(pair)));
        words.extend(labels.map(|(label, value)| format!("{label}={value}")));
        words
    }

    /// Jaccard's index of reason, signal and labels is 0.7 or more, and the ways in which requests failed are not known to
    /// be different.
    fn alike(&self, other: &Defect<'_>) -> bool {
        let (mine, theirs) = (self.labels(), other.labels());
        let class = |labels: &BTreeSet<(&str, &str)>| labels.iter().any(|(label, _)| CLASSES.contains(label));
        let common = mine.intersection(&theirs).filter(|(label, _)| CLASSES.contains(label)).count();
        if class(&mine) && class(&theirs) && common == 0 {
            return false;
        }
        // Reason and signal are members of the sets, too.
        let members = |same: bool| if same { (1_usize, 1_usize) } else { (0, 2) };
        let (reason, signal) = (members(self.reason == other.reason), members(self.signal == other.signal));
        let both = mine.intersection(&theirs).count().saturating_add(reason.0).saturating_add(signal.0);
        let either = mine.union(&theirs).count().saturating_add(reason.1).saturating_add(signal.1);
        both.saturating_mul(10) >= either.saturating_mul(7)
    }

    /// In an order of their own, without their shares: these are never twice the same.
    fn labels(&self) -> BTreeSet<(&str, &str)> {
        let symptoms = self.symptoms.unwrap_or_default().iter();
        symptoms.map(|symptom| (symptom.label.as_str(), symptom.value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symptoms(labels: &[(&str, &str)]) -> Vec<Symptom> {
        let symptom = |(label, value): &(&str, &str)| Symptom {
            label: (*label).to_owned(),
            value: (*value).to_owned(),
            share: 100,
        };
        labels.iter().map(symptom).collect()
    }

    fn breach<'a>(symptoms: Option<&'a [Symptom]>) -> Defect<'a> {
        Defect { signature: None, reason: "SignalBreached", signal: Some("errors"), symptoms }
    }

    #[test]
    fn order_and_shares_are_no_part_of_a_signature() {
        let one = symptoms(&[("code", "503"), ("route", "/pay")]);
        let mut other = symptoms(&[("route", "/pay"), ("code", "503")]);
        other[0].share = 81;
        let sign = |symptoms: &[Symptom]| breach(Some(symptoms)).sign("demo", "shop");
        assert_eq!(sign(&one), sign(&other));
        assert_ne!(sign(&one), sign(&symptoms(&[("code", "500"), ("route", "/pay")])));
        assert_ne!(sign(&one), sign(&symptoms(&[("code", "503=route"), ("", "/pay")])), "no label passes for another");
    }

    #[test]
    fn without_symptoms_the_signature_is_that_of_older_versions() {
        let old = names::digest(&["demo", "shop", "SignalBreached", "errors"]);
        assert_eq!(breach(None).sign("demo", "shop"), old);
        assert_eq!(breach(Some(&[])).sign("demo", "shop"), old);
    }

    #[test]
    fn seven_tenths_in_common_are_the_same() {
        // With reason and signal 5 of 6 and 4 of 5.
        let three = symptoms(&[("code", "503"), ("method", "GET"), ("route", "/pay")]);
        let four = symptoms(&[("code", "503"), ("method", "GET"), ("route", "/pay"), ("zone", "a")]);
        let two = symptoms(&[("code", "503"), ("method", "GET")]);
        assert!(breach(Some(&three)).same(&breach(Some(&four))));
        assert!(breach(Some(&three)).same(&breach(Some(&two))));
        // 4 of 6.
        assert!(!breach(Some(&two)).same(&breach(Some(&four))));
        // 7 of 10 exactly: reason, signal and five labels of eight.
        let many = |from: u8, to: u8| -> Vec<Symptom> {
            let numbers: Vec<String> = (from..to).map(|n| n.to_string()).collect();
            symptoms(&numbers.iter().map(|n| ("route", n.as_str())).collect::<Vec<_>>())
        };
        assert!(breach(Some(&many(0, 5))).same(&breach(Some(&many(0, 8)))));
        assert!(!breach(Some(&many(0, 5))).same(&breach(Some(&many(0, 9)))));
        // 2 of 3: nothing stood out in one of them.
        assert!(!breach(Some(&[])).same(&breach(Some(&symptoms(&[("code", "503")])))));
    }

    #[test]
    fn another_way_to_fail_is_another_defect_however_much_else_is_the_same() {
        let of =
            |code| symptoms(&[("code", code), ("method", "GET"), ("route", "/pay"), ("zone", "a"), ("pod", "one")]);
        assert!(!breach(Some(&of("500"))).same(&breach(Some(&of("503")))));
    }

    #[test]
    fn where_one_has_no_symptoms_reason_and_signal_decide() {
        let known = symptoms(&[("code", "503"), ("route", "/pay")]);
        assert!(breach(None).same(&breach(Some(&known))) && breach(Some(&known)).same(&breach(None)));
        assert!(!breach(Some(&known)).same(&Defect { signal: Some("slow"), ..breach(None) }));
        let signed = |signature| Defect { signature: Some(signature), ..breach(None) };
        assert!(signed("a").same(&signed("a")) && !signed("a").same(&signed("b")));
        assert!(!breach(None).same(&breach(None)), "no signature is not the same signature");
    }

    #[test]
    fn other_services_are_kin_by_symptoms_only() {
        let known = symptoms(&[("code", "503")]);
        assert!(breach(Some(&known)).kin(&breach(Some(&known))));
        assert!(!breach(None).kin(&breach(None)) && !breach(Some(&[])).kin(&breach(Some(&[]))));
        assert!(!breach(None).kin(&breach(Some(&known))));
    }

    #[test]
    fn what_is_common_is_said() {
        let (one, other) = (symptoms(&[("code", "503"), ("zone", "a")]), symptoms(&[("code", "503")]));
        assert_eq!(breach(Some(&one)).common(&[breach(Some(&other))]), ["SignalBreached", "signal errors", "code=503"]);
        assert_eq!(breach(Some(&one)).common(&[breach(None)]), ["SignalBreached", "signal errors"]);
    }
}
