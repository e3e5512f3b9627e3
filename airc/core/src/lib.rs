#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

extern crate alloc;

mod base64;
pub mod bridge;
pub mod canonical;
pub mod consent;
pub mod error;
pub mod handle;
pub mod json;
pub mod key;
mod legacy;
pub mod limits;
pub mod object;
pub mod registry;
pub mod signing;
pub mod store;
pub mod time;

pub use aire_proto::identity::PublicKey;
