//! A node with a resumable agent, behind a relay that can cut the network.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use aire_mio::{
    Agent, Certificate, Client, ClientBuilder, Failure, Identity, Node, NodeBuilder, Operation,
    Reconnect, Resumable, Settings, Trust,
};

use super::relay::{Relay, Weather};
use super::{PATIENCE, any_port, builder, certificate, eventually, uri};

/// Settings with which a cut is noticed soon.
pub fn quick() -> Settings {
    let mut settings = Settings {
        idle_timeout: Duration::from_millis(600),
        ..Settings::default()
    };
    settings.protocol.drain_timeout = Duration::from_millis(200);
    settings
}

/// A gate between a handler and its test: so many steps may be taken.
#[derive(Clone, Default)]
pub struct Gate(Arc<(Mutex<u64>, Condvar)>);

impl Gate {
    pub fn open(&self, steps: u64) {
        *self.0.0.lock().expect("unharmed") += steps;
        self.0.1.notify_all();
    }

    /// Takes a step, as soon as one may be taken.
    pub fn step(&self) {
        let (steps, changed) = &*self.0;
        let mut steps = steps.lock().expect("unharmed");
        let deadline = Instant::now() + PATIENCE;
        while *steps == 0 {
            assert!(Instant::now() < deadline, "the gate stays shut");
            let waited = changed.wait_timeout(steps, Duration::from_millis(100));
            steps = waited.expect("unharmed").0;
        }
        *steps -= 1;
    }
}

pub struct Stage {
    pub node: Node,
    pub relay: Relay,
    pub certificate: Certificate,
    pub seed: [u8; 32],
}

impl Stage {
    /// With the agent `it`.
    pub fn new(how: Resumable, agent: impl Agent) -> Self {
        Self::with(how, agent, |node| node)
    }

    pub fn with(
        how: Resumable,
        agent: impl Agent,
        set_up: impl FnOnce(NodeBuilder) -> NodeBuilder,
    ) -> Self {
        let certificate = certificate();
        let node = builder(&certificate)
            .settings(quick())
            .resumable_agent("it", agent, how)
            .expect("a free name");
        let node = set_up(node).listen(any_port()).expect("a free port");
        Self::around(node, certificate)
    }

    pub fn around(node: Node, certificate: Certificate) -> Self {
        let relay = Relay::start(node.address(), Weather::default());
        let mut seed = [0; 32];
        boring::rand::rand_bytes(&mut seed).expect("random");
        Self {
            node,
            relay,
            certificate,
            seed,
        }
    }

    pub fn client(&self) -> ClientBuilder {
        let identity = Identity::from_seed(self.seed);
        Client::builder(identity, Trust::pinned(self.certificate.pin()))
            .settings(quick())
            .reconnect(Reconnect {
                first: Duration::from_millis(20),
                most: Duration::from_millis(500),
                give_up: PATIENCE,
            })
    }

    /// A client whose network the relay can cut.
    pub fn connect(&self) -> Client {
        let connected = self.client().connect(&uri(self.relay.address));
        connected.expect("the node answers")
    }

    /// A client without a relay between.
    pub fn connect_directly(&self) -> Client {
        let connected = self.client().connect(&uri(self.node.address()));
        connected.expect("the node answers")
    }

    /// Cuts the network until the node has noticed; `during` runs while it is away.
    pub fn cut(&self, during: impl FnOnce()) {
        let before = self.node.metrics().detached;
        self.relay.silence(true);
        eventually("the node notices that the client is gone", || {
            self.node.metrics().detached > before
        });
        during();
        self.relay.silence(false);
    }
}

/// The next payload, as text.
pub fn next(operation: &mut Operation) -> String {
    let payload = operation.recv().expect("it goes on").expect("a frame");
    String::from_utf8(payload).expect("text")
}

/// Waits until the operation can be resumed.
pub fn ticket(operation: &Operation) -> Vec<u8> {
    let mut ticket = None;
    eventually("the operation can be resumed", || {
        ticket = operation.ticket();
        ticket.is_some()
    });
    ticket.expect("there is one")
}

/// How long a test can wait for an operation's time to pass.
pub fn short_lived() -> Resumable {
    Resumable::for_ttl(Duration::from_secs(1))
}

/// Sends the numbers up to the one it is asked for, a step each.
pub fn counting(
    gate: &Gate,
) -> impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static {
    let gate = gate.clone();
    move |operation| {
        let text = String::from_utf8(operation.args().to_vec()).expect("text");
        for n in 1..=text.parse::<u64>().expect("a number") {
            gate.step();
            operation.send(n.to_string())?;
        }
        Ok(())
    }
}

/// What [`counting`] sends until it ends well.
pub fn numbers(operation: &mut Operation) -> Vec<u64> {
    let frames = super::collect(operation).expect("it ends well");
    let text = frames
        .into_iter()
        .map(|it| String::from_utf8(it).expect("text"));
    text.map(|it| it.parse().expect("a number")).collect()
}
