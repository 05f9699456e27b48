//! The proxy between a client and a server of the test's own: it does what each fault says, and nothing else.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap as Headers;
use axum::routing::{get, patch};

use super::forward::Closed;
use super::*;

/// Counts what reaches it: a write, and a watch of three lines.
async fn upstream() -> (SocketAddr, Arc<AtomicU32>) {
    let writes = Arc::new(AtomicU32::new(0));
    let write = |State(writes): State<Arc<AtomicU32>>, headers: Headers| async move {
        if let Some(pause) = headers.get("pause-ms").and_then(|pause| pause.to_str().ok()?.parse().ok()) {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        writes.fetch_add(1, Ordering::SeqCst);
        headers.get("authorization").and_then(|token| token.to_str().ok()).unwrap_or_default().to_owned()
    };
    let watch = || async {
        let (send, pieces) = tokio::sync::mpsc::channel::<Result<_, Closed>>(1);
        tokio::spawn(async move {
            for _ in 0..3 {
                let _ = send.send(Ok(hyper::body::Bytes::from_static(b"{\"type\":\"ADDED\"}\n"))).await;
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        Body::new(forward::Pieces(pieces))
    };
    let app = Router::new().route("/write", patch(write)).route("/watch", get(watch)).with_state(Arc::clone(&writes));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, writes)
}

struct Between {
    proxy: Proxy,
    client: Client,
    writes: Arc<AtomicU32>,
}

impl Between {
    async fn new() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let (address, writes) = upstream().await;
        let client = upstream_client().build().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxy = Proxy::listen(any, &format!("http://{address}"), client.clone(), None, 1).unwrap();
        Self { proxy, client, writes }
    }

    fn add(&self, which: Which, when: When, effect: Effect) -> Struck {
        self.proxy.add(Fault { filter: Filter::of(which), when, effect })
    }

    async fn write(&self) -> Result<(u16, String), reqwest::Error> {
        let request = self.client.patch(format!("http://{}/write", self.proxy.address())).bearer_auth("mine");
        let answer = request.timeout(Duration::from_millis(700)).body("{}").send().await?;
        let status = answer.status().as_u16();
        Ok((status, answer.text().await?))
    }

    /// What of a watch arrives, and whether it ended well.
    async fn watch(&self) -> (String, bool) {
        let mut answer =
            self.client.get(format!("http://{}/watch?watch=true", self.proxy.address())).send().await.unwrap();
        let mut seen = String::new();
        loop {
            match answer.chunk().await {
                Ok(Some(piece)) => seen.push_str(&String::from_utf8_lossy(&piece)),
                Ok(None) => return (seen, true),
                Err(_) => return (seen, false),
            }
        }
    }

    async fn until_written(&self, times: u32) {
        let began = std::time::Instant::now();
        while self.written() < times {
            assert!(began.elapsed() < Duration::from_secs(5), "what was kept has arrived");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn written(&self) -> u32 {
        self.writes.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn without_a_fault_everything_passes() {
    let between = Between::new().await;
    assert_eq!(between.write().await.unwrap(), (200, "Bearer mine".to_owned()));
    let (seen, well) = between.watch().await;
    assert_eq!((seen.lines().count(), well), (3, true));
    let account = between.proxy.account();
    assert_eq!((account.requests, account.watches, account.writes), (1, 1, 1));
    assert!(account.faults.is_empty(), "{account:?}");
}

#[tokio::test]
async fn what_is_refused_does_not_arrive_and_what_is_lost_does() {
    let between = Between::new().await;
    for (effect, arrives) in [
        (Effect::Refuse, 0),
        (Effect::Hang, 0),
        (Effect::LoseAnswer, 1),
        (Effect::KeepAnswer, 1),
        (Effect::CutAnswer, 1),
    ] {
        let before = between.written();
        let mut struck = between.add(Which::Writes, When::Next(1), effect);
        assert!(between.write().await.is_err(), "{effect:?}");
        assert_eq!(between.written().saturating_sub(before), arrives, "{effect:?}");
        let hit = struck.first().await.unwrap();
        assert_eq!((hit.line.as_str(), hit.status), ("PATCH /write", (arrives == 1).then_some(200)), "{effect:?}");
        assert_eq!(between.write().await.unwrap().0, 200, "{effect:?} is over");
        between.proxy.clear();
    }
}

#[tokio::test]
async fn what_it_strikes_is_told_though_the_sender_is_gone_before_the_answer() {
    let between = Between::new().await;
    for effect in [Effect::LoseAnswer, Effect::KeepAnswer] {
        let before = between.written();
        let mut struck = between.add(Which::Writes, When::Nth(1), effect);
        let request = between.client.patch(format!("http://{}/write", between.proxy.address()));
        let gone = request.header("pause-ms", "300").timeout(Duration::from_millis(50)).body("{}").send().await;
        assert!(gone.is_err(), "{effect:?}");
        let hit = tokio::time::timeout(Duration::from_secs(5), struck.first()).await.expect("it is told").unwrap();
        assert_eq!((hit.line.as_str(), hit.status), ("PATCH /write", Some(200)), "{effect:?}");
        assert_eq!(between.written(), before + 1, "{effect:?}");
        between.proxy.clear();
    }
}

#[tokio::test]
async fn an_answer_in_the_name_of_the_server() {
    let between = Between::new().await;
    for status in [429, 500, 503] {
        let _ = between.add(Which::Writes, When::Next(1), Effect::Answer { status, retry_after: Some(1) });
        let (seen, body) = between.write().await.unwrap();
        assert_eq!(seen, status);
        assert!(body.contains("\"kind\":\"Status\""), "{body}");
    }
    assert_eq!(between.written(), 0);
    assert_eq!(between.proxy.account().faults.values().sum::<u64>(), 3);
}

#[tokio::test]
async fn a_watch_is_cut_in_the_middle_of_a_line() {
    let between = Between::new().await;
    let _ = between.add(Which::Watches, When::Always, Effect::CutStream { mean: Duration::from_millis(1) });
    let (seen, well) = between.watch().await;
    assert!(!well && !seen.is_empty() && !seen.ends_with('\n'), "{seen:?}");
}

#[tokio::test]
async fn watches_that_there_are_can_be_cut() {
    let between = Between::new().await;
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(75)).await;
        between.proxy.cut_watches();
    };
    let ((seen, well), ()) = tokio::join!(between.watch(), cutting);
    assert!(!well && seen.lines().count() == 2 && !seen.ends_with('\n'), "the second line is cut: {seen:?}");
}

#[tokio::test]
async fn what_was_sent_while_cut_off_arrives_later_though_nobody_waits() {
    let between = Between::new().await;
    let mut struck = between.add(Which::Writes, When::Nth(1), Effect::CutOff);
    assert!(between.write().await.is_err(), "no answer in time");
    assert_eq!(struck.first().await.unwrap().line, "PATCH /write");
    between.proxy.let_in();
    between.until_written(1).await;

    between.proxy.cut_off(IpAddr::from([127, 0, 0, 1]));
    assert!(between.write().await.is_err(), "no answer in time");
    assert_eq!(between.written(), 1);
    between.proxy.let_in();
    between.until_written(2).await;
    assert_eq!(between.write().await.unwrap().0, 200);
}

#[tokio::test]
async fn a_delay_delays() {
    let between = Between::new().await;
    let delay = Effect::Delay { least: Duration::from_millis(200), jitter: Duration::ZERO };
    let _ = between.add(Which::Any, When::Always, delay);
    let began = std::time::Instant::now();
    between.write().await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200));
}
