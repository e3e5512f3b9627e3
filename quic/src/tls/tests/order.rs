//! Messages out of order, cut, flipped and made up, in each state.

use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::super::codes::message;
use super::super::support::*;
use super::*;

#[test]
fn a_message_counts_in_its_own_state_and_level_only() {
    let config = config();
    let all = conversation();
    let levels = [Level::Initial, Level::Handshake, Level::Application];
    for (at, (before, ..)) in all.iter().enumerate() {
        for (other, (_, its_level, message)) in all.iter().enumerate() {
            for level in levels {
                let mut client = before.clone();
                let result = read(&mut client, &config, level, message);
                // ServerHello may come at once, without the retry, but fits no first hello's
                // Finished later on; the request for a certificate may be left out.
                let is_due = at == other || (at, other) == (0, 1) || (at, other) == (3, 4);
                if is_due && level == *its_level {
                    assert!(result.is_ok(), "{other} at {at}");
                } else {
                    let error = result.unwrap_err();
                    let is_last = at + 1 == all.len() && level == Level::Application;
                    let expected = refusal(message[0], is_last);
                    assert_eq!(error.code, expected, "{other} at {at}");
                }
            }
        }
    }
}

/// What a message that is out of place ends the handshake, or the connection `behind` it, with: to
/// ask for a certificate then is QUIC's matter (RFC 9001 §4.4).
fn refusal(kind: u8, behind: bool) -> Code {
    if behind && kind == message::CERTIFICATE_REQUEST {
        Code::PROTOCOL_VIOLATION
    } else {
        Code::crypto(10)
    }
}

#[test]
fn hello_is_said_once_and_first() {
    let config = config();
    let mut before = client();
    let mut client = client();
    let hello = start(&mut client, &config);
    let mut out = [0; 2048];
    let again = client.start(&config, CLIENT_PARAMETERS, &mut Writer::new(&mut out));
    assert_eq!(again.unwrap_err().code, Code::INTERNAL_ERROR);
    let mut server = Server::new();
    let (level, message) = server.answer(&hello).remove(0);
    let error = read(&mut before, &config, level, &message).unwrap_err();
    assert_eq!(error.code, Code::crypto(10));
}

#[test]
fn no_other_message_counts_at_all() {
    let config = config();
    for (client, level, message) in conversation() {
        for kind in 0..=255 {
            if kind == message[0] {
                continue;
            }
            let mut client = client.clone();
            let error = read(&mut client, &config, level, &[kind, 0, 0, 0]).unwrap_err();
            // An empty Certificate where the request is due does not parse.
            let is_certificate = kind == message::CERTIFICATE && message[0] == 13;
            let expected = if is_certificate {
                Code::crypto(50)
            } else {
                refusal(kind, level == Level::Application)
            };
            assert_eq!(error.code, expected);
        }
    }
}

#[test]
fn after_an_error_nothing_is_read_any_more() {
    let config = config();
    for (mut client, level, message) in conversation() {
        assert!(read(&mut client, &config, level, &[]).is_err());
        let error = read(&mut client, &config, level, &message).unwrap_err();
        assert_eq!(error.code, Code::crypto(10));
        assert!(!client.export(b"x", b"", &mut [0; 8]));
    }
}

#[test]
fn a_message_that_is_cut_is_refused_with_and_without_a_true_header() {
    let config = config();
    for (client, level, message) in conversation() {
        for cut in 0..message.len() {
            let bytes = &message[..cut];
            let error = read(&mut client.clone(), &config, level, bytes).unwrap_err();
            assert_eq!(error.code, Code::crypto(50));
            if let Some(body) = message[..cut].get(4..) {
                let mut whole = vec![message[0]];
                whole.extend(counted(3, body));
                let error = read(&mut client.clone(), &config, level, &whole).unwrap_err();
                assert_eq!(error.code, Code::crypto(50));
            }
        }
        let mut longer = message.clone();
        longer.push(0);
        let error = read(&mut client.clone(), &config, level, &longer).unwrap_err();
        assert_eq!(error.code, Code::crypto(50));
    }
}

/// Whether `client` comes to [`Step::Done`] by `messages`.
fn completes(mut client: Client, config: &Config<'_>, messages: &[(Level, Vec<u8>)]) -> bool {
    messages
        .iter()
        .all(|(level, message)| read(&mut client, config, *level, message).is_ok())
}

/// Flips each bit of a flight, one at a time; no handshake completes.
fn flips_never_complete(config: &Config<'_>, server: &mut Server) {
    let mut client = client();
    let hello = start(&mut client, config);
    let flight = server.answer(&hello);
    assert!(completes(client.clone(), config, &flight));
    for at in 0..flight.len() {
        for bit in 0..flight[at].1.len() * 8 {
            let mut rest = flight[at..].to_vec();
            rest[0].1[bit / 8] ^= 1 << (bit % 8);
            assert!(!completes(client.clone(), config, &rest), "{at} {bit}");
        }
        let (level, message) = &flight[at];
        read(&mut client, config, *level, message).unwrap();
    }
}

#[test]
fn a_flight_with_one_bit_flipped_completes_no_handshake() {
    let mut server = Server::new();
    server.request = true;
    flips_never_complete(&config(), &mut server);
}

#[test]
fn a_flight_without_certificate_with_one_bit_flipped_completes_no_handshake() {
    let config = config();
    let mut server = Server::new();
    let (mut client, _) = handshake(&config, &mut server).unwrap();
    let (ticket, key) = server.ticket(b"ticket", 60);
    let (_, kept) = read(&mut client, &config, Level::Application, &ticket).unwrap();
    let resuming = Config {
        ticket: Some(&kept),
        ..config
    };
    let mut server = Server::new();
    server.known = Some((b"ticket".to_vec(), key));
    flips_never_complete(&resuming, &mut server);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_message_makes_any_state_panic(
        kind in prop_oneof![any::<u8>(), prop::sample::select(&[2u8, 4, 8, 11, 13, 15, 20][..])],
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut message = vec![kind];
        message.extend(counted(3, &body));
        for (client, level, _) in CONVERSATION.with(Clone::clone) {
            let _ = read(&mut client.clone(), &config(), level, &message);
        }
    }

    #[test]
    fn no_patched_message_makes_its_state_panic(
        patches in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        for (client, level, mut message) in CONVERSATION.with(Clone::clone) {
            for (at, byte) in &patches {
                let at = at.index(message.len());
                message[at] = *byte;
            }
            let mut client = client;
            let _ = read(&mut client.clone(), &config(), level, &message);
            let end = 4 + cut.index(message.len() - 4);
            let mut whole = vec![message[0]];
            whole.extend(counted(3, &message[4..end]));
            let _ = read(&mut client, &config(), level, &whole);
        }
    }
}

std::thread_local! {
    /// [`conversation`], held once.
    static CONVERSATION: Vec<(Client, Level, Vec<u8>)> = conversation();
}
