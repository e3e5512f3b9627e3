//! From a host's name to its address.

use embassy_net::{IpAddress, IpEndpoint, Stack};

use crate::options::Server;

/// Where `server` is; asks the name server where it has a name. `None` when nobody knows.
pub(crate) async fn endpoint(stack: Stack<'static>, server: Server) -> Option<IpEndpoint> {
    let address = match literal(server.host) {
        Some(address) => address,
        None => resolve(stack, server.host).await?,
    };
    Some(IpEndpoint::new(address, server.port))
}

fn literal(host: &str) -> Option<IpAddress> {
    #[cfg(feature = "proto-ipv4")]
    if let Ok(address) = host.parse::<core::net::Ipv4Addr>() {
        return Some(IpAddress::Ipv4(address));
    }
    #[cfg(feature = "proto-ipv6")]
    if let Ok(address) = host.parse::<core::net::Ipv6Addr>() {
        return Some(IpAddress::Ipv6(address));
    }
    let _not_compiled_in = host;
    None
}

#[cfg(feature = "dns")]
async fn resolve(stack: Stack<'static>, name: &str) -> Option<IpAddress> {
    use embassy_net::dns::DnsQueryType;
    use embassy_time::{Duration, with_timeout};

    /// Longer than smoltcp asks for.
    const PATIENCE: Duration = Duration::from_secs(15);

    let kinds = [
        #[cfg(feature = "proto-ipv4")]
        (DnsQueryType::A, stack.config_v4().is_some()),
        #[cfg(feature = "proto-ipv6")]
        (DnsQueryType::Aaaa, stack.config_v6().is_some()),
    ];
    for (kind, usable) in kinds {
        if usable
            && let Ok(Ok(found)) = with_timeout(PATIENCE, stack.dns_query(name, kind)).await
            && let Some(address) = found.first()
        {
            return Some(*address);
        }
    }
    None
}

#[cfg(not(feature = "dns"))]
async fn resolve(_stack: Stack<'static>, _name: &str) -> Option<IpAddress> {
    None
}
