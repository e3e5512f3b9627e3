//! A node within the test, for the commands that call one.
#![allow(dead_code, reason = "no test uses all of it")]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use aire_mio::{Agent, Certificate, Failure, Identity, Node, Operation, Resumable};
use aire_proto::budget::Charge;

use crate::support::{Home, PATIENCE, Ran};

/// A node with a few agents, and a home for the command.
pub(crate) struct Stand {
    pub(crate) home: Home,
    pub(crate) node: Node,
    pub(crate) pin: String,
    /// Why operations of `wait` had to stop.
    pub(crate) stopped: Receiver<Failure>,
    /// Lets `count` go on behind its third frame.
    pub(crate) gate: Arc<AtomicBool>,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let certificate = Certificate::self_signed(&["127.0.0.1"]).expect("a certificate");
        let pin = certificate.pin().to_string();
        let identity = Identity::generate().expect("a key");
        let (stopping, stopped) = mpsc::channel();
        let gate = Arc::new(AtomicBool::new(false));
        let node = Node::builder(identity, certificate)
            .agent("echo", echo)
            .and_then(|node| node.agent("fail", fail))
            .and_then(|node| node.agent("wait", wait(stopping)))
            .and_then(|node| node.agent("spend", spend))
            .and_then(|node| {
                let how = Resumable::default();
                node.resumable_agent("count", count(gate.clone()), how)
            })
            .and_then(|node| node.listen("127.0.0.1:0".parse().expect("an address")))
            .expect("it listens");
        Self {
            home: Home::new(),
            node,
            pin,
            stopped,
            gate,
        }
    }

    pub(crate) fn uri(&self, path: &str) -> String {
        format!("aire://{}{path}", self.node.address())
    }

    /// The command with this node for a target.
    pub(crate) fn args<'a>(
        &'a self,
        command: &'a str,
        uri: &'a str,
        more: &[&'a str],
    ) -> Vec<&'a str> {
        let mut args = vec![command, uri];
        args.extend_from_slice(more);
        args.extend_from_slice(&["--pin", &self.pin, "--connect-timeout", "120s"]);
        args
    }

    pub(crate) fn run(&self, command: &str, path: &str, more: &[&str]) -> Ran {
        self.home.run(&self.args(command, &self.uri(path), more))
    }
}

/// Answers with its arguments; `all` also with what is streamed to it.
fn echo(operation: &mut Operation) -> Result<(), Failure> {
    let args = operation.args().to_vec();
    if !args.is_empty() {
        operation.send(args)?;
    }
    while operation.operation() == "all"
        && let Some(payload) = operation.recv()?
    {
        operation.send(payload)?;
    }
    Ok(())
}

fn fail(operation: &mut Operation) -> Result<(), Failure> {
    operation.send("some\n")?;
    Err(Failure::application("there is no more"))
}

fn wait(stopping: mpsc::Sender<Failure>) -> impl Agent {
    let stopping = Mutex::new(stopping);
    move |operation: &mut Operation| {
        operation.send("waiting\n")?;
        let end = operation.sleep(PATIENCE);
        if let Err(failure) = &end {
            let stopping = stopping.lock().expect("nobody panics");
            // A test that has ended does not ask.
            let _gone = stopping.send(failure.clone());
        }
        end
    }
}

/// Spends as many tokens as its arguments say, one for each frame, and accounts for them.
fn spend(operation: &mut Operation) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(operation.args()).into_owned();
    let tokens: u64 = text.parse().map_err(Failure::application)?;
    // The BUDGET follows the INVOKE.
    if operation.operation() == "limited" {
        while !operation.ledger().is_limited() {
            operation.sleep(Duration::from_millis(1))?;
        }
    }
    for _ in 0..tokens {
        operation.charge(&Charge::tokens(1))?;
        operation.send("x")?;
    }
    let mut buffer = [0; aire_proto::accounting::MAX_LEN];
    let accounting = operation.accounting(0, Duration::from_millis(5));
    let encoded = accounting.encode(&mut buffer).expect("it fits").to_vec();
    operation.send(encoded)
}

/// Counts to six.
fn count(gate: Arc<AtomicBool>) -> impl Agent {
    move |operation: &mut Operation| {
        for number in 1..=6 {
            while number > 3 && !gate.load(Ordering::SeqCst) {
                operation.sleep(Duration::from_millis(10))?;
            }
            operation.send(number.to_string())?;
        }
        Ok(())
    }
}
