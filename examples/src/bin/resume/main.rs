//! A thousand tokens that arrive whatever happens on the way: the client's address changes, its
//! network is cut twice, and it is killed and started anew.
//!
//! ```text
//! resume demo                                        all of it, and checks that it worked
//! resume client --connect URI --pin … --dir FOLDER   the client alone; again, after it was killed
//! ```
//!
//! The demo's process has the node and a [relay], through which the client, a process of
//! its own, reaches the node.

mod client;
mod files;
mod relay;

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use aire_examples::{Leashed, line};
use aire_mio::{Certificate, Failure, Identity, Node, Operation, Resumable, Settings};
use aire_proto::resume::Ticket;
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use files::Files;
use relay::Relay;

#[derive(Parser)]
#[command(
    version,
    about = "A thousand tokens that arrive whatever happens on the way"
)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs a node and a client, and makes trouble between them.
    Demo,
    /// Takes all tokens of a node into FOLDER/output; begun again, it goes on where it was.
    Client(ClientArgs),
}

#[derive(Args)]
struct ClientArgs {
    /// The node: aire://host:port
    #[arg(long)]
    connect: String,
    /// Trust the node with this key: SHA-256 of its SubjectPublicKeyInfo, in hex.
    #[arg(long)]
    pin: String,
    /// Where it keeps its key, its ticket and its output.
    #[arg(long)]
    dir: PathBuf,
}

const TOKENS: u64 = 1000;
const PACE: Duration = Duration::from_millis(15);

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let done = match Cli::parse().what {
        What::Demo => demo(),
        What::Client(args) => client::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("resume: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Connections that notice soon that they are lost, for a demo that does not take long: the
/// default is 30 s.
fn impatient() -> Settings {
    Settings {
        idle_timeout: Duration::from_millis(1500),
        ..Settings::default()
    }
}

/// The agent. It knows nothing of connections: what it sends is kept until somebody has it.
fn write(operation: &mut Operation) -> Result<(), Failure> {
    for n in 1..=TOKENS {
        operation.send(format!("token-{n}"))?;
        operation.sleep(PACE)?;
    }
    Ok(())
}

fn say(who: &str, direction: &str, what: &str, rest: &str) {
    println!(
        "{}",
        line(&format!("{who:<6}"), direction, what, None, rest)
    );
}

/// What the demo's process looks at.
struct Scene {
    node: Node,
    relay: Relay,
    files: Files,
}

fn demo() -> Result<(), Box<dyn Error>> {
    let certificate = Certificate::self_signed(&[])?;
    let pin = certificate.pin();
    let node = Node::builder(Identity::generate()?, certificate)
        .settings(impatient())
        // Whoever loses the connection has half a minute to come back.
        .resumable_agent("writer", write, Resumable::for_ttl(Duration::from_secs(30)))?
        .listen("127.0.0.1:0".parse()?)?;
    let dir = std::env::temp_dir().join(format!("aire-resume-{}", std::process::id()));
    fs::create_dir(&dir)?;
    let scene = Scene {
        relay: Relay::start(node.address())?,
        node,
        files: Files::new(&dir),
    };
    let uri = format!("aire://{}", scene.relay.address());
    let start = || start(&uri, &pin.to_string(), &dir);
    let told = scene.play(start);
    let removed = fs::remove_dir_all(&dir);
    told?;
    Ok(removed?)
}

/// Starts the client as a process.
fn start(uri: &str, pin: &str, dir: &Path) -> std::io::Result<Leashed> {
    let this = std::env::current_exe()?;
    let mut client = Command::new(this);
    client.args(["client", "--connect", uri, "--pin", pin, "--dir"]);
    client.arg(dir).spawn().map(Leashed)
}

impl Scene {
    fn play(&self, start: impl Fn() -> std::io::Result<Leashed>) -> Result<(), Box<dyn Error>> {
        let mut client = start()?;
        self.move_client()?;
        self.cut_network(200, 1)?;
        self.cut_network(500, 2)?;

        self.wait("800 tokens", || self.received() >= 800)?;
        say("demo", "--", "KILL", "SIGKILL for the client's process");
        client.0.kill()?;
        client.0.wait()?;
        self.look_at_remains()?;
        client = start()?;

        let ended = client.0.wait()?;
        if !ended.success() {
            return Err(format!("the client did not come to its end: {ended}").into());
        }
        self.check()
    }

    /// The client's address changes. The node sees that, makes sure that the client is there
    /// (RFC 9000, section 9), and goes on with the same connection: RUST_LOG=aire_mio=debug shows
    /// the steps.
    fn move_client(&self) -> Result<(), Box<dyn Error>> {
        self.wait("100 tokens", || self.received() >= 100)?;
        let before = self.received();
        say(
            "demo",
            "--",
            "MOVE",
            "the client's address is now 127.0.0.2",
        );
        self.relay.go_elsewhere();
        let came = || self.relay.answers_elsewhere() >= 50 && self.received() >= before + 50;
        self.wait("tokens at the new address", came)?;
        let metrics = self.node.metrics();
        if metrics.detached + metrics.resumed > 0 {
            return Err("the connection did not outlive the move".into());
        }
        let told = "the same connection, and no RESUME: it migrated";
        say("node", "->", "STREAM", told);
        Ok(())
    }

    /// Cuts the network once the client has so many tokens, and mends it when the node knows that
    /// the client is gone. It is the `nth` time that an operation is resumed.
    fn cut_network(&self, tokens: u64, nth: u64) -> Result<(), Box<dyn Error>> {
        let there = || self.received() >= tokens;
        self.wait(&format!("{tokens} tokens"), there)?;
        say("demo", "--", "CUT", "nothing passes any more");
        self.relay.cut(true);
        let lost = || self.node.metrics().detached >= nth;
        self.wait("the loss of the connection", lost)?;
        say(
            "node",
            "--",
            "LOST",
            "the client is gone; the agent goes on",
        );
        // By then the client has noticed, too.
        thread::sleep(Duration::from_secs(1));
        self.relay.cut(false);
        say("demo", "--", "MEND", "the network is back");
        self.wait("a RESUME", || self.node.metrics().resumed >= nth)?;
        say("node", "<-", "RESUME", "and what was missed goes out");
        Ok(())
    }

    /// What a killed client leaves behind. Half a line is added to it, as a process leaves it that
    /// was killed while it wrote.
    fn look_at_remains(&self) -> Result<(), Box<dyn Error>> {
        let ticket = self.files.ticket()?.ok_or("there is no ticket")?;
        let counted = Ticket::decode(&ticket)?.received;
        let lines = self.received();
        let told =
            format!("{lines} lines, of which the ticket counts {counted}; now half a line more");
        say("demo", "--", "REMAINS", &told);
        if lines != counted && lines != counted + 1 {
            return Err("the output and the ticket do not belong together".into());
        }
        let mut output = OpenOptions::new().append(true).open(self.files.output())?;
        output.write_all(b"token-")?;
        Ok(())
    }

    /// How many tokens the client has written down.
    fn received(&self) -> u64 {
        let output = fs::read(self.files.output()).unwrap_or_default();
        output.iter().filter(|byte| **byte == b'\n').count() as u64
    }

    fn wait(&self, what: &str, came: impl Fn() -> bool) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + Duration::from_secs(15);
        while !came() {
            if Instant::now() > until {
                return Err(format!("waited for {what} in vain").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Box<dyn Error>> {
        let expected: String = (1..=TOKENS).map(|n| format!("token-{n}\n")).collect();
        if fs::read_to_string(self.files.output())? != expected {
            return Err("the output is not what the node sent".into());
        }
        let resumed = self.node.metrics().resumed;
        if resumed < 3 {
            return Err(format!("resumed {resumed} times only").into());
        }
        println!("\nAll {TOKENS} tokens, in order, each once; resumed {resumed} times.");
        Ok(())
    }
}
