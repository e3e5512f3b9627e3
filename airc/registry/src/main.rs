//! The `airc-registry` command.
fn main() {}
