//! What the canary's pods say by themselves. Needs no metrics, so it works when Prometheus does not.

use super::snapshot::{CanaryFacts, PodFacts};

/// Restarts after which a canary that was given no traffic yet is given up: some programs fail a few times until
/// what they depend on is there.
const RESTARTS_BEFORE_TRAFFIC: u32 = 3;
/// Restarts after which a canary that serves users is taken back.
const RESTARTS_UNDER_TRAFFIC: u32 = 2;

/// Why the canary cannot be kept: reason and sentence.
pub(super) fn fault(
    pods: &[PodFacts],
    weight: u8,
    restarts_before: u32,
    endpoints: u32,
) -> Option<(&'static str, String)> {
    for pod in pods {
        if let Some((reason, message)) = &pod.waiting {
            // The kubelet will not try these again, or can never succeed.
            if matches!(reason.as_str(), "ErrImageNeverPull" | "InvalidImageName") {
                return Some(("ImageUnavailable", sentence(pod, reason, message)));
            }
        }
        let most = match weight {
            0 => RESTARTS_BEFORE_TRAFFIC,
            _ => restarts_before.saturating_add(RESTARTS_UNDER_TRAFFIC),
        };
        if pod.restarts >= most {
            return Some(("CrashLoop", format!("pod {} has restarted {} times", pod.name, pod.restarts)));
        }
    }
    if weight > 0 && endpoints == 0 {
        return Some(("NoReadyEndpoint", "no pod of the canary is ready while it is given traffic".to_owned()));
    }
    None
}

/// What the canary is waiting for, for the message and for the end at the deadline: reason and sentence.
pub(super) fn awaited(canary: Option<&CanaryFacts>, pods: &[PodFacts], wanted: u32) -> (&'static str, String) {
    if let Some(failure) = canary.and_then(|canary| canary.failure.as_ref()) {
        return ("CanaryNotCreated", format!("pods of the canary cannot be made: {}", cut(failure)));
    }
    for pod in pods {
        if let Some((reason, message)) = &pod.waiting {
            let class = if reason.contains("Image") { "ImageUnavailable" } else { "CanaryNotAvailable" };
            if reason != "ContainerCreating" && reason != "PodInitializing" {
                return (class, sentence(pod, reason, message));
            }
        }
    }
    let available = canary.map_or(0, |canary| canary.available);
    ("CanaryNotAvailable", format!("{available} of {wanted} canary pods are available"))
}

fn sentence(pod: &PodFacts, reason: &str, message: &str) -> String {
    if message.is_empty() {
        format!("pod {}: {reason}", pod.name)
    } else {
        format!("pod {}: {reason}: {}", pod.name, cut(message))
    }
}

/// Messages of other programs are cut to a length that fits a condition.
fn cut(text: &str) -> String {
    let text = text.replace('\n', " ");
    if text.chars().count() <= 200 { text } else { text.chars().take(199).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(restarts: u32, waiting: Option<&str>) -> PodFacts {
        let waiting = waiting.map(|reason| (reason.to_owned(), String::new()));
        PodFacts { name: "shop-canary-1".into(), ready: false, restarts, waiting, digests: Vec::new() }
    }

    #[test]
    fn a_canary_with_traffic_is_given_up_sooner() {
        assert_eq!(fault(&[pod(2, None)], 0, 0, 0), None);
        assert_eq!(fault(&[pod(2, None)], 5, 0, 1).map(|(reason, _)| reason), Some("CrashLoop"));
        assert_eq!(fault(&[pod(3, None)], 0, 0, 0).map(|(reason, _)| reason), Some("CrashLoop"));
    }

    #[test]
    fn restarts_before_the_first_request_are_forgiven() {
        assert_eq!(fault(&[pod(2, None)], 10, 2, 1), None);
        assert_eq!(fault(&[pod(3, None)], 10, 2, 1), None);
        assert_eq!(fault(&[pod(4, None)], 10, 2, 1).map(|(reason, _)| reason), Some("CrashLoop"));
    }

    #[test]
    fn an_image_that_may_still_come_is_waited_for() {
        assert_eq!(fault(&[pod(0, Some("ImagePullBackOff"))], 0, 0, 0), None);
        assert_eq!(awaited(None, &[pod(0, Some("ImagePullBackOff"))], 1).0, "ImageUnavailable");
        assert_eq!(
            fault(&[pod(0, Some("ErrImageNeverPull"))], 0, 0, 0).map(|(reason, _)| reason),
            Some("ImageUnavailable")
        );
    }

    #[test]
    fn traffic_without_a_ready_pod_is_harm() {
        assert_eq!(fault(&[], 5, 0, 0).map(|(reason, _)| reason), Some("NoReadyEndpoint"));
        assert_eq!(fault(&[], 0, 0, 0), None);
    }
}
