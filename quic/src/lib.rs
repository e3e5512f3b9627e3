#![cfg_attr(not(test), no_std)]
#![doc = include_str!("../README.md")]

#[cfg(test)]
extern crate std;

mod carried;
mod coding;
pub mod config;
mod crypto;
mod error;
mod packet;
mod ranges;
mod recovery;
mod stream;
mod time;
mod tls;
mod varint;

pub use config::{Config, Group, Suite, Trust};
pub use error::{Code, Error};
pub use stream::{OpenError, Peek, StreamId};
pub use time::{Instant, Micros};
