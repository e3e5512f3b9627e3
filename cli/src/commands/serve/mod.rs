//! `aire serve`: a node, as a TOML file says.

mod builtin;
mod config;
mod exec;
mod node;
mod status;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use aire_mio::Node;
use aire_mio::http::Server;
use serde::Serialize;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tracing::{info, warn};

use self::config::{Loaded, Tls};
use self::exec::Running;
use self::node::Plan;
use self::status::Nodes;
use crate::common::output::style;
use crate::{Error, Output};

/// Arguments of `aire serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The node's configuration.
    #[arg(value_name = "CONFIG", default_value = "aire.toml")]
    pub config: PathBuf,
    /// Say whether the configuration is good, and serve nothing.
    #[arg(long)]
    pub check: bool,
}

/// Serves until SIGINT or SIGTERM.
///
/// # Errors
/// [`Error::Config`], [`Error::Library`].
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let mut loaded = Loaded::read(&args.config)?;
    let running = Arc::new(Running::default());
    let plan = Plan::new(&mut loaded, &running, out)?;
    if args.check {
        let config = args.config.display().to_string();
        let checked = serde_json::json!({ "config": config, "agents": plan.agents() });
        return out.present(&checked, |out| out.line(format_args!("{config} is good")));
    }
    let (noticing, notices) = mpsc::channel();
    catch_signals(noticing.clone())?;
    let store = plan.store(&loaded)?;
    let mut nodes = Vec::new();
    for address in loaded.config.listen.get_ref() {
        let node = plan.listen(*address, store.as_ref());
        nodes.push(node.map_err(|error| match &error {
            aire_mio::Error::Bind { .. } => loaded.refuse(&loaded.config.listen, "listen", error),
            _ => error.into(),
        })?);
    }
    let nodes = Arc::new(Nodes::new(nodes));
    let http = &loaded.config.http;
    let http = match http.enabled {
        true => Some(
            status::tell(*http.listen.get_ref(), &nodes)
                .map_err(|error| loaded.refuse(&http.listen, "http.listen", error))?,
        ),
        false => None,
    };
    let publisher = plan.publish(&loaded)?;
    tell_ready(&plan, &loaded, &nodes.list, [&http, &publisher], out)?;
    if let Ok(Notice::Signal(signal)) = notices.recv() {
        info!(signal, "stopping; another signal ends it at once");
    }
    nodes.drain();
    thread::spawn(move || {
        // Whoever watches the node sees how it drains.
        while !nodes.is_drained() {
            thread::sleep(LOOK);
        }
        drop(http);
        drop(publisher);
        stop(nodes);
        noticing.send(Notice::Stopped)
    });
    let Ok(Notice::Stopped) = notices.recv() else {
        running.close();
        return Err(Error::Interrupted);
    };
    if !running.wait_until_none(plan.longest_grace().saturating_add(REAPING)) {
        warn!("programs of agents do not end; they are killed");
    }
    running.close();
    if out.is_json() {
        out.record(&serde_json::json!({ "event": "stopped" }))?;
    }
    Ok(())
}

/// What a node that serves waits for.
#[derive(Clone, Copy, Debug)]
enum Notice {
    Signal(i32),
    Stopped,
}

fn catch_signals(notices: Sender<Notice>) -> Result<(), Error> {
    let failed = |error| Error::Failed(format!("cannot catch signals: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let forward = move || {
        for signal in signals.forever() {
            if notices.send(Notice::Signal(signal)).is_err() {
                return;
            }
        }
    };
    let thread = thread::Builder::new().name("aire-signals".into());
    thread.spawn(forward).map(drop).map_err(failed)
}

/// Ends what has drained.
fn stop(nodes: Arc<Nodes>) {
    // Those who told of them are gone.
    if let Some(nodes) = Arc::into_inner(nodes) {
        nodes.list.into_iter().for_each(Node::stop);
    }
}

/// What is printed once all sockets are open.
#[derive(Serialize)]
struct Ready<'a> {
    event: &'static str,
    did: &'a str,
    addresses: Vec<String>,
    /// Of a self-signed certificate, which nobody trusts who does not pin it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<String>,
    /// Where it tells how it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    http: Option<String>,
    /// Where it serves its DID's document.
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    agents: Vec<&'a str>,
}

fn tell_ready(
    plan: &Plan,
    loaded: &Loaded,
    nodes: &[Node],
    [http, publisher]: [&Option<Server>; 2],
    out: &mut Output,
) -> Result<(), Error> {
    let self_signed = matches!(loaded.config.tls, Tls::SelfSigned(_));
    let ready = Ready {
        event: "ready",
        did: plan.identity.did(),
        addresses: nodes
            .iter()
            .map(|node| node.address().to_string())
            .collect(),
        pin: self_signed.then(|| plan.certificate.pin().to_string()),
        http: http.as_ref().map(|at| format!("http://{}", at.address())),
        publisher: publisher
            .as_ref()
            .map(|at| format!("https://{}", at.address())),
        agents: plan.agents(),
    };
    if out.is_json() {
        return out.record(&ready);
    }
    let name = |out: &Output, name| {
        out.styled(style::DIM, format_args!("{name:<8}"))
            .to_string()
    };
    out.line(format_args!("{} {}", name(out, "did"), ready.did))?;
    for address in &ready.addresses {
        out.line(format_args!("{} aire://{address}", name(out, "listens")))?;
    }
    if let Some(pin) = &ready.pin {
        out.line(format_args!("{} {pin}", name(out, "pin")))?;
    }
    for (what, at) in [("status", &ready.http), ("document", &ready.publisher)] {
        if let Some(at) = at {
            out.line(format_args!("{} {at}", name(out, what)))?;
        }
    }
    out.line(format_args!(
        "{} {}",
        name(out, "agents"),
        ready.agents.join(" ")
    ))?;
    out.flush()
}

/// How often a node that drains is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// How long it takes, at most, until a process that was killed is gone.
const REAPING: Duration = Duration::from_secs(5);
