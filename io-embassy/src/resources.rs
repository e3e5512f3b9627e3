//! All memory of a client.

use core::cell::RefCell;
use core::mem::MaybeUninit;

use aire_proto::identity::FixedReplayGuard;
use aire_proto::{Connection, Fixed, Now, Role};
use embassy_net::Stack;
use embassy_net::udp::{PacketMetadata, UdpSocket};

use crate::engine::Engine;
use crate::handle::Handle;
use crate::options::Options;
use crate::random::Random;
use crate::runner::Runner;
use crate::slot::Slot;
use crate::wire::Wire;

/// So many handshakes with a node can be remembered in ten minutes, the time in which a HELLO could
/// be played again (`SIG-10`). More of them are refused, and the back-off sees to it that they are
/// few.
const REPLAYS: usize = 16;

/// Control frames that may arrive in pieces at the same time.
const SCRATCHES: usize = 2;

/// The memory of a client, in bytes where nothing else is said.
///
/// | parameter | |
/// |---|---|
/// | `OPS` | operations at a time, both directions together |
/// | `STREAMS` | `OPS + 1`: the control stream is one |
/// | `RX`, `TX` | QUIC's buffer for each stream, each way. The node's certificate chain must fit into `STREAMS * RX` |
/// | `DATAGRAM` | the largest UDP payload that the node may send, 1,200 at least; QUIC here sends no longer ones |
/// | `PACKETS` | datagrams that may wait to be read |
/// | `OUTBOX` | envelopes and control frames of an operation: an INVOKE's names, a RESUME's token |
/// | `SCRATCH` | a HELLO, ours and the node's, or any control frame |
///
/// It lies in a `ConstStaticCell`, so that it is never built on the stack, and in `.bss`:
///
/// ```
/// use aire_embassy::Resources;
/// use static_cell::ConstStaticCell;
///
/// static RESOURCES: ConstStaticCell<Resources<4, 5>> = ConstStaticCell::new(Resources::new());
/// ```
pub struct Resources<
    const OPS: usize,
    const STREAMS: usize,
    const RX: usize = 1024,
    const TX: usize = 1024,
    const DATAGRAM: usize = 1200,
    const PACKETS: usize = 2,
    const OUTBOX: usize = 192,
    const SCRATCH: usize = 640,
> {
    streams: aire_quic::Storage<STREAMS, RX, TX>,
    // What has no value of zero bytes is written when the client is made: a static of all this
    // costs no flash then.
    quic: MaybeUninit<aire_quic::Connection<'static>>,
    proto: MaybeUninit<Connection<Fixed<OPS, OUTBOX, SCRATCHES, SCRATCH>>>,
    slots: MaybeUninit<[Slot; OPS]>,
    replay: MaybeUninit<FixedReplayGuard<REPLAYS, REPLAYS>>,
    engine: MaybeUninit<RefCell<Engine>>,
    rx_meta: MaybeUninit<[[PacketMetadata; 2]; PACKETS]>,
    tx_meta: MaybeUninit<[PacketMetadata; TX_PACKETS]>,
    rx: [[u8; DATAGRAM]; PACKETS],
    tx: [u8; DATAGRAM],
    datagram: [u8; DATAGRAM],
}

/// Datagrams that may wait to be sent: several short ones fit where a long one does.
const TX_PACKETS: usize = 4;

impl<
    const OPS: usize,
    const STREAMS: usize,
    const RX: usize,
    const TX: usize,
    const DATAGRAM: usize,
    const PACKETS: usize,
    const OUTBOX: usize,
    const SCRATCH: usize,
> Resources<OPS, STREAMS, RX, TX, DATAGRAM, PACKETS, OUTBOX, SCRATCH>
{
    /// Memory that nothing is in.
    #[must_use]
    #[allow(
        clippy::new_without_default,
        reason = "a default would be built on the stack"
    )]
    pub const fn new() -> Self {
        const {
            assert!(OPS > 0, "a client needs room for an operation");
            assert!(STREAMS == OPS + 1, "STREAMS is OPS + 1");
            assert!(DATAGRAM >= 1200, "QUIC needs datagrams of 1,200 bytes");
            assert!(DATAGRAM <= 65_527, "no UDP datagram is larger");
            assert!(PACKETS > 0, "a datagram must have room");
        }
        Self {
            streams: aire_quic::Storage::new(),
            quic: MaybeUninit::uninit(),
            proto: MaybeUninit::uninit(),
            slots: MaybeUninit::uninit(),
            replay: MaybeUninit::uninit(),
            engine: MaybeUninit::uninit(),
            rx_meta: MaybeUninit::uninit(),
            tx_meta: MaybeUninit::uninit(),
            rx: [[0; DATAGRAM]; PACKETS],
            tx: [0; DATAGRAM],
            datagram: [0; DATAGRAM],
        }
    }

    /// Makes the client. What the runner's task does not get to run, nothing does.
    pub(crate) fn client<R: Random>(
        &'static mut self,
        stack: Stack<'static>,
        options: Options,
        random: R,
    ) -> (Handle, Runner<R>) {
        let proto = write(&mut self.proto, || {
            Connection::new(Role::Client, options.protocol, Now::default())
        });
        let slots = write(&mut self.slots, || {
            core::array::from_fn(|_| Slot::default())
        });
        let replay = write(&mut self.replay, FixedReplayGuard::new);
        let streams = &mut self.streams;
        let quic = write(&mut self.quic, || aire_quic::Connection::new(streams));
        let engine = Engine::new(quic, proto, slots, replay, options);
        let engine: &'static RefCell<Engine> = self.engine.write(RefCell::new(engine));
        let socket = UdpSocket::new(
            stack,
            self.rx_meta
                .write([[PacketMetadata::EMPTY; 2]; PACKETS])
                .as_flattened_mut(),
            self.rx.as_flattened_mut(),
            self.tx_meta.write([PacketMetadata::EMPTY; TX_PACKETS]),
            &mut self.tx,
        );
        let wire = Wire::new(socket, &mut self.datagram);
        let runner = Runner::new(engine, stack, wire, random);
        (Handle::new(engine), runner)
    }
}

impl<
    const OPS: usize,
    const STREAMS: usize,
    const RX: usize,
    const TX: usize,
    const DATAGRAM: usize,
    const PACKETS: usize,
    const OUTBOX: usize,
    const SCRATCH: usize,
> core::fmt::Debug for Resources<OPS, STREAMS, RX, TX, DATAGRAM, PACKETS, OUTBOX, SCRATCH>
{
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resources").finish_non_exhaustive()
    }
}

/// Makes a part of a client where it is to lie. Each is kilobytes, and passes over the stack: not
/// inlined, so that only one of them is there at a time, and none in the frame of who made the
/// client.
#[inline(never)]
fn write<T>(place: &'static mut MaybeUninit<T>, make: impl FnOnce() -> T) -> &'static mut T {
    place.write(make())
}
