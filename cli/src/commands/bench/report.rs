//! What came of the load, for people and programs.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::Args;
use super::load::Done;
use crate::common::dial::Call;
use crate::common::output::style;
use crate::common::present::{Size, Took, one_line};
use crate::{Error, Output};

/// What is told.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    target: &'a str,
    agent: &'a str,
    operation: &'a str,
    connections: u32,
    concurrency: u32,
    argument_bytes: usize,
    took_s: f64,
    completed: u64,
    failed: u64,
    operations_per_s: f64,
    frames_received: u64,
    bytes_received: u64,
    bytes_received_per_s: f64,
    latency: Latency,
    first_frame: Latency,
    errors: &'a BTreeMap<String, u64>,
    interrupted: bool,
}

/// Times in milliseconds.
#[derive(Serialize)]
struct Latency {
    count: u64,
    min_ms: f64,
    mean_ms: f64,
    stdev_ms: f64,
    max_ms: f64,
    percentiles_ms: BTreeMap<&'static str, f64>,
}

/// The percentiles that are told.
const PERCENTILES: [(&str, f64); 6] = [
    ("50", 50.0),
    ("75", 75.0),
    ("90", 90.0),
    ("95", 95.0),
    ("99", 99.0),
    ("99.9", 99.9),
];

impl Latency {
    fn new(times: &Histogram<u64>) -> Self {
        let at = |(name, percentile)| (name, times.value_at_percentile(percentile) as f64 / 1000.0);
        Self {
            count: times.len(),
            min_ms: times.min() as f64 / 1000.0,
            mean_ms: times.mean() / 1000.0,
            stdev_ms: times.stdev() / 1000.0,
            max_ms: times.max() as f64 / 1000.0,
            percentiles_ms: PERCENTILES.map(at).into(),
        }
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(
        args: &'a Args,
        call: &'a Call,
        argument_bytes: usize,
        done: &'a Done,
    ) -> Self {
        let books = &done.books;
        let took = done.took.as_secs_f64();
        let rate = |count: u64| if took > 0.0 { count as f64 / took } else { 0.0 };
        Self {
            target: &args.target,
            agent: &call.agent,
            operation: &call.operation,
            connections: args.connections,
            concurrency: args.concurrency,
            argument_bytes,
            took_s: took,
            completed: books.completed(),
            failed: books.failed(),
            operations_per_s: rate(books.completed()),
            frames_received: books.frames,
            bytes_received: books.bytes,
            bytes_received_per_s: rate(books.bytes),
            latency: Latency::new(&books.whole),
            first_frame: Latency::new(&books.first),
            errors: &books.errors,
            interrupted: done.interrupted,
        }
    }

    pub(super) fn print(&self, done: &Done, out: &mut Output) -> Result<(), Error> {
        let heading = out.styled(style::STRONG, self.target).to_string();
        out.line(format_args!(
            "{heading} {}/{}: {} connections, {} operations at a time on each, {} of arguments",
            self.agent,
            self.operation,
            self.connections,
            self.concurrency,
            Size(self.argument_bytes as u64)
        ))?;
        out.line(format_args!(
            "{} completed in {:.2} s: {:.1} operations/s",
            self.completed, self.took_s, self.operations_per_s
        ))?;
        out.line(format_args!(
            "{} frames, {}: {}/s",
            self.frames_received,
            Size(self.bytes_received),
            Size(self.bytes_received_per_s as u64)
        ))?;
        if self.completed > 0 {
            self.percentiles(out)?;
            bars(&done.books.whole, out)?;
        }
        if self.failed > 0 {
            let failed = format!("{} failed", self.failed);
            let failed = out.styled(style::BAD, failed).to_string();
            out.line(failed)?;
            for (kind, count) in self.errors {
                out.line(format_args!("{count:>9}  {}", one_line(kind)))?;
            }
        }
        Ok(())
    }

    fn percentiles(&self, out: &mut Output) -> Result<(), Error> {
        let whole = &self.latency;
        out.line("")?;
        out.line(format_args!(
            "latency   min {:.2} ms, mean {:.2} ms, max {:.2} ms, standard deviation {:.2} ms",
            whole.min_ms, whole.mean_ms, whole.max_ms, whole.stdev_ms
        ))?;
        out.line("             whole   first frame")?;
        for (name, _) in PERCENTILES {
            let at = |latency: &Latency| match latency.count {
                0 => "-".into(),
                _ => format!(
                    "{:.2} ms",
                    latency.percentiles_ms.get(name).copied().unwrap_or(0.0)
                ),
            };
            let (whole, first) = (at(whole), at(&self.first_frame));
            out.line(format_args!("  {name:>4}%  {whole:>12}  {first:>12}"))?;
        }
        Ok(())
    }
}

/// How the latencies lie, in classes whose bounds double.
fn bars(times: &Histogram<u64>, out: &mut Output) -> Result<(), Error> {
    let lowest = times.min().max(1);
    let classes: Vec<(u64, u64)> = times
        .iter_log(lowest, 2.0)
        .map(|class| {
            (
                class.value_iterated_to(),
                class.count_since_last_iteration(),
            )
        })
        .skip_while(|(_, count)| *count == 0)
        .collect();
    let most = classes.iter().map(|(_, count)| *count).max().unwrap_or(1);
    out.line("")?;
    for (upper, count) in classes {
        // In eighths would be finer; whole marks show on every terminal.
        let len = (count as f64 / most as f64 * BAR).ceil() as usize;
        let bar = out.styled(style::GOOD, "#".repeat(len)).to_string();
        let upper = Took(Duration::from_micros(upper));
        out.line(format_args!("  to {upper:>12}  {count:>9}  {bar}"))?;
    }
    out.line("")
}

/// The longest bar, in characters.
const BAR: f64 = 40.0;
