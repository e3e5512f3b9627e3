//! Stores and the engine over them: that all stores do the same, and that nothing is lost.

mod behaviour;
mod concurrent;
mod engine;
mod inbox;
mod killed;
mod random;
mod records;
mod sqlite;
mod subject;

#[path = "../support/agents.rs"]
mod agents;
#[path = "../support/postgres.rs"]
mod postgres_server;
