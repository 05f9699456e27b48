//! One notification and its two forms: a CloudEvent with a CDEvent as its data, and a message for Slack. Pure.
//!
//! Owns the vocabulary, escaping and length. All text of others is data: it is cut, put on one line, and quoted.

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::artifact::{encoded, path};
use crate::api::{SinkEvent, SinkFormat};

/// The longest sentence that is told, in characters.
pub(super) const SENTENCE: usize = 2000;
/// The longest name or word.
pub(super) const WORD: usize = 253;
/// CDEvents 0.5, the last that is released.
const RELEASED: &str = "0.5.0";
/// Approvals are in the draft of the next.
const DRAFT: &str = "0.6.0-draft";

/// What a notification is about, in the words of CDEvents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// The workload runs another version now.
    Service {
        /// `deployed`, `upgraded` or `rolledback`.
        predicate: &'static str,
    },
    /// An attempt ended and the workload runs what it ran before.
    Attempt {
        /// `aborted`, `superseded` or `failed`.
        predicate: &'static str,
    },
    /// Users are harmed, or not any more.
    Incident {
        /// `detected` or `resolved`.
        predicate: &'static str,
        /// The Release that did it.
        release: String,
    },
    /// A person is asked.
    Asked {
        /// How many approvals the attempt had before.
        number: usize,
    },
    /// A person approved.
    Approved {
        /// How many approvals the attempt had before.
        number: usize,
        /// Who.
        by: String,
    },
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What a sink selects it by.
    pub word: SinkEvent,
    /// The same each time it is derived: whoever has had it knows it again.
    pub id: String,
    /// Its place in the order of time; none for what lasts and has no moment of its own.
    pub order: Option<Timestamp>,
    /// When it happened.
    pub at: Timestamp,
    /// What it is about.
    pub subject: Subject,
    /// Where.
    pub namespace: String,
    /// Whose.
    pub rollout: String,
    /// The attempt.
    pub release: String,
    /// Kind and name of the workload.
    pub workload: String,
    /// The package URL of the version that it is about.
    pub artifact: String,
    /// One sentence.
    pub message: String,
    /// The id of the notification that this one comes from, and whether it is the same thing going on.
    pub link: Option<Link>,
    /// What is ours beside the vocabulary.
    pub data: Map<String, Value>,
}

/// How a notification follows from another, by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// The same thing going on.
    Path(String),
    /// The other caused it.
    Trigger(String),
}

impl Event {
    /// Its id: a UUID (version 8) from what makes it unique.
    pub(super) fn id(namespace: &str, release: &str, word: SinkEvent, key: &str) -> String {
        uuid(&format!("{namespace}/{release}/{}/{key}", word.name()))
    }

    /// The body of the delivery and its content type.
    pub(super) fn body(&self, format: SinkFormat, environment: Option<&str>) -> (Vec<u8>, &'static str) {
        match format {
            SinkFormat::CloudEvents => {
                (self.cloud_event(environment).to_string().into_bytes(), "application/cloudevents+json; charset=utf-8")
            }
            SinkFormat::Slack => (self.slack(environment).to_string().into_bytes(), "application/json; charset=utf-8"),
        }
    }

    fn cloud_event(&self, environment: Option<&str>) -> Value {
        let source = match environment {
            Some(environment) => format!("/sluice/{}/{}", encoded(environment), self.place()),
            None => format!("/sluice/{}", self.place()),
        };
        let (type_, version) = self.type_();
        let (subject, time) = (self.subject_id(), self.at.to_string());
        let mut context = json!({
            "specversion": version,
            "id": self.id,
            "source": source,
            "type": type_,
            "timestamp": time,
            "chainId": uuid(&format!("{}/{}", self.namespace, self.release)),
        });
        if let (Some(link), Some(context)) = (&self.link, context.as_object_mut()) {
            let link = match link {
                Link::Path(from) => json!({"linkType": "PATH", "from": {"contextId": from}}),
                Link::Trigger(target) => {
                    json!({"linkType": "RELATION", "linkKind": "TRIGGER", "target": {"contextId": target}})
                }
            };
            context.insert("links".to_owned(), json!([link]));
        }
        json!({
            "specversion": "1.0",
            "id": self.id,
            "source": source,
            "type": type_,
            "subject": subject,
            "time": time,
            "datacontenttype": "application/json",
            "data": {
                "context": context,
                "subject": {"id": subject, "source": source, "content": self.content(environment)},
                "customData": self.data,
                "customDataContentType": "application/json",
            },
        })
    }

    fn place(&self) -> String {
        format!("namespaces/{}/rollouts/{}", encoded(&self.namespace), encoded(&self.rollout))
    }

    fn service(&self) -> String {
        format!("{}/{}", encoded(&self.namespace), path(&self.workload))
    }

    /// The type, and the version of the vocabulary that it is from.
    fn type_(&self) -> (String, &'static str) {
        match &self.subject {
            Subject::Service { predicate } => (format!("dev.cdevents.service.{predicate}.0.3.0"), RELEASED),
            Subject::Attempt { predicate } => (format!("dev.cdeventsx.sluice-attempt.{predicate}.0.1.0"), RELEASED),
            Subject::Incident { predicate, .. } => (format!("dev.cdevents.incident.{predicate}.0.3.0"), RELEASED),
            Subject::Asked { .. } => ("dev.cdevents.approval.created.0.1.0".to_owned(), DRAFT),
            Subject::Approved { .. } => ("dev.cdevents.approval.closed.0.1.0".to_owned(), DRAFT),
        }
    }

    fn subject_id(&self) -> String {
        let within = |name: &str| format!("{}/{}", encoded(&self.namespace), encoded(name));
        match &self.subject {
            Subject::Service { .. } => self.service(),
            Subject::Attempt { .. } => within(&self.release),
            Subject::Incident { release, .. } => within(release),
            Subject::Asked { number } | Subject::Approved { number, .. } => {
                format!("{}/approval-{number}", within(&self.release))
            }
        }
    }

    fn content(&self, environment: Option<&str>) -> Value {
        let namespace = encoded(&self.namespace);
        let environment =
            environment.map_or_else(|| namespace.clone(), |name| format!("{}/{namespace}", encoded(name)));
        let object = |plural: &str, name: &str| {
            format!("/apis/sluice.dev/v1alpha1/namespaces/{namespace}/{plural}/{}", encoded(name))
        };
        match &self.subject {
            Subject::Service { .. } => json!({"environment": {"id": environment}, "artifactId": self.artifact}),
            Subject::Attempt { .. } => json!({
                "environment": {"id": environment},
                "service": {"id": self.service()},
                "artifactId": self.artifact,
            }),
            Subject::Incident { .. } => json!({
                "description": self.message,
                "environment": {"id": environment},
                "service": {"id": self.service()},
                "artifactId": self.artifact,
            }),
            Subject::Asked { .. } => json!({
                "approvalDetailsUrl": object("rollouts", &self.rollout),
                "resourceTargetUrl": object("releases", &self.release),
                "requestor": "urn:sluice:operator",
            }),
            Subject::Approved { by, .. } => json!({
                "approvalDetailsUrl": object("rollouts", &self.rollout),
                "resourceTargetUrl": object("releases", &self.release),
                "responder": format!("urn:kubernetes:user:{}", encoded(by)),
                "decision": self.message,
                "status": "approved",
            }),
        }
    }

    /// One line of text. Nothing in it is formatted, linked to a user, or unfolded.
    fn slack(&self, environment: Option<&str>) -> Value {
        let name = |text: &str| inert(&cut(text, WORD));
        let environment = environment.map(|cluster| format!(" in {}", name(cluster))).unwrap_or_default();
        let (what, release, message) = (headline(self.word), name(&self.release), inert(&cut(&self.message, SENTENCE)));
        let place = format!("{}/{}", name(&self.namespace), name(&self.rollout));
        json!({
            "text": format!("{what}: {place}{environment}, release {release}: {message}"),
            "mrkdwn": false,
            "unfurl_links": false,
            "unfurl_media": false,
        })
    }
}

/// The fixed words of a message.
const fn headline(word: SinkEvent) -> &'static str {
    match word {
        SinkEvent::Promoted => "Promoted",
        SinkEvent::RolledBack => "Rolled back",
        SinkEvent::Aborted => "Aborted",
        SinkEvent::Superseded => "Superseded",
        SinkEvent::FailedBeforeExposure => "Failed before exposure",
        SinkEvent::Bypassed => "Rolled unproven",
        SinkEvent::Escaped => "Harm found after the promotion",
        SinkEvent::AwaitingApproval => "Awaiting approval",
        SinkEvent::Approved => "Approved",
        SinkEvent::IncidentDetected => "Harm detected, taking it back",
        SinkEvent::IncidentResolved => "Incident resolved",
    }
}

/// Text of others for Slack and what imitates it. `&`, `<` and `>` are all that Slack itself gives a meaning to; the
/// others also know `@name` and `[text](link)`, which a space of no width takes apart.
fn inert(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' | ']' => out.extend([c, '\u{200b}']),
            c => out.push(c),
        }
    }
    out
}

/// Text of others as it is told: on one line, and no longer than this.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let mut plain = text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c });
    let mut kept: String = plain.by_ref().take(longest).collect();
    if plain.next().is_some() {
        kept.pop();
        kept.push('…');
    }
    kept
}

/// A UUID of version 8 (RFC 9562) from the SHA-256 of a key.
fn uuid(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    let bytes = digest.iter().take(16).enumerate().map(|(at, byte)| match at {
        6 => (byte & 0x0f) | 0x80,
        8 => (byte & 0x3f) | 0x80,
        _ => *byte,
    });
    let mut text = String::new();
    for (at, byte) in bytes.enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests;
