//! The `aire` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    aire_cli::main()
}
