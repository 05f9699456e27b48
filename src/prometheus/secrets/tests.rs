//! The Secrets under a clock that the test moves.

use super::super::scripted_secrets::ScriptedSecrets;
use super::*;

fn key(key: &str) -> SecretKey {
    SecretKey { secret: "reader".to_owned(), key: key.to_owned() }
}

fn of(source: &ScriptedSecrets) -> Secrets {
    Secrets::new(Arc::new(source.clone()), Pace::default())
}

/// Reads the token as it is known `seconds` after `start`.
async fn token(secrets: &Secrets, start: Instant, seconds: u64, age: Age) -> Result<String, String> {
    let now = start.checked_add(Span::from_secs(seconds)).unwrap();
    let value = secrets.value(&key("token"), age, now).await.map_err(|(class, text)| {
        assert_eq!(class, FailureClass::Credentials);
        text
    })?;
    Ok(String::from_utf8(value.line().to_vec()).unwrap())
}

#[tokio::test]
async fn a_secret_is_read_again_after_a_minute_and_sooner_if_it_was_refused() {
    let source = ScriptedSecrets::default();
    source.put("reader", &[("token", "one\n")]);
    let (secrets, start) = (of(&source), crate::clock::instant());
    assert_eq!(token(&secrets, start, 0, Age::Usual).await.unwrap(), "one");
    source.put("reader", &[("token", "two")]);
    assert_eq!(token(&secrets, start, 59, Age::Usual).await.unwrap(), "one");
    assert_eq!(source.reads(), 1);
    assert_eq!(token(&secrets, start, 60, Age::Usual).await.unwrap(), "two");
    source.put("reader", &[("token", "three")]);
    assert_eq!(token(&secrets, start, 64, Age::Renewed).await.unwrap(), "two", "at most every 5 s");
    assert_eq!(token(&secrets, start, 65, Age::Renewed).await.unwrap(), "three");
    assert_eq!(source.reads(), 3);
}

#[tokio::test]
async fn what_is_wrong_is_named_and_heals_within_seconds() {
    let source = ScriptedSecrets::default();
    let (secrets, start) = (of(&source), crate::clock::instant());
    let title = "Secret sluice-system/reader";
    assert_eq!(token(&secrets, start, 0, Age::Usual).await.unwrap_err(), format!("{title} does not exist"));
    source.put("reader", &[("other", "value-a")]);
    assert_eq!(token(&secrets, start, 4, Age::Renewed).await.unwrap_err(), format!("{title} does not exist"));
    assert_eq!(token(&secrets, start, 5, Age::Usual).await.unwrap_err(), format!("{title} has no key token"));
    source.put("reader", &[("token", "\r\n")]);
    assert_eq!(token(&secrets, start, 65, Age::Usual).await.unwrap_err(), format!("{title}: key token is empty"));
    source.fail(Some(SecretFault::Forbidden));
    let text = token(&secrets, start, 125, Age::Usual).await.unwrap_err();
    assert_eq!(text, format!("{title} may not be read; the operator's Role must allow get on it"));
    source.fail(Some(SecretFault::Unread));
    let text = token(&secrets, start, 130, Age::Usual).await.unwrap_err();
    assert_eq!(text, format!("{title} cannot be read: the API server does not answer"));
    source.fail(None);
    source.put("reader", &[("token", "one")]);
    assert_eq!(token(&secrets, start, 135, Age::Usual).await.unwrap(), "one");
}

#[tokio::test]
async fn an_api_server_that_is_away_takes_no_credential_away() {
    let source = ScriptedSecrets::default();
    source.put("reader", &[("token", "one")]);
    let (secrets, start) = (of(&source), crate::clock::instant());
    assert_eq!(token(&secrets, start, 0, Age::Usual).await.unwrap(), "one");
    source.fail(Some(SecretFault::Unread));
    for second in [60, 61, 64, 65, 600] {
        assert_eq!(token(&secrets, start, second, Age::Usual).await.unwrap(), "one");
    }
    assert_eq!(source.reads(), 1 + 3, "after 60 s, then every 5 s at most");
    source.fail(None);
    source.remove("reader");
    assert!(token(&secrets, start, 605, Age::Usual).await.is_err(), "one that was deleted is not used on");
}

#[tokio::test(start_paused = true)]
async fn a_read_that_hangs_is_given_up() {
    let source = ScriptedSecrets::default();
    source.hang();
    let (secrets, start) = (of(&source), crate::clock::instant());
    let began = tokio::time::Instant::now();
    assert!(token(&secrets, start, 0, Age::Usual).await.unwrap_err().contains("does not answer"));
    assert_eq!(began.elapsed(), PATIENCE);
    assert!(token(&secrets, start, 1, Age::Usual).await.is_err());
    assert_eq!(began.elapsed(), PATIENCE, "it is not tried again at once");
}

#[tokio::test]
async fn many_queries_read_a_secret_once() {
    let source = ScriptedSecrets::default();
    source.put("reader", &[("token", "one")]);
    let (secrets, start) = (of(&source), crate::clock::instant());
    let all = futures::future::join_all((0..20).map(|_| token(&secrets, start, 0, Age::Usual))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(source.reads(), 1);
}

#[tokio::test]
async fn what_nobody_uses_is_forgotten() {
    let source = ScriptedSecrets::default();
    source.put("reader", &[("token", "one")]);
    let (secrets, start) = (of(&source), crate::clock::instant());
    assert!(token(&secrets, start, 0, Age::Usual).await.is_ok());
    let later = start.checked_add(FORGOTTEN).unwrap();
    let other = SecretKey { secret: "other".to_owned(), key: "token".to_owned() };
    assert!(secrets.value(&other, Age::Usual, later).await.is_err());
    assert_eq!(secrets.slots.lock().unwrap().keys().collect::<Vec<_>>(), ["other"]);
}

#[test]
fn a_value_is_never_printed() {
    let data = SecretData::from([("token".to_owned(), Hidden::new(b"value-a".to_vec()))]);
    assert_eq!(format!("{data:?}"), r#"{"token": hidden}"#);
}
