//! What the tests share: nodes and clients in one line, a relay with weather, a bare QUIC peer.
#![allow(dead_code, unreachable_pub)]

pub mod exposition;
pub mod faulty;
pub mod hands;
pub mod raw;
pub mod redis;
pub mod relay;
pub mod stage;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use aire_mio::{
    Certificate, Client, ClientBuilder, Failure, Identity, Node, NodeBuilder, Operation, Settings,
    Trust,
};

/// Any free UDP port of this machine.
pub fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn identity() -> Identity {
    Identity::generate().expect("an identity")
}

pub fn certificate() -> Certificate {
    watch();
    Certificate::self_signed(&[]).expect("a certificate")
}

/// Ends a test program that hangs, and says what its threads are doing: a test run that never ends
/// tells nobody anything.
fn watch() {
    static WATCHED: std::sync::Once = std::sync::Once::new();
    WATCHED.call_once(|| {
        std::thread::spawn(|| {
            std::thread::sleep(LONGEST_RUN);
            let mut said =
                format!("no end after {LONGEST_RUN:?}; threads and what they wait in:\n");
            for task in std::fs::read_dir("/proc/self/task").into_iter().flatten() {
                let Ok(task) = task else { continue };
                let about = |file| std::fs::read_to_string(task.path().join(file));
                let name = about("comm").unwrap_or_default();
                let place = about("wchan").unwrap_or_default();
                said += &format!("{} {place}\n", name.trim());
            }
            // Past the capture of the test harness, which would swallow it.
            let _written = std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes());
            std::process::abort();
        });
    });
}

/// Longer than any test program takes on a slow machine.
const LONGEST_RUN: Duration = Duration::from_secs(600);

/// Settings with which a node that stops does not wait long for what is live.
pub fn short_drain() -> Settings {
    let mut settings = Settings::default();
    settings.protocol.drain_timeout = Duration::from_millis(300);
    settings
}

/// A node to be, with the agent `echo`.
pub fn builder(certificate: &Certificate) -> NodeBuilder {
    Node::builder(identity(), certificate.clone())
        .agent("echo", |operation: &mut Operation| {
            let args = operation.args().to_vec();
            operation.send(args)
        })
        .expect("a free name")
}

pub fn uri(address: SocketAddr) -> String {
    format!("aire://{address}")
}

pub fn client(certificate: &Certificate) -> ClientBuilder {
    Client::builder(identity(), Trust::pinned(certificate.pin()))
}

pub fn connect(node: &Node, certificate: &Certificate) -> Client {
    client(certificate)
        .connect(&uri(node.address()))
        .expect("the node answers")
}

/// A node with the agent `it` beside `echo`, and a client of it.
pub fn with_agent(
    agent: impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static,
) -> (Node, Client) {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", agent)
        .expect("a free name")
        .listen(any_port())
        .expect("a free port");
    let client = connect(&node, &certificate);
    (node, client)
}

/// All frames of an operation that ends well.
pub fn collect(operation: &mut Operation) -> Result<Vec<Vec<u8>>, Failure> {
    let mut frames = Vec::new();
    while let Some(frame) = operation.recv()? {
        frames.push(frame);
    }
    Ok(frames)
}

/// How an operation ends, whatever comes before.
pub fn end_of(operation: &mut Operation) -> Result<(), Failure> {
    while operation.recv()?.is_some() {}
    Ok(())
}

/// Asks for an echo, and takes it.
pub fn echo(client: &Client, text: &str) -> String {
    let mut operation = client.invoke("echo", "", text).expect("invoked");
    let frames = collect(&mut operation).expect("it ends well");
    String::from_utf8(frames.concat()).expect("text")
}

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `what` is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came to pass: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A directory that goes away with the value.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("aire-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    pub fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("written");
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// SplitMix64: the same seed, the same weather.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }
}
