//! The registry: all of it in a directory that goes when it does.

use airc_registry::Config;
use airc_registry::http::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::Told;

/// A registry that runs.
pub(crate) struct Running {
    runtime: Runtime,
    server: Server,
    _kept_in: TempDir,
}

impl Running {
    /// Everybody on this machine may register.
    pub(crate) fn start() -> Told<Self> {
        let dir = tempfile::tempdir()?;
        let config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: format!("sqlite:{}", dir.path().join("registry.db").display()),
            open: true,
            ..Config::default()
        };
        let runtime = Runtime::new()?;
        let server = runtime.block_on(Server::start(config))?;
        Ok(Self {
            runtime,
            server,
            _kept_in: dir,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub(crate) fn stop(self) -> Told<()> {
        Ok(self.runtime.block_on(self.server.stop())?)
    }
}
