//! `sluice run`: the operator's configuration. By flags and environment only, checked before anything starts, and
//! printed as one line of the log. Knows no cluster.

use std::net::SocketAddr;

use clap::ValueEnum;

use crate::api::{PostmortemCause, RouteKind, names};
use crate::record::retention::Keep;
use crate::watch::Sight;
use crate::{app, drafts, telemetry};

/// How the operator is run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where /livez, /readyz and /metrics are served.
    #[arg(long, env = "SLUICE_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// What is logged, for example `info` or `sluice=debug,kube=warn`.
    #[arg(long, env = "SLUICE_LOG_LEVEL", default_value = "info,kube_runtime=warn")]
    log_level: String,
    /// How it is logged.
    #[arg(long, env = "SLUICE_LOG_FORMAT", value_enum, default_value = "text")]
    log_format: LogFormat,
    /// A collector of OpenTelemetry that is sent the spans of each pass, by OTLP over HTTP: `http://HOST:4318`.
    #[cfg(feature = "otlp")]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: Option<String>,
    /// The name of this process in events; usually the pod's name.
    #[arg(long, env = "SLUICE_POD_NAME", default_value = "sluice", value_parser = name)]
    pod_name: String,
    /// The operator's own namespace: where the Secrets of MetricsProviders and NotificationSinks are. Default: where it runs.
    #[arg(long, env = "SLUICE_NAMESPACE", value_parser = name)]
    namespace: Option<String>,
    /// The ServiceAccount that the operator runs under and that the admission policies name.
    #[arg(long, env = "SLUICE_SERVICE_ACCOUNT", default_value = "sluice", value_parser = name)]
    service_account: String,
    /// The only namespace whose Rollouts are governed, with rights in it alone. Default: all.
    #[arg(long, env = "SLUICE_WATCH_NAMESPACE", value_parser = name)]
    watch_namespace: Option<String>,
    /// The kinds of route that may be governed: HTTPRoute, GRPCRoute. Each needs its rights.
    #[arg(
        long,
        env = "SLUICE_ROUTES",
        value_name = "KINDS",
        value_delimiter = ',',
        value_parser = route_kind,
        default_value = "HTTPRoute,GRPCRoute"
    )]
    routes: Vec<RouteKind>,
    /// Decide only while this process holds a Lease, so that several can run. Without it there must be only one.
    #[arg(
        long,
        env = "SLUICE_LEADER_ELECT",
        action = clap::ArgAction::Set,
        default_value_t = true,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    leader_elect: bool,
    /// The Lease, in the operator's own namespace.
    #[arg(long, env = "SLUICE_LEASE_NAME", default_value = "sluice", value_parser = name)]
    lease_name: String,
    /// Releases and ReworkEvents older than this are deleted. Figures over 180 days need 270.
    #[arg(long, env = "SLUICE_KEEP_DAYS", value_name = "DAYS", default_value_t = Keep::default().days, value_parser = clap::value_parser!(u32).range(1..))]
    keep_days: u32,
    /// So many Releases of each Rollout are kept, and as many ReworkEvents; the newest 20 always.
    #[arg(long, env = "SLUICE_KEEP_EACH", value_name = "COUNT", default_value_t = Keep::default().each)]
    keep_each: usize,
    /// For which failures a Postmortem is drafted by itself; None for none.
    #[arg(
        long,
        env = "SLUICE_DRAFT_POSTMORTEMS",
        value_name = "CAUSES",
        value_enum,
        ignore_case = true,
        value_delimiter = ',',
        default_value = "Escaped,Recurrence,BreakGlass"
    )]
    draft_postmortems: Vec<DraftFor>,
}

/// What a Postmortem is drafted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum DraftFor {
    /// Failures that served everybody, or took more than 20 % of the month's error budget.
    Escaped,
    /// Failures whose defect was recorded in the 90 days before.
    Recurrence,
    /// Templates that rolled unproven.
    BreakGlass,
    /// Nothing; stands alone.
    None,
}

/// The policy that these words make.
fn draft_policy(words: &[DraftFor]) -> anyhow::Result<drafts::Policy> {
    let cause = |word: &DraftFor| match word {
        DraftFor::Escaped => Some(PostmortemCause::Escaped),
        DraftFor::Recurrence => Some(PostmortemCause::Recurrence),
        DraftFor::BreakGlass => Some(PostmortemCause::BreakGlass),
        DraftFor::None => None,
    };
    let causes: Vec<PostmortemCause> = words.iter().filter_map(cause).collect();
    anyhow::ensure!(
        causes.is_empty() || !words.contains(&DraftFor::None),
        "--draft-postmortems: None stands alone; leave it out, or the {} other words",
        causes.len()
    );
    Ok(drafts::Policy::new(causes))
}

/// How logs are written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs, one object per line.
    Json,
}

/// A name that an object of the API server can have.
fn name(text: &str) -> Result<String, String> {
    let bad = "not a name that an object can have: lower-case letters, digits, '-' and '.', at most 253";
    names::is_name(text).then(|| text.to_owned()).ok_or_else(|| bad.to_owned())
}

fn route_kind(text: &str) -> Result<RouteKind, String> {
    let kinds = [RouteKind::HTTPRoute, RouteKind::GRPCRoute];
    let found = kinds.into_iter().find(|kind| kind.word().eq_ignore_ascii_case(text.trim()));
    found.ok_or_else(|| "HTTPRoute or GRPCRoute, or both with a comma".to_owned())
}

impl Args {
    /// Runs the operator until it is told to stop.
    pub fn run(self) -> anyhow::Result<()> {
        #[cfg(feature = "otlp")]
        let spans =
            self.otlp_endpoint.as_ref().map(|url| telemetry::otlp::Spans::to(url, &self.pod_name)).transpose()?;
        #[cfg(feature = "otlp")]
        let others = spans.iter().map(telemetry::otlp::Spans::layer).collect();
        #[cfg(not(feature = "otlp"))]
        let others = Vec::new();
        telemetry::start(&self.log_level, self.log_format, others)?;
        let drafts = draft_policy(&self.draft_postmortems)?;
        // Every setting by its flag's name; none of them is a secret.
        let (version, settings) = (env!("CARGO_PKG_VERSION"), self.settings());
        tracing::info!(version, settings, "sluice starts");
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build()?;
        let ended = runtime.block_on(app::run(app::Options {
            listen: Some(self.listen),
            reporter: self.pod_name,
            namespace: self.namespace,
            sight: Sight { namespace: self.watch_namespace, routes: self.routes },
            account: self.service_account,
            lease: self.leader_elect.then_some(self.lease_name),
            keep: Keep { days: self.keep_days, each: self.keep_each },
            drafts,
        }));
        // Waits for no thread: whoever does not lead any more ends at once.
        runtime.shutdown_background();
        ended
    }

    /// The flags that make this configuration.
    fn settings(&self) -> String {
        let words = |words: &[RouteKind]| words.iter().map(|word| word.word()).collect::<Vec<_>>().join(",");
        let drafts: Vec<String> = self.draft_postmortems.iter().map(|word| format!("{word:?}")).collect();
        let Self {
            listen,
            log_level,
            log_format,
            pod_name,
            namespace,
            service_account,
            watch_namespace,
            routes,
            leader_elect,
            lease_name,
            keep_days,
            keep_each,
            draft_postmortems: _,
            #[cfg(feature = "otlp")]
            otlp_endpoint,
        } = self;
        let format = match log_format {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        let mut all = vec![
            format!("--listen={listen}"),
            format!("--log-level={log_level}"),
            format!("--log-format={format}"),
            format!("--pod-name={pod_name}"),
            format!("--service-account={service_account}"),
            format!("--routes={}", words(routes)),
            format!("--leader-elect={leader_elect}"),
            format!("--lease-name={lease_name}"),
            format!("--keep-days={keep_days}"),
            format!("--keep-each={keep_each}"),
            format!("--draft-postmortems={}", drafts.join(",")),
        ];
        all.extend(namespace.iter().map(|namespace| format!("--namespace={namespace}")));
        all.extend(watch_namespace.iter().map(|namespace| format!("--watch-namespace={namespace}")));
        #[cfg(feature = "otlp")]
        all.extend(otlp_endpoint.iter().map(|url| format!("--otlp-endpoint={url}")));
        all.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        args: Args,
    }

    fn parse(flags: &[&str]) -> Result<Args, String> {
        let words = std::iter::once("sluice").chain(flags.iter().copied());
        let matches = Alone::command().try_get_matches_from(words).map_err(|error| error.to_string())?;
        Alone::from_arg_matches(&matches).map(|alone| alone.args).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_printed_makes_the_same_configuration() {
        let every: [&[&str]; 2] =
            [&[], &["--watch-namespace=shop", "--namespace=own", "--routes=grpcroute", "--keep-days=30"]];
        for flags in every {
            let args = parse(flags).unwrap();
            let printed = args.settings();
            let again = parse(&printed.split(' ').collect::<Vec<_>>()).unwrap();
            assert_eq!(again.settings(), printed);
            // Every flag is in it: a new one that is forgotten fails here.
            for flag in Alone::command().get_arguments().filter_map(|one| one.get_long()) {
                let optional = ["namespace", "watch-namespace", "otlp-endpoint"].contains(&flag);
                let given = flags.iter().any(|one| one.starts_with(&format!("--{flag}=")));
                assert_eq!(printed.contains(&format!("--{flag}=")), given || !optional, "{flag}: {printed}");
            }
        }
    }

    #[test]
    fn what_cannot_be_is_refused_by_the_flags_name() {
        let bad = [
            ("--routes=TCPRoute", "HTTPRoute or GRPCRoute"),
            ("--watch-namespace=", "not a name"),
            ("--watch-namespace=a/b", "not a name"),
            ("--lease-name=Sluice", "not a name"),
            ("--service-account=", "not a name"),
            ("--keep-days=0", "0 is not in"),
            ("--listen=8080", "invalid socket address"),
        ];
        for (flag, why) in bad {
            let error = parse(&[flag]).unwrap_err();
            let name = flag.split('=').next().unwrap();
            assert!(error.contains(name) && error.contains(why), "{flag}: {error}");
        }
    }
}
