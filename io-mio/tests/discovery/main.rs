//! Names, DIDs and keys, against a web server and a name server of this very test program.
#![cfg(feature = "discovery")]

#[path = "../support/mod.rs"]
mod support;

mod connecting;
mod documents;
mod handles;
mod hostile;
mod limits;
mod publishing;
mod world;
