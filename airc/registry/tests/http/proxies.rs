//! Behind a proxy.

use crate::support::{Stand, config, networks};

fn remaining(stand: &Stand, forwarded: &str) -> String {
    let reply = stand.get_with("/presence", &[("X-Forwarded-For", forwarded)]);
    reply
        .header("ratelimit-remaining")
        .expect("a limit")
        .to_owned()
}

#[test]
fn whom_a_trusted_proxy_speaks_for_is_who_is_counted() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.burst = 20;
    config.trusted_proxies = networks(&["127.0.0.0/8"]);
    config.domain = Some("localhost".parse().unwrap());
    let stand = Stand::with(config);
    assert_eq!(remaining(&stand, "192.0.2.1"), "19");
    assert_eq!(remaining(&stand, "192.0.2.2"), "19");
    assert_eq!(remaining(&stand, "6.6.6.6, 192.0.2.2"), "18");
    assert_eq!(remaining(&stand, "2001:db8::1"), "19");
    assert_eq!(remaining(&stand, "2001:db8::2"), "18", "the same /64");
}

#[test]
fn nobody_else_is_believed() {
    let mut config = config();
    config.limits.requests_per_address = 1;
    config.limits.burst = 20;
    let stand = Stand::with(config);
    assert_eq!(remaining(&stand, "192.0.2.1"), "19");
    assert_eq!(remaining(&stand, "192.0.2.2"), "18");
}

#[test]
fn metrics_are_for_whom_they_are_meant() {
    let mut config = config();
    config.trusted_proxies = networks(&["127.0.0.1"]);
    config.domain = Some("localhost".parse().unwrap());
    let stand = Stand::with(config);
    stand.get("/metrics").is(200);
    let from = |address| stand.get_with("/metrics", &[("X-Forwarded-For", address)]);
    from("192.0.2.1").refused(404, "not_found");
    from("::1").is(200);
    // A proxy that nobody told the registry about would make everybody local.
    let stand = Stand::new();
    stand.get("/metrics").is(200);
    let forwarded = stand.get_with("/metrics", &[("X-Forwarded-For", "192.0.2.1")]);
    forwarded.refused(404, "not_found");
}
