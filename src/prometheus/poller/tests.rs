//! The poller against a real HTTP server on 127.0.0.1.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::client::Client;
use super::super::scripted_secrets::ScriptedSecrets;
use super::super::scripted_server::{Reply, ScriptedServer, counter, scalar};
use super::*;
use crate::api::Duration;
use crate::decide::measure::Ask;

/// Counts what it is told.
#[derive(Default)]
struct Counts {
    answered: AtomicUsize,
    failed: Mutex<Vec<FailureClass>>,
}

impl QueryObserver for Counts {
    fn answered(&self, _: &str, _: Span) {
        self.answered.fetch_add(1, Ordering::SeqCst);
    }

    fn failed(&self, _: &str, class: FailureClass, _: Span) {
        self.failed.lock().unwrap().push(class);
    }
}

/// A poller that runs until it is dropped or stopped.
struct Running {
    poller: Poller,
    wakes: Receiver<RolloutKey>,
    counts: Arc<Counts>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

fn run(room: usize) -> Running {
    let (wake, wakes) = mpsc::channel(room);
    let counts = Arc::new(Counts::default());
    let client = Client::new(Arc::new(ScriptedSecrets::default())).unwrap();
    let poller = Poller::new(Clock::system(), Arc::new(client), wake, counts.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    #[allow(clippy::disallowed_methods)] // ends with the runtime of the test
    let task = tokio::spawn(poller.clone().run(async {
        let _ = stopped.await;
    }));
    Running { poller, wakes, counts, stop, task }
}

impl Running {
    /// Waits for wake-ups until the readings of `key` are as wanted.
    async fn until(&mut self, key: &RolloutKey, good: impl Fn(&[Reading]) -> bool) -> Vec<Reading> {
        let awaited = async {
            loop {
                let readings = self.poller.readings(key);
                if good(&readings) {
                    return readings;
                }
                self.wakes.recv().await.unwrap();
            }
        };
        tokio::time::timeout(Span::from_secs(10), awaited).await.expect("the readings did not come")
    }
}

fn key(name: &str) -> RolloutKey {
    RolloutKey::new(name).within("demo")
}

fn measurement(server: &ScriptedServer, ask: Ask) -> Measurement {
    Measurement {
        provider: server.provider(),
        ask,
        every: Duration::from_secs(3600),
        since: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn value(server: &ScriptedServer, query: &str) -> Measurement {
    measurement(server, Ask::Value(query.to_owned()))
}

fn answered(readings: &[Reading]) -> bool {
    !readings.is_empty() && readings.iter().all(|reading| reading.answered_at.is_some())
}

#[tokio::test]
async fn a_question_of_two_is_asked_once_and_wakes_both() {
    let gate = Arc::new(Semaphore::new(0));
    let held = gate.clone();
    let server = ScriptedServer::start(move |_| Reply::Held(held.clone(), scalar(1, "2"))).await;
    let mut running = run(8);
    running.poller.want(&key("a"), vec![value(&server, "up")]);
    running.poller.want(&key("b"), vec![value(&server, "up")]);
    gate.add_permits(1);
    let woken = async { [running.wakes.recv().await.unwrap().name, running.wakes.recv().await.unwrap().name] };
    let mut woken = tokio::time::timeout(Span::from_secs(10), woken).await.unwrap();
    woken.sort();
    assert_eq!(woken, ["a", "b"]);
    for name in ["a", "b"] {
        assert!(answered(&running.poller.readings(&key(name))));
    }
    assert_eq!(server.asked().len(), 1);
    assert_eq!(running.counts.answered.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_hanging_query_delays_no_other() {
    let server = ScriptedServer::start(|query| match query {
        "hang" => Reply::Hang,
        _ => Reply::Send(200, scalar(1, "2")),
    })
    .await;
    let mut running = run(8);
    running.poller.want(&key("a"), vec![value(&server, "hang"), value(&server, "quick")]);
    let readings = running.until(&key("a"), |readings| answered(&readings[1..])).await;
    assert_eq!(readings[0].answered_at, None);
    assert_eq!(readings[0].failure, None);
}

#[tokio::test]
async fn one_server_that_hangs_delays_no_other_and_gets_four_queries_at_most() {
    let hanging = ScriptedServer::start(|_| Reply::Hang).await;
    let quick = ScriptedServer::start(|_| Reply::Send(200, scalar(1, "2"))).await;
    let mut running = run(8);
    let queries = ["1", "2", "3", "4", "5", "6"];
    running.poller.want(&key("a"), queries.iter().map(|query| value(&hanging, query)).collect());
    running.poller.want(&key("b"), queries.iter().map(|query| value(&quick, query)).collect());
    running.until(&key("b"), answered).await;
    let full = async {
        while hanging.asked().len() < QUERIES_PER_PROVIDER {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Span::from_secs(10), full).await.unwrap();
    assert_eq!(hanging.asked().len(), QUERIES_PER_PROVIDER);
}

#[tokio::test]
async fn failures_are_kept_beside_what_was_read_and_asked_again() {
    let tries = AtomicUsize::new(0);
    let server = ScriptedServer::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::Send(200, scalar(1, "2")),
        1 => Reply::Send(200, br#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.to_vec()),
        2 => Reply::Send(500, Vec::new()),
        _ => Reply::Send(200, scalar(3, "4")),
    })
    .await;
    let mut running = run(8);
    let mut often = value(&server, "up");
    often.every = Duration::from_millis(100);
    running.poller.want(&key("a"), vec![often]);
    let readings = running.until(&key("a"), |readings| readings[0].failure.is_some()).await;
    assert_eq!(readings[0].failure.as_ref().unwrap().class, FailureClass::Empty);
    assert_eq!(readings[0].values.len(), 1);
    let readings = running.until(&key("a"), |readings| readings[0].values.len() == 2).await;
    assert_eq!(readings[0].failure, None);
    assert_eq!(*running.counts.failed.lock().unwrap(), [FailureClass::Empty, FailureClass::HttpStatus]);
}

#[tokio::test]
async fn counters_grow_from_answer_to_answer_and_shrink_with_since() {
    let tries = AtomicUsize::new(0);
    let server = ScriptedServer::start(move |_| {
        let answers: [&[(i64, &str)]; 2] = [&[(10, "1"), (20, "2")], &[(20, "2"), (30, "3")]];
        Reply::Send(200, counter(answers[tries.fetch_add(1, Ordering::SeqCst).min(1)]))
    })
    .await;
    let mut running = run(8);
    let mut often = measurement(&server, Ask::Counter("c".to_owned()));
    often.every = Duration::from_millis(100);
    running.poller.want(&key("a"), vec![often.clone()]);
    let samples = |readings: &[Reading]| -> Vec<i64> {
        let series = readings.iter().flat_map(|reading| &reading.series);
        series.flat_map(|series| &series.samples).map(|sample| sample.at.as_second()).collect()
    };
    running.until(&key("a"), |readings| samples(readings) == [10, 20, 30]).await;
    often.since = jiff::Timestamp::from_second(25).unwrap();
    running.poller.want(&key("a"), vec![often]);
    assert_eq!(samples(&running.poller.readings(&key("a"))), [20, 30]);
    let asked = server.asked();
    // The first reaches as far as it may (3,000 scrapes), the next ones as far as the newest sample, which is old.
    assert_eq!(asked[0]["query"], "c[300s]");
}

#[tokio::test]
async fn a_full_channel_delays_wakes_and_loses_none() {
    let server = ScriptedServer::start(|_| Reply::Send(200, scalar(1, "2"))).await;
    let mut running = run(1);
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        running.poller.want(&key(name), vec![value(&server, name)]);
    }
    let all_answered = async {
        while running.counts.answered.load(Ordering::SeqCst) < names.len() {
            tokio::task::yield_now().await;
        }
        // Nobody has read a wake-up so far.
        let mut woken = Vec::new();
        while woken.len() < names.len() {
            woken.push(running.wakes.recv().await.unwrap().name);
        }
        woken
    };
    let mut woken = tokio::time::timeout(Span::from_secs(10), all_answered).await.unwrap();
    woken.sort();
    assert_eq!(woken, names);
}

#[tokio::test]
async fn it_stops_when_told_and_gives_up_what_is_under_way() {
    let server = ScriptedServer::start(|_| Reply::Hang).await;
    let running = run(1);
    running.poller.want(&key("a"), vec![value(&server, "hang")]);
    running.stop.send(()).unwrap();
    tokio::time::timeout(Span::from_secs(10), running.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn nobody_listening_does_not_stop_it() {
    let server = ScriptedServer::start(|_| Reply::Send(200, scalar(1, "2"))).await;
    let mut running = run(1);
    running.wakes.close();
    for name in ["a", "b", "c"] {
        running.poller.want(&key(name), vec![value(&server, name)]);
    }
    let all_answered = async {
        while running.counts.answered.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Span::from_secs(10), all_answered).await.unwrap();
    assert!(!running.task.is_finished());
}
