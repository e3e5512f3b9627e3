//! The sensor agent: AIRE over aire-embassy, with all of its memory in statics.
//!
//! It dials its node, serves [`sensor`] on the connection that it opened, and runs
//! [`errands`] of its own over the same one.

pub mod errands;
pub mod meter;
pub mod sensor;

use aire_embassy::{Backoff, Handle, Options, Resources, Runner, Server, TimeSource};
use aire_proto::identity::Ed25519Signer;
use aire_quic::Trust;
use embassy_executor::Spawner;
use embassy_net::Stack;
use embassy_time::Duration;
use static_cell::{ConstStaticCell, StaticCell};

use crate::entropy::Entropy;
use crate::ethernet::DATAGRAM;
use crate::identity::identity;

/// Operations at a time, both directions together.
const OPERATIONS: usize = 4;
/// Their streams, and the control stream.
const STREAMS: usize = OPERATIONS + 1;
/// QUIC's buffer for each stream, each way. The node's certificate has to fit into all of those
/// that receive, together.
const BUFFER: usize = 1024;
/// Datagrams that wait while the task is busy.
const PACKETS: usize = 2;
/// Names, tokens and control frames of an operation.
const OUTBOX: usize = 192;
/// A HELLO.
const SCRATCH: usize = 640;

/// Operations that the node may have open. Each has a task that serves it.
pub const INCOMING: u8 = 2;

type Memory = Resources<OPERATIONS, STREAMS, BUFFER, BUFFER, DATAGRAM, PACKETS, OUTBOX, SCRATCH>;

static CLIENT: ConstStaticCell<Memory> = ConstStaticCell::new(Resources::new());

/// What of [`Memory`] is whose: the table of sizes takes the client's one static apart by it.
pub fn report_parts() {
    use aire_proto::{Connection, Fixed};
    let quic = size_of::<aire_quic::Connection<'static>>()
        + size_of::<aire_quic::Storage<STREAMS, BUFFER, BUFFER>>();
    let proto = size_of::<Connection<Fixed<OPERATIONS, OUTBOX, 2, SCRATCH>>>();
    crate::say!(
        "parts: of ",
        size_of::<Memory>(),
        " quic ",
        quic,
        " buffers ",
        2 * STREAMS * BUFFER,
        " proto ",
        proto,
        " datagrams ",
        (PACKETS + 2) * DATAGRAM
    );
}

/// Where the agent's peers are, what they may do, and how it is run.
#[derive(Clone, Copy)]
pub struct Setting {
    /// The node.
    pub node: Server,
    /// The time server.
    pub time: Server,
    /// After how long without a packet the connection is lost.
    pub idle_timeout: Duration,
    /// How many operations the node may have open, at most [`INCOMING`].
    pub incoming: u8,
    /// The emulator counts instructions.
    pub counted: bool,
}

/// The key pair of the identity. It takes kilobytes of stack to make, so make it where the stack is
/// still short: before there are tasks.
///
/// # Panics
///
/// When called twice.
pub fn signer() -> &'static Ed25519Signer {
    static SIGNER: StaticCell<Ed25519Signer> = StaticCell::new();
    SIGNER.init_with(|| Ed25519Signer::from_seed(identity().seed))
}

/// Starts the client and the tasks that serve the sensor. `entropy` is the client's from now on.
///
/// Not inlined: what it has on the stack is not to stay there.
///
/// # Panics
///
/// When called twice.
#[inline(never)]
pub fn start(
    spawner: Spawner,
    stack: Stack<'static>,
    setting: Setting,
    signer: &'static Ed25519Signer,
    entropy: Entropy,
) -> Handle {
    static PINS: StaticCell<[[u8; 32]; 1]> = StaticCell::new();
    let pins = PINS.init([identity().server]);
    let options = Options {
        agents: &["sensor"],
        incoming: setting.incoming.min(INCOMING),
        idle_timeout: setting.idle_timeout,
        // A handshake is seconds of work for a processor that is emulated instruction by
        // instruction.
        handshake_timeout: Duration::from_secs(30),
        backoff: Backoff {
            first: Duration::from_millis(250),
            most: Duration::from_secs(8),
        },
        time: TimeSource::Sntp {
            server: setting.time,
            every: Duration::from_secs(3600),
        },
        ..Options::new(setting.node, Trust::Pins(pins), signer)
    };
    let (handle, runner) = aire_embassy::new(stack, CLIENT.take(), options, entropy);
    spawner.spawn(run(handle, runner, setting.counted).expect("the client is started once"));
    for _ in 0..INCOMING {
        spawner.spawn(serve(handle).expect("as many as the node may have open"));
    }
    handle
}

#[embassy_executor::task]
async fn run(handle: Handle, mut runner: Runner<Entropy>, counted: bool) -> ! {
    meter::metered(handle, counted, runner.run()).await
}

#[embassy_executor::task(pool_size = INCOMING as usize)]
async fn serve(handle: Handle) -> ! {
    sensor::serve(handle).await
}
