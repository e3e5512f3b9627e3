//! How much room an operation takes: a device pays for every one that it could have.

use aire_bench::link::{Device, OPERATION_TARGET};
use aire_proto::connection::Operation;
use aire_proto::storage::Storage;

#[test]
fn an_operation_with_an_outbox_of_64_bytes_stays_under_its_target() {
    // Known when this is compiled, so that is when it fails.
    const {
        assert!(size_of::<Operation<<Device as Storage>::Outbox>>() < OPERATION_TARGET);
    }
}
