//! A server that can break every rule, on a virtual clock: for tests and for fuzzing.
//!
//! [`Server`] shakes hands for real, over the TLS half that TLS's own tests use, and then sends what
//! it is told to, sealed as it should be or not. [`World`] puts a connection before it, and holds
//! the connection to what is always true of a client, whatever the server does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]
// Fuzzing needs a part of it.
#![cfg_attr(not(test), allow(dead_code, unused_imports))]

pub(crate) mod frames;
mod parameters;
mod script;
mod server;
mod wire;
mod world;

pub(crate) use parameters::Parameters;
pub(crate) use script::play;
pub(crate) use server::{Heard, Server, retry};
pub(crate) use wire::Wire;
pub(crate) use world::{Memory, START, Stage, World};
