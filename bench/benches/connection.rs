//! A whole `Connection` in detail: each way alone, and echoes between two in memory.
//! `cargo bench -p aire-bench --bench connection`

use std::hint::black_box;

use aire_bench::contender::{COPYING, MEMCPY, OCTETS, OURS};
use aire_bench::echo::{self, ECHOES};
use aire_bench::link::{Device, Link, Receiver, Sender};
use aire_bench::measure::{criterion, per_unit};
use aire_bench::stream::SIZES;
use aire_proto::Growing;
use aire_proto::storage::Storage;
use criterion::{BenchmarkId, Criterion, Throughput};

const FRAMES: usize = 64;

fn main() {
    let mut criterion = criterion();
    each_way::<Device>(&mut criterion, "fixed storage");
    each_way::<Growing>(&mut criterion, "growing storage");
    echoes(&mut criterion);
    lives(&mut criterion);
    criterion.final_summary();
}

fn each_way<S: Storage>(criterion: &mut Criterion, storage: &str) {
    let mut group = criterion.benchmark_group("Connection, STREAM each way");
    for len in SIZES {
        group.throughput(Throughput::Bytes(len as u64));
        let frames = FRAMES.min(256 * 1024 / len);
        let mut receiver: Receiver<S> = Receiver::new(len, frames);
        group.bench_function(
            BenchmarkId::new(format!("receive, {storage}"), len),
            |bencher| {
                bencher.iter_custom(|iterations| {
                    per_unit(iterations, frames as u64, || {
                        black_box(receiver.read());
                    })
                });
            },
        );
        let mut sender: Sender<S> = Sender::new();
        group.bench_function(
            BenchmarkId::new(format!("send, {storage}"), len),
            |bencher| {
                bencher.iter_custom(|iterations| {
                    per_unit(iterations, frames as u64, || {
                        black_box(sender.send(black_box(len), frames));
                    })
                });
            },
        );
    }
    group.finish();
}

fn echoes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("echo, both ends");
    for len in ECHOES {
        let payload = vec![7; len];
        group.throughput(Throughput::Bytes(2 * len as u64));
        let mut fixed = echo::by_connections::<Device>(&payload);
        group.bench_function(
            BenchmarkId::new(format!("{OURS}, fixed storage"), len),
            |bencher| bencher.iter(&mut fixed),
        );
        let mut growing = echo::by_connections::<Growing>(&payload);
        group.bench_function(
            BenchmarkId::new(format!("{OURS}, growing storage"), len),
            |bencher| bencher.iter(&mut growing),
        );
        let mut codecs = [
            (OURS, echo::by_our_codec(&payload)),
            (OCTETS, echo::by_octets(&payload)),
            (COPYING, echo::by_copying(&payload)),
            (MEMCPY, echo::by_memcpy(&payload)),
        ];
        for (contender, work) in &mut codecs {
            group.bench_function(
                BenchmarkId::new(format!("codec alone, {contender}"), len),
                |bencher| bencher.iter(&mut *work),
            );
        }
    }
    group.finish();
}

fn lives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a whole operation, both ends");
    let payload = [7; 100];
    let mut fixed: Link<Device, Device> = Link::connected(4096);
    group.bench_function("fixed storage", |bencher| {
        bencher.iter(|| fixed.operation(black_box(&payload)));
    });
    let mut growing: Link<Growing, Growing> = Link::connected(4096);
    group.bench_function("growing storage", |bencher| {
        bencher.iter(|| growing.operation(black_box(&payload)));
    });
    group.finish();
}
