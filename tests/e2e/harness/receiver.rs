//! Whoever is told: one HTTP server beside the testbed's components, to which Alertmanager and notification sinks post.
//! Each scenario has a path of its own, on which it can answer well, refuse, or never answer.
//!
//! It takes what is sent and keeps it; it runs as long as the tests do.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

/// Where pods and Alertmanager reach it; the testbed's Alertmanager posts there.
const ADDRESS: &str = "10.250.0.1:9094";
/// The path of Alertmanager.
const ALERTS: &str = "/alerts";

/// What came.
#[derive(Debug, Clone)]
pub struct Request {
    pub path: String,
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
    /// What it was answered with; 0 if it was not.
    pub answered: u16,
}

impl Request {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// How requests to a path are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    With(u16),
    Never,
}

#[derive(Debug)]
struct Receiver {
    answers: Mutex<BTreeMap<String, Answer>>,
    requests: watch::Sender<Vec<Request>>,
}

/// Says how requests to a path are answered from now on: with 200 if nobody said.
pub fn answer(path: &str, answer: Answer) {
    receiver().answers.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), answer);
}

/// The address of a path, for those who post.
pub fn url(path: &str) -> String {
    receiver();
    format!("http://{ADDRESS}{path}")
}

/// What came to a path and was answered well so far.
pub fn taken(path: &str) -> Vec<Request> {
    let all = receiver().requests.borrow();
    all.iter().filter(|one| one.path == path && one.answered == 200).cloned().collect()
}

/// Waits until what is asked for is found in what came to a path.
pub async fn until<T>(path: &str, what: &str, seconds: u64, found: impl Fn(&[Request]) -> Option<T>) -> T {
    let mut changes = receiver().requests.subscribe();
    let of_path = |all: &[Request]| -> Vec<Request> { all.iter().filter(|one| one.path == path).cloned().collect() };
    let wait = async {
        loop {
            let come = of_path(&changes.borrow_and_update());
            if let Some(found) = found(&come) {
                return found;
            }
            changes.changed().await.expect("the receiver runs as long as the tests");
        }
    };
    match tokio::time::timeout(Duration::from_secs(seconds), wait).await {
        Ok(found) => found,
        Err(_) => {
            let come = of_path(&receiver().requests.borrow());
            let bodies: Vec<_> = come.iter().map(|one| String::from_utf8_lossy(&one.body).into_owned()).collect();
            panic!("waited {seconds}s until {what}; to {path} came {bodies:#?}")
        }
    }
}

/// Every alert of this name for a namespace that Alertmanager told of, as it told it.
pub fn alerts(requests: &[Request], name: &str, namespace: &str) -> Vec<Value> {
    let told = requests.iter().map(Request::json);
    let of = |alert: &Value| alert["labels"]["alertname"] == name && alert["labels"]["namespace"] == namespace;
    told.flat_map(|told| told["alerts"].as_array().cloned().unwrap_or_default()).filter(of).collect()
}

/// Waits until Alertmanager tells that this alert of a namespace is `firing` or `resolved`.
pub async fn alert(name: &str, namespace: &str, status: &str, seconds: u64) -> Value {
    until(ALERTS, &format!("{name} of {namespace} is {status}"), seconds, |come| {
        alerts(come, name, namespace).into_iter().find(|alert| alert["status"] == status)
    })
    .await
}

/// How often Alertmanager told of this alert, with this status.
pub fn times(name: &str, namespace: &str, status: &str) -> usize {
    alerts(&taken(ALERTS), name, namespace).iter().filter(|alert| alert["status"] == status).count()
}

fn receiver() -> &'static Receiver {
    static RECEIVER: OnceLock<Receiver> = OnceLock::new();
    RECEIVER.get_or_init(|| {
        let listener = TcpListener::bind(ADDRESS).expect("an address of the testbed's network");
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                thread::spawn(move || serve(stream));
            }
        });
        Receiver { answers: Mutex::default(), requests: watch::Sender::new(Vec::new()) }
    })
}

/// One request per connection.
fn serve(stream: TcpStream) {
    let Some(mut request) = read(&stream) else { return };
    let receiver = receiver();
    let answers = receiver.answers.lock().unwrap_or_else(PoisonError::into_inner);
    let answer = answers.get(&request.path).copied().unwrap_or(Answer::With(200));
    drop(answers);
    if let Answer::With(status) = answer {
        request.answered = status;
    }
    receiver.requests.send_modify(|all| all.push(request));
    match answer {
        Answer::With(status) => {
            let answer = format!("HTTP/1.1 {status} as asked for\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = (&stream).write_all(answer.as_bytes());
        }
        // Whoever asks gives up some time.
        Answer::Never => drop((&stream).read_to_end(&mut Vec::new())),
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
    let mut body = vec![0; length.min(1 << 20)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { path, headers, body, answered: 0 })
}
