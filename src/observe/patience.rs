//! How long one read of the API server may take, and how often it is tried. Decides nothing and reads nothing itself.
//!
//! A pass that takes a version back makes several reads, and a server that refuses every other request would let hardly
//! any pass come to its write. A read changes nothing, so it may be tried again at once; a write is left to the next
//! pass.

use std::time::Duration;

use super::Error;

/// How long to wait before a read is tried again, each time.
const PAUSES: [Duration; 3] = [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(400)];

/// Reads, and reads again what fails for a reason that may be over in a moment.
pub(super) async fn within<T, C>(what: String, call: impl Fn() -> C) -> Result<T, Error>
where
    C: Future<Output = Result<T, kube::Error>>,
{
    let tries = async {
        for pause in PAUSES {
            match call().await {
                Err(error) if passing(&error) => tokio::time::sleep(pause).await,
                answer => return answer,
            }
        }
        call().await
    };
    match tokio::time::timeout(crate::act::CALL_TIMEOUT, tries).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Error::Read { what, source: Box::new(source) }),
        Err(_) => Err(Error::Timeout { what }),
    }
}

/// Whether the same request may succeed in a moment: the server has too much to do or fails, or the connection broke.
fn passing(error: &kube::Error) -> bool {
    if let kube::Error::Api(status) = error {
        return status.code == 429 || status.code >= 500;
    }
    matches!(error, kube::Error::HyperError(_) | kube::Error::Service(_) | kube::Error::ReadEvents(_))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use kube::core::Status;

    use super::*;

    fn refused(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("no", "No").with_code(code)))
    }

    /// What becomes of a read that fails so many times with this code, and how often it was tried.
    async fn read(code: u16, failures: u32) -> (Result<u32, Error>, u32) {
        let tried = Cell::new(0);
        let answer = within("a route".to_owned(), || {
            tried.update(|times: u32| times.saturating_add(1));
            let answer = if tried.get() > failures { Ok(7) } else { Err(refused(code)) };
            async move { answer }
        })
        .await;
        (answer, tried.get())
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_be_over_in_a_moment_is_read_again() {
        for code in [429, 500, 503] {
            let (answer, tried) = read(code, 3).await;
            assert_eq!((answer.ok(), tried), (Some(7), 4), "{code}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_an_answer_and_tries_are_few() {
        assert_eq!(read(403, 1).await.1, 1, "forbidden stays forbidden");
        let (answer, tried) = read(500, 9).await;
        assert!(matches!(answer, Err(Error::Read { .. })) && tried == 4, "{tried} tries");
    }

    #[tokio::test(start_paused = true)]
    async fn all_tries_together_take_no_longer_than_one_call_may() {
        let began = tokio::time::Instant::now();
        let hanging: Result<(), Error> = within("a route".to_owned(), std::future::pending).await;
        assert!(matches!(hanging, Err(Error::Timeout { .. })));
        assert_eq!(began.elapsed(), crate::act::CALL_TIMEOUT);
    }
}
