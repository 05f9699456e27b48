//! The client against a real HTTP server on 127.0.0.1.

use std::time::Duration as Span;

use super::super::scripted_secrets::ScriptedSecrets;
use super::super::scripted_server::{Reply, ScriptedServer, counter, scalar};
use super::*;
use crate::api::Duration;

fn client() -> Client {
    Client::new(Arc::new(ScriptedSecrets::default())).unwrap()
}

fn value() -> Ask {
    Ask::Value("up".to_owned())
}

async fn failure(reply: Reply) -> Refusal {
    let server = ScriptedServer::start(move |_| reply.clone()).await;
    let mut provider = server.provider();
    provider.timeout = Duration::from_secs(5);
    client().ask(&provider, &value(), 1).await.answer.unwrap_err()
}

#[tokio::test]
async fn a_query_is_posted_with_its_range_and_timeout() {
    let server = ScriptedServer::start(|query| {
        Reply::Send(200, if query.ends_with(']') { counter(&[(1, "1")]) } else { scalar(1, "2") })
    })
    .await;
    let client = client();
    let mut provider = server.provider();
    // A base path, with the slash that people add.
    provider.address.push_str("/prometheus/");
    let ask = Ask::Counter("c{a=\"&b\"}".to_owned());
    let Ok(Answer::Counters(series)) = client.ask(&provider, &ask, 90).await.answer else { panic!("no counters") };
    assert_eq!(series.len(), 1);
    let Ok(Answer::Value(sample)) = client.ask(&provider, &value(), 90).await.answer else { panic!("no value") };
    assert!((sample.value - 2.0).abs() < f64::EPSILON);
    let asked = server.asked();
    assert_eq!(asked[0]["query"], "c{a=\"&b\"}[90s]");
    assert_eq!(asked[0]["timeout"], "20000ms");
    assert_eq!(asked[0]["@"], "POST /prometheus/api/v1/query");
    assert_eq!(asked[1]["query"], "up");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let target = ScriptedServer::start(|_| Reply::Send(200, scalar(1, "1"))).await;
    let (class, text) = failure(Reply::Redirect(format!("{}/api/v1/query", target.provider().address))).await;
    assert_eq!(class, FailureClass::HttpStatus);
    assert!(text.contains("302"), "{text}");
    assert!(target.asked().is_empty());
}

#[tokio::test]
async fn http_errors_are_told_apart() {
    let (class, text) = failure(Reply::Send(500, b"secret".to_vec())).await;
    assert_eq!((class, text.as_str()), (FailureClass::HttpStatus, "HTTP status 500"));
    let refused = br#"{"status":"error","errorType":"bad_data","error":"secret"}"#.to_vec();
    let (class, text) = failure(Reply::Send(400, refused)).await;
    assert_eq!(class, FailureClass::BadQuery);
    assert!(!text.contains("secret"), "{text}");
    let gave_up = br#"{"status":"error","errorType":"timeout","error":"secret"}"#.to_vec();
    assert_eq!(failure(Reply::Send(503, gave_up)).await.0, FailureClass::Timeout);
    assert_eq!(failure(Reply::Send(200, b"<html>secret</html>".to_vec())).await.0, FailureClass::Malformed);
    assert_eq!(failure(Reply::Send(204, Vec::new())).await.0, FailureClass::Malformed);
}

#[tokio::test]
async fn a_large_body_is_not_read_to_its_end() {
    assert_eq!(failure(Reply::Send(200, vec![b' '; LARGEST_BODY + 1])).await.0, FailureClass::TooLarge);
    assert_eq!(failure(Reply::Endless).await.0, FailureClass::TooLarge);
}

#[tokio::test]
async fn no_answer_is_a_timeout() {
    let server = ScriptedServer::start(|_| Reply::Hang).await;
    let mut provider = server.provider();
    provider.timeout = Duration::from_millis(50);
    let outcome = client().ask(&provider, &value(), 1).await;
    assert_eq!(outcome.answer.unwrap_err(), (FailureClass::Timeout, "no answer within 50ms".to_owned()));
    assert!(outcome.took >= Span::from_millis(50));
}

#[tokio::test]
async fn no_connection_is_unreachable_and_names_no_address() {
    let server = ScriptedServer::start(|_| Reply::Hang).await;
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = client();
    let mut provider = server.provider();
    for (address, part) in [
        (format!("http://user:secret@{free}"), "connection refused"),
        ("http://user:secret@name.invalid:1".to_owned(), ""),
        ("http://".to_owned(), "not a usable"),
        ("mailto:secret".to_owned(), "not a usable"),
        (server.provider().address.replace("http:", "https:"), "TLS"),
        (String::new(), "not a usable"),
    ] {
        provider.address.clone_from(&address);
        let (class, text) = client.ask(&provider, &value(), 1).await.answer.unwrap_err();
        assert_eq!(class, FailureClass::Unreachable, "{address}: {text}");
        assert!(text.contains(part) && !text.contains("secret") && !text.is_empty(), "{address}: {text}");
    }
}

#[tokio::test]
async fn a_broken_answer_is_unreachable() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = ScriptedServer::start(|_| Reply::Hang).await;
    let mut provider = server.provider();
    provider.address = format!("http://{}", listener.local_addr().unwrap());
    let client = client();
    let breaks = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 1024];
        let _ = connection.read(&mut request).await.unwrap();
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"status\":").await.unwrap();
    };
    let ask = value();
    let (outcome, ()) = tokio::join!(client.ask(&provider, &ask, 1), breaks);
    assert_eq!(outcome.answer.unwrap_err().0, FailureClass::Unreachable);
}
