//! Stores and the engine over them: that all stores do the same, and that nothing is lost.

mod behaviour;
mod random;
mod records;
mod sqlite;
mod subject;

#[path = "../support/postgres.rs"]
mod postgres_server;
