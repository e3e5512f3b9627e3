//! Medians of timings that are taken side by side.

use std::fmt::Write as _;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

use criterion::Criterion;

/// How long one sample of a contender takes, roughly: long against the clock's own cost, short
/// against what else happens on the machine.
const SAMPLE: Duration = Duration::from_micros(250);

/// How many samples of each contender.
const ROUNDS: usize = 101;

/// Something to time: its name, and work that takes `units` of what is counted.
pub struct Contender<'a> {
    name: &'static str,
    units: u64,
    work: Box<dyn FnMut() -> u64 + 'a>,
}

impl<'a> Contender<'a> {
    /// `work` does `units` of what is counted, frames for example. What it returns is not thrown
    /// away before it was computed.
    pub fn new(name: &'static str, units: u64, work: impl FnMut() -> u64 + 'a) -> Self {
        Self {
            name,
            units,
            work: Box::new(work),
        }
    }

    fn time(&mut self, times: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..times {
            black_box((self.work)());
        }
        start.elapsed()
    }

    fn calibrate(&mut self) -> u32 {
        let mut times = 1_u32;
        while self.time(times) < SAMPLE / 2 && times < 1 << 24 {
            times *= 2;
        }
        times
    }
}

/// Memory to write to that begins on a page, so that no contender has a luckier place than another:
/// how fast bytes are copied depends on it.
#[derive(Debug)]
pub struct Pages {
    memory: Vec<u8>,
    range: Range<usize>,
}

impl Pages {
    const PAGE: usize = 4096;

    /// `len` zero bytes.
    #[must_use]
    pub fn new(len: usize) -> Self {
        let memory = vec![0; len + Self::PAGE];
        let start = memory.as_ptr().align_offset(Self::PAGE);
        Self {
            memory,
            range: start..start + len,
        }
    }

    /// The bytes.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        &mut self.memory[self.range.clone()]
    }
}

/// A contender's result.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Whose.
    pub name: &'static str,
    /// The median, in nanoseconds per unit.
    pub nanos: f64,
}

/// Times the contenders in turn, round by round, so that what disturbs the machine disturbs all;
/// the medians, in the same order.
pub fn side_by_side(contenders: &mut [Contender<'_>]) -> Vec<Timing> {
    let times: Vec<u32> = contenders.iter_mut().map(Contender::calibrate).collect();
    let mut samples = vec![Vec::with_capacity(ROUNDS); contenders.len()];
    for _ in 0..ROUNDS {
        for ((contender, times), samples) in contenders.iter_mut().zip(&times).zip(&mut samples) {
            let elapsed = contender.time(*times);
            let units = f64::from(*times) * contender.units as f64;
            samples.push(elapsed.as_secs_f64() * 1e9 / units);
        }
    }
    contenders
        .iter()
        .zip(&mut samples)
        .map(|(contender, samples)| Timing {
            name: contender.name,
            nanos: median(samples),
        })
        .collect()
}

/// How long `iterations` units take, from work that does `units` of them at a time: so that what a
/// statistics tool shows is the time of one.
pub fn per_unit(iterations: u64, units: u64, mut work: impl FnMut()) -> Duration {
    let times = iterations.div_ceil(units);
    let start = Instant::now();
    for _ in 0..times {
        work();
    }
    start
        .elapsed()
        .mul_f64(iterations as f64 / (times * units) as f64)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A Markdown table.
#[derive(Clone, Debug, Default)]
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let heads: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        Self(vec![heads])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.0.push(cells.into_iter().collect());
    }

    /// The table as text, columns aligned: the first left, the others right.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let columns = self.0.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.0.iter().filter_map(|row| row.get(column));
                cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = String::new();
        for (index, row) in self.0.iter().enumerate() {
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let _infallible = if column == 0 {
                    write!(text, "| {cell:<width$} ")
                } else {
                    write!(text, "| {cell:>width$} ")
                };
            }
            text.push_str("|\n");
            if index == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let dashes = "-".repeat(width + 1);
                    text.push_str(&if column == 0 {
                        format!("|{dashes}-")
                    } else {
                        format!("|{dashes}:")
                    });
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

/// Statistics for many short benchmarks, as the command line asks for them.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .sample_size(30)
        .nresamples(10_000)
        .without_plots()
        .configure_from_args()
}

/// Whether this is `cargo bench`, and not `cargo test`, which also runs benchmarks when asked for
/// all targets.
#[must_use]
pub fn is_benchmarking() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The machine in general terms: its processor's name, and how many of it.
#[must_use]
pub fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown processor".into());
    format!("{cores} cores, {model}, {}", std::env::consts::ARCH)
}
