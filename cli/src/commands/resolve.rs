//! `aire resolve`: where a name leads, step by step.

use aire_mio::resolver::{Endpoint, Step, Trace};
use serde::Serialize;

use crate::common::discovery::DiscoveryArgs;
use crate::common::output::style;
use crate::common::present::{Took, millis, one_line};
use crate::{Error, Output};

/// Arguments of `aire resolve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to resolve: @name@domain, a DID, or an aire:// URI.
    pub target: String,
    /// How names are looked up.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// Resolves, and prints each step with its time.
///
/// # Errors
/// [`Error::Library`] with the reason when it leads nowhere, after the steps.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let resolver = args.discovery.resolver()?;
    let trace = resolver.trace(&args.target);
    out.present(&Report::new(&args.target, &trace), |out| table(&trace, out))?;
    match trace.outcome {
        Ok(_) => Ok(()),
        Err(error) => Err(aire_mio::Error::Unresolved(error).into()),
    }
}

fn table(trace: &Trace, out: &mut Output) -> Result<(), Error> {
    let width = |text: fn(&Step) -> usize| trace.steps.iter().map(text).max().unwrap_or(0);
    let name = width(|step| step.what.as_str().len());
    let detail = width(|step| step.detail.chars().count()).min(MOST_DETAIL);
    for step in &trace.steps {
        let (mark, outcome) = match &step.outcome {
            Ok(found) => (out.styled(style::GOOD, "ok  "), one_line(found)),
            Err(error) => (out.styled(style::BAD, "fail"), one_line(&error.to_string())),
        };
        let took = Took(step.took);
        let about = one_line(&step.detail);
        let what = out.styled(style::STRONG, format!("{:name$}", step.what.as_str()));
        out.line(format_args!(
            "{mark}  {what}  {took:>10}  {about:detail$}  {outcome}"
        ))?;
    }
    let took = Took(trace.took);
    let Ok(resolved) = &trace.outcome else {
        return out.line(format_args!("it leads nowhere, after {took}"));
    };
    if let Some(did) = &resolved.did {
        let label = out.styled(style::DIM, "did      ");
        out.line(format_args!("{label}  {did}"))?;
    }
    for endpoint in &resolved.endpoints {
        let label = out.styled(style::DIM, "endpoint ");
        let accept = match endpoint.accept.is_empty() {
            true => String::new(),
            false => format!(", accepts {}", one_line(&endpoint.accept.join(" "))),
        };
        let endpoint = one_line(&endpoint.to_string());
        out.line(format_args!("{label}  {endpoint}{accept}"))?;
    }
    let label = out.styled(style::DIM, "in all   ");
    out.line(format_args!("{label}  {took}"))
}

/// Details beyond this many characters push the outcome to the right.
const MOST_DETAIL: usize = 60;

#[derive(Serialize)]
struct Report<'a> {
    target: &'a str,
    steps: Vec<StepReport<'a>>,
    took_ms: f64,
    did: Option<&'a str>,
    endpoints: Vec<EndpointReport<'a>>,
    agent: Option<&'a str>,
    operation: Option<&'a str>,
    error: Option<String>,
}

#[derive(Serialize)]
struct StepReport<'a> {
    what: &'static str,
    detail: &'a str,
    took_ms: f64,
    found: Option<&'a str>,
    error: Option<String>,
}

#[derive(Serialize)]
struct EndpointReport<'a> {
    uri: String,
    accept: &'a [String],
    agent: Option<&'a str>,
}

impl<'a> Report<'a> {
    fn new(target: &'a str, trace: &'a Trace) -> Self {
        let resolved = trace.outcome.as_ref().ok();
        let endpoints = resolved.map_or(&[][..], |resolved| &resolved.endpoints);
        Self {
            target,
            steps: trace.steps.iter().map(StepReport::from).collect(),
            took_ms: millis(trace.took),
            did: resolved.and_then(|resolved| resolved.did.as_deref()),
            endpoints: endpoints.iter().map(EndpointReport::from).collect(),
            agent: resolved.and_then(|resolved| resolved.agent.as_deref()),
            operation: resolved.and_then(|resolved| resolved.operation.as_deref()),
            error: trace.outcome.as_ref().err().map(ToString::to_string),
        }
    }
}

impl<'a> From<&'a Step> for StepReport<'a> {
    fn from(step: &'a Step) -> Self {
        Self {
            what: step.what.as_str(),
            detail: &step.detail,
            took_ms: millis(step.took),
            found: step.outcome.as_deref().ok(),
            error: step.outcome.as_ref().err().map(ToString::to_string),
        }
    }
}

impl<'a> From<&'a Endpoint> for EndpointReport<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        Self {
            uri: endpoint.uri.to_string(),
            accept: &endpoint.accept,
            agent: endpoint.agent.as_deref(),
        }
    }
}
