//! What a server must not do: each broken rule ends the handshake, with the alert that is due.

use std::vec;

use super::super::codes::{extension, message};
use super::super::support::*;
use super::*;

/// What [`Server::spoil`] takes, and the alert that is due.
type Case = (u8, Spoil, u8);

const SPOILED: &[Case] = &[
    // ServerHello.
    (message::SERVER_HELLO, |body| body[1] = 2, 47),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(body, IN_SERVER_HELLO, extension::SUPPORTED_VERSIONS, None);
        },
        70,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::SUPPORTED_VERSIONS,
                Some(&[3, 3]),
            );
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::SUPPORTED_VERSIONS,
                Some(&[3, 4, 0]),
            );
        },
        50,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            body.splice(34..35, [1, 9]);
        },
        47,
    ),
    // The right key, said to be of P-256.
    (message::SERVER_HELLO, |body| body[51] = 0x17, 47),
    // TLS_AES_256_GCM_SHA384, which is never offered; compression.
    (message::SERVER_HELLO, |body| body[36] = 2, 47),
    (message::SERVER_HELLO, |body| body[37] = 1, 47),
    (
        message::SERVER_HELLO,
        |body| repeat_extension(body, IN_SERVER_HELLO),
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(body, IN_SERVER_HELLO, extension::KEY_SHARE, None);
        },
        109,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::KEY_SHARE,
                Some(&[0, 0x1d, 0, 1, 9]),
            );
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::KEY_SHARE,
                Some(&[0, 0x17, 0, 1, 9]),
            );
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            let mut zeros = vec![0, 0x1d, 0, 32];
            zeros.extend([0; 32]);
            set_extension(body, IN_SERVER_HELLO, extension::KEY_SHARE, Some(&zeros));
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::KEY_SHARE,
                Some(&[0, 0x1d, 0, 2, 9]),
            );
        },
        50,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::PRE_SHARED_KEY,
                Some(&[0, 0]),
            );
        },
        110,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::PRE_SHARED_KEY,
                Some(&[0, 1]),
            );
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(body, IN_SERVER_HELLO, extension::COOKIE, Some(&[0, 1, 0]));
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(
                body,
                IN_SERVER_HELLO,
                extension::ALPN,
                Some(b"\0\x05\x04aire"),
            );
        },
        47,
    ),
    (
        message::SERVER_HELLO,
        |body| {
            set_extension(body, IN_SERVER_HELLO, 0xfafa, Some(&[]));
        },
        110,
    ),
    (message::SERVER_HELLO, |body| body.push(0), 50),
    // EncryptedExtensions.
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            set_extension(body, IN_ENCRYPTED_EXTENSIONS, extension::ALPN, None);
        },
        120,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            set_extension(
                body,
                IN_ENCRYPTED_EXTENSIONS,
                extension::ALPN,
                Some(b"\0\x03\x02h3"),
            );
        },
        120,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            let two = b"\0\x08\x04aire\x02h3";
            set_extension(body, IN_ENCRYPTED_EXTENSIONS, extension::ALPN, Some(two));
        },
        50,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            let kind = extension::QUIC_TRANSPORT_PARAMETERS;
            set_extension(body, IN_ENCRYPTED_EXTENSIONS, kind, None);
        },
        109,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| repeat_extension(body, IN_ENCRYPTED_EXTENSIONS),
        47,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            set_extension(
                body,
                IN_ENCRYPTED_EXTENSIONS,
                extension::SERVER_NAME,
                Some(&[0]),
            );
        },
        50,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            set_extension(
                body,
                IN_ENCRYPTED_EXTENSIONS,
                extension::KEY_SHARE,
                Some(&[0, 0x1d]),
            );
        },
        47,
    ),
    (
        message::ENCRYPTED_EXTENSIONS,
        |body| {
            set_extension(
                body,
                IN_ENCRYPTED_EXTENSIONS,
                extension::EARLY_DATA,
                Some(&[]),
            );
        },
        110,
    ),
    (message::ENCRYPTED_EXTENSIONS, |body| body.push(0), 50),
    // CertificateRequest.
    (
        message::CERTIFICATE_REQUEST,
        |body| {
            body.splice(0..1, [1, 9]);
        },
        47,
    ),
    (
        message::CERTIFICATE_REQUEST,
        |body| {
            let kind = extension::SIGNATURE_ALGORITHMS;
            set_extension(body, IN_CERTIFICATE_REQUEST, kind, None);
        },
        109,
    ),
    (
        message::CERTIFICATE_REQUEST,
        |body| repeat_extension(body, IN_CERTIFICATE_REQUEST),
        47,
    ),
    (
        message::CERTIFICATE_REQUEST,
        |body| {
            set_extension(
                body,
                IN_CERTIFICATE_REQUEST,
                extension::KEY_SHARE,
                Some(&[]),
            );
        },
        47,
    ),
    (message::CERTIFICATE_REQUEST, |body| body.push(0), 50),
    // Certificate.
    (message::CERTIFICATE, |body| *body = vec![0, 0, 0, 0], 50),
    (
        message::CERTIFICATE,
        |body| {
            body.splice(0..1, [1, 9]);
        },
        47,
    ),
    (message::CERTIFICATE, |body| body.push(0), 50),
    // CertificateVerify.
    (message::CERTIFICATE_VERIFY, |body| body[40] ^= 1, 51),
    (message::CERTIFICATE_VERIFY, |body| body[1] = 3, 47),
    (
        message::CERTIFICATE_VERIFY,
        |body| {
            body[3] = 63;
            body.pop();
        },
        51,
    ),
    (message::CERTIFICATE_VERIFY, |body| body.push(0), 50),
    // Finished.
    (message::FINISHED, |body| body[31] ^= 0x80, 51),
    (message::FINISHED, |body| body[0] ^= 1, 51),
    (message::FINISHED, |body| body.push(0), 50),
    (
        message::FINISHED,
        |body| {
            body.pop();
        },
        50,
    ),
];

#[test]
fn a_broken_rule_ends_the_handshake_with_its_alert() {
    for (number, (kind, spoil, expected)) in SPOILED.iter().enumerate() {
        let mut server = Server::new();
        server.request = true;
        server.spoil = Some((*kind, *spoil));
        let alert = alert(&config(), &mut server);
        assert_eq!(alert, Some(*expected), "case {number}");
    }
}

#[test]
fn an_extension_that_is_not_known_may_be_in_a_certificate_request() {
    let mut server = Server::new();
    server.request = true;
    server.spoil = Some((message::CERTIFICATE_REQUEST, |body| {
        set_extension(body, IN_CERTIFICATE_REQUEST, 0xfafa, Some(&[1, 2, 3]));
    }));
    assert!(handshake(&config(), &mut server).is_ok());
}

#[test]
fn a_name_that_was_not_sent_is_not_acknowledged() {
    let config = Config {
        server_name: "192.0.2.1",
        ..config()
    };
    let mut server = Server::new();
    server.spoil = Some((message::ENCRYPTED_EXTENSIONS, |body| {
        set_extension(
            body,
            IN_ENCRYPTED_EXTENSIONS,
            extension::SERVER_NAME,
            Some(&[]),
        );
    }));
    assert_eq!(alert(&config, &mut server), Some(110));
}

#[test]
fn a_suite_that_was_not_offered_is_refused() {
    let config = Config {
        suites: &[Suite::Aes128Gcm],
        ..config()
    };
    let mut server = Server::new();
    server.spoil = Some((message::SERVER_HELLO, |body| body[36] = 3));
    assert_eq!(alert(&config, &mut server), Some(47));
}

/// A server that retries by a cookie, its retry spoiled.
fn retrying(spoil: Spoil) -> Server {
    let mut server = Server::new();
    server.retry = Some(Retry {
        group: None,
        cookie: b"cookie".to_vec(),
    });
    server.spoil = Some((HELLO_RETRY_REQUEST, spoil));
    server
}

#[test]
fn a_retry_must_be_one_that_can_be_followed() {
    let cases: &[(Spoil, u8)] = &[
        // It would change nothing.
        (
            |body| set_extension(body, IN_SERVER_HELLO, extension::COOKIE, None),
            47,
        ),
        // The group of the share that it has; a group that was not offered; no group.
        (
            |body| {
                set_extension(
                    body,
                    IN_SERVER_HELLO,
                    extension::KEY_SHARE,
                    Some(&[0, 0x1d]),
                );
            },
            47,
        ),
        (
            |body| {
                set_extension(
                    body,
                    IN_SERVER_HELLO,
                    extension::KEY_SHARE,
                    Some(&[0, 0x18]),
                );
            },
            47,
        ),
        (
            |body| {
                set_extension(body, IN_SERVER_HELLO, extension::KEY_SHARE, Some(&[0]));
            },
            50,
        ),
        (
            |body| {
                set_extension(body, IN_SERVER_HELLO, extension::COOKIE, Some(&[0, 0]));
            },
            50,
        ),
        (
            |body| {
                set_extension(body, IN_SERVER_HELLO, extension::SUPPORTED_VERSIONS, None);
            },
            70,
        ),
        (
            |body| {
                set_extension(
                    body,
                    IN_SERVER_HELLO,
                    extension::PRE_SHARED_KEY,
                    Some(&[0, 0]),
                );
            },
            47,
        ),
        (|body| repeat_extension(body, IN_SERVER_HELLO), 47),
        (|body| body[36] = 2, 47),
    ];
    for (number, (spoil, expected)) in cases.iter().enumerate() {
        let alert = alert(&config(), &mut retrying(*spoil));
        assert_eq!(alert, Some(*expected), "case {number}");
    }
}

#[test]
fn a_second_retry_is_out_of_order() {
    let config = config();
    let mut client = client();
    let hello = start(&mut client, &config);
    let (level, retry) = retrying(|_| {}).answer(&hello).remove(0);
    assert!(read(&mut client, &config, level, &retry).is_ok());
    let error = read(&mut client, &config, level, &retry).unwrap_err();
    assert_eq!(error.code, Code::crypto(10));
}

#[cfg(feature = "chacha20")]
#[test]
fn the_suite_stays_what_the_retry_said() {
    let mut server = retrying(|_| {});
    server.spoil = Some((HELLO_RETRY_REQUEST, |body| body[36] = 3));
    assert_eq!(alert(&config(), &mut server), Some(47));
}

#[test]
fn a_retry_whose_cookie_is_too_large_to_echo_ends_the_handshake() {
    let config = config();
    let mut client = client();
    let hello = start(&mut client, &config);
    let mut server = retrying(|_| {});
    server.retry.as_mut().unwrap().cookie = vec![0; 3000];
    let (level, retry) = server.answer(&hello).remove(0);
    let error = read(&mut client, &config, level, &retry).unwrap_err();
    assert_eq!(error.code, Code::INTERNAL_ERROR);
}

#[test]
fn a_ticket_that_limits_early_data_by_bytes_breaks_a_rule_of_quic() {
    let (client, level, ticket) = conversation().pop().unwrap();
    let with = |content: &[u8]| {
        let mut body = ticket[4..ticket.len() - 2].to_vec();
        body.extend(counted(2, &extension(extension::EARLY_DATA, content)));
        let mut message = vec![message::NEW_SESSION_TICKET];
        message.extend(counted(3, &body));
        let result = read(&mut client.clone(), &config(), level, &message);
        result.map(|(step, _)| step).map_err(|error| error.code)
    };
    assert_eq!(with(&[0xff; 4]), Ok(Step::Ticket));
    assert_eq!(with(&[0, 0, 1, 0]), Err(Code::PROTOCOL_VIOLATION));
    assert_eq!(with(&[0xff; 3]), Err(Code::crypto(50)));
}

#[test]
fn a_ticket_is_not_empty() {
    let (mut client, level, _) = conversation().pop().unwrap();
    let (message, _) = Server::new().ticket(b"", 60);
    let error = read(&mut client, &config(), level, &message).unwrap_err();
    assert_eq!(error.code, Code::crypto(50));
}
