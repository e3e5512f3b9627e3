//! The command line: what is common to the subcommands. Their own arguments are with them, in
//! [`commands`](crate::commands).

use clap::{ColorChoice, Parser, Subcommand};

use crate::commands::{
    airc, bench, completions, did, inspect, invoke, keygen, man, ping, probe, resolve, serve, top,
};
use crate::error::EXIT_CODES;

/// Keys, names, nodes and calls of the AIRE agent protocol.
///
/// A node is reached by its URI (`aire://host[:port]`), by a handle (@name@domain), or by its DID.
#[derive(Debug, Parser)]
#[command(name = "aire", version, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Print JSON: one document, or one line for each thing that happens.
    #[arg(long, global = true, help_heading = "Output")]
    pub json: bool,
    /// When to use colour; NO_COLOR in the environment means never.
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value_t = ColorChoice::Auto,
        help_heading = "Output"
    )]
    pub color: ColorChoice,
    /// Log more to stderr; twice for all that happens. AIRE_LOG takes a filter instead.
    #[arg(short, long, global = true, action = clap::ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a key: who a node or a client is.
    Keygen(keygen::Args),
    /// Show a key's DID, and make the documents that let others find it.
    Did(did::Args),
    /// Run a node, as a file says.
    Serve(serve::Args),
    /// Call an agent, and print what it streams.
    Invoke(invoke::Args),
    /// Find out where a handle, a DID or a URI leads, step by step.
    Resolve(resolve::Args),
    /// Measure the way to a node.
    Ping(ping::Args),
    /// Explain frames, byte by byte.
    Inspect(inspect::Args),
    /// Watch a running node.
    Top(top::Args),
    /// Put load on a node, and measure it.
    Bench(bench::Args),
    /// Judge a node against the specification, from outside.
    Probe(probe::Args),
    /// Meet others at an AIRC registry: who is there, consent, messages.
    Airc(airc::Args),
    /// Print a shell's completion script.
    Completions(completions::Args),
    /// Print the manual page.
    Man(man::Args),
}

impl Command {
    /// Whether it runs until it is told to stop, and is watched through its log.
    #[must_use]
    pub const fn is_daemon(&self) -> bool {
        matches!(self, Self::Serve(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
