//! An audit log of the API server against the table: how often each right was used, what was denied, what was allowed
//! by something else.
//!
//! Owns the comparison. Takes one line at a time and keeps counts only: a log may have hundreds of megabytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};
use std::io::{self, BufRead};

use serde::Deserialize;

use super::{RIGHTS, Right, Scope};

/// How many denied calls, and calls that something else allowed, are told apart.
const TOLD: usize = 100;

/// One verb of one row on one resource.
#[derive(Debug, Clone, Copy)]
pub struct Grant {
    right: &'static Right,
    resource: &'static str,
    verb: &'static str,
}

impl Grant {
    /// Every grant of the table, in its order.
    fn all() -> impl Iterator<Item = Self> {
        RIGHTS.iter().flat_map(|right| {
            let of = move |resource: &'static str| right.verbs.iter().map(move |verb| Self { right, resource, verb });
            right.resources.iter().copied().flat_map(of)
        })
    }

    fn covers(&self, call: &Call<'_>, own: &str) -> bool {
        let place = match self.right.scope {
            Scope::Cluster => call.namespace.is_empty(),
            Scope::Watched => true,
            Scope::Own => call.namespace == own,
        };
        let named = self.right.names.is_empty() || self.right.names.contains(&call.name);
        place && named && self.right.group == call.group && self.resource == call.resource && self.verb == call.verb
    }
}

impl Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.right.scope {
            Scope::Cluster => "no namespace",
            Scope::Watched => "every namespace",
            Scope::Own => "own namespace",
        };
        write!(f, "{:<6} {}", self.verb, of_group(self.resource, self.right.group))?;
        if !self.right.names.is_empty() {
            write!(f, " {}", self.right.names.join(", "))?;
        }
        write!(f, " ({place})")
    }
}

/// What was asked of the API server.
struct Call<'a> {
    verb: &'a str,
    group: &'a str,
    resource: String,
    namespace: &'a str,
    name: &'a str,
}

impl Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, of_group(&self.resource, self.group))?;
        let place = [self.namespace, self.name].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>();
        if place.is_empty() { Ok(()) } else { write!(f, " {}", place.join("/")) }
    }
}

fn of_group(resource: &str, group: &str) -> String {
    if group.is_empty() { resource.to_owned() } else { format!("{group}/{resource}") }
}

/// A line of the log, as far as it matters here: audit.k8s.io/v1 Event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    #[serde(rename = "auditID", default)]
    id: String,
    #[serde(default, borrow)]
    stage: std::borrow::Cow<'a, str>,
    #[serde(default)]
    verb: String,
    #[serde(rename = "requestURI", default)]
    uri: String,
    user: User,
    impersonated_user: Option<serde::de::IgnoredAny>,
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

/// What a log says about one user.
pub struct Usage {
    user: String,
    own: String,
    calls: u64,
    unreadable: u64,
    used: Vec<(Grant, u64)>,
    denied: BTreeMap<String, u64>,
    elsewhere: BTreeMap<String, u64>,
    /// Of calls that are told of twice, as watches are: when they begin and when they end.
    ids: BTreeSet<String>,
}

impl Usage {
    /// Of the ServiceAccount in its own namespace; nothing has been read yet.
    pub fn of(namespace: &str, account: &str) -> Self {
        Self {
            user: format!("system:serviceaccount:{namespace}:{account}"),
            own: namespace.to_owned(),
            calls: 0,
            unreadable: 0,
            used: Grant::all().map(|grant| (grant, 0)).collect(),
            denied: BTreeMap::new(),
            elsewhere: BTreeMap::new(),
            ids: BTreeSet::new(),
        }
    }

    /// Reads a log to its end. What follows the last line feed is a line that is being written.
    pub fn read(&mut self, mut log: impl BufRead) -> io::Result<()> {
        let mut line = Vec::new();
        loop {
            line.clear();
            log.read_until(b'\n', &mut line)?;
            if line.pop() != Some(b'\n') {
                return Ok(());
            }
            self.line(&String::from_utf8_lossy(&line));
        }
    }

    fn line(&mut self, text: &str) {
        // Most lines are of others, and reading them whole would take a hundred times as long.
        if !text.contains(&self.user) {
            return;
        }
        let Ok(line) = serde_json::from_str::<Line<'_>>(text) else {
            self.unreadable = self.unreadable.saturating_add(1);
            return;
        };
        let again = line.stage != "RequestReceived" && !self.ids.contains(&line.id);
        if line.user.username != self.user || line.impersonated_user.is_some() || !again {
            return;
        }
        if line.stage == "ResponseStarted" {
            self.ids.insert(line.id.clone());
        }
        self.calls = self.calls.saturating_add(1);
        let decision = line.annotations.get("authorization.k8s.io/decision").map_or("", String::as_str);
        let reason = line.annotations.get("authorization.k8s.io/reason").map_or("", String::as_str);
        let object = line.object_ref.unwrap_or_default();
        let resource = match object.subresource.as_str() {
            "" => object.resource.clone(),
            subresource => format!("{}/{subresource}", object.resource),
        };
        let (verb, group) = (line.verb.as_str(), object.api_group.as_str());
        let call = Call { verb, group, resource, namespace: &object.namespace, name: &object.name };
        let what = if object.resource.is_empty() { format!("{verb} {}", line.uri) } else { call.to_string() };
        if decision == "forbid" {
            note(&mut self.denied, what);
        } else if let Some((_, count)) = self.used.iter_mut().find(|(grant, _)| grant.covers(&call, &self.own)) {
            *count = count.saturating_add(1);
        } else if decision == "allow" && !object.resource.is_empty() {
            note(&mut self.elsewhere, format!("{what}: {reason}"));
        }
        // Addresses that are no resources, such as /version, are open to everybody who has logged in.
    }

    /// Why this does not pass, one sentence each; `every` asks for each right to have been used.
    pub fn faults(&self, every: bool) -> Vec<String> {
        let mut faults = Vec::new();
        if self.calls == 0 {
            faults.push(format!("the log has no call of {}; is it the right log and account?", self.user));
        }
        if self.unreadable > 0 {
            faults.push(format!("{} lines that name {} cannot be read", self.unreadable, self.user));
        }
        if !self.denied.is_empty() {
            faults.push(format!("{} calls were denied", self.denied.values().sum::<u64>()));
        }
        if !self.elsewhere.is_empty() {
            let calls = self.elsewhere.values().sum::<u64>();
            faults.push(format!("{calls} calls were allowed by something that is not in the table"));
        }
        let unused = self.unused().count();
        if every && unused > 0 {
            faults
                .push(format!("{unused} rights were never used: use them in a test, or take them out of src/rights/"));
        }
        faults
    }

    fn unused(&self) -> impl Iterator<Item = &Grant> {
        self.used.iter().filter(|(_, count)| *count == 0).map(|(grant, _)| grant)
    }
}

fn note(calls: &mut BTreeMap<String, u64>, what: String) {
    let what = if calls.len() < TOLD || calls.contains_key(&what) { what } else { "others".to_owned() };
    let count = calls.entry(what).or_default();
    *count = count.saturating_add(1);
}

/// Three lists: granted and used, granted and never used, denied; and a fourth if there is anything in it.
impl Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls of {}", self.calls, self.user)?;
        writeln!(f, "\nRights, and how often each was used:")?;
        for (grant, count) in self.used.iter().filter(|(_, count)| *count > 0) {
            writeln!(f, "{count:>9}  {grant}")?;
        }
        writeln!(f, "\nRights that were never used: {}", self.unused().count())?;
        for grant in self.unused() {
            writeln!(f, "           {grant}")?;
        }
        for (title, calls) in
            [("Calls that were denied", &self.denied), ("Calls that something else allowed", &self.elsewhere)]
        {
            writeln!(f, "\n{title}: {}", calls.values().sum::<u64>())?;
            for (what, count) in calls {
                writeln!(f, "{count:>9}  {what}")?;
            }
        }
        Ok(())
    }
}
