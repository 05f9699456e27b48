//! Takes connections, passes requests on, and carries out what was decided for each.

use std::future::pending;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, RETRY_AFTER, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request as Asked, Response as Answer};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::Shared;
use super::faults::{Effect, Hit, Request, Which};

/// The largest request that is passed on.
const LARGEST_REQUEST: usize = 8 << 20;
/// The largest answer that is no stream.
const LARGEST_ANSWER: usize = 64 << 20;
/// How long a watch that is to be cut waits for a line to be cut in.
const LINE: Duration = Duration::from_secs(1);
/// Time for what was written to be sent before a connection is closed.
const FLUSH: Duration = Duration::from_millis(50);

/// Why a connection is closed.
#[derive(Debug)]
pub(super) struct Closed(&'static str);

impl std::fmt::Display for Closed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for Closed {}

/// The body of an answer, from whoever produces it.
#[derive(Debug)]
pub(super) struct Pieces(pub(super) mpsc::Receiver<Result<Bytes, Closed>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Serves until it is aborted; every connection ends with it.
pub(super) async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(FLUSH).await; // no file descriptor is free, perhaps
            continue;
        };
        let _ = stream.set_nodelay(true);
        let (tls, shared, from) = (tls.clone(), Arc::clone(&shared), peer.ip());
        connections.spawn(async move {
            match tls {
                None => converse(stream, from, shared).await,
                Some(tls) => {
                    shared.light(from).await;
                    let accepted = tokio::time::timeout(Duration::from_secs(10), tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = accepted {
                        converse(stream, from, shared).await;
                    }
                }
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, from: IpAddr, shared: Arc<Shared>) {
    let service = service_fn(move |asked| answer(Arc::clone(&shared), from, asked));
    // A connection that was closed on purpose ends with an error, too.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// What the client gets; an error closes the connection.
async fn answer(shared: Arc<Shared>, from: IpAddr, asked: Asked<Incoming>) -> Result<Answer<Pieces>, Closed> {
    let (head, body) = asked.into_parts();
    let body = Limited::new(body, LARGEST_REQUEST).collect().await.map_err(|_| Closed("the request is too large"))?;
    let body = body.to_bytes();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let line = format!("{} {path}", head.method);
    let request = Request { line: &line, body: &body, from };
    let (kind, fate) = (request.kind(), shared.fate(&request));
    tokio::time::sleep(fate.delay).await;
    let told = |status: Option<u16>, hits: &watch::Sender<Vec<Hit>>| {
        hits.send_modify(|all| all.push(Hit { from, line: line.clone(), status }));
    };
    match fate.effect {
        Some((Effect::Hang, hits)) => {
            told(None, &hits);
            return pending().await;
        }
        Some((Effect::Refuse, hits)) => {
            told(None, &hits);
            return Err(Closed("not passed on"));
        }
        Some((Effect::Answer { status, retry_after }, hits)) => {
            told(None, &hits);
            return refusal(status, retry_after);
        }
        Some((Effect::CutOff, ref hits)) => {
            shared.cut_off(from);
            told(None, hits);
        }
        _ => {}
    }
    // A task of its own: who is cut off or killed may be gone before what they sent arrives.
    let passing = pass(Arc::clone(&shared), from, head, body, kind);
    if let Some((effect @ (Effect::LoseAnswer | Effect::KeepAnswer), hits)) = fate.effect {
        // And what it met is told all the same, or whoever waits for the n-th waits for ever.
        let unseen = tokio::spawn(async move {
            let passed = passing.await;
            let status = passed.as_ref().ok().map(|passed| passed.status().as_u16());
            if let Ok(passed) = passed {
                let _ = whole(passed).await;
            }
            hits.send_modify(|all| all.push(Hit { from, line, status }));
        });
        let _ = unseen.await;
        return if effect == Effect::KeepAnswer { pending().await } else { Err(Closed("the answer was lost")) };
    }
    let passed = tokio::spawn(passing).await.map_err(|_| Closed("passing it on failed"))??;
    let status = Some(passed.status().as_u16());
    match fate.effect {
        Some((Effect::CutAnswer, hits)) if kind != Which::Watches => {
            let (head, all) = whole(passed).await?;
            told(status, &hits);
            let half = all.slice(..all.len() / 2);
            Ok(with(head, Some(all.len()), |out| async move {
                let _ = out.send(Ok(half)).await;
                cut(&out).await;
            }))
        }
        Some((Effect::CutStream { mean }, hits)) if kind == Which::Watches => {
            told(status, &hits);
            Ok(streamed(shared, from, passed, Some(mean)))
        }
        _ if kind == Which::Watches => Ok(streamed(shared, from, passed, None)),
        _ => {
            let (head, all) = whole(passed).await?;
            shared.light(from).await;
            Ok(with(head, Some(all.len()), |out| async move {
                let _ = out.send(Ok(all)).await;
            }))
        }
    }
}

/// Asks the API server. Returns when the head of the answer is there.
async fn pass(
    shared: Arc<Shared>,
    from: IpAddr,
    head: Parts,
    body: Bytes,
    kind: Which,
) -> Result<reqwest::Response, Closed> {
    shared.light(from).await;
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = shared.client.request(head.method.clone(), format!("{}{path}", shared.upstream));
    let sent = request.headers(end_to_end(&head.headers)).body(body).send().await;
    let answer = sent.map_err(|_| Closed("the API server does not answer"))?;
    if kind == Which::Writes && answer.status().is_success() {
        shared.wrote();
    }
    Ok(answer)
}

/// The headers without those that concern one connection.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    const HOP: [HeaderName; 5] = [CONNECTION, TRANSFER_ENCODING, UPGRADE, HOST, CONTENT_LENGTH];
    let mut kept = headers.clone();
    for name in HOP {
        kept.remove(name);
    }
    kept.remove("keep-alive");
    kept
}

/// Status and headers of an answer.
type Head = (hyper::StatusCode, HeaderMap);

fn head(answer: &reqwest::Response) -> Head {
    (answer.status(), end_to_end(answer.headers()))
}

/// Reads a whole answer.
async fn whole(mut answer: reqwest::Response) -> Result<(Head, Bytes), Closed> {
    let head = head(&answer);
    let mut all = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|_| Closed("the API server's answer broke off"))? {
        if all.len().saturating_add(piece.len()) > LARGEST_ANSWER {
            return Err(Closed("the answer is too large"));
        }
        all.extend_from_slice(&piece);
    }
    Ok((head, Bytes::from(all)))
}

/// An answer whose body a task produces.
fn with<F>(
    (status, headers): Head,
    length: Option<usize>,
    produce: impl FnOnce(mpsc::Sender<Result<Bytes, Closed>>) -> F,
) -> Answer<Pieces>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (out, pieces) = mpsc::channel(4);
    tokio::spawn(produce(out));
    let mut answer = Answer::new(Pieces(pieces));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    if let Some(length) = length {
        answer.headers_mut().insert(CONTENT_LENGTH, length.into());
    }
    answer
}

/// Closes the connection after what was produced has been sent.
async fn cut(out: &mpsc::Sender<Result<Bytes, Closed>>) {
    tokio::time::sleep(FLUSH).await;
    let _ = out.send(Err(Closed("cut in mid-answer"))).await;
}

/// A watch, which may be cut after a time, and is when all are.
fn streamed(
    shared: Arc<Shared>,
    from: IpAddr,
    mut answer: reqwest::Response,
    after: Option<Duration>,
) -> Answer<Pieces> {
    let head = head(&answer);
    with(head, None, move |out| async move {
        let mut cuts = shared.cuts.subscribe();
        let due = async {
            match after {
                Some(after) => tokio::select! {
                    () = tokio::time::sleep(after) => {}
                    _ = cuts.changed() => {}
                },
                None => drop(cuts.changed().await),
            }
        };
        tokio::pin!(due);
        let mut end: Option<Instant> = None;
        loop {
            let overdue = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                piece = answer.chunk() => match piece {
                    Ok(Some(piece)) => {
                        shared.light(from).await;
                        if end.is_some() {
                            let _ = out.send(Ok(piece.slice(..piece.len() / 2))).await;
                            return cut(&out).await;
                        }
                        if out.send(Ok(piece)).await.is_err() {
                            return;
                        }
                    }
                    Ok(None) => return,
                    Err(_) => return cut(&out).await,
                },
                () = out.closed() => return,
                () = &mut due, if end.is_none() => end = Instant::now().checked_add(LINE),
                () = overdue => return cut(&out).await,
            }
        }
    })
}

/// An answer in the name of the API server.
fn refusal(status: u16, retry_after: Option<u32>) -> Result<Answer<Pieces>, Closed> {
    let (reason, message) = match status {
        429 => ("TooManyRequests", "the fault proxy says: too many requests"),
        500 => ("InternalError", "the fault proxy says: internal error"),
        _ => ("ServiceUnavailable", "the fault proxy says: unavailable"),
    };
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": status});
    let body = Bytes::from(body.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    let status = hyper::StatusCode::from_u16(status).map_err(|_| Closed("no such status"))?;
    Ok(with((status, headers), Some(body.len()), |out| async move {
        let _ = out.send(Ok(body)).await;
    }))
}
