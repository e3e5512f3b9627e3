//! What the subcommands share.

pub mod dial;
pub mod discovery;
pub mod files;
pub mod identity;
pub mod interrupt;
pub mod output;
pub mod present;
pub mod trust;
pub mod units;
