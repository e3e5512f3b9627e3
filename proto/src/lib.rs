#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "postcard")]
pub mod accounting;
pub mod address;
pub mod budget;
pub mod capability;
pub mod code;
pub mod connection;
pub mod delegation;
pub mod handshake;
pub mod id;
pub mod identity;
pub mod resume;
pub mod storage;
pub mod time;
pub mod varint;
pub mod wire;

pub use budget::Ledger;
pub use code::{CancelReason, ErrorCode};
pub use connection::{Config, Connection, Event, Input, Transmit};
pub use id::{OpId, Role, StreamId};
pub use storage::Fixed;
#[cfg(feature = "alloc")]
pub use storage::Growing;
pub use time::{Instant, Now, UnixMillis};
