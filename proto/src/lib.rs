#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod capability;
pub mod code;
pub mod connection;
pub mod handshake;
pub mod id;
pub mod identity;
pub mod storage;
pub mod time;
pub mod varint;
pub mod wire;

pub use code::{CancelReason, ErrorCode};
pub use connection::{Config, Connection, Event, Input, Transmit};
pub use id::{OpId, Role, StreamId};
pub use storage::Fixed;
#[cfg(feature = "alloc")]
pub use storage::Growing;
pub use time::{Instant, Now, UnixMillis};
