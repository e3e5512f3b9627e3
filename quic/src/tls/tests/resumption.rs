//! Tickets: kept, offered, taken, refused.

use std::vec::Vec;

use super::super::TICKET_MAX;
use super::super::codes::{extension, message};
use super::super::support::*;
use super::*;
use crate::config::Trust;
use crate::crypto::Secret;

const DAY: u64 = 24 * 60 * 60;

/// A ticket for `config`, as it is kept, and the server that knows it.
fn ticket(config: &Config<'_>) -> (Vec<u8>, Server) {
    let mut server = Server::new();
    let (mut client, _) = handshake(config, &mut server).unwrap();
    let kept = keep(&mut client, config, &server, b"the ticket", 3600);
    let mut next = Server::new();
    next.known = Some((b"the ticket".to_vec(), server.ticket(b"the ticket", 3600).1));
    (kept.unwrap(), next)
}

/// What `client` keeps of a ticket that `server` gives it.
fn keep(
    client: &mut Client,
    config: &Config<'_>,
    server: &Server,
    ticket: &[u8],
    lifetime: u32,
) -> Option<Vec<u8>> {
    let (message, _) = server.ticket(ticket, lifetime);
    let (step, kept) = read(client, config, Level::Application, &message).unwrap();
    assert_eq!(step == Step::Ticket, !kept.is_empty());
    (step == Step::Ticket).then_some(kept)
}

/// Whether a first hello with `config` offers a ticket.
fn offers(config: &Config<'_>) -> bool {
    let hello = start(&mut client(), config);
    Offered::parse(&hello).psk().is_some()
}

#[test]
fn a_ticket_resumes_without_a_certificate() {
    let (kept, mut server) = ticket(&config());
    let config = Config {
        ticket: Some(&kept),
        unix_time: Some(NOW + 100),
        ..config()
    };
    let (client, steps) = handshake(&config, &mut server).unwrap();
    assert!(client.is_resumed());
    assert!(matches!(
        steps[..],
        [Step::Keys(..), Step::Parameters(_), Step::Done(..)]
    ));
}

#[test]
fn a_ticket_s_age_is_told_in_milliseconds_and_veiled() {
    let (kept, _) = ticket(&config());
    let config = Config {
        ticket: Some(&kept),
        unix_time: Some(NOW + 100),
        ..config()
    };
    let hello = start(&mut client(), &config);
    let (identity, age, _) = Offered::parse(&hello).psk().unwrap();
    assert_eq!(identity, b"the ticket");
    assert_eq!(age, 100_000 + 0x0102_0304);
}

#[test]
fn a_ticket_that_the_server_does_not_know_costs_nothing_but_its_bytes() {
    let (kept, mut server) = ticket(&config());
    server.known = None;
    let config = Config {
        ticket: Some(&kept),
        ..config()
    };
    let (client, steps) = handshake(&config, &mut server).unwrap();
    assert!(!client.is_resumed());
    assert_eq!(steps.len(), 5);
}

#[test]
fn who_chooses_a_ticket_cannot_send_a_certificate() {
    let (kept, mut server) = ticket(&config());
    let config = Config {
        ticket: Some(&kept),
        ..config()
    };
    let mut client = client();
    let hello = start(&mut client, &config);
    server.known = None;
    server.spoil = Some((message::SERVER_HELLO, |body| {
        set_extension(
            body,
            IN_SERVER_HELLO,
            extension::PRE_SHARED_KEY,
            Some(&[0, 0]),
        );
    }));
    let flight = server.answer(&hello);
    read(&mut client, &config, flight[0].0, &flight[0].1).unwrap();
    read(&mut client, &config, flight[1].0, &flight[1].1).unwrap();
    let error = read(&mut client, &config, flight[2].0, &flight[2].1).unwrap_err();
    assert_eq!(error.code, Code::crypto(10));
}

#[cfg(feature = "p256")]
#[test]
fn a_ticket_is_bound_anew_after_a_retry() {
    use crate::config::Group;
    let (kept, mut server) = ticket(&config());
    let config = Config {
        ticket: Some(&kept),
        ..config()
    };
    server.group = Group::P256;
    server.retry = Some(Retry {
        group: Some(Group::P256),
        cookie: b"cookie".to_vec(),
    });
    let (client, steps) = handshake(&config, &mut server).unwrap();
    assert!(client.is_resumed());
    assert_eq!(steps.len(), 4);
}

#[test]
fn a_ticket_is_for_the_same_server_trust_and_suites_only() {
    let (kept, _) = ticket(&config());
    let good = Config {
        ticket: Some(&kept),
        ..config()
    };
    assert!(offers(&good));
    assert!(!offers(&Config {
        server_name: "other.example",
        ..good
    }));
    assert!(!offers(&Config {
        trust: Trust::Pins(&PINS[..1]),
        ..good
    }));
    #[cfg(feature = "authority")]
    assert!(!offers(&Config {
        trust: Trust::Authorities(&[b"authority"]),
        ..good
    }));
    #[cfg(feature = "chacha20")]
    assert!(!offers(&Config {
        suites: &[Suite::ChaCha20Poly1305],
        ..good
    }));
}

#[test]
fn a_ticket_is_used_in_its_lifetime_and_by_who_knows_the_time() {
    let (kept, _) = ticket(&config());
    let at = |unix_time| {
        offers(&Config {
            ticket: Some(&kept),
            unix_time,
            ..config()
        })
    };
    assert!(at(Some(NOW)));
    assert!(at(Some(NOW + 3599)));
    assert!(!at(Some(NOW + 3600)));
    assert!(!at(Some(NOW - 1)));
    assert!(!at(Some(u64::MAX)));
    assert!(!at(None));
}

#[test]
fn no_ticket_is_used_for_longer_than_a_week() {
    let config = config();
    let mut server = Server::new();
    let (mut client, _) = handshake(&config, &mut server).unwrap();
    let kept = keep(&mut client, &config, &server, b"ticket", u32::MAX).unwrap();
    for (age, is_used) in [(7 * DAY - 1, true), (7 * DAY, false)] {
        let later = Config {
            ticket: Some(&kept),
            unix_time: Some(NOW + age),
            ..config
        };
        assert_eq!(offers(&later), is_used);
    }
}

#[test]
fn tickets_of_tickets_end_a_week_after_the_last_certificate() {
    let (first, mut server) = ticket(&config());
    let resuming = Config {
        ticket: Some(&first),
        unix_time: Some(NOW + 3000),
        ..config()
    };
    let (mut client, _) = handshake(&resuming, &mut server).unwrap();
    let second = keep(&mut client, &resuming, &server, b"second", u32::MAX).unwrap();
    for (since_certificate, is_used) in [(7 * DAY - 1, true), (7 * DAY, false)] {
        let later = Config {
            ticket: Some(&second),
            unix_time: Some(NOW + since_certificate),
            ..config()
        };
        assert_eq!(offers(&later), is_used);
    }
}

#[test]
fn a_ticket_that_is_cut_or_damaged_is_not_offered() {
    let (kept, _) = ticket(&config());
    let with = |bytes: &[u8]| {
        super::super::ticket::Offer::of(&Config {
            ticket: Some(bytes),
            ..config()
        })
        .is_some()
    };
    assert!(with(&kept));
    for cut in 0..kept.len() {
        assert!(!with(&kept[..cut]));
    }
    for bit in 0..kept.len() * 8 {
        let mut damaged = kept.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(!with(&damaged));
    }
}

#[test]
fn tickets_that_cannot_be_kept_are_dropped_in_silence() {
    let config = config();
    let mut server = Server::new();
    let (mut client, _) = handshake(&config, &mut server).unwrap();
    assert!(keep(&mut client, &config, &server, b"dead", 0).is_none());
    let largest = [7; TICKET_MAX - 93];
    let kept = keep(&mut client, &config, &server, &largest, 60).unwrap();
    assert_eq!(kept.len(), TICKET_MAX);
    let larger = [7; TICKET_MAX - 92];
    assert!(keep(&mut client, &config, &server, &larger, 60).is_none());
    let timeless = Config {
        unix_time: None,
        ..config
    };
    assert!(keep(&mut client, &timeless, &server, b"ticket", 60).is_none());
    let (message, _) = server.ticket(b"ticket", 60);
    let mut out = [0; 50];
    let mut writer = Writer::new(&mut out);
    let progress = client.read(Level::Application, &message, &config, &[], &mut writer);
    assert!(matches!(progress, Ok(Progress::More)));
    assert_eq!(writer.len(), 0);
}

#[test]
fn the_kept_key_is_the_server_s() {
    let config = config();
    let mut server = Server::new();
    let (mut client, _) = handshake(&config, &mut server).unwrap();
    let kept = keep(&mut client, &config, &server, b"ticket", 60).unwrap();
    let (_, key): (_, Secret) = server.ticket(b"ticket", 60);
    let with_ticket = Config {
        ticket: Some(&kept),
        ..config
    };
    let offer = super::super::ticket::Offer::of(&with_ticket).unwrap();
    assert_eq!(offer.psk.bytes(), key.bytes());
}
