//! QUIC and TLS (`TR`), and the name of the protocol on them (`GAP-1`).

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use aire_mio::ALPN;

use crate::commands::probe::trial::Trial;
use crate::commands::probe::verdict::{
    Check, GOOD, Verdict, check, ensure, failed, hostile, skipped,
};
use crate::commands::probe::wire::random;

pub(super) const CHECKS: &[Check] = &[
    check!(
        certificate,
        Must,
        0,
        ["TR-1"],
        "QUIC v1 comes up over TLS 1.3, with a certificate that the given trust believes."
    ),
    check!(
        protocol_name,
        Should,
        0,
        ["GAP-1"],
        "The protocol's name in TLS (ALPN) is aire/v0."
    ),
    hostile!(
        other_protocol,
        Should,
        0,
        ["GAP-1"],
        "A client that speaks no AIRE gets no connection."
    ),
    hostile!(
        other_quic_version,
        Should,
        0,
        ["TR-1"],
        "A client of an unknown QUIC version is told that version 1 is spoken."
    ),
    check!(
        finite_streams,
        Must,
        0,
        ["TR-3"],
        "The number of streams that a client may open is finite."
    ),
];

fn certificate(trial: &Trial<'_>) -> Verdict {
    let peer = trial.connect()?;
    // The probe offers QUIC v1 and TLS 1.3 alone, and quiche has judged the certificate.
    if trial.subject.any_certificate {
        return Err(skipped("any certificate was to be believed"));
    }
    ensure(peer.quic().peer_cert().is_some(), || {
        "the server shows no certificate".into()
    })?;
    GOOD
}

fn protocol_name(trial: &Trial<'_>) -> Verdict {
    let peer = trial.connect()?;
    let name = peer.quic().application_proto();
    ensure(name == ALPN, || {
        format!("the server chose {:?}", String::from_utf8_lossy(name))
    })?;
    GOOD
}

fn other_protocol(trial: &Trial<'_>) -> Verdict {
    let mut peer = trial.begin(&[b"h3", b"aire-probe"])?;
    match peer.until("", |peer| peer.is_over() || peer.quic().is_established()) {
        Ok(()) if peer.quic().is_established() => {
            Err(failed("a client that speaks h3 got a connection"))
        }
        Ok(()) => GOOD,
        // Silence is an answer too, if not the best.
        Err(_) => Ok(Some("the server does not answer such a client".into())),
    }
}

/// RFC 9000, 6 and 17.2.1.
fn other_quic_version(trial: &Trial<'_>) -> Verdict {
    let any: SocketAddr = match trial.subject.address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let no_socket = |error| skipped(format!("no UDP socket: {error}"));
    let socket = UdpSocket::bind(any).map_err(no_socket)?;
    socket.connect(trial.subject.address).map_err(no_socket)?;
    let again = Some(Duration::from_millis(500));
    socket.set_read_timeout(again).map_err(no_socket)?;
    let ids = random::<16>();
    let (ours, theirs) = ids.split_at(8);
    // An Initial of a version that is reserved for this purpose.
    let mut packet = [&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8], theirs, &[8], ours].concat();
    packet.resize(1200, 0);
    let give_up = Instant::now() + trial.subject.patience;
    let mut buffer = [0; 2048];
    while Instant::now() < give_up {
        // Either may be lost: it is sent until there is an answer.
        let _lost = socket.send(&packet);
        let Ok(len) = socket.recv(&mut buffer) else {
            continue;
        };
        let start = [&[0, 0, 0, 0, 8], ours, &[8], theirs].concat();
        let versions = buffer
            .get(1..len)
            .and_then(|packet| packet.strip_prefix(&start[..]));
        let Some(versions) = versions.filter(|_| buffer[0] & 0x80 != 0) else {
            return Err(failed("the answer is no Version Negotiation packet"));
        };
        let has_v1 = versions.chunks(4).any(|version| version == [0, 0, 0, 1]);
        ensure(has_v1, || "QUIC version 1 is not among those named".into())?;
        return GOOD;
    }
    Err(failed("there is no answer"))
}

fn finite_streams(trial: &Trial<'_>) -> Verdict {
    let peer = trial.connect()?;
    let streams = peer.quic().peer_streams_left_bidi();
    // Stream numbers end at 2^60: a limit there is none.
    ensure(streams > 0 && streams < 1 << 60, || {
        format!("{streams} streams are allowed")
    })?;
    Ok(Some(format!("{streams} streams")))
}
