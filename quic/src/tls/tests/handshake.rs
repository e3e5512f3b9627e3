//! Handshakes that go well, and what the client says in them.

use std::string::String;
use std::vec::Vec;

use super::super::codes::extension;
use super::super::support::*;
use super::*;
#[cfg(feature = "p256")]
use crate::config::Group;
use crate::config::Trust;

#[test]
fn a_handshake_over_x25519_agrees_on_all_secrets() {
    let config = config();
    let mut server = Server::new();
    let (client, steps) = handshake(&config, &mut server).unwrap();
    assert!(matches!(
        steps[..],
        [
            Step::Keys(Suite::Aes128Gcm, ..),
            Step::Parameters(_),
            Step::More,
            Step::More,
            Step::Done(..)
        ]
    ));
    assert_eq!(steps[1], Step::Parameters(SERVER_PARAMETERS.to_vec()));
    assert!(!client.is_resumed());
    assert_eq!(client.secrets().unwrap().0, Suite::Aes128Gcm);
}

#[cfg(feature = "chacha20")]
#[test]
fn the_server_chooses_the_suite() {
    let mut server = Server::new();
    server.suite = Suite::ChaCha20Poly1305;
    let (client, _) = handshake(&config(), &mut server).unwrap();
    assert_eq!(client.secrets().unwrap().0, Suite::ChaCha20Poly1305);
}

#[cfg(feature = "p256")]
#[test]
fn a_server_may_prove_itself_by_ecdsa() {
    let mut server = Server::new();
    server.identity = Identity::P256;
    assert!(handshake(&config(), &mut server).is_ok());
}

#[cfg(feature = "p256")]
#[test]
fn a_retry_moves_the_key_exchange_to_the_other_group() {
    for (first, second) in [(Group::X25519, Group::P256), (Group::P256, Group::X25519)] {
        for cookie in [&[][..], b"cookie"] {
            let groups = [first, second];
            let config = Config {
                groups: &groups,
                ..config()
            };
            let mut server = Server::new();
            server.group = second;
            server.retry = Some(Retry {
                group: Some(second),
                cookie: cookie.to_vec(),
            });
            let (_, steps) = handshake(&config, &mut server).unwrap();
            assert_eq!(steps[0], Step::Retry);
        }
    }
}

#[cfg(feature = "p256")]
#[test]
fn p256_alone_needs_no_retry() {
    let config = Config {
        groups: &[Group::P256],
        ..config()
    };
    let mut server = Server::new();
    server.group = Group::P256;
    assert_eq!(handshake(&config, &mut server).unwrap().1.len(), 5);
}

#[test]
fn the_second_hello_is_the_first_with_the_cookie() {
    let config = config();
    let mut client = client();
    let first = start(&mut client, &config);
    let mut server = Server::new();
    server.retry = Some(Retry {
        group: None,
        cookie: b"a cookie".to_vec(),
    });
    let (level, retry) = server.answer(&first).remove(0);
    let (step, second) = read(&mut client, &config, level, &retry).unwrap();
    assert_eq!(step, Step::Retry);
    let (first, second) = (Offered::parse(&first), Offered::parse(&second));
    assert_eq!(first.random, second.random);
    assert_eq!(first.suites, second.suites);
    assert_eq!(second.get(extension::COOKIE), Some(&b"\0\x08a cookie"[..]));
    let others: Vec<_> = second
        .extensions
        .into_iter()
        .filter(|(kind, _)| *kind != extension::COOKIE)
        .collect();
    assert_eq!(others, first.extensions);
}

#[test]
fn a_server_that_asks_for_a_certificate_is_given_none() {
    let mut server = Server::new();
    server.request = true;
    let (_, steps) = handshake(&config(), &mut server).unwrap();
    assert_eq!(steps[2..5], [Step::More, Step::More, Step::More]);
}

#[test]
fn the_first_hello_offers_what_the_configuration_says() {
    let hello = start(&mut client(), &config());
    let offered = Offered::parse(&hello);
    assert_eq!(offered.random, [1; 32]);
    assert!(offered.suites.contains(&0x1301));
    assert_eq!(
        offered.get(extension::SERVER_NAME),
        Some(&b"\0\x11\0\0\x0eserver.example"[..])
    );
    assert_eq!(offered.get(extension::ALPN), Some(&b"\0\x05\x04aire"[..]));
    assert_eq!(
        offered.get(extension::SUPPORTED_VERSIONS),
        Some(&[2, 3, 4][..])
    );
    assert_eq!(
        offered.get(extension::PSK_KEY_EXCHANGE_MODES),
        Some(&[1, 1][..])
    );
    assert_eq!(
        offered.get(extension::QUIC_TRANSPORT_PARAMETERS),
        Some(CLIENT_PARAMETERS)
    );
    let (group, public) = offered.share();
    assert_eq!((group, public.len()), (0x1d, 32));
    assert!(offered.psk().is_none());
    assert!(offered.get(extension::COOKIE).is_none());
}

#[test]
fn an_address_is_not_sent_as_a_name() {
    let config = Config {
        server_name: "192.0.2.1",
        ..config()
    };
    let hello = start(&mut client(), &config);
    assert!(Offered::parse(&hello).get(extension::SERVER_NAME).is_none());
    // With pins, an address serves as well as a name.
    assert!(handshake(&config, &mut Server::new()).is_ok());
}

#[test]
fn who_does_not_know_the_time_asks_for_no_tickets() {
    let config = Config {
        unix_time: None,
        ..config()
    };
    let hello = start(&mut client(), &config);
    assert!(
        Offered::parse(&hello)
            .get(extension::PSK_KEY_EXCHANGE_MODES)
            .is_none()
    );
}

#[test]
fn both_ends_export_the_same_keying_material_once_they_are_done() {
    let config = config();
    let mut server = Server::new();
    let (done, _) = handshake(&config, &mut server).unwrap();
    let (mut ours, mut theirs, mut other) = ([0; 80], [1; 80], [0; 80]);
    assert!(done.export(b"EXPORTER-x", b"context", &mut ours));
    assert!(server.export(b"EXPORTER-x", b"context", &mut theirs));
    assert_eq!(ours, theirs);
    assert!(done.export(b"EXPORTER-x", b"", &mut other));
    assert_ne!(ours, other);
    assert!(done.export(b"EXPORTER-y", b"context", &mut other));
    assert_ne!(ours, other);
    assert!(done.export(&[b'x'; 249], b"", &mut other));
    assert!(!done.export(&[b'x'; 250], b"", &mut other));
    assert!(!done.export(b"x", b"", &mut [0; 8161]));
    assert!(!client().export(b"EXPORTER-x", b"context", &mut ours));
}

#[test]
fn what_cannot_be_said_is_an_error_of_our_own() {
    let long = [b'a'; 256];
    let good = config();
    let name = String::from_utf8([b'a'; 2048].to_vec()).unwrap();
    for config in [
        Config {
            suites: &[],
            ..good
        },
        Config {
            groups: &[],
            ..good
        },
        Config { alpn: &[], ..good },
        Config {
            alpn: &long,
            ..good
        },
        Config {
            server_name: &name,
            ..good
        },
    ] {
        let mut out = [0; 2048];
        let error = client()
            .start(&config, CLIENT_PARAMETERS, &mut Writer::new(&mut out))
            .unwrap_err();
        assert_eq!(error.code, Code::INTERNAL_ERROR);
    }
}

#[test]
fn without_room_for_a_message_the_handshake_ends() {
    let config = config();
    let hello = start(&mut client(), &config);
    for room in 0..hello.len() {
        let mut out = [0; 2048];
        let mut writer = Writer::new(&mut out[..room]);
        assert!(
            client()
                .start(&config, CLIENT_PARAMETERS, &mut writer)
                .is_err()
        );
    }
    let mut client = client();
    let hello = start(&mut client, &config);
    let mut flight = Server::new().answer(&hello);
    let (level, finished) = flight.pop().unwrap();
    for (level, message) in flight {
        read(&mut client, &config, level, &message).unwrap();
    }
    let mut out = [0; 35];
    let error = client
        .read(level, &finished, &config, &[], &mut Writer::new(&mut out))
        .unwrap_err();
    assert_eq!(error.code, Code::INTERNAL_ERROR);
}

#[cfg(feature = "authority")]
#[test]
fn an_authority_is_believed_about_the_name_that_it_certified() {
    let authority = authority();
    let authorities = [&authority[..]];
    let trusting = Config {
        trust: Trust::Authorities(&authorities),
        ..config()
    };
    assert!(handshake(&trusting, &mut Server::new()).is_ok());
    let other_name = Config {
        server_name: "other.example",
        ..trusting
    };
    assert!(handshake(&other_name, &mut Server::new()).is_err());
    let timeless = Config {
        unix_time: None,
        ..trusting
    };
    assert!(handshake(&timeless, &mut Server::new()).is_err());
}

#[test]
fn a_key_that_is_not_pinned_is_not_believed() {
    let config = Config {
        trust: Trust::Pins(&[[0; 32]]),
        ..config()
    };
    assert_eq!(alert(&config, &mut Server::new()), Some(46));
}

#[test]
fn a_client_is_small() {
    assert!(size_of::<Client>() <= 320, "{}", size_of::<Client>());
}
