#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]

#[cfg(any(test, feature = "fuzzing"))]
extern crate std;

mod carried;
mod cid;
mod coding;
pub mod config;
mod connection;
mod crypto;
mod error;
mod event;
mod frame;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod packet;
mod parameters;
mod ranges;
mod recovery;
mod storage;
mod stream;
mod time;
mod tls;
mod varint;

pub use config::{Config, Group, Suite, Trust};
pub use connection::{ConfigError, Connection, MigrationError, Stats, TICKET_MAX, TOKEN_MAX};
pub use error::{Code, Error};
pub use event::{CloseReason, Event};
pub use storage::Storage;
pub use stream::{OpenError, Peek, StreamId};
pub use time::{Instant, Micros};
