//! One module for each subcommand: its arguments, and what it does with them.

pub mod airc;
pub mod bench;
pub mod completions;
pub mod did;
pub mod inspect;
pub mod invoke;
pub mod keygen;
pub mod man;
pub mod ping;
pub mod probe;
pub mod resolve;
pub mod serve;
pub mod top;

use crate::args::Command;
use crate::{Error, Output};

/// Does what the command line asks for.
///
/// # Errors
/// Whatever the command fails with.
pub fn run(command: &Command, out: &mut Output) -> Result<(), Error> {
    match command {
        Command::Keygen(args) => keygen::run(args, out),
        Command::Did(args) => did::run(args, out),
        Command::Serve(args) => serve::run(args, out),
        Command::Invoke(args) => invoke::run(args, out),
        Command::Resolve(args) => resolve::run(args, out),
        Command::Ping(args) => ping::run(args, out),
        Command::Inspect(args) => inspect::run(args, out),
        Command::Top(args) => top::run(args, out),
        Command::Bench(args) => bench::run(args, out),
        Command::Probe(args) => probe::run(args, out),
        Command::Airc(args) => airc::run(args, out),
        Command::Completions(args) => completions::run(args, out),
        Command::Man(args) => man::run(args, out),
    }
}
