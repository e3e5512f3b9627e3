//! Connections to the server, each for one call at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::{Client, Connection, IntoConnectionInfo, RedisResult};

use crate::store::StoreError;

/// A server that does not answer for so long is taken for dead.
pub(super) const ANSWER: Duration = Duration::from_secs(2);

/// So many connections wait for the next call at most.
const IDLE: usize = 16;

/// A connection that was idle for so long is tried before it is used: the server may have been
/// started again since.
const STALE: Duration = Duration::from_secs(1);

pub(super) struct Pool {
    client: Client,
    /// Since when each is idle.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Pool {
    /// Connects once, to see that it works.
    pub(super) fn connect(url: &str) -> Result<Self, StoreError> {
        let info = url.into_connection_info().map_err(failed)?;
        // A call is a small packet that somebody waits for.
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_tcp_settings(tcp)).map_err(failed)?;
        let pool = Self {
            client,
            idle: Mutex::default(),
        };
        pool.call(ANSWER, |server| redis::cmd("PING").exec(server))?;
        Ok(pool)
    }

    /// Does `call` on a connection that nobody else uses. An answer may take up to `patience`.
    pub(super) fn call<T>(
        &self,
        patience: Duration,
        call: impl FnOnce(&mut Connection) -> RedisResult<T>,
    ) -> Result<T, StoreError> {
        let mut connection = self.take()?;
        connection
            .set_read_timeout(Some(patience))
            .map_err(failed)?;
        // After an error, an answer may still be on its way: such a connection is not used again.
        let answer = call(&mut connection).map_err(failed)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE {
            idle.push((connection, Instant::now()));
        }
        Ok(answer)
    }

    fn take(&self) -> Result<Connection, StoreError> {
        let idle = || {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.pop()
        };
        if let Some((mut connection, since)) = idle() {
            if since.elapsed() < STALE || works(&mut connection) {
                return Ok(connection);
            }
            // Those below it have been idle for longer.
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.clear();
        }
        let fresh = self.client.get_connection_with_timeout(ANSWER);
        let fresh = fresh.map_err(failed)?;
        fresh.set_write_timeout(Some(ANSWER)).map_err(failed)?;
        Ok(fresh)
    }
}

fn works(connection: &mut Connection) -> bool {
    // It is the first of two attempts.
    let limited = connection.set_read_timeout(Some(ANSWER / 2));
    limited.is_ok() && redis::cmd("PING").exec(connection).is_ok()
}

fn failed(error: redis::RedisError) -> StoreError {
    StoreError::Failed(error.to_string())
}
