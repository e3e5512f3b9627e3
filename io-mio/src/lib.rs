#![doc = include_str!("../README.md")]

mod address;
mod agent;
mod client;
pub mod driver;
mod error;
#[cfg(feature = "discovery")]
pub mod http;
mod identity;
mod mailbox;
mod metrics;
mod node;
mod operation;
#[cfg(feature = "discovery")]
pub mod publish;
#[cfg(feature = "discovery")]
pub mod resolver;
mod resumption;
mod runtime;
mod settings;
pub mod store;
mod tls;

pub use address::{Address, DEFAULT_PORT};
pub use agent::{Agent, EventAgent};
pub use client::{Client, ClientBuilder};
pub use driver::{Closed, ConnectionKey, Driver};
pub use error::Error;
pub use identity::Identity;
pub use metrics::Metrics;
pub use node::{Node, NodeBuilder};
pub use operation::{Branch, BranchEnd, Failure, OnFailure, Operation, Received};
#[cfg(feature = "discovery")]
pub use resolver::{Pins, ResolveError, Resolver, ResolverSettings};
pub use resumption::{Reconnect, Resumable};
pub use settings::Settings;
pub use tls::{ALPN, Certificate, Pin, Trust};

pub use aire_proto::identity::PublicKey;
pub use aire_proto::{CancelReason, ErrorCode, OpId, StreamId};

/// The programs of the repository's front page are tested too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
