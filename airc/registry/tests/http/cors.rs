//! Web pages of others.

use airc_registry::config::Origin;

use crate::support::{Stand, config};

fn preflight(stand: &Stand, origin: &str, method: &str) -> Option<String> {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", method),
        (
            "Access-Control-Request-Headers",
            "content-type,x-airc-signature",
        ),
    ];
    let reply = stand.send("OPTIONS", "/messages", &headers, None);
    assert!(
        reply.status == 200 || reply.status == 204,
        "{}",
        reply.status
    );
    assert!(reply.header("access-control-allow-credentials").is_none());
    reply
        .header("access-control-allow-origin")
        .map(str::to_owned)
}

#[test]
fn everybodys_pages_may_use_a_registry_unless_said_otherwise() {
    let stand = Stand::new();
    assert_eq!(
        preflight(&stand, "https://any.example", "POST").as_deref(),
        Some("*")
    );
    let reply = stand.get_with("/presence", &[("Origin", "https://any.example")]);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let exposed = reply.header("access-control-expose-headers").unwrap();
    assert!(
        exposed.contains("ratelimit-remaining") && exposed.contains("link"),
        "{exposed}"
    );
    // Refusals can be read too.
    let reply = stand.get_with("/nothing", &[("Origin", "https://any.example")]);
    assert_eq!(
        reply.is(404).header("access-control-allow-origin"),
        Some("*")
    );
}

#[test]
fn who_may_do_more_than_read_can_be_said() {
    let good = "https://good.example";
    let mut config = config();
    config.cors_origins = vec![Origin::try_from(good.to_owned()).unwrap()];
    let stand = Stand::with(config);
    assert_eq!(preflight(&stand, good, "POST").as_deref(), Some(good));
    assert_eq!(preflight(&stand, "https://bad.example", "POST"), None);
    let reads = preflight(&stand, "https://bad.example", "GET");
    assert_eq!(reads.as_deref(), Some("https://bad.example"));
    let reply = stand.get_with("/presence", &[("Origin", "https://bad.example")]);
    let allowed = reply.header("access-control-allow-origin");
    assert_eq!(allowed, Some("https://bad.example"));
    assert!(reply.header("vary").unwrap().contains("origin"));
}
