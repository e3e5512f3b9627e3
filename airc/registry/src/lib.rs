//! A registry of AIRC v0.1: the HTTP API of section 4 over what [`airc_core`] decides, kept in one
//! SQLite file, or in a PostgreSQL database that several registries share.
//!
//! Requests come in over [`http`], wait for the [`engine`], and are answered when what they changed
//! is durable in the [`store`]. [`main`] is the whole program.

#![forbid(unsafe_code)]

pub mod clock;
pub mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod http;
pub mod store;

pub use commands::main;
pub use config::Config;
pub use error::{Error, Exit};
