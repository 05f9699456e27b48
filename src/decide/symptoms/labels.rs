//! Which labels tell something of a failed request, and their values in a form that is the same the next time.
//!
//! A closed list: labels of tenants or customers have no business in a record. Values come from outside and are cut,
//! cleaned and counted, never believed. Pure.

use super::super::words::invisible;
use crate::api::CLASSES;

/// What a label tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tells {
    /// How the request failed.
    Class,
    /// What was asked for.
    Route,
    /// With which method.
    Method,
    /// Where it was answered.
    Zone,
}

/// What data planes, OpenTelemetry's conventions and the usual middlewares call them. Linkerd's `route_name` is none: it
/// is the name of an object, and every request of the Rollout has it.
const ROUTES: [&str; 12] = [
    "http_route",
    "route",
    "path",
    "handler",
    "endpoint",
    "uri",
    "operation",
    "grpc_service",
    "grpc_method",
    "rpc_service",
    "rpc_method",
    "action",
];
const METHODS: [&str; 4] = ["http_request_method", "method", "http_method", "request_method"];
const ZONES: [&str; 5] =
    ["zone", "availability_zone", "cloud_availability_zone", "topology_kubernetes_io_zone", "region"];

/// The longest value that is kept, in characters.
const LONGEST: usize = 64;
/// A segment of a path with a digit is an identifier if it is hexadecimal and has this many characters, or if it has
/// [`LONG_ID`].
const HEX_ID: usize = 8;
const LONG_ID: usize = 20;

/// What a label tells, if it tells something.
pub(super) fn tells(label: &str) -> Option<Tells> {
    [(Tells::Class, &CLASSES[..]), (Tells::Route, &ROUTES), (Tells::Method, &METHODS), (Tells::Zone, &ZONES)]
        .into_iter()
        .find_map(|(tells, labels)| labels.contains(&label).then_some(tells))
}

/// The value as it is kept; `None` if it says nothing.
pub(super) fn value(tells: Tells, value: &str) -> Option<String> {
    let text = match tells {
        Tells::Class | Tells::Zone => value.to_owned(),
        Tells::Method => value.to_ascii_uppercase(),
        Tells::Route => route(value),
    };
    // What cannot be seen, or turns the text around it, shows nobody anything.
    let text: String = text.trim().chars().take(LONGEST).map(|c| if invisible(c) { '?' } else { c }).collect();
    // Istio writes "-" where there is no flag.
    (!matches!(text.as_str(), "" | "-")).then_some(text)
}

/// A path without its query, in which identifiers are `*`: `/orders/4711` and `/orders/4712` fail alike.
fn route(path: &str) -> String {
    // More than this is cut anyway; a value may be as long as the server allows.
    let path: String = path.chars().take(LONGEST.saturating_mul(8)).take_while(|c| !matches!(c, '?' | '#')).collect();
    let segments: Vec<&str> = path.split('/').map(|segment| if identifies(segment) { "*" } else { segment }).collect();
    segments.join("/")
}

fn identifies(segment: &str) -> bool {
    let digit = segment.chars().any(|c| c.is_ascii_digit());
    let length = segment.chars().count();
    let number = segment.chars().all(|c| c.is_ascii_digit());
    let hex = segment.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    digit && (number || hex && length >= HEX_ID || length >= LONG_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_labels_tell_something() {
        assert_eq!(tells("envoy_response_code"), Some(Tells::Class));
        assert_eq!(tells("http_route"), Some(Tells::Route));
        assert_eq!(tells("method"), Some(Tells::Method));
        for label in ["pod", "instance", "job", "le", "service", "tenant", "customer_id", "", "code "] {
            assert_eq!(tells(label), None, "{label}");
        }
    }

    #[test]
    fn identifiers_in_paths_are_no_part_of_them() {
        let kept = |path| value(Tells::Route, path).unwrap();
        assert_eq!(kept("/orders/4711/items/2"), "/orders/*/items/*");
        assert_eq!(kept("/u/5f3a9c1e-0d2b-4c7e-9f00-1234567890ab"), "/u/*");
        assert_eq!(kept("/v1/pay?card=4711#x"), "/v1/pay");
        assert_eq!(kept("/s3/{id}/:name/facade"), "/s3/{id}/:name/facade");
        assert_eq!(kept("/t/eyJhbGciOiJIUzI1NiJ9xyz"), "/t/*");
    }

    #[test]
    fn hostile_values_are_short_and_visible() {
        assert_eq!(value(Tells::Class, "5\u{0}0\n3\u{202e}x").unwrap(), "5?0?3?x");
        assert_eq!(value(Tells::Class, "5\u{ad}0\u{e0041}3\u{3164}").unwrap(), "5?0?3?");
        assert_eq!(value(Tells::Class, &"é".repeat(10_000)).unwrap().chars().count(), LONGEST);
        assert_eq!(value(Tells::Route, &"/1".repeat(1_000_000)).unwrap().chars().count(), LONGEST);
        assert_eq!(value(Tells::Method, "get").as_deref(), Some("GET"));
        for nothing in ["", " ", "-", "\t\n"] {
            assert_eq!(value(Tells::Class, nothing), None);
        }
    }
}
