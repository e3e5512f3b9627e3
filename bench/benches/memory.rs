//! What is allocated, counted, and how large what is kept is. `cargo bench -p aire-bench --bench
//! memory`
//!
//! A program of its own: a counting allocator would slow the contender that allocates.

use std::hint::black_box;

use aire_bench::allocations::{self, Counting};
use aire_bench::contender::{COPYING, OCTETS, OURS};
use aire_bench::control::Sample;
use aire_bench::link::{Device, Link, OPERATION_TARGET, Receiver, Sender};
use aire_bench::measure::{Table, is_benchmarking};
use aire_bench::stream::Run;
use aire_bench::{copying, cursor, ours};
use aire_proto::connection::{Connection, Operation};
use aire_proto::storage::Storage;
use aire_proto::wire::Decoder;
use aire_proto::{Fixed, Growing};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() {
    if is_benchmarking() {
        assert!(allocations::are_counted());
        println!("\n## Memory\n");
        print!("{}", allocated().to_markdown());
        println!();
        print!("{}", sizes().to_markdown());
    }
}

fn per(units: u64, work: impl FnOnce() -> u64) -> String {
    let counted = allocations::during(|| {
        black_box(work());
    });
    if counted % units == 0 {
        format!("{}", counted / units)
    } else {
        format!("{:.2}", counted as f64 / units as f64)
    }
}

fn allocated() -> Table {
    let mut table = Table::new(&["calls to the allocator", OURS, OCTETS, COPYING]);
    let run = Run::uniform(100);
    let frames = run.len();
    let mut out = vec![0; run.wire.len()];
    table.row([
        "decode a STREAM of 100 B".into(),
        per(frames, || ours::decode(&run.wire)),
        per(frames, || cursor::decode(&run.wire)),
        per(frames, || copying::decode(&run.wire)),
    ]);
    table.row([
        "encode a STREAM of 100 B".into(),
        per(frames, || ours::encode_envelopes(&run, &mut out)),
        per(frames, || cursor::encode_envelopes(&run, &mut out)),
        per(frames, || copying::encode(&run)),
    ]);
    let samples = Sample::all();
    let wires: Vec<Vec<u8>> = samples.iter().map(Sample::wire).collect();
    let count = wires.len() as u64;
    let all = |decode: fn(&[u8]) -> u64| wires.iter().map(|wire| decode(wire)).sum();
    table.row([
        "decode a control frame, on average".into(),
        per(count, || all(ours::decode_control)),
        per(count, || all(cursor::decode_control)),
        per(count, || all(copying::decode_control)),
    ]);
    connection::<Device>(&mut table, "fixed storage");
    connection::<Growing>(&mut table, "growing storage");
    table
}

fn connection<S: Storage>(table: &mut Table, storage: &str) {
    let mut row = |what: &str, count: String| {
        table.row([format!("{what}, {storage}"), count, "".into(), "".into()]);
    };
    let mut receiver: Receiver<S> = Receiver::new(100, 64);
    receiver.read();
    row("receive a STREAM of 100 B", per(64, || receiver.read()));
    let mut sender: Sender<S> = Sender::new();
    sender.send(100, 1);
    row("send a STREAM of 100 B", per(64, || sender.send(100, 64)));
    let mut link: Link<S, S> = Link::connected(1 << 17);
    link.operation(&[0; 100]);
    let operation = per(1, || {
        link.operation(&[0; 100]);
        0
    });
    row("a whole operation, both ends", operation);
    let mut link: Link<S, S> = Link::new(1 << 17);
    let handshake = per(1, || {
        link.shake_hands();
        0
    });
    row("a handshake, both ends", handshake);
}

fn sizes() -> Table {
    type Smallest = Fixed<1, 64, 1, 512>;
    let mut table = Table::new(&["size", "bytes"]);
    let mut row = |what: &str, bytes: usize| table.row([what.to_owned(), bytes.to_string()]);
    let operation = size_of::<Operation<<Device as Storage>::Outbox>>();
    row("an operation, idle or not, outbox of 64 B", operation);
    row(
        "of that, the outbox",
        size_of::<<Device as Storage>::Outbox>(),
    );
    row("of that, the decoder", size_of::<Decoder>());
    row(
        "an operation, growing storage, without its outbox's bytes",
        size_of::<Operation<<Growing as Storage>::Outbox>>(),
    );
    row(
        "a connection with room for 1 operation",
        size_of::<Connection<Smallest>>(),
    );
    row(
        "a connection with room for 4 operations",
        size_of::<Connection<Device>>(),
    );
    row(
        "a connection, growing storage",
        size_of::<Connection<Growing>>(),
    );
    let verdict = match operation < OPERATION_TARGET {
        true => "met",
        false => "not met",
    };
    table.row([
        format!("target: an operation under {OPERATION_TARGET} B"),
        verdict.into(),
    ]);
    table
}
