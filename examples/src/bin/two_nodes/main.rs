//! Two nodes that speak AIRE: a server that streams tokens, and a client that takes two streams
//! at once, cancels one in the middle, and lets the other finish; then it takes one with a budget
//! that runs out, and tops it up.
//!
//! ```text
//! two-nodes demo                          both, as separate processes
//! two-nodes server --listen ADDR          the server alone
//! two-nodes client --connect URI --pin …  the client alone, against anybody's node
//! ```

mod client;
mod server;
mod story;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use aire_examples::Leashed;
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Two nodes that speak AIRE.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs a server and a client as separate processes.
    Demo,
    /// Serves the agents `echo` and `stream` until SIGINT or SIGTERM.
    Server(ServerArgs),
    /// Calls a node: tells the story of the demo, or invokes the one operation that --invoke names.
    Client(ClientArgs),
}

/// How the server runs.
#[derive(Args)]
struct ServerArgs {
    /// The UDP address to listen on; port 0 for any.
    #[arg(long, default_value = "127.0.0.1:4433")]
    listen: SocketAddr,
    /// An Ed25519 private key in PKCS#8 PEM: who the node is. A new one when missing.
    #[arg(long)]
    key: Option<PathBuf>,
    /// A TLS certificate in PEM. A self-signed one for development when missing.
    #[arg(long, requires = "cert_key")]
    cert: Option<PathBuf>,
    /// The certificate's private key in PEM.
    #[arg(long, requires = "cert")]
    cert_key: Option<PathBuf>,
}

/// How the client runs.
#[derive(Args)]
struct ClientArgs {
    /// The node: aire://host:port
    #[arg(long)]
    connect: String,
    /// Trust the server with this key: SHA-256 of its SubjectPublicKeyInfo, in hex.
    #[arg(long, group = "trust")]
    pin: Option<String>,
    /// Trust servers that these CAs vouch for, in PEM. Without any trust option: the system's.
    #[arg(long, group = "trust")]
    ca: Option<PathBuf>,
    /// Trust whoever answers. Anybody on the path can then read and change everything.
    #[arg(long, group = "trust")]
    danger_accept_any_certificate: bool,
    /// An Ed25519 private key in PKCS#8 PEM: who the client is. A new one when missing.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Invoke this one operation, as AGENT/OPERATION, and print what comes.
    #[arg(long)]
    invoke: Option<String>,
    /// The operation's arguments.
    #[arg(long, default_value = "")]
    args: String,
    /// So many of them at once.
    #[arg(long, default_value_t = 1)]
    parallel: u32,
    /// With --invoke: how many tokens each may spend.
    #[arg(long)]
    budget: Option<u64>,
    /// With --invoke: how many more, once, when the node reports that nothing is left.
    #[arg(long)]
    top_up: Option<u64>,
    /// With --invoke: how long each may take: 500ms, 2s.
    #[arg(long, value_parser = time)]
    deadline: Option<Duration>,
    /// Connect again when the connection is lost, and resume what can be resumed.
    #[arg(long)]
    resume: bool,
}

fn time(text: &str) -> Result<Duration, String> {
    let number = |digits: &str| digits.parse().ok();
    let millis = text.strip_suffix("ms").and_then(number);
    let seconds = text.strip_suffix('s').and_then(number);
    millis
        .map(Duration::from_millis)
        .or(seconds.map(Duration::from_secs))
        .ok_or_else(|| "a whole number with its unit: 500ms, 2s".into())
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match Cli::parse().what {
        What::Demo => demo().map_err(|error| error.to_string()),
        What::Server(args) => server::run(&args).map_err(|error| error.to_string()),
        What::Client(args) => return client::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("two-nodes: {error}");
            ExitCode::FAILURE
        }
    }
}

fn demo() -> Result<(), Box<dyn std::error::Error>> {
    let this = std::env::current_exe()?;
    let mut server = Leashed(
        Command::new(&this)
            .args(["server", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()?,
    );
    let stdout = server.0.stdout.take().ok_or("the server has no output")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = lines
        .next()
        .ok_or("the server ended before it listened")??;
    println!("{first}\n");
    let mut words = first.split(' ').skip(1).step_by(2);
    let (Some(uri), Some(_did), Some(pin)) = (words.next(), words.next(), words.next()) else {
        return Err("the server's first line names no address".into());
    };
    let client = Command::new(&this)
        .args(["client", "--connect", uri, "--pin", pin])
        .status()?;
    stop(&server.0)?;
    let server = server.0.wait()?;
    println!("\nclient: {client}; server: {server}");
    if client.success() && server.success() {
        Ok(())
    } else {
        Err("the demo did not end well".into())
    }
}

/// Asks a child to stop gracefully.
fn stop(child: &Child) -> Result<(), Box<dyn std::error::Error>> {
    let asked = Command::new("kill").arg(child.id().to_string()).status()?;
    if asked.success() {
        Ok(())
    } else {
        Err("the server could not be told to stop".into())
    }
}
