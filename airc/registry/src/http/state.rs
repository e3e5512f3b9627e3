//! What all requests share.

use std::net::SocketAddr;
use std::sync::Arc;

use airc_core::registry::Registry;
use tokio::sync::watch;

use super::live::Live;
use super::metrics::Metrics;
use super::rates::Rates;
use crate::Config;
use crate::engine::Engine;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) domain: String,
    /// Where clients reach it, without a slash at the end.
    pub(crate) base_url: String,
    pub(crate) registry: Arc<Registry>,
    pub(crate) engine: Engine,
    pub(crate) rates: Rates,
    pub(crate) metrics: Metrics,
    pub(crate) live: Live,
    /// Whether it stops.
    pub(crate) stopped: watch::Receiver<bool>,
}

impl State {
    pub(crate) fn new(
        config: Config,
        address: SocketAddr,
        registry: Arc<Registry>,
        engine: Engine,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            domain: config.domain(address),
            base_url: config.base_url(address),
            rates: Rates::new(&config.limits),
            metrics: Metrics::default(),
            live: Live::new(config.limits.watchers),
            registry,
            engine,
            stopped,
            config,
        }
    }
}

/// Waits until the registry stops, or is gone.
pub(crate) async fn until_stopped(stopped: &mut watch::Receiver<bool>) {
    // Gone is stopped too.
    drop(stopped.wait_for(|stopped| *stopped).await);
}
