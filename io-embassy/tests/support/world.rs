//! A device on one end of a [`Link`], and a gateway on the other, which passes UDP on to a node on
//! the host: to it, each port of the device is a port of the host.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket as HostSocket};
use std::rc::Rc;

use aire_embassy::{Backoff, Handle, Options, Resources, Server};
use aire_mio::Certificate;
use aire_quic::Trust;
use async_io::Async;
use embassy_executor::Spawner;
use embassy_net::udp::{PacketMetadata, UdpSocket};
use embassy_net::{Ipv4Cidr, Stack, StackResources, StaticConfigV4};
use embassy_time::Duration;

use super::link::{End, Link, Weather};
use super::{Rng, signer, spawn, unix_now};

pub const DEVICE: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
pub const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

/// A stack on one end of the link, running.
fn stack(spawner: Spawner, link: &Rc<RefCell<Link>>, side: usize, seed: u64) -> Stack<'static> {
    let address = if side == 0 { DEVICE } else { GATEWAY };
    let mut dns = heapless::Vec::new();
    dns.push(GATEWAY).expect("room for one");
    let config = embassy_net::Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(address, 24),
        gateway: None,
        dns_servers: dns,
    });
    let resources: &'static mut StackResources<6> = Box::leak(Box::new(StackResources::new()));
    let end = End {
        link: link.clone(),
        side,
    };
    let (stack, mut runner) = embassy_net::new(end, config, resources, seed);
    spawn(spawner, async move { runner.run().await });
    stack
}

/// A UDP socket with room for a burst.
pub fn socket(stack: Stack<'static>, port: u16) -> UdpSocket<'static> {
    let memory = || -> &'static mut [u8] { Box::leak(vec![0; 96 * 1024].into_boxed_slice()) };
    let meta = || -> &'static mut [PacketMetadata] {
        Box::leak(vec![PacketMetadata::EMPTY; 64].into_boxed_slice())
    };
    let mut socket = UdpSocket::new(stack, meta(), memory(), meta(), memory());
    socket.bind(port).expect("a free port");
    socket
}

/// Passes datagrams on between the gateway's port 4433 and `node`.
async fn pass_on(spawner: Spawner, gateway: Stack<'static>, node: SocketAddr) {
    let front = Rc::new(socket(gateway, 4433));
    let mut ports: HashMap<u16, Rc<Async<HostSocket>>> = HashMap::new();
    let mut datagram = vec![0; 2000];
    loop {
        let Ok((len, from)) = front.recv_from(&mut datagram).await else {
            continue;
        };
        let client = from.endpoint;
        let back = ports.entry(client.port).or_insert_with(|| {
            let host = HostSocket::bind("127.0.0.1:0").expect("a free port");
            host.connect(node).expect("an address");
            let back = Rc::new(Async::new(host).expect("a socket"));
            let (from, front) = (back.clone(), front.clone());
            spawn(spawner, async move {
                let mut datagram = vec![0; 2000];
                loop {
                    if let Ok(len) = from.recv(&mut datagram).await {
                        let _lost = front.send_to(&datagram[..len], client).await;
                    }
                }
            });
            back
        });
        let _lost = back.send(&datagram[..len]).await;
    }
}

/// The link, and what is on its ends.
pub struct World {
    pub spawner: Spawner,
    pub link: Rc<RefCell<Link>>,
    pub device: Stack<'static>,
    pub gateway: Stack<'static>,
}

impl World {
    pub fn new(spawner: Spawner, node: SocketAddr, weather: Weather, seed: u64) -> Self {
        let link = Link::new(weather, seed);
        let device = stack(spawner, &link, 0, seed);
        let gateway = stack(spawner, &link, 1, seed + 1);
        spawn(spawner, pass_on(spawner, gateway, node));
        Self {
            spawner,
            link,
            device,
            gateway,
        }
    }

    pub fn weather(&self, change: impl FnOnce(&mut Weather)) {
        change(&mut self.link.borrow_mut().weather);
    }

    /// A client on the device, running, that knows the time.
    pub fn client(&self, options: Options, seed: u64) -> Handle {
        let handle = self.timeless(options, seed);
        handle.set_unix_time(unix_now());
        handle
    }

    /// One that knows no time yet.
    pub fn timeless(&self, options: Options, seed: u64) -> Handle {
        type Device = Resources<4, 5, 2048, 2048>;
        let resources: &'static mut Device = Box::leak(Box::new(Resources::new()));
        let (handle, mut runner) =
            aire_embassy::new(self.device, resources, options, Rng::new(seed));
        spawn(self.spawner, async move { runner.run().await });
        handle
    }
}

/// Options of a client of the node with this certificate, which is in a hurry.
pub fn options(certificate: &Certificate) -> Options {
    let pins: &'static [[u8; 32]] = Box::leak(Box::new([certificate.pin().0]));
    let server = Server::parse("aire://10.1.0.1:4433").expect("an address");
    Options {
        backoff: Backoff {
            first: Duration::from_millis(50),
            most: Duration::from_millis(500),
        },
        incoming: 2,
        agents: &["sensor"],
        ..Options::new(server, Trust::Pins(pins), signer(7))
    }
}
