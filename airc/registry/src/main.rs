//! The `airc-registry` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    airc_registry::main()
}
