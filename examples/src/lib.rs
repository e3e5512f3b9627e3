//! What the programs share: lines with the time, and child processes on a leash.

use std::process::Child;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_proto::UnixMillis;

/// A line for something that happens, with the time, so that the lines of several threads or
/// processes read as one story: `05:04:03.021  server  <- INVOKE    op 4    ...`
#[must_use]
pub fn line(who: &str, direction: &str, frame: &str, op: Option<u64>, rest: &str) -> String {
    let op = op.map_or_else(|| "       ".into(), |op| format!("op {op:<4}"));
    format!("{}  {who}  {direction} {frame:<9} {op} {rest}", clock())
}

/// The time of day, UTC.
fn clock() -> String {
    let since = since_1970();
    let seconds = since.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// The moment that comes after `time`, as a budget's deadline carries it.
#[must_use]
pub fn unix_millis_after(time: Duration) -> UnixMillis {
    let millis = since_1970().saturating_add(time).as_millis();
    UnixMillis(i64::try_from(millis).unwrap_or(i64::MAX))
}

fn since_1970() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// A child process that does not outlive this one.
#[derive(Debug)]
pub struct Leashed(pub Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
