//! Decoding and encoding in detail, the contenders side by side. Times are per frame.
//! `cargo bench -p aire-bench --bench codec`

use std::hint::black_box;

use aire_bench::contender::{COPYING, MEMCPY, OCTETS, OURS, memcpy, memcpy_payloads};
use aire_bench::control::{Sample, hello_through_connection};
use aire_bench::measure::{Pages, criterion, per_unit};
use aire_bench::stream::{Run, SIZES};
use aire_bench::{copying, cursor, ours};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = criterion();
    let mut runs: Vec<(String, Run)> = SIZES
        .into_iter()
        .map(|len| (len.to_string(), Run::uniform(len)))
        .collect();
    runs.push(("mixed".into(), Run::mixed()));
    decode(&mut criterion, &runs);
    decode_each(&mut criterion, &runs);
    encode(&mut criterion, &runs);
    encode_copied(&mut criterion, &runs);
    decode_control(&mut criterion);
    encode_control(&mut criterion);
    criterion.final_summary();
}

/// Adds a contender whose `work` does `units` at a time.
fn add(
    group: &mut BenchmarkGroup<'_, WallTime>,
    contender: &str,
    input: &str,
    units: u64,
    mut work: impl FnMut() -> u64,
) {
    group.bench_function(BenchmarkId::new(contender, input), |bencher| {
        bencher.iter_custom(|iterations| {
            per_unit(iterations, units, || {
                black_box(work());
            })
        });
    });
}

fn decode(criterion: &mut Criterion, runs: &[(String, Run)]) {
    let mut group = criterion.benchmark_group("decode STREAM");
    for (name, run) in runs {
        let (frames, wire) = (run.len(), run.wire.as_slice());
        let mut out = Pages::new(run.wire.len());
        group.throughput(Throughput::Bytes(run.bytes_per_frame()));
        add(&mut group, OURS, name, frames, || {
            ours::decode(black_box(wire))
        });
        add(&mut group, "aire-proto Decoder", name, frames, || {
            ours::decode_incremental(black_box(wire))
        });
        add(&mut group, OCTETS, name, frames, || {
            cursor::decode(black_box(wire))
        });
        add(&mut group, COPYING, name, frames, || {
            copying::decode(black_box(wire))
        });
        add(&mut group, MEMCPY, name, frames, || {
            memcpy_payloads(black_box(run), black_box(out.as_mut_slice()));
            0
        });
    }
    group.finish();
}

fn decode_each(criterion: &mut Criterion, runs: &[(String, Run)]) {
    let mut group = criterion.benchmark_group("decode STREAM, a buffer for each");
    for (name, run) in runs {
        let each = run.each();
        group.throughput(Throughput::Bytes(run.bytes_per_frame()));
        add(&mut group, OURS, name, run.len(), || {
            ours::decode_each(black_box(&each))
        });
        add(&mut group, OCTETS, name, run.len(), || {
            cursor::decode_each(black_box(&each))
        });
    }
    group.finish();
}

fn encode(criterion: &mut Criterion, runs: &[(String, Run)]) {
    let mut group = criterion.benchmark_group("encode STREAM, payload left in place");
    for (name, run) in runs {
        let mut out = Pages::new(run.wire.len());
        group.throughput(Throughput::Bytes(run.bytes_per_frame()));
        add(&mut group, OURS, name, run.len(), || {
            ours::encode_envelopes(black_box(run), black_box(out.as_mut_slice()))
        });
        add(&mut group, OCTETS, name, run.len(), || {
            cursor::encode_envelopes(black_box(run), black_box(out.as_mut_slice()))
        });
        add(&mut group, MEMCPY, name, run.len(), || {
            memcpy_payloads(black_box(run), black_box(out.as_mut_slice()));
            0
        });
    }
    group.finish();
}

fn encode_copied(criterion: &mut Criterion, runs: &[(String, Run)]) {
    let mut group = criterion.benchmark_group("encode STREAM, payload copied");
    for (name, run) in runs {
        let mut out = Pages::new(run.wire.len());
        group.throughput(Throughput::Bytes(run.bytes_per_frame()));
        add(&mut group, OURS, name, run.len(), || {
            ours::encode_copied(black_box(run), black_box(out.as_mut_slice()))
        });
        add(&mut group, OCTETS, name, run.len(), || {
            cursor::encode_copied(black_box(run), black_box(out.as_mut_slice()))
        });
        add(&mut group, COPYING, name, run.len(), || {
            copying::encode(black_box(run))
        });
    }
    group.finish();
}

fn decode_control(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode control frames");
    for sample in Sample::all() {
        let name = sample.to_string();
        let wire = sample.wire();
        let mut out = vec![0; wire.len()];
        group.throughput(Throughput::Bytes(wire.len() as u64));
        add(&mut group, OURS, &name, 1, || {
            ours::decode_control(black_box(&wire))
        });
        add(&mut group, OCTETS, &name, 1, || {
            cursor::decode_control(black_box(&wire))
        });
        add(&mut group, COPYING, &name, 1, || {
            copying::decode_control(black_box(&wire))
        });
        add(&mut group, MEMCPY, &name, 1, || {
            memcpy(black_box(&wire), black_box(&mut out));
            0
        });
    }
    group.finish();
}

fn encode_control(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode control frames");
    for sample in Sample::all() {
        let name = sample.to_string();
        let wire = sample.wire();
        let mut out = vec![0; 512];
        group.throughput(Throughput::Bytes(wire.len() as u64));
        if let Sample::Hello(hello) = &sample {
            let signer = hello.idle_signer();
            add(&mut group, OURS, "HELLO with its Connection", 1, || {
                hello_through_connection(black_box(&signer), |bytes| {
                    black_box(bytes);
                });
                0
            });
        } else {
            add(&mut group, OURS, &name, 1, || {
                ours::encode_control(black_box(&sample), black_box(&mut out)) as u64
            });
        }
        add(&mut group, OCTETS, &name, 1, || {
            cursor::encode_control(black_box(&sample), black_box(&mut out)) as u64
        });
        add(&mut group, COPYING, &name, 1, || {
            copying::encode_control(black_box(&sample)) as u64
        });
        add(&mut group, MEMCPY, &name, 1, || {
            memcpy(black_box(&wire), black_box(&mut out));
            0
        });
    }
    group.finish();
}
