//! Web servers and names that mean no good.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use aire_mio::http::Response;
use aire_mio::{Certificate, ResolveError, Resolver, ResolverSettings};

use super::world::{Answer, DID, DOCUMENT, Raw, World};

/// What comes of asking a server that says what it likes.
fn asked_raw(
    name: &str,
    timeout: Duration,
    say: impl Fn(&mut dyn std::io::Write) -> std::io::Result<()> + Send + Sync + 'static,
) -> ResolveError {
    let world = World::new(name);
    let raw = Raw::start(&world.certificate, say);
    let settings = ResolverSettings {
        https_port: raw.address.port(),
        timeout,
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    resolver.document(DID).expect_err("it means no good")
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn a_redirect_is_not_followed_wherever_it_leads() {
    let world = World::new("redirect");
    for (status, location) in [
        (301, "http://other.test/.well-known/did.json"),
        (302, "https://other.test/.well-known/did.json"),
        (303, "https://169.254.169.254/latest/meta-data"),
        (307, "/elsewhere"),
        (308, ""),
    ] {
        let page = Response::text("").with_status(status);
        world.page(
            "agents.test",
            DOCUMENT,
            page.with_header("location", location),
        );
        let error = world.resolver().document(DID).expect_err("a redirect");
        assert!(
            matches!(&error, ResolveError::Redirect { location: to, .. } if to == location),
            "{error}"
        );
    }
    assert_eq!(world.asked("other.test", DOCUMENT), 0);
    assert_eq!(world.asked("agents.test", "/elsewhere"), 0);
}

#[test]
fn private_addresses_are_not_connected_to() {
    let world = World::new("private");
    let settings = ResolverSettings {
        danger_allow_private: false,
        ..world.settings()
    };
    for address in [
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [169, 254, 169, 254],
        [192, 168, 0, 1],
    ] {
        let address = Ipv4Addr::from(address);
        world.name("inside.test", Answer::Addresses(vec![address]));
        let resolver = Resolver::new(settings.clone()).expect("a resolver");
        let error = resolver
            .document("did:web:inside.test")
            .expect_err("it is inside");
        assert_eq!(
            error,
            ResolveError::ForbiddenAddress {
                host: "inside.test".into(),
                address: IpAddr::V4(address)
            }
        );
    }
    // A name that is always of this machine is no way round it, and neither is a number.
    let resolver = Resolver::new(settings).expect("a resolver");
    for did in [
        "did:web:localhost",
        "did:web:127.0.0.1",
        "did:web:2130706433",
    ] {
        let error = resolver.document(did).expect_err("it is inside");
        assert!(
            matches!(
                error,
                ResolveError::ForbiddenAddress { .. }
                    | ResolveError::Document { .. }
                    | ResolveError::NoAddress { .. }
            ),
            "{did}: {error}"
        );
    }
    assert_eq!(world.asked("inside.test", DOCUMENT), 0);
}

#[test]
fn a_document_that_is_too_large_is_given_up_at_once() {
    let world = World::new("large");
    let page = Response::json(vec![b' '; 64 * 1024 + 1]);
    world.page("agents.test", DOCUMENT, page);
    let error = world.resolver().document(DID).expect_err("it is too large");
    assert!(
        matches!(error, ResolveError::TooLarge { limit: 65_536, .. }),
        "{error}"
    );

    // One that says so, and then nothing any more.
    let error = asked_raw("announced", LONG, |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 65537\r\n\r\n")?;
        out.flush()?;
        loop {
            thread::park();
        }
    });
    assert!(matches!(error, ResolveError::TooLarge { .. }), "{error}");

    // One that never ends, and does not say so.
    let error = asked_raw("endless", LONG, |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        loop {
            out.write_all(b"400\r\n")?;
            out.write_all(&[b' '; 0x400])?;
            out.write_all(b"\r\n")?;
        }
    });
    assert!(matches!(error, ResolveError::TooLarge { .. }), "{error}");
}

#[test]
fn headers_without_end_are_given_up() {
    let error = asked_raw("headers", LONG, |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\n")?;
        loop {
            out.write_all(b"x-more: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")?;
        }
    });
    assert!(matches!(error, ResolveError::Http { .. }), "{error}");
}

#[test]
fn a_server_that_drips_is_given_up_in_time() {
    let error = asked_raw("drip", Duration::from_secs(2), |out| {
        out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 60000\r\n\r\n")?;
        loop {
            out.write_all(b" ")?;
            out.flush()?;
            thread::sleep(Duration::from_millis(20));
        }
    });
    assert!(matches!(error, ResolveError::TimedOut { .. }), "{error}");
}

#[test]
fn what_is_no_http_or_half_of_it_is_refused() {
    for (nth, said) in [
        "SSH-2.0-OpenSSH_9.6\r\n",
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":",
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    ]
    .into_iter()
    .enumerate()
    {
        let error = asked_raw(&format!("half-{nth}"), LONG, move |out| {
            out.write_all(said.as_bytes())
        });
        assert!(
            matches!(error, ResolveError::Http { .. }),
            "{said:?}: {error}"
        );
    }
}

#[test]
fn a_certificate_for_another_name_or_of_a_stranger_is_refused() {
    let world = World::new("certificates");
    world.name(
        "nameless.test",
        Answer::Addresses(vec![Ipv4Addr::LOCALHOST]),
    );
    let error = world.resolver().document("did:web:nameless.test");
    let error = error.expect_err("the certificate is not for it");
    assert!(matches!(error, ResolveError::Tls { .. }), "{error}");

    let stranger = Certificate::self_signed(&super::world::HOSTS).expect("a certificate");
    let raw = Raw::start(&stranger, |_| Ok(()));
    let settings = ResolverSettings {
        https_port: raw.address.port(),
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let error = resolver.document(DID).expect_err("nobody vouches for it");
    assert!(
        matches!(&error, ResolveError::Tls { reason, .. } if reason.contains("certificate")),
        "{error}"
    );
}

#[test]
fn a_server_in_the_clear_is_refused() {
    let world = World::new("clear");
    let server =
        aire_mio::http::Server::start(([127, 0, 0, 1], 0).into(), None, |_| Response::json("{}"));
    let server = server.expect("a free port");
    let settings = ResolverSettings {
        https_port: server.address().port(),
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let error = resolver.document(DID).expect_err("ID-3");
    assert!(matches!(error, ResolveError::Tls { .. }), "{error}");
}
