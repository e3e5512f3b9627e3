//! What the tests share: embassy's executor in a thread, a link with weather, a device on it, and a
//! real node on the host behind it.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

pub mod dialler;
pub mod link;
pub mod servers;
pub mod world;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_embassy::Random;
use aire_mio::{Certificate, Identity, Node, NodeBuilder, Settings};
use aire_proto::UnixMillis;
use aire_proto::identity::Ed25519Signer;
use embassy_executor::{Executor, Spawner};

/// How long a test may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(180);

#[embassy_executor::task(pool_size = 256)]
async fn task(future: Pin<Box<dyn Future<Output = ()>>>) {
    future.await;
}

/// Spawns any future.
pub fn spawn(spawner: Spawner, future: impl Future<Output = ()> + 'static) {
    spawner.spawn(task(Box::pin(future)).expect("a task is free"));
}

/// Runs `test` on an executor of its own. What it spawned stands still once it is done.
pub fn run<F, T>(test: T)
where
    T: FnOnce(Spawner) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let (done, finished) = mpsc::channel();
    std::thread::spawn(move || {
        let executor: &'static mut Executor = Box::leak(Box::new(Executor::new()));
        executor.run(|spawner| {
            spawn(spawner, async move {
                test(spawner).await;
                done.send(()).expect("the test waits");
                loop {
                    std::thread::park();
                }
            });
        });
    });
    match finished.recv_timeout(PATIENCE) {
        Ok(()) => {}
        Err(RecvTimeoutError::Timeout) => panic!("no end after {PATIENCE:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("the executor's thread panicked: see above"),
    }
}

/// Chance that comes again with its seed. Nothing here is a secret.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

impl Random for Rng {
    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.next() as u8;
        }
    }
}

/// A device's identity.
pub fn signer(seed: u8) -> &'static Ed25519Signer {
    Box::leak(Box::new(Ed25519Signer::from_seed([seed; 32])))
}

pub fn unix_now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    UnixMillis(since.as_millis() as i64)
}

pub fn any_port() -> SocketAddr {
    ([127, 0, 0, 1], 0).into()
}

pub fn certificate() -> Certificate {
    Certificate::self_signed(&["node.example"]).expect("a certificate")
}

pub fn identity() -> Identity {
    Identity::generate().expect("an identity")
}

/// A node to be, with the agent `mirror`, which sends back each frame that it gets.
pub fn builder(certificate: &Certificate) -> NodeBuilder {
    let mut settings = Settings::default();
    // A node that goes away at the end of a test waits for nobody.
    settings.protocol.drain_timeout = Duration::from_millis(100);
    Node::builder(identity(), certificate.clone())
        .settings(settings)
        .agent("mirror", |operation: &mut aire_mio::Operation| {
            let args = operation.args().to_vec();
            if !args.is_empty() {
                operation.send(args)?;
            }
            while let Some(frame) = operation.recv()? {
                operation.send(frame)?;
            }
            Ok(())
        })
        .expect("a free name")
}

/// Waits until it is so.
pub async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if is_so() {
            return;
        }
        embassy_time::Timer::after_millis(5).await;
    }
    panic!("never came to pass: {what}");
}
