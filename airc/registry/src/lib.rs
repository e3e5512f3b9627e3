//! A registry of AIRC v0.1: the HTTP API of section 4 over what [`airc_core`] decides, kept in one
//! SQLite file, or in a PostgreSQL database that several registries share.

pub mod engine;
pub mod store;
