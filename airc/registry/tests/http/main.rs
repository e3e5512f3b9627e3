//! A registry over real HTTP.

#[path = "../support/mod.rs"]
mod support;

mod about;
mod command_line;
mod cors;
mod crowd;
mod errors;
mod killed;
mod limits;
mod openapi;
mod proxies;
mod specification;
mod stopping;
mod tls;
