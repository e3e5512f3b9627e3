//! Instructions, counted by callgrind: a number that does not depend on what else the machine is
//! doing. `cargo bench -p aire-bench --bench instructions`
//!
//! The program runs itself under valgrind, once for each case, and counts only inside of
//! [`counted`]. Without valgrind it says so, and is done.

use std::hint::black_box;
use std::process::Command;

use aire_bench::contender::{COPYING, OCTETS, OURS};
use aire_bench::control::{Sample, hello_through_connection};
use aire_bench::link::{Device, Link, Receiver, Sender};
use aire_bench::measure::{Table, is_benchmarking};
use aire_bench::stream::{Run, SIZES};
use aire_bench::{copying, cursor, ours};
use aire_proto::Growing;
use aire_proto::storage::Storage;

/// How often a case's work runs while it is counted, so that the way into it does not count.
const TIMES: u64 = 10;

/// The argument behind which a case's name comes.
const ONE_CASE: &str = "--count-case";

fn main() {
    let mut arguments = std::env::args();
    if arguments.any(|argument| argument == ONE_CASE) {
        let name = arguments.next().unwrap_or_default();
        let mut case = case(&name).expect("the name of a case");
        // Once uncounted: what is taken on first use is there, and the branches are the usual.
        (case.work)();
        counted(&mut case.work);
        println!("{}", case.units * TIMES);
        return;
    }
    if !is_benchmarking() {
        return;
    }
    println!("\n## Instructions (callgrind)\n");
    if let Err(missing) = Command::new("valgrind").arg("--version").output() {
        println!("not counted: valgrind does not start ({missing})");
        return;
    }
    print!("{}", streams().to_markdown());
    println!();
    print!("{}", connections().to_markdown());
    println!();
    print!("{}", controls().to_markdown());
}

/// What callgrind counts: it switches on where this is entered, and off where it returns.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    for _ in 0..TIMES {
        work();
    }
    // Something behind the loop, so that the last call is no jump out of here.
    black_box(());
}

struct Case {
    units: u64,
    work: Box<dyn FnMut()>,
}

/// Instructions per unit of the case `name`; what went wrong, where something did.
fn instructions(name: &str) -> String {
    let outcome = std::env::current_exe().and_then(|this| {
        Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg("--toggle-collect=*instructions*counted*")
            .arg(this)
            .args([ONE_CASE, name])
            .output()
    });
    let output = match outcome {
        Ok(output) => output,
        Err(error) => return error.to_string(),
    };
    let units = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse::<u64>();
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = report.lines().find_map(|line| {
        line.split_once("Collected : ")?
            .1
            .trim()
            .parse::<u64>()
            .ok()
    });
    match (units, collected) {
        (Ok(units), Some(collected)) => format!("{:.1}", collected as f64 / units as f64),
        _ => "failed".into(),
    }
}

// ---- the cases ----

/// The case `name`, which is words with a slash between them.
fn case(name: &str) -> Option<Case> {
    let mut words = name.split('/');
    let (kind, what, who) = (words.next()?, words.next()?, words.next()?);
    match kind {
        "decode" => decode(what.parse().ok()?, who),
        "encode" => encode(what.parse().ok()?, who),
        "copy" => encode_copied(what.parse().ok()?, who),
        "fixed" => connection::<Device>(what, who.parse().ok()?),
        "growing" => connection::<Growing>(what, who.parse().ok()?),
        _ => {
            let samples = Sample::all();
            let sample = samples.into_iter().find(|one| one.to_string() == what)?;
            control(kind, sample, who)
        }
    }
}

fn decode(payload_len: usize, who: &str) -> Option<Case> {
    let run = Run::uniform(payload_len);
    let units = run.len();
    let decode: fn(&[u8]) -> u64 = match who {
        "ours" => ours::decode,
        "incremental" => ours::decode_incremental,
        "octets" => cursor::decode,
        "copying" => copying::decode,
        _ => return None,
    };
    let work = Box::new(move || {
        black_box(decode(black_box(&run.wire)));
    });
    Some(Case { units, work })
}

fn encode(payload_len: usize, who: &str) -> Option<Case> {
    let run = Run::uniform(payload_len);
    let units = run.len();
    let mut out = vec![0; run.wire.len()];
    let encode: fn(&Run, &mut [u8]) -> u64 = match who {
        "ours" => ours::encode_envelopes,
        "octets" => cursor::encode_envelopes,
        _ => return None,
    };
    let work = Box::new(move || {
        black_box(encode(black_box(&run), black_box(&mut out)));
    });
    Some(Case { units, work })
}

fn encode_copied(payload_len: usize, who: &str) -> Option<Case> {
    let run = Run::uniform(payload_len);
    let units = run.len();
    let mut out = vec![0; run.wire.len()];
    let encode: fn(&Run, &mut [u8]) -> u64 = match who {
        "ours" => ours::encode_copied,
        "octets" => cursor::encode_copied,
        "copying" => |run, _| copying::encode(run),
        _ => return None,
    };
    let work = Box::new(move || {
        black_box(encode(black_box(&run), black_box(&mut out)));
    });
    Some(Case { units, work })
}

fn connection<S: Storage + 'static>(what: &str, payload_len: usize) -> Option<Case> {
    const FRAMES: u64 = 16;
    let (units, work): (u64, Box<dyn FnMut()>) = match what {
        "receive" => {
            let mut receiver: Receiver<S> = Receiver::new(payload_len, FRAMES as usize);
            (
                FRAMES,
                Box::new(move || {
                    black_box(receiver.read());
                }),
            )
        }
        "send" => {
            let mut sender: Sender<S> = Sender::new();
            (
                FRAMES,
                Box::new(move || {
                    black_box(sender.send(payload_len, FRAMES as usize));
                }),
            )
        }
        "echo" => {
            let mut link: Link<S, S> = Link::connected(1 << 17);
            let stream = link.open();
            let payload = vec![7; payload_len];
            (
                1,
                Box::new(move || {
                    black_box(link.echo(stream, black_box(&payload)));
                }),
            )
        }
        "operation" => {
            let mut link: Link<S, S> = Link::connected(1 << 17);
            let payload = vec![7; payload_len];
            (1, Box::new(move || link.operation(black_box(&payload))))
        }
        _ => return None,
    };
    Some(Case { units, work })
}

fn control(kind: &str, sample: Sample, who: &str) -> Option<Case> {
    let wire = sample.wire();
    let mut out = vec![0; 512];
    let work: Box<dyn FnMut()> = match (kind, who, sample) {
        ("control-decode", "ours", _) => Box::new(move || {
            black_box(ours::decode_control(black_box(&wire)));
        }),
        ("control-decode", "octets", _) => Box::new(move || {
            black_box(cursor::decode_control(black_box(&wire)));
        }),
        ("control-encode", "ours", Sample::Hello(hello)) => {
            let signer = hello.idle_signer();
            Box::new(move || {
                hello_through_connection(black_box(&signer), |bytes| {
                    black_box(bytes);
                });
            })
        }
        ("control-encode", "ours", sample) => Box::new(move || {
            black_box(ours::encode_control(
                black_box(&sample),
                black_box(&mut out),
            ));
        }),
        ("control-encode", "octets", sample) => Box::new(move || {
            black_box(cursor::encode_control(
                black_box(&sample),
                black_box(&mut out),
            ));
        }),
        _ => return None,
    };
    Some(Case { units: 1, work })
}

// ---- the tables ----

fn streams() -> Table {
    let decoder = format!("{OURS}, `Decoder`");
    let mut table = Table::new(&["instructions per STREAM", OURS, &decoder, OCTETS, COPYING]);
    let none = String::new;
    for len in SIZES {
        table.row([
            format!("decode {len} B"),
            instructions(&format!("decode/{len}/ours")),
            instructions(&format!("decode/{len}/incremental")),
            instructions(&format!("decode/{len}/octets")),
            instructions(&format!("decode/{len}/copying")),
        ]);
    }
    for len in SIZES {
        table.row([
            format!("encode {len} B, payload left in place"),
            instructions(&format!("encode/{len}/ours")),
            none(),
            instructions(&format!("encode/{len}/octets")),
            none(),
        ]);
    }
    for len in SIZES {
        table.row([
            format!("encode {len} B, payload copied"),
            instructions(&format!("copy/{len}/ours")),
            none(),
            instructions(&format!("copy/{len}/octets")),
            instructions(&format!("copy/{len}/copying")),
        ]);
    }
    table
}

fn connections() -> Table {
    let mut table = Table::new(&["instructions, `Connection`", "fixed", "growing"]);
    for (what, len, name) in [
        ("receive", 100, "receive a STREAM of 100 B"),
        ("receive", 65_536, "receive a STREAM of 64 KiB"),
        ("send", 100, "send a STREAM of 100 B"),
        ("send", 65_536, "send a STREAM of 64 KiB"),
        ("echo", 100, "echo 100 B, both ends"),
        ("operation", 100, "a whole operation, both ends"),
    ] {
        table.row([
            name.into(),
            instructions(&format!("fixed/{what}/{len}")),
            instructions(&format!("growing/{what}/{len}")),
        ]);
    }
    table
}

fn controls() -> Table {
    let columns =
        ["decode, ", "encode, "].map(|verb| [OURS, OCTETS].map(|who| verb.to_owned() + who));
    let [[a, b], [c, d]] = &columns;
    let mut table = Table::new(&["instructions per control frame", a, b, c, d]);
    for sample in Sample::all() {
        let cell = |kind, who| instructions(&format!("control-{kind}/{sample}/{who}"));
        table.row([
            sample.to_string(),
            cell("decode", "ours"),
            cell("decode", "octets"),
            cell("encode", "ours"),
            cell("encode", "octets"),
        ]);
    }
    table
}
