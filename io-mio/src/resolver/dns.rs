//! What DNS says: addresses of hosts, and the TXT records of handles.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name, RData};

use super::ResolveError;

/// How many answers are remembered, each as long as its record says.
const CACHED_ANSWERS: u64 = 512;

/// A stub resolver.
pub(super) struct Dns(TokioResolver);

impl Dns {
    /// Asks `server`, or whom the system asks. Called from within a runtime.
    pub(super) fn new(server: Option<SocketAddr>, timeout: Duration) -> Result<Self, ResolveError> {
        let failed = |error: NetError| ResolveError::Dns {
            name: "any name".into(),
            reason: format!("the system's settings cannot be used: {error}"),
        };
        let mut builder = match server {
            None => TokioResolver::builder_tokio().map_err(failed)?,
            Some(server) => {
                let connections =
                    [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut it| {
                        it.port = server.port();
                        it
                    });
                let server = NameServerConfig::new(server.ip(), true, connections.into());
                let config = ResolverConfig::from_parts(None, Vec::new(), vec![server]);
                let mut builder =
                    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
                builder.options_mut().use_hosts_file = ResolveHosts::Never;
                builder
            }
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.cache_size = CACHED_ANSWERS;
        // So that a packet that is lost does not take all the time there is.
        options.timeout = options.timeout.min(timeout / 3);
        Ok(Self(builder.build().map_err(failed)?))
    }

    /// All addresses of a host.
    pub(super) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, ResolveError> {
        let name = absolute(host)?;
        let found = match self.0.lookup_ip(name).await {
            Ok(found) => found.iter().collect(),
            Err(error) if error.is_no_records_found() => Vec::new(),
            Err(error) => return Err(failed(host, &error)),
        };
        match found.is_empty() {
            false => Ok(found),
            true => Err(ResolveError::NoAddress { host: host.into() }),
        }
    }

    /// The content of all TXT records at a name; that of a record in several pieces is joined.
    pub(super) async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, ResolveError> {
        let answer = match self.0.txt_lookup(absolute(name)?).await {
            Ok(answer) => answer,
            Err(error) if error.is_no_records_found() => return Ok(Vec::new()),
            Err(error) => return Err(failed(name, &error)),
        };
        let records = answer
            .answers()
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => Some(txt.txt_data.concat()),
                _ => None,
            });
        Ok(records.collect())
    }
}

/// A name that no search list is applied to.
fn absolute(name: &str) -> Result<Name, ResolveError> {
    let mut absolute = Name::from_ascii(name).map_err(|error| ResolveError::Dns {
        name: name.into(),
        reason: error.to_string(),
    })?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn failed(name: &str, error: &NetError) -> ResolveError {
    ResolveError::Dns {
        name: name.into(),
        reason: error.to_string(),
    }
}
