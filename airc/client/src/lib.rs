#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cache;
mod client;
mod error;
mod heartbeats;
mod inbox;
mod key;
mod model;
mod system;
mod transport;

pub use airc_core::error::ErrorCode;
pub use airc_core::handle::Handle;
pub use airc_core::object::{AckStatus, OwnedPayload as Payload};
pub use airc_core::store::{ConsentState, Status};
pub use airc_core::{PublicKey, json};

pub use cache::IDENTITY_TTL;
pub use client::{
    Builder, Client, Draft, MAX_PAGE, MAX_THREAD, MAX_WHO, Registered, Registration, Sent, Unlisted,
};
pub use error::{Error, MAX_MESSAGE, Refused};
pub use heartbeats::{HEARTBEAT_INTERVAL, Heartbeats};
pub use inbox::{Batch, Inbox};
pub use key::SigningKey;
pub use model::{
    AireEndpoint, Beat, Capabilities, Consent, Consents, Cursor, Identity, Message, Page, Presence,
    PreviousKey, Proof, Standing,
};
