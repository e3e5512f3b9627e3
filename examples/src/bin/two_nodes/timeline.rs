//! A line for each thing that happens, with the time, so that two processes' lines can be read
//! as one story.

use std::time::{SystemTime, UNIX_EPOCH};

/// `05:04:03.021  server  <- INVOKE     op 4    ...`
pub(crate) fn line(who: &str, direction: &str, frame: &str, op: Option<u64>, rest: &str) -> String {
    let op = op.map_or_else(|| "       ".into(), |op| format!("op {op:<4}"));
    format!("{}  {who}  {direction} {frame:<9} {op} {rest}", clock())
}

/// The time of day, UTC.
fn clock() -> String {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_secs();
    format!(
        "{:02}:{:02}:{:02}.{:03}",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}
