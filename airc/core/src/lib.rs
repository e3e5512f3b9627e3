//! AIRC v0.1 without I/O: typed objects, canonical JSON and signatures, presence, consent, threads,
//! and what a registry decides.
//!
//! `no_std` with `alloc`. Nothing here reads a clock, a random source or a socket: the time and
//! random bytes are handed in, and what is kept goes through [`store::Store`].

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
