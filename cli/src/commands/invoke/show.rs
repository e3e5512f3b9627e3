//! What of a call is printed, and how.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use aire_mio::{Client, Failure, Received};
use aire_proto::accounting::Accounting;
use aire_proto::wire::{Budget, Currency};
use serde::Serialize;
use serde_json::{Value, json};
use tracing::info;

use super::Args;
use crate::common::present::{Blob, Size, harmless, millis, one_line};
use crate::{Error, Output};

/// Prints frames, and keeps count.
pub(super) struct Show {
    style: Style,
    began: Instant,
    frames: u64,
    bytes: u64,
    /// A frame that is an accounting if nothing follows it (`BUD-11`).
    held: Option<(Vec<u8>, Accounting)>,
    progress: Option<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    /// Frames as they are.
    Raw,
    /// A line for each.
    Lines {
        /// A person reads them.
        harmless: bool,
    },
    Json,
}

impl Show {
    pub(super) fn new(args: &Args, out: &Output) -> Self {
        let style = match () {
            () if out.is_json() => Style::Json,
            () if args.raw => Style::Raw,
            () if out.is_terminal() => Style::Lines { harmless: true },
            () if args.lines => Style::Lines { harmless: false },
            () => Style::Raw,
        };
        // On the terminal that shows the frames themselves it would be in their way.
        let progress = io::stderr().is_terminal() && !out.is_terminal() && !out.is_json();
        let began = Instant::now();
        Self {
            style,
            began,
            frames: 0,
            bytes: 0,
            held: None,
            progress: progress.then(|| Progress::new(began)),
        }
    }

    /// How many STREAM frames came.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn connected(&self, client: &Client, out: &mut Output) -> Result<(), Error> {
        let (peer, bound) = (client.peer(), client.is_channel_bound());
        let address = client.address();
        info!(peer, %address, channel_bound = bound, "connected");
        match self.style {
            Style::Json => out.record(&json!({
                "event": "connected",
                "address": address.to_string(),
                "peer": peer,
                "channel_bound": bound,
            })),
            _ => Ok(()),
        }
    }

    pub(super) fn received(&mut self, received: Received, out: &mut Output) -> Result<(), Error> {
        match received {
            Received::Stream(payload) => {
                self.frames = self.frames.saturating_add(1);
                self.bytes = self.bytes.saturating_add(payload.len() as u64);
                self.release(out)?;
                match Accounting::decode(&payload) {
                    Some(accounting) => self.held = Some((payload, accounting)),
                    None => self.frame(&payload, self.frames, out)?,
                }
                Ok(())
            }
            Received::Budget(budget) => self.budget(&budget, out),
            Received::Delegated {
                target, target_did, ..
            } => self.delegated(&target, &target_did, out),
            _ => Ok(()),
        }
    }

    /// What looked like an accounting was not the last frame.
    fn release(&mut self, out: &mut Output) -> Result<(), Error> {
        match self.held.take() {
            Some((payload, _)) => self.frame(&payload, self.frames.saturating_sub(1), out),
            None => Ok(()),
        }
    }

    fn frame(&self, payload: &[u8], number: u64, out: &mut Output) -> Result<(), Error> {
        match self.style {
            Style::Json => out.record(&Frame {
                event: "stream",
                frame: number,
                payload: payload.into(),
            }),
            Style::Raw => out.bytes(payload),
            Style::Lines { harmless: safe } => {
                match std::str::from_utf8(payload) {
                    Ok(text) if safe => out.bytes(harmless(text).as_bytes())?,
                    Err(_) if safe => {
                        let size = Size(payload.len() as u64);
                        return out.line(format_args!("[{size} that are no text; --raw has them]"));
                    }
                    _ => out.bytes(payload)?,
                }
                match payload.ends_with(b"\n") {
                    true => Ok(()),
                    false => out.bytes(b"\n"),
                }
            }
        }
    }

    fn budget(&mut self, budget: &Budget, out: &mut Output) -> Result<(), Error> {
        if self.style == Style::Json {
            let currency = budget.currency.unwrap_or(Currency::USD).to_string();
            return out.record(&json!({
                "event": "budget",
                "report": budget.is_report(),
                "tokens": budget.tokens,
                "cost_microunits": budget.cost_microunits,
                "tokens_spent": budget.tokens_spent,
                "cost_microunits_spent": budget.cost_microunits_spent,
                "currency": currency,
                "deadline_unix_ms": budget.deadline.map(|at| at.0),
            }));
        }
        self.clear();
        out.note(told(budget));
        Ok(())
    }

    fn delegated(&mut self, target: &str, did: &str, out: &mut Output) -> Result<(), Error> {
        if self.style == Style::Json {
            return out.record(&json!({ "event": "delegated", "target": target, "did": did }));
        }
        info!(target, did, "the agent handed it on");
        Ok(())
    }

    /// Says how it ended.
    pub(super) fn ended(
        &mut self,
        how: &Result<(), Failure>,
        out: &mut Output,
    ) -> Result<(), Error> {
        let mut accounting = None;
        match how {
            Ok(()) => accounting = self.held.take().map(|(_, accounting)| accounting),
            Err(_) => self.release(out)?,
        }
        if let Err(Failure::Failed { data, .. }) = how {
            accounting = Accounting::decode(data);
        }
        self.clear();
        out.flush()?;
        let took = self.began.elapsed();
        if self.style == Style::Json {
            let mut end = json!({
                "event": "end",
                "outcome": outcome(how),
                "frames": self.frames,
                "bytes": self.bytes,
                "took_ms": millis(took),
                "accounting": accounting.as_ref().map(as_json),
            });
            if let (Err(failure), Some(fields)) = (how, end.as_object_mut()) {
                describe(failure, fields);
            }
            return out.record(&end);
        }
        let (frames, bytes) = (self.frames, Size(self.bytes));
        info!(frames, %bytes, ?took, "{}", outcome(how));
        if let Some(accounting) = accounting {
            info!("{}", spent(&accounting));
        }
        Ok(())
    }

    /// Shows how far it is, on a terminal. When to show it again.
    pub(super) fn progress(&mut self) -> Option<Instant> {
        let (frames, bytes) = (self.frames, self.bytes);
        self.progress.as_mut().map(|it| it.show(frames, bytes))
    }

    /// Takes the progress away, since something else is to be said.
    pub(super) fn clear(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
    }

    /// What is to be done when a signal ends the process.
    pub(super) fn farewell(&self) -> impl FnOnce() + Send + 'static {
        let shown = self.progress.as_ref().map(|it| it.shown.clone());
        move || {
            if shown.is_some_and(|shown| shown.load(Ordering::SeqCst)) {
                erase();
            }
        }
    }
}

#[derive(Serialize)]
struct Frame {
    event: &'static str,
    frame: u64,
    #[serde(flatten)]
    payload: Blob,
}

const fn outcome(how: &Result<(), Failure>) -> &'static str {
    match how {
        Ok(()) => "completed",
        Err(Failure::Failed { .. }) => "failed",
        Err(Failure::Cancelled { .. }) => "cancelled",
        Err(Failure::Reset(_)) => "reset",
        Err(Failure::Lost) => "lost",
        Err(_) => "broken",
    }
}

fn describe(failure: &Failure, fields: &mut serde_json::Map<String, Value>) {
    match failure {
        Failure::Failed { code, detail, data } => {
            fields.insert("code".into(), code.to_string().into());
            fields.insert("detail".into(), detail.as_str().into());
            if !data.is_empty() && Accounting::decode(data).is_none() {
                fields.insert("data".into(), json!(Blob::from(&data[..])));
            }
        }
        Failure::Cancelled { reason, detail } => {
            fields.insert("reason".into(), reason.to_string().into());
            fields.insert("detail".into(), detail.as_str().into());
        }
        other => {
            fields.insert("detail".into(), other.to_string().into());
        }
    }
}

/// Millionths, as people write them.
fn amount(microunits: u64, currency: &str) -> String {
    let (whole, part) = (microunits / 1_000_000, microunits % 1_000_000);
    let part = format!("{part:06}");
    let part = part.trim_end_matches('0');
    format!("{whole}.{part:0<2} {currency}")
}

/// A BUDGET in words.
fn told(budget: &Budget) -> String {
    let currency = budget.currency.unwrap_or(Currency::USD).to_string();
    let words = |tokens: Option<u64>, cost: Option<u64>| {
        let tokens = tokens.map(|tokens| format!("{tokens} tokens"));
        let cost = cost.map(|cost| amount(cost, &currency));
        let all: Vec<_> = tokens.into_iter().chain(cost).collect();
        all.join(", ")
    };
    let left = words(budget.tokens, budget.cost_microunits);
    match budget.is_report() {
        true => {
            let spent = words(budget.tokens_spent, budget.cost_microunits_spent);
            match left.is_empty() {
                true => format!("spent so far: {spent}"),
                false => format!("spent so far: {spent}; left: {left}"),
            }
        }
        false => format!("the agent names a budget: {left}"),
    }
}

/// An accounting in words.
fn spent(accounting: &Accounting) -> String {
    let cost = accounting.cost.map(|cost| {
        let currency = one_line(&String::from_utf8_lossy(&cost.currency));
        format!(", {}", amount(cost.amount, &currency))
    });
    format!(
        "it took {} tokens in, {} tokens out{}, {} ms",
        accounting.tokens_in,
        accounting.tokens_out,
        cost.unwrap_or_default(),
        accounting.duration_ms
    )
}

fn as_json(accounting: &Accounting) -> Value {
    json!({
        "tokens_in": accounting.tokens_in,
        "tokens_out": accounting.tokens_out,
        "cost_microunits": accounting.cost.map(|cost| cost.amount),
        "currency": accounting.cost.map(|cost| String::from_utf8_lossy(&cost.currency).into_owned()),
        "duration_ms": accounting.duration_ms,
    })
}

/// A line on stderr that says how far a long stream is.
struct Progress {
    began: Instant,
    next: Instant,
    shown: Arc<AtomicBool>,
}

impl Progress {
    fn new(began: Instant) -> Self {
        Self {
            began,
            next: began.checked_add(PATIENCE).unwrap_or(began),
            shown: Arc::default(),
        }
    }

    fn show(&mut self, frames: u64, bytes: u64) -> Instant {
        let now = Instant::now();
        if now < self.next {
            return self.next;
        }
        let passed = now.saturating_duration_since(self.began);
        let rate = bytes as f64 / passed.as_secs_f64();
        let line = format!(
            "{frames} frames, {}, {} s, {}/s",
            Size(bytes),
            passed.as_secs(),
            Size(rate as u64)
        );
        let mut stderr = io::stderr();
        // Who closes stderr wants no progress.
        let _closed = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
        self.shown.store(true, Ordering::SeqCst);
        self.next = now.checked_add(REFRESH).unwrap_or(now);
        self.next
    }

    fn clear(&mut self) {
        if self.shown.swap(false, Ordering::SeqCst) {
            erase();
        }
    }
}

fn erase() {
    let mut stderr = io::stderr();
    let _closed = write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush());
}

/// How long a stream takes before it counts as long.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the progress changes.
const REFRESH: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_as_they_are_read() {
        assert_eq!(amount(250_000, "USD"), "0.25 USD");
        assert_eq!(amount(3_000_000, "EUR"), "3.00 EUR");
        assert_eq!(amount(1, "EUR"), "0.000001 EUR");
        assert_eq!(amount(1_200_000, "EUR"), "1.20 EUR");
    }

    #[test]
    fn a_report_says_what_is_spent_and_what_is_left() {
        let report = Budget {
            tokens: Some(5),
            tokens_spent: Some(7),
            cost_microunits_spent: Some(250_000),
            ..Budget::default()
        };
        assert_eq!(
            told(&report),
            "spent so far: 7 tokens, 0.25 USD; left: 5 tokens"
        );
    }
}
