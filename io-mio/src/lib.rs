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
mod policy;
#[cfg(feature = "discovery")]
pub mod publish;
#[cfg(feature = "discovery")]
pub mod resolver;
mod resumption;
mod runtime;
mod settings;
mod status;
pub mod store;
mod tls;

pub use address::{Address, DEFAULT_PORT};
pub use agent::{Agent, EventAgent};
pub use client::{Client, ClientBuilder};
pub use driver::{Closed, ConnectionKey, Driver, PathStats};
pub use error::Error;
pub use identity::Identity;
pub use metrics::{Frames, HandshakesFailed, Kind, Metrics, OperationsEnded, Sample, Traffic};
pub use node::{Node, NodeBuilder};
pub use operation::{Bell, Branch, BranchEnd, Failure, OnFailure, Operation, Received};
pub use policy::{AccessError, AccessList, Peer};
#[cfg(feature = "discovery")]
pub use resolver::{Pins, ResolveError, Resolver, ResolverSettings};
pub use resumption::{Reconnect, Resumable};
pub use settings::{Rate, Settings};
pub use status::{ConnectionInfo, OperationInfo};
pub use tls::{ALPN, Certificate, Pin, Trust};

pub use aire_proto::identity::PublicKey;
pub use aire_proto::{CancelReason, ErrorCode, OpId, StreamId};

/// The programs of the repository's front page are tested too.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;
