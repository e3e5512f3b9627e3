//! The HTTP side: connections, limits, and what is not for [`airc_core`] to decide.

mod about;
mod answer;
mod api;
mod body;
mod client;
mod events;
mod live;
mod metrics;
mod page;
mod patience;
mod rates;
mod routes;
mod server;
mod state;
mod tls;

pub use about::OPENAPI;
pub use server::Server;

use crate::{Config, Error};

/// Whether the certificate and the key of a configuration are good.
///
/// # Errors
/// [`Error::Tls`].
pub fn check_tls(config: &Config) -> Result<(), Error> {
    let read = config.tls.as_ref().map(tls::Certificate::read);
    read.transpose().map(drop)
}
