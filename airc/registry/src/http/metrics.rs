//! What a monitoring system reads: Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use airc_core::registry::Effect;
use axum::http::StatusCode;

/// Counters of what was answered and done.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    /// Below each bound, and above all.
    times: [AtomicU64; BOUNDS.len() + 1],
    time_sum_us: AtomicU64,
    effects: [AtomicU64; EFFECTS.len()],
}

impl Metrics {
    /// Counts an answer. Labels are few and known, so the table stays small.
    pub(crate) fn answered(&self, label: &'static str, status: StatusCode, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((label, status.as_u16())).or_default() += 1;
        drop(requests);
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let slot = BOUNDS.partition_point(|(bound, _)| *bound < us);
        if let Some(count) = self.times.get(slot) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.time_sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Counts what calls have changed.
    pub(crate) fn effects(&self, effects: &[Effect]) {
        for effect in effects {
            let (slot, count) = match effect {
                Effect::Registered(_) => (0, 1),
                Effect::Updated(_) => (1, 1),
                Effect::Rotated(_) => (2, 1),
                Effect::Presence(_) => (3, 1),
                Effect::Delivered { count, .. } => (4, *count),
                Effect::Held { .. } => (5, 1),
                Effect::Dropped { count, .. } => (6, *count),
                Effect::Consent { .. } => (7, 1),
                Effect::ReplayRefused(_) => (8, 1),
                Effect::SignatureRefused(_) => (9, 1),
                _ => continue,
            };
            if let Some(counter) = self.effects.get(slot) {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    /// Everything, as text.
    pub(crate) fn text(&self) -> String {
        let mut page = Page::default();
        page.family(
            "airc_requests_total",
            "counter",
            "Answers by call and status.",
        );
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((label, status), count) in requests.iter() {
            page.sample(
                "airc_requests_total",
                &format!("route=\"{label}\",code=\"{status}\""),
                count,
            );
        }
        drop(requests);
        self.write_times(&mut page);
        page.family("airc_events_total", "counter", "What calls have done.");
        for (name, count) in EFFECTS.iter().zip(&self.effects) {
            let count = count.load(Ordering::Relaxed);
            page.sample("airc_events_total", &format!("event=\"{name}\""), count);
        }
        page.0
    }

    fn write_times(&self, page: &mut Page) {
        let counts = self
            .times
            .each_ref()
            .map(|count| count.load(Ordering::Relaxed));
        let bounds = BOUNDS.iter().map(|(_, text)| *text);
        let us = self.time_sum_us.load(Ordering::Relaxed);
        let name = "airc_request_duration_seconds";
        page.histogram(
            name,
            "From a request's head to its answer.",
            bounds,
            &counts,
            us,
        );
    }
}

/// Text that Prometheus reads.
#[derive(Debug, Default)]
pub(crate) struct Page(pub(crate) String);

impl Page {
    /// The head of a family of samples.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample. Labels are ours: nothing in them needs escaping.
    pub(crate) fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    /// A family of how many were how fast: `counts` within each of `bounds`, and one above.
    pub(crate) fn histogram<'a>(
        &mut self,
        name: &str,
        help: &str,
        bounds: impl Iterator<Item = &'a str>,
        counts: &[u64],
        sum_us: u64,
    ) {
        self.family(name, "histogram", help);
        let mut total: u64 = 0;
        for (bound, count) in bounds.chain(["+Inf"]).zip(counts) {
            total = total.saturating_add(*count);
            self.sample(&format!("{name}_bucket"), &format!("le=\"{bound}\""), total);
        }
        let sum = format!("{}.{:06}", sum_us / 1_000_000, sum_us % 1_000_000);
        self.sample(&format!("{name}_sum"), "", sum);
        self.sample(&format!("{name}_count"), "", total);
    }

    /// A family of one sample.
    pub(crate) fn one(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        value: impl std::fmt::Display,
    ) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }
}

/// Upper bounds in microseconds, and in seconds as text.
const BOUNDS: [(u64, &str); 12] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (5_000_000, "5"),
];

/// The names of what calls do.
const EFFECTS: [&str; 10] = [
    "registered",
    "updated",
    "rotated",
    "heartbeat",
    "delivered",
    "held",
    "dropped",
    "consent",
    "replay_refused",
    "signature_refused",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_all_that_were_faster() {
        let metrics = Metrics::default();
        for us in [400, 500, 501, 9_000_000] {
            let took = Duration::from_micros(us);
            metrics.answered("GET /presence", StatusCode::OK, took);
        }
        let text = metrics.text();
        for line in [
            "airc_requests_total{route=\"GET /presence\",code=\"200\"} 4",
            "airc_request_duration_seconds_bucket{le=\"0.0005\"} 2",
            "airc_request_duration_seconds_bucket{le=\"0.001\"} 3",
            "airc_request_duration_seconds_bucket{le=\"5\"} 3",
            "airc_request_duration_seconds_bucket{le=\"+Inf\"} 4",
            "airc_request_duration_seconds_sum 9.001401",
            "airc_request_duration_seconds_count 4",
        ] {
            assert!(text.lines().any(|said| said == line), "{line}\n{text}");
        }
    }
}
