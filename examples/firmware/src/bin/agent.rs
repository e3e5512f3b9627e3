//! The sensor agent on the board: it connects to its node, answers, asks, and says how that went.
//!
//! Arguments, from the host: `seed=` (see `entropy`), `peer=host:port` of the node, `time=host:port`
//! of a time server, `served=N` operations to be served before the board begins with its own,
//! `do=budget+resume` (see `errands`), `idle=MS` without a packet until the connection is lost,
//! `serves=N` operations that the node may have open, and `icount=0` where the emulator runs with
//! `-icount shift=0`.
#![no_std]
#![no_main]

use core::cell::RefCell;

use aire_embassy::{Handle, Server, TicketStore};
use aire_proto::identity::Ed25519Signer;
use cortex_m_rt::entry;
use embassy_executor::Spawner;
use embassy_time::Duration;
use firmware::agent::{self, Setting, errands, sensor};
use firmware::entropy::Entropy;
use firmware::host::{self, Arguments};
use firmware::storage::Storage;
use firmware::{board, executor, network, report_memory, say};
use static_cell::StaticCell;

#[entry]
fn main() -> ! {
    firmware::start();
    let signer = agent::signer();
    executor::run(|spawner| {
        spawner.spawn(run(spawner, signer).expect("spawned once"));
    })
}

#[embassy_executor::task]
async fn run(spawner: Spawner, signer: &'static Ed25519Signer) {
    static ARGUMENTS: StaticCell<Arguments> = StaticCell::new();
    let arguments: &'static Arguments = ARGUMENTS.init_with(Arguments::read);
    say!("agent on ", board::NAME);
    let Some(mut entropy) = Entropy::from_host(arguments) else {
        say!("no seed=, 64 hexadecimal digits, from the host: see entropy.rs");
        host::exit(false)
    };
    let Some(setting) = setting(arguments) else {
        say!("no peer=host:port and time=host:port");
        host::exit(false)
    };
    let stack = network::start(spawner, arguments, &mut entropy);
    let handle = agent::start(spawner, stack, setting, signer, entropy);
    let good = story(handle, arguments).await;
    agent::report_parts();
    report_memory();
    host::exit(good)
}

fn setting(arguments: &'static Arguments) -> Option<Setting> {
    let server = |key| Server::parse(arguments.get(key)?);
    let number = |key| arguments.get(key)?.parse::<u32>().ok();
    Some(Setting {
        node: server("peer")?,
        time: server("time")?,
        idle_timeout: Duration::from_millis(number("idle").unwrap_or(30_000).into()),
        incoming: number("serves").map_or(agent::INCOMING, |count| count as u8),
        counted: arguments.get("icount").is_some(),
    })
}

/// Connects, serves, runs the errands, and says GOODBYE. Whether all went well.
async fn story(handle: Handle, arguments: &Arguments) -> bool {
    let store = RefCell::new(TicketStore::new(Storage::take(), 0));
    handle.connected().await;
    let count = arguments.get("served").and_then(|text| text.parse().ok());
    sensor::served(count.unwrap_or(0)).await;
    let mut good = true;
    for name in arguments.get("do").unwrap_or_default().split('+') {
        match errands::run(name, handle, &store).await {
            Some(done) => good &= done,
            None if name.is_empty() => {}
            None => {
                say!("no errand is called ", name);
                good = false;
            }
        }
    }
    handle.disconnect().await;
    say!(
        "disconnected, and ",
        if good {
            "all went well"
        } else {
            "NOT ALL WENT WELL"
        }
    );
    good
}
