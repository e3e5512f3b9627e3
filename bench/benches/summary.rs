//! The comparison in one go: medians of all contenders, measured in turn, as Markdown tables, and
//! the targets with their verdicts. `cargo bench -p aire-bench --bench summary`

use std::hint::black_box;

use aire_bench::contender::{COPYING, MEMCPY, OCTETS, OURS, memcpy, memcpy_payloads};
use aire_bench::control::{Sample, hello_through_connection};
use aire_bench::echo::{self, ECHOES};
use aire_bench::identity::Signed;
use aire_bench::link::{Device, Link, Receiver, Sender};
use aire_bench::measure::{Contender, Pages, Table, is_benchmarking, machine, side_by_side};
use aire_bench::spending::{self, CHARGES};
use aire_bench::stream::{Run, SIZES};
use aire_bench::{copying, cursor, ours};
use aire_proto::Growing;

/// How many times as fast as `octets` a STREAM of 100 B is to be.
const OCTETS_TARGET: f64 = 1.3;

/// How many nanoseconds a budget check may take.
const CHARGE_TARGET: f64 = 10.0;

/// From how many bytes of payload on no copy may be as fast.
const MEMCPY_TARGET: usize = 256;

fn main() {
    if !is_benchmarking() {
        return;
    }
    let mut targets = Targets::default();
    println!("\n## Summary\n");
    println!(
        "{}. Medians, side by side in one run. What is left in place is neither read nor copied: \
         {MEMCPY} copies the payloads, from where they are known to be, and understands nothing.\n",
        machine()
    );
    decode(&mut targets);
    decode_each();
    encode(&mut targets);
    encode_copied();
    decode_control();
    encode_control();
    connection();
    echoes();
    charges(&mut targets);
    windows();
    identity();
    print("Targets", &targets.table());
}

fn print(title: &str, table: &Table) {
    println!("### {title}\n\n{}", table.to_markdown());
}

fn nanos(value: f64) -> String {
    match value {
        ..10.0 => format!("{value:.2}"),
        ..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn times(value: f64) -> String {
    format!("{value:.2}x")
}

/// Bytes per nanosecond are gigabytes per second.
fn gigabytes(bytes: u64, nanos: f64) -> String {
    format!("{:.0} GB/s", bytes as f64 / nanos)
}

/// The medians of these contenders, in nanoseconds.
fn medians<const N: usize>(mut contenders: [Contender<'_>; N]) -> [f64; N] {
    let timings = side_by_side(&mut contenders);
    std::array::from_fn(|index| timings.get(index).map_or(f64::NAN, |timing| timing.nanos))
}

fn runs() -> Vec<(String, Option<usize>, Run)> {
    let uniform = SIZES.map(|len| (format!("{len} B"), Some(len), Run::uniform(len)));
    let mut runs = Vec::from(uniform);
    runs.push(("mixed".into(), None, Run::mixed()));
    runs
}

/// What is to be reached, and what was.
#[derive(Default)]
struct Targets(Vec<(String, f64, f64)>);

impl Targets {
    fn octets(&mut self, what: &str, len: Option<usize>, ours: f64, octets: f64) {
        if len == Some(100) {
            let name =
                format!("{what} a STREAM of 100 B: {OCTETS_TARGET} times as fast as {OCTETS}");
            self.0.push((name, OCTETS_TARGET, octets / ours));
        }
    }

    fn memcpy(&mut self, what: &str, len: Option<usize>, ours: f64, memcpy: f64) {
        if len.is_some_and(|len| len >= MEMCPY_TARGET) {
            let bytes = len.unwrap_or_default();
            let name = format!("{what} a STREAM of {bytes} B: faster than {MEMCPY} of its payload");
            self.0.push((name, 1.0, memcpy / ours));
        }
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["target", "measured", "met"]);
        for (name, least, measured) in &self.0 {
            let met = if measured >= least { "yes" } else { "no" };
            table.row([name.clone(), times(*measured), met.into()]);
        }
        table
    }
}

fn decode(targets: &mut Targets) {
    let decoder = format!("{OURS}, `Decoder`");
    let against_octets = format!("{OCTETS} / {OURS}");
    let against_memcpy = format!("{MEMCPY} / {OURS}");
    let mut table = Table::new(&[
        "payload",
        OURS,
        OCTETS,
        COPYING,
        MEMCPY,
        &against_octets,
        &against_memcpy,
        "throughput",
        &decoder,
    ]);
    for (name, len, run) in runs() {
        let (frames, wire) = (run.len(), run.wire.as_slice());
        let mut out = Pages::new(run.wire.len());
        let [a, b, c, d, e] = medians([
            Contender::new(OURS, frames, || ours::decode(black_box(wire))),
            Contender::new(OCTETS, frames, || cursor::decode(black_box(wire))),
            Contender::new(COPYING, frames, || copying::decode(black_box(wire))),
            Contender::new(MEMCPY, frames, || {
                memcpy_payloads(black_box(&run), black_box(out.as_mut_slice()));
                0
            }),
            Contender::new("Decoder", frames, || {
                ours::decode_incremental(black_box(wire))
            }),
        ]);
        targets.octets("decode", len, a, b);
        targets.memcpy("decode", len, a, d);
        table.row([
            name,
            nanos(a),
            nanos(b),
            nanos(c),
            nanos(d),
            times(b / a),
            times(d / a),
            gigabytes(run.bytes_per_frame(), a),
            nanos(e),
        ]);
    }
    print(
        "Decode STREAM, one behind the other in a buffer: ns per frame",
        &table,
    );
}

fn decode_each() {
    let against = format!("{OCTETS} / {OURS}");
    let mut table = Table::new(&["payload", OURS, OCTETS, &against]);
    for (name, _, run) in runs() {
        let each = run.each();
        let [a, b] = medians([
            Contender::new(OURS, run.len(), || ours::decode_each(black_box(&each))),
            Contender::new(OCTETS, run.len(), || cursor::decode_each(black_box(&each))),
        ]);
        table.row([name, nanos(a), nanos(b), times(b / a)]);
    }
    print(
        "Decode STREAM, each in a buffer of its own: ns per frame",
        &table,
    );
}

fn encode(targets: &mut Targets) {
    let against_octets = format!("{OCTETS} / {OURS}");
    let against_memcpy = format!("{MEMCPY} / {OURS}");
    let mut table = Table::new(&[
        "payload",
        OURS,
        OCTETS,
        MEMCPY,
        &against_octets,
        &against_memcpy,
        "throughput",
    ]);
    for (name, len, run) in runs() {
        let mut outs = [(); 3].map(|()| Pages::new(run.wire.len()));
        let [out_a, out_b, out_c] = &mut outs;
        let [a, b, c] = medians([
            Contender::new(OURS, run.len(), || {
                ours::encode_envelopes(black_box(&run), black_box(out_a.as_mut_slice()))
            }),
            Contender::new(OCTETS, run.len(), || {
                cursor::encode_envelopes(black_box(&run), black_box(out_b.as_mut_slice()))
            }),
            Contender::new(MEMCPY, run.len(), || {
                memcpy_payloads(black_box(&run), black_box(out_c.as_mut_slice()));
                0
            }),
        ]);
        targets.octets("encode", len, a, b);
        targets.memcpy("encode", len, a, c);
        table.row([
            name,
            nanos(a),
            nanos(b),
            nanos(c),
            times(b / a),
            times(c / a),
            gigabytes(run.bytes_per_frame(), a),
        ]);
    }
    print("Encode STREAM, payload left in place: ns per frame", &table);
}

fn encode_copied() {
    let against = format!("{OCTETS} / {OURS}");
    let mut table = Table::new(&["payload", OURS, OCTETS, COPYING, &against, "throughput"]);
    for (name, _, run) in runs() {
        let mut outs = [(); 2].map(|()| Pages::new(run.wire.len()));
        let [out_a, out_b] = &mut outs;
        let [a, b, c] = medians([
            Contender::new(OURS, run.len(), || {
                ours::encode_copied(black_box(&run), black_box(out_a.as_mut_slice()))
            }),
            Contender::new(OCTETS, run.len(), || {
                cursor::encode_copied(black_box(&run), black_box(out_b.as_mut_slice()))
            }),
            Contender::new(COPYING, run.len(), || copying::encode(black_box(&run))),
        ]);
        table.row([
            name,
            nanos(a),
            nanos(b),
            nanos(c),
            times(b / a),
            gigabytes(run.bytes_per_frame(), a),
        ]);
    }
    print("Encode STREAM, payload copied: ns per frame", &table);
}

fn control_table() -> Table {
    let against = format!("{OCTETS} / {OURS}");
    Table::new(&["frame", "bytes", OURS, OCTETS, COPYING, MEMCPY, &against])
}

fn decode_control() {
    let mut table = control_table();
    for sample in Sample::all() {
        let wire = sample.wire();
        let mut out = vec![0; wire.len()];
        let [a, b, c, d] = medians([
            Contender::new(OURS, 1, || ours::decode_control(black_box(&wire))),
            Contender::new(OCTETS, 1, || cursor::decode_control(black_box(&wire))),
            Contender::new(COPYING, 1, || copying::decode_control(black_box(&wire))),
            Contender::new(MEMCPY, 1, || {
                memcpy(black_box(&wire), black_box(&mut out));
                0
            }),
        ]);
        table.row([
            sample.to_string(),
            wire.len().to_string(),
            nanos(a),
            nanos(b),
            nanos(c),
            nanos(d),
            times(b / a),
        ]);
    }
    print("Decode control frames: ns per frame", &table);
}

fn encode_control() {
    let mut table = control_table();
    for sample in Sample::all() {
        let wire = sample.wire();
        let mut outs = [(); 3].map(|()| Pages::new(512));
        let [out_a, out_b, out_c] = &mut outs;
        let (name, by_us): (String, Box<dyn FnMut() -> u64>) = match &sample {
            Sample::Hello(hello) => {
                let signer = hello.idle_signer();
                let encode = move || {
                    hello_through_connection(black_box(&signer), |bytes| {
                        black_box(bytes);
                    });
                    0
                };
                (
                    format!("{sample}, ours with its `Connection`"),
                    Box::new(encode),
                )
            }
            other => {
                let encode = || {
                    ours::encode_control(black_box(other), black_box(out_a.as_mut_slice())) as u64
                };
                (other.to_string(), Box::new(encode))
            }
        };
        let [a, b, c, d] = medians([
            Contender::new(OURS, 1, by_us),
            Contender::new(OCTETS, 1, || {
                cursor::encode_control(black_box(&sample), black_box(out_b.as_mut_slice())) as u64
            }),
            Contender::new(COPYING, 1, || {
                copying::encode_control(black_box(&sample)) as u64
            }),
            Contender::new(MEMCPY, 1, || {
                memcpy(black_box(&wire), black_box(out_c.as_mut_slice()));
                0
            }),
        ]);
        table.row([
            name,
            wire.len().to_string(),
            nanos(a),
            nanos(b),
            nanos(c),
            nanos(d),
            times(b / a),
        ]);
    }
    print("Encode control frames: ns per frame", &table);
}

fn connection() {
    let mut table = Table::new(&[
        "payload",
        "receive, fixed",
        "receive, growing",
        "send, fixed",
        "send, growing",
    ]);
    for len in SIZES {
        let count = 64.min(256 * 1024 / len);
        let frames = count as u64;
        let mut receiver: Receiver<Device> = Receiver::new(len, count);
        let mut growing_receiver: Receiver<Growing> = Receiver::new(len, count);
        let mut sender: Sender<Device> = Sender::new();
        let mut growing_sender: Sender<Growing> = Sender::new();
        let found = medians([
            Contender::new("receive, fixed", frames, || receiver.read()),
            Contender::new("receive, growing", frames, || growing_receiver.read()),
            Contender::new("send, fixed", frames, || sender.send(black_box(len), count)),
            Contender::new("send, growing", frames, || {
                growing_sender.send(black_box(len), count)
            }),
        ]);
        table.row([format!("{len} B")].into_iter().chain(found.map(nanos)));
    }
    print("`Connection`, STREAM, one end: ns per frame", &table);
}

fn echoes() {
    let fixed = format!("{OURS}, fixed");
    let growing = format!("{OURS}, growing");
    let [ours, octets, copying, memcpy] =
        [OURS, OCTETS, COPYING, MEMCPY].map(|who| format!("codec alone, {who}"));
    let mut table = Table::new(&[
        "payload", &fixed, &growing, &ours, &octets, &copying, &memcpy,
    ]);
    for len in ECHOES {
        let payload = vec![7; len];
        let found = medians([
            Contender::new("fixed", 1, echo::by_connections::<Device>(&payload)),
            Contender::new("growing", 1, echo::by_connections::<Growing>(&payload)),
            Contender::new(OURS, 1, echo::by_our_codec(&payload)),
            Contender::new(OCTETS, 1, echo::by_octets(&payload)),
            Contender::new(COPYING, 1, echo::by_copying(&payload)),
            Contender::new(MEMCPY, 1, echo::by_memcpy(&payload)),
        ]);
        table.row([format!("{len} B")].into_iter().chain(found.map(nanos)));
    }
    print("Echo of a STREAM, both ends: ns", &table);
}

fn charges(targets: &mut Targets) {
    let found = medians([
        Contender::new("ledger", CHARGES, spending::by_ledger()),
        Contender::new("fixed", CHARGES, spending::by_connection::<Device>(0)),
        Contender::new("growing", CHARGES, spending::by_connection::<Growing>(0)),
        Contender::new("of 100", CHARGES, spending::by_connection::<Growing>(99)),
    ]);
    let names = [
        "a `Ledger` alone",
        "`Connection::charge`, fixed",
        "`Connection::charge`, growing",
        "`Connection::charge`, growing, one operation of 100",
    ];
    let mut table = Table::new(&["", "ns"]);
    for (name, nanos_each) in names.into_iter().zip(found) {
        let target = format!("a budget check under {CHARGE_TARGET} ns: {name}");
        targets.0.push((target, 1.0, CHARGE_TARGET / nanos_each));
        table.row([name.to_owned(), nanos(nanos_each)]);
    }
    print("A budget check, tokens, money and deadline: ns", &table);
}

fn windows() {
    let against = format!("window / {MEMCPY}");
    let mut table = Table::new(&["payload", "window", MEMCPY, &against]);
    for len in SIZES {
        let [a, b] = medians([
            Contender::new("window", CHARGES, spending::by_window(len)),
            Contender::new(MEMCPY, CHARGES, spending::by_memcpy(len)),
        ]);
        table.row([format!("{len} B"), nanos(a), nanos(b), times(a / b)]);
    }
    print(
        "Retain a STREAM in a full window of 256 KiB: ns per frame",
        &table,
    );
}

fn identity() {
    let micros = |nanos: f64| format!("{:.2}", nanos / 1000.0);
    let signed = Signed::hello();
    let mut fixed: Link<Device, Device> = Link::connected(4096);
    let mut growing: Link<Growing, Growing> = Link::connected(4096);
    let found = medians([
        Contender::new("sign", 1, || u64::from(signed.sign()[0])),
        Contender::new("verify", 1, || u64::from(signed.verify())),
        Contender::new("handshake", 1, || {
            let mut link: Link<Device, Device> = Link::new(4096);
            link.shake_hands();
            link.up.len() as u64
        }),
        Contender::new("operation, fixed", 1, || {
            fixed.operation(black_box(&[7; 100]));
            0
        }),
        Contender::new("operation, growing", 1, || {
            growing.operation(black_box(&[7; 100]));
            0
        }),
    ]);
    let names = [
        "sign a HELLO",
        "verify a HELLO",
        "a handshake, both ends, their keys from seeds included",
        "an operation, both ends: INVOKE, echo of 100 B, FIN; fixed",
        "an operation, both ends; growing",
    ];
    let mut table = Table::new(&["", "us"]);
    for (name, nanos) in names.into_iter().zip(found) {
        table.row([name.to_owned(), micros(nanos)]);
    }
    print("Identity, and whole operations", &table);
}
