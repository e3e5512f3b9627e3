//! The agents that are built in.

use std::time::Duration;

use aire_mio::{Agent, Failure, Operation};
use aire_proto::budget::Charge;
use jiff::Timestamp;

use super::config::Builtin;
use crate::common::units;

impl Agent for Builtin {
    fn handle(&self, operation: &mut Operation) -> Result<(), Failure> {
        match *self {
            Self::Echo => echo(operation),
            Self::Stream {
                frames,
                most,
                pause,
            } => stream(operation, frames, most, pause),
            Self::Time => time(operation),
        }
    }
}

/// Answers with the arguments. `echo/stream` goes on with each frame that the caller streams,
/// until it has sent all.
fn echo(operation: &mut Operation) -> Result<(), Failure> {
    let streams = operation.operation() == "stream";
    let args = operation.args().to_vec();
    if !streams || !args.is_empty() {
        operation.send(args)?;
    }
    while streams && let Some(payload) = operation.recv()? {
        operation.send(payload)?;
    }
    Ok(())
}

/// Answers with `token-1`, `token-2` and so on, each for one token of the budget. The arguments
/// are how many, and optionally the milliseconds between two.
fn stream(
    operation: &mut Operation,
    frames: u32,
    most: u32,
    pause: Duration,
) -> Result<(), Failure> {
    let (count, pause) = match operation.args() {
        [] => (frames, pause),
        args => counted(args, pause).ok_or_else(|| {
            Failure::application("the arguments are a count, and optionally milliseconds: 20 50")
        })?,
    };
    if count > most {
        let words = format!("at most {most} frames can be asked for");
        return Err(Failure::application(words));
    }
    operation.set_budget_patience(TOP_UP_PATIENCE);
    for n in 1..=count {
        if n > 1 && !pause.is_zero() {
            operation.sleep(pause)?;
        }
        operation.charge(&Charge::tokens(1))?;
        operation.send(format!("token-{n}"))?;
    }
    Ok(())
}

fn counted(args: &[u8], otherwise: Duration) -> Option<(u32, Duration)> {
    let mut words = std::str::from_utf8(args).ok()?.split_ascii_whitespace();
    let count = words.next()?.parse().ok()?;
    let pause = match words.next() {
        Some(millis) => Duration::from_millis(millis.parse::<u32>().ok()?.into()),
        None => otherwise,
    };
    words.next().is_none().then_some((count, pause))
}

/// Answers with the time, in UTC as RFC 3339 writes it. `time/ticks` does so again and again, as
/// often as the arguments say (1s when there are none), until it is cancelled.
fn time(operation: &mut Operation) -> Result<(), Failure> {
    let every = match operation.operation() {
        "now" => None,
        "ticks" if operation.args().is_empty() => Some(Duration::from_secs(1)),
        "ticks" => Some(pace(operation.args()).map_err(Failure::application)?),
        _ => return Err(Failure::application("the operations are `now` and `ticks`")),
    };
    loop {
        operation.charge(&Charge::tokens(1))?;
        operation.send(format!("{:.3}", Timestamp::now()))?;
        match every {
            Some(every) => operation.sleep(every)?,
            None => return Ok(()),
        }
    }
}

fn pace(args: &[u8]) -> Result<Duration, String> {
    let text = std::str::from_utf8(args).map_err(|error| error.to_string())?;
    let every = units::time(text.trim())?;
    match every < Duration::from_millis(10) {
        true => Err("the least is 10ms".into()),
        false => Ok(every),
    }
}

/// How long an operation that is out of budget waits for a top-up.
const TOP_UP_PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_may_have_a_pause_behind_it() {
        let pause = Duration::from_secs(1);
        assert_eq!(counted(b"20", pause), Some((20, pause)));
        let given = Some((20, Duration::from_millis(50)));
        assert_eq!(counted(b" 20  50\n", pause), given);
        for args in [&b"x"[..], b"-1", b"1 2 3", b" ", b"\xff"] {
            assert_eq!(counted(args, pause), None, "{args:?}");
        }
    }

    #[test]
    fn nobody_can_ask_for_the_time_without_pause() {
        assert_eq!(pace(b"10ms"), Ok(Duration::from_millis(10)));
        for args in [&b"0s"[..], b"9ms", b"1", b"\xff"] {
            assert!(pace(args).is_err(), "{args:?}");
        }
    }
}
