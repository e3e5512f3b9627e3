//! The checks, by the sections of the ledger.

mod binding;
mod budget;
mod cancel;
mod capabilities;
mod handshake;
mod operations;
mod resume;
mod signing;
mod signing_server;
mod transport;
mod wire;

use super::verdict::Check;

/// All of them, in the order of the report.
pub(super) fn all() -> impl Iterator<Item = &'static Check> {
    [
        transport::CHECKS,
        wire::CHECKS,
        handshake::CHECKS,
        capabilities::CHECKS,
        signing_server::CHECKS,
        signing::CHECKS,
        operations::CHECKS,
        cancel::CHECKS,
        budget::CHECKS,
        resume::CHECKS,
        binding::CHECKS,
    ]
    .into_iter()
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_requirement() {
        let names: Vec<_> = all().map(Check::name).collect();
        let different: BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(all().all(|check| !check.ids.is_empty() && check.about.ends_with('.')));
    }
}
