//! From what a person names to a connection: the arguments of all commands that call a node.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use aire_mio::resolver::Resolved;
use aire_mio::{Client, ClientBuilder, Identity, Resolver};
use clap::Args;
use tracing::debug;

use super::discovery::DiscoveryArgs;
use super::identity::IdentityArgs;
use super::trust::TrustArgs;
use super::units::time;
use crate::Error;

/// How to reach a node, and as whom.
#[derive(Clone, Debug, Args)]
pub struct DialArgs {
    /// How long to try to connect.
    #[arg(long, value_name = "TIME", value_parser = time, default_value = "10s")]
    pub connect_timeout: Duration,
    /// Refuse a node that is not this DID.
    #[arg(long, value_name = "DID", help_heading = "Trust")]
    pub expect: Option<String>,
    /// Which servers to believe.
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Who asks.
    #[command(flatten)]
    pub identity: IdentityArgs,
    /// How names are looked up.
    #[command(flatten)]
    pub discovery: DiscoveryArgs,
}

/// A target that was looked up, so that any number of clients can connect to it.
#[derive(Clone, Debug)]
pub struct Destination {
    /// As the person named it.
    pub target: String,
    /// What came of it.
    pub resolved: Option<Resolved>,
    resolver: Option<Resolver>,
}

/// What is asked of a node: an agent, and an operation of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The agent.
    pub agent: String,
    /// What is asked of it; may be empty.
    pub operation: String,
}

impl DialArgs {
    /// Looks up a target.
    ///
    /// # Errors
    /// [`Error::Library`] when it does not resolve.
    pub fn find(&self, target: &str) -> Result<Destination, Error> {
        let is_uri = target.parse::<aire_mio::Address>().is_ok();
        let resolver = match self.discovery.resolver() {
            Ok(resolver) => Some(resolver),
            // A URI of a did:key node needs none; any other peer's key will be missed then.
            Err(error) if is_uri => {
                debug!(%error, "no resolver");
                None
            }
            Err(error) => return Err(error),
        };
        let resolved = resolver.as_ref().map(|resolver| resolver.resolve(target));
        let resolved = resolved.transpose().map_err(aire_mio::Error::Unresolved)?;
        Ok(Destination {
            target: target.into(),
            resolved,
            resolver,
        })
    }

    /// A client that is set up, but for where it connects to.
    #[must_use]
    pub fn builder(&self, identity: Identity) -> ClientBuilder {
        let builder = Client::builder(identity, self.trust.trust());
        let builder = builder.connect_timeout(self.connect_timeout);
        match &self.expect {
            Some(did) => builder.expect_peer(did.clone()),
            None => builder,
        }
    }
}

impl Destination {
    /// Connects.
    ///
    /// # Errors
    /// [`Error::Library`].
    pub fn connect(&self, mut builder: ClientBuilder) -> Result<Client, Error> {
        if let Some(resolver) = &self.resolver {
            builder = builder.resolver(resolver.clone());
        }
        let connected = match &self.resolved {
            Some(resolved) => builder.connect_resolved(resolved),
            None => builder.connect(&self.target),
        };
        Ok(connected?)
    }

    /// The agent and operation that the target itself names, or its first endpoint.
    #[must_use]
    pub fn named(&self) -> (Option<String>, Option<String>) {
        let Some(resolved) = &self.resolved else {
            return match self.target.parse::<aire_mio::Address>() {
                Ok(uri) => owned(uri.agent(), uri.operation()),
                Err(_) => (None, None),
            };
        };
        if resolved.agent.is_some() {
            return (resolved.agent.clone(), resolved.operation.clone());
        }
        match resolved.endpoints.first() {
            Some(endpoint) => owned(
                endpoint.uri.agent().or(endpoint.agent.as_deref()),
                endpoint.uri.operation(),
            ),
            None => (None, None),
        }
    }

    /// What is asked of the node: as `given` says, AGENT/OPERATION, else as the target does.
    ///
    /// # Errors
    /// [`Error::Usage`] when neither names an agent.
    pub fn call(&self, given: Option<&str>) -> Result<Call, Error> {
        if let Some(given) = given {
            return Call::parse(given);
        }
        let (agent, operation) = self.named();
        let missing = || {
            Error::Usage(format!(
                "{} names no agent: say which, as AGENT/OPERATION behind it",
                self.target
            ))
        };
        Ok(Call {
            agent: agent.ok_or_else(missing)?,
            operation: operation.unwrap_or_default(),
        })
    }
}

fn owned(agent: Option<&str>, operation: Option<&str>) -> (Option<String>, Option<String>) {
    (agent.map(Into::into), operation.map(Into::into))
}

impl Call {
    /// Reads AGENT/OPERATION, or AGENT alone. Whatever follows the first slash is the operation.
    ///
    /// # Errors
    /// [`Error::Usage`] without an agent.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (agent, operation) = text.split_once('/').unwrap_or((text, ""));
        if agent.is_empty() {
            return Err(Error::Usage(format!(
                "{text:?} names no agent: AGENT/OPERATION is needed"
            )));
        }
        Ok(Self {
            agent: agent.into(),
            operation: operation.into(),
        })
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.agent, self.operation)
    }
}

/// All of a file, or of stdin, as far as an INVOKE can carry it.
///
/// # Errors
/// [`Error::File`]; [`Error::Usage`] when it is longer.
pub fn read_arguments(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::reading(path, source);
    let from: Box<dyn io::Read> = match path == Path::new("-") {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    let most = aire_proto::wire::MAX_SEND_PAYLOAD;
    from.take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > most {
        return Err(Error::Usage(format!(
            "{}: arguments are at most {most} bytes",
            path.display()
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(target: &str) -> Destination {
        Destination {
            target: target.into(),
            resolved: None,
            resolver: None,
        }
    }

    fn call(agent: &str, operation: &str) -> Call {
        Call {
            agent: agent.into(),
            operation: operation.into(),
        }
    }

    #[test]
    fn the_call_is_what_was_given_and_else_what_the_target_names() {
        let plain = uri("aire://a.example");
        let named = uri("aire://a.example/an%20agent/op");
        assert_eq!(
            plain.call(Some("x/y/z")).expect("an agent"),
            call("x", "y/z")
        );
        assert_eq!(named.call(Some("x")).expect("an agent"), call("x", ""));
        assert_eq!(named.call(None).expect("an agent"), call("an agent", "op"));
        for nobody in [plain.call(None), plain.call(Some("/op"))] {
            assert!(matches!(nobody, Err(Error::Usage(_))));
        }
    }
}
