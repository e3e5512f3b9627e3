//! Signing and verifying, and the handshake that they are most of.
//! `cargo bench -p aire-bench --bench identity`

use std::hint::black_box;

use aire_bench::identity::Signed;
use aire_bench::link::{Device, Link};
use aire_bench::measure::criterion;
use criterion::BatchSize;

fn main() {
    let mut criterion = criterion();
    let signed = Signed::hello();
    let mut group = criterion.benchmark_group("identity");
    group.bench_function("sign a HELLO", |bencher| bencher.iter(|| signed.sign()));
    group.bench_function("verify a HELLO", |bencher| {
        bencher.iter(|| assert!(signed.verify()));
    });
    group.bench_function("resolve a did:key", |bencher| {
        bencher.iter(|| black_box(signed.resolve()));
    });
    group.bench_function("a whole handshake, both ends", |bencher| {
        bencher.iter_batched_ref(
            || Link::<Device, Device>::new(4096),
            Link::shake_hands,
            BatchSize::SmallInput,
        );
    });
    group.finish();
    criterion.final_summary();
}
