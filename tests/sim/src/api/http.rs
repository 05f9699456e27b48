//! The API server as a tower service: requests of one process of the operator, with everything that can happen on the
//! way there and back.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};

use super::kinds::{Kind, by_resource};
use super::patches::{Change, Part};
use super::rights;
use super::store::{Key, Look as _, Refusal, labels_match};
use super::watches;
use crate::faults::Fate;
use crate::world::{Actor, State, World};

/// What one process of the operator reaches.
#[derive(Clone)]
pub struct Server {
    world: World,
    place: usize,
    incarnation: u64,
}

type Reply = UnsyncBoxBody<Bytes, std::io::Error>;
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A request that was understood.
#[derive(Debug)]
struct Call {
    method: Method,
    kind: &'static Kind,
    namespace: String,
    name: String,
    part: Part,
    query: Vec<(String, String)>,
    body: Value,
    content: String,
}

impl Server {
    /// For the process at this place, as it is alive now.
    pub fn new(world: &World, place: usize) -> Self {
        let incarnation = world.lock().alive.get(place).copied().unwrap_or_default();
        Self { world: world.clone(), place, incarnation }
    }

    async fn serve(self, request: Request<Body>) -> Result<Response<Reply>, Failure> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let call = Call {
            body: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? },
            content: header(&parts.headers, "content-type"),
            ..understood(&parts)?
        };
        let verb = call.verb();
        if !rights::may(verb, call.kind, call.part) {
            let message = format!("the operator cannot {verb} {}", call.kind.plural);
            self.world.lock().history.tell(&message);
            return answer(Err(Refusal::new(403, "Forbidden", &message)));
        }
        let fate = {
            let mut state = self.world.lock();
            let now = self.world.elapsed();
            state.faults.fate(now, self.place, call.method != Method::GET, call.kind.kind)
        };
        tokio::time::sleep(Duration::from_millis(fate.there)).await;
        if fate.partition {
            tokio::time::sleep(sluice::watch::SILENCE).await;
            return Err("nothing arrived".into());
        }
        if let Some(code) = fate.refused {
            let reason = if code == 429 { "TooManyRequests" } else { "InternalError" };
            return answer(Err(Refusal::new(code, reason, "simulated")));
        }
        if fate.unsent {
            return Err("the connection was refused".into());
        }
        if let Some(after) = fate.late {
            let mut state = self.world.lock();
            if state.alive.get(self.place) == Some(&self.incarnation) {
                let line =
                    format!("operator-{}: {} {} {} is cut off", self.place, call.method, call.kind.kind, call.name);
                state.history.tell(&line);
                let due = self.world.elapsed().saturating_add(after);
                state.late.push((due, Late { call, place: self.place }));
            }
            return Err("the connection was cut".into());
        }
        let done = self.done(&call, &fate)?;
        tokio::time::sleep(Duration::from_millis(fate.back)).await;
        if fate.lost {
            return Err("the connection was cut before the answer".into());
        }
        if fate.hangs {
            // What the client itself does about a connection on which nothing arrives.
            tokio::time::sleep(sluice::watch::SILENCE).await;
            return Err("nothing arrived".into());
        }
        done
    }

    /// The moment in which the request takes effect.
    fn done(&self, call: &Call, fate: &Fate) -> Result<Result<Response<Reply>, Failure>, Failure> {
        let mut state = self.world.lock();
        if state.alive.get(self.place) != Some(&self.incarnation) {
            return Err("this process is dead".into());
        }
        if call.verb() == "watch" {
            drop(state);
            let from = call.asked("resourceVersion").and_then(|version| version.parse().ok()).unwrap_or(0);
            let selector = call.asked("labelSelector").unwrap_or_default();
            let seconds = call.asked("timeoutSeconds").and_then(|text| text.parse().ok()).unwrap_or(290);
            let lines = watches::body(&self.world, call.kind.kind, self.place, selector, from, seconds);
            let frames = futures::StreamExt::map(lines, |line| line.map(Frame::data));
            let body = Reply::new(StreamBody::new(frames));
            return Ok(Response::builder().status(200).body(body).map_err(Into::into));
        }
        let result = self.carried_out(&mut state, call);
        if let Err(refusal) = &result
            && call.method != Method::GET
        {
            let line = format!(
                "operator-{}: {} {} {} is refused: {} {}",
                self.place, call.method, call.kind.kind, call.name, refusal.code, refusal.message
            );
            state.history.tell(&line);
        }
        if fate.kills && call.method != Method::GET {
            let after = format!("after {} {} {}", call.method, call.kind.kind, call.name);
            self.world.kill(&mut state, self.place, &after);
            return Err("this process is dead".into());
        }
        if fate.lost || fate.hangs {
            let line = format!(
                "operator-{}: the answer to {} {} {} is lost",
                self.place, call.method, call.kind.kind, call.name
            );
            state.history.tell(&line);
        }
        drop(state);
        Ok(answer(result))
    }

    fn carried_out(&self, state: &mut State, call: &Call) -> Result<Value, Refusal> {
        carried_out(&self.world, Actor::Operator(self.place), state, call)
    }
}

/// A request whose sender has given it up, and that takes effect all the same.
pub struct Late {
    call: Call,
    place: usize,
}

impl Late {
    /// The moment in which it does.
    pub fn land(self, world: &World, state: &mut State) {
        let Self { call, place } = self;
        if let Err(refusal) = carried_out(world, Actor::Late(place), state, &call) {
            let line =
                format!("operator-{place} (late): {} {} is refused: {}", call.kind.kind, call.name, refusal.message);
            state.history.tell(&line);
        }
    }
}

fn carried_out(world: &World, actor: Actor, state: &mut State, call: &Call) -> Result<Value, Refusal> {
    {
        let key = Key { kind: call.kind.kind, namespace: call.namespace.clone(), name: call.name.clone() };
        let whole = |object: std::sync::Arc<Value>| object.as_ref().clone();
        match call.method {
            Method::GET if call.name.is_empty() => {
                let selector = call.asked("labelSelector").unwrap_or_default();
                let all = state.store.list(call.kind.kind, &call.namespace);
                let items: Vec<Value> =
                    all.filter(|object| labels_match(object, selector)).map(|one| one.as_ref().clone()).collect();
                let version = state.store.version().to_string();
                Ok(json!({"kind": format!("{}List", call.kind.kind), "apiVersion": "v1",
                    "metadata": {"resourceVersion": version}, "items": items}))
            }
            Method::GET => state.store.get(&key).map(|object| object.as_ref().clone()).ok_or_else(|| {
                Refusal::new(404, "NotFound", &format!("{} \"{}\" not found", call.kind.plural, call.name))
            }),
            Method::POST => {
                let name = super::text(&call.body, "/metadata/name").to_owned();
                world.create(state, actor, &Key { name, ..key }, call.body.clone()).map(whole)
            }
            Method::PUT => {
                let how = Change::Replace(call.body.clone());
                world.change(state, actor, &key, call.part, &how, false).map(whole)
            }
            Method::PATCH => {
                let how = if call.content.starts_with("application/json-patch") {
                    Change::Json(call.body.clone())
                } else {
                    Change::Merge(call.body.clone())
                };
                let dry = call.asked("dryRun").is_some();
                world.change(state, actor, &key, call.part, &how, dry).map(whole)
            }
            Method::DELETE => {
                let wanted = |field: &str| call.body.at(field).and_then(Value::as_str);
                let (uid, version) = (wanted("/preconditions/uid"), wanted("/preconditions/resourceVersion"));
                world.delete(state, actor, &key, uid, version)?;
                Ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))
            }
            _ => Err(Refusal::new(405, "MethodNotAllowed", "simulated")),
        }
    }
}

impl Call {
    /// As roles call it.
    fn verb(&self) -> &'static str {
        match self.method {
            Method::GET if self.asked("watch") == Some("true") => "watch",
            Method::GET if self.name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            _ => "delete",
        }
    }

    fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

fn header(headers: &http::HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Reads the path: `/api/v1/…` or `/apis/GROUP/VERSION/…`, then namespaces, resource, name and subresource.
fn understood(parts: &http::request::Parts) -> Result<Call, Failure> {
    let path: Vec<&str> = parts.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let (group, rest) = match path.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return Err(format!("{} is no path of the API", parts.uri.path()).into()),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let (plural, name, sub) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, sub] => (*plural, *name, *sub),
        _ => return Err(format!("{} is no path of the API", parts.uri.path()).into()),
    };
    // What is not served is a 404, as for GRPCRoute here.
    let kind = by_resource(group, plural).ok_or_else(|| Failure::from(format!("{UNKNOWN}{plural}")))?;
    let query = parts.uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    Ok(Call {
        method: parts.method.clone(),
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        part: if sub == "status" { Part::Status } else { Part::Main },
        query: query.map(|(key, value)| (key.to_owned(), decoded(value))).collect(),
        body: Value::Null,
        content: String::new(),
    })
}

const UNKNOWN: &str = "not served: ";

/// `%2F` and the like.
fn decoded(value: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits: Vec<u8> = rest.by_ref().take(2).collect();
            let code = std::str::from_utf8(&digits).ok().and_then(|text| u8::from_str_radix(text, 16).ok());
            bytes.push(code.unwrap_or(b'?'));
        } else {
            bytes.push(if byte == b'+' { b' ' } else { byte });
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn answer(result: Result<Value, Refusal>) -> Result<Response<Reply>, Failure> {
    let (code, body) = match result {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.code, refusal.body()),
    };
    let response = Response::builder().status(code).header("content-type", "application/json");
    let body = Full::new(Bytes::from(serde_json::to_vec(&body)?));
    Ok(response.body(Reply::new(body.map_err(|never| match never {})))?)
}

impl tower::Service<Request<Body>> for Server {
    type Response = Response<Reply>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Reply>, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            match server.serve(request).await {
                Err(error) if error.to_string().starts_with(UNKNOWN) => {
                    answer(Err(Refusal::new(404, "NotFound", "the server could not find the requested resource")))
                }
                served => served,
            }
        })
    }
}
