//! The host of the firmware's agent: the node that it dials, the time that it asks for, and the
//! board itself, in QEMU.
//!
//! ```text
//! firmware-host SCENE --image FIRMWARE.elf -- qemu-system-arm … -kernel {image} …
//! ```
//!
//! `make firmware` runs all scenes. Each prints what both sides say, and fails where anything is not
//! as it should be.

mod agents;
mod clock;
mod emulator;
mod peer;
mod scenes;
mod weather;

use std::path::PathBuf;
use std::process::ExitCode;

use aire_examples::line;
use clap::{Parser, ValueEnum};
use tracing_subscriber::EnvFilter;

#[derive(Parser)]
#[command(
    version,
    about = "The node of the firmware's agent, and the board in QEMU"
)]
struct Cli {
    scene: Scene,
    /// The firmware.
    #[arg(long)]
    image: PathBuf,
    /// The program of another implementation's node: `peer` of interop/go, or one with its command
    /// line.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// The emulator's command line.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Scene {
    /// The agent answers, is cancelled, keeps a budget, and goes on after a cut.
    Story,
    /// What a handshake takes, with the certificate and with a ticket.
    Handshake,
    /// Four operations at a time, 10 % loss, 50 ms round trip.
    Weather,
    /// Another implementation's node: `--peer`.
    Peer,
}

fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let played = match cli.scene {
        Scene::Story => scenes::story(&cli),
        Scene::Handshake => scenes::handshake(&cli),
        Scene::Weather => scenes::weather(&cli),
        Scene::Peer => peer::play(&cli),
    };
    match played {
        Ok(()) => {
            println!("\nAll as it should be.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nFAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

fn say(who: &str, direction: &str, what: &str, rest: &str) {
    println!(
        "{}",
        line(&format!("{who:<5}"), direction, what, None, rest)
    );
}
