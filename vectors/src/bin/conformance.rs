//! Prints the conformance table; with `--open`, only what no test proves yet.

use std::io::{self, Write as _};
use std::process::ExitCode;

use aire_vectors::conformance::{render, table};

fn main() -> ExitCode {
    let mut only_open = false;
    for argument in std::env::args().skip(1) {
        if argument == "--open" {
            only_open = true;
        } else {
            eprintln!("usage: conformance [--open]");
            return ExitCode::FAILURE;
        }
    }
    // Whoever reads may stop early (`| head`): that is no failure.
    let _ = io::stdout().write_all(render(&table(), only_open).as_bytes());
    ExitCode::SUCCESS
}
