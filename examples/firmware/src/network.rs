//! The IP stack: embassy-net over the board's Ethernet, and the addresses that the host gave.

use core::net::Ipv4Addr;

use embassy_executor::Spawner;
use embassy_net::dns::DnsQueryType;
use embassy_net::{
    Config, IpAddress, IpEndpoint, Ipv4Cidr, Runner, Stack, StackResources, StaticConfigV4,
};
use static_cell::StaticCell;

use crate::entropy::Entropy;
use crate::ethernet::Ethernet;
use crate::host::Arguments;

/// Sockets at most: the one for DNS that the stack opens itself, and three of the program's.
const SOCKETS: usize = 4;

/// Starts the stack with a static address: 10.0.2.15 behind the gateway 10.0.2.2 and the resolver
/// 10.0.2.3, which is what QEMU's user network gives. `address=`, `gateway=` and `dns=` of the
/// command line change them.
pub fn start(spawner: Spawner, arguments: &Arguments, entropy: &mut Entropy) -> Stack<'static> {
    static RESOURCES: StaticCell<StackResources<SOCKETS>> = StaticCell::new();
    let given = |key: &str, default: [u8; 4]| {
        arguments
            .get(key)
            .and_then(|text| text.parse().ok())
            .unwrap_or(Ipv4Addr::from(default))
    };
    let config = Config::ipv4_static(StaticConfigV4 {
        address: Ipv4Cidr::new(given("address", [10, 0, 2, 15]), 24),
        gateway: Some(given("gateway", [10, 0, 2, 2])),
        dns_servers: [given("dns", [10, 0, 2, 3])].into_iter().collect(),
    });
    let resources = RESOURCES.init_with(StackResources::new);
    let (stack, runner) = embassy_net::new(Ethernet::start(), config, resources, entropy.number());
    spawner.spawn(run(runner).expect("the stack is started once"));
    stack
}

#[embassy_executor::task]
async fn run(mut runner: Runner<'static, Ethernet>) -> ! {
    runner.run().await
}

/// The endpoint of `host:port`, where the host is an IPv4 address or a name to ask DNS for. `None`
/// where it is neither, or where DNS has no answer.
pub async fn resolve(stack: Stack<'_>, endpoint: &str) -> Option<IpEndpoint> {
    let (host, port) = endpoint.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let address = match host.parse::<Ipv4Addr>() {
        Ok(address) => IpAddress::Ipv4(address),
        Err(_) => *stack.dns_query(host, DnsQueryType::A).await.ok()?.first()?,
    };
    Some(IpEndpoint::new(address, port))
}
