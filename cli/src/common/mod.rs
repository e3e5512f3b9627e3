//! What the subcommands share.

pub mod discovery;
pub mod files;
pub mod identity;
pub mod output;
pub mod trust;
pub mod units;
