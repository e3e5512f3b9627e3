//! How a connection begins: QUIC is up, HELLO goes out and comes in, identities are bound to the
//! channel.

use std::panic::{AssertUnwindSafe, catch_unwind};

use aire_proto::ErrorCode;
use aire_proto::Now;
use aire_proto::connection::{Authenticated, Connection, EXPORTER_LEN};
use aire_proto::handshake::Verifier;
use aire_proto::identity::{Ed25519Verifier, PublicKey};
use tracing::{debug, error, warn};

use super::Event;
use super::link::{Link, Shared, Tell};
use super::outbox::Calls;
use super::sent::Quic;
use crate::policy::Peer;

impl Link {
    /// The QUIC handshake is done: HELLO.
    pub(super) fn start(&mut self, shared: &Shared, now: Now) -> bool {
        let mut proto = Connection::new(self.role, shared.settings.protocol, now);
        let (mut nonce, mut binding_nonce) = ([0; 16], [0; 16]);
        let random = boring::rand::rand_bytes(&mut nonce)
            .and_then(|()| boring::rand::rand_bytes(&mut binding_nonce));
        // Without the value no identity is bound to the channel, which a peer that asks for it
        // is told.
        if let Some(exporter) = exporter(&mut self.quic) {
            proto.bind_channel(&exporter, &binding_nonce);
        }
        let ready = random.is_ok() && proto.start(&shared.identity.local(), &nonce, now).is_ok();
        if ready {
            debug!("QUIC is up, saying HELLO");
            self.proto = Some(proto);
            self.handshake_deadline = None;
            self.ping_interval = self.ping_interval(shared);
        } else {
            warn!("no HELLO could be made");
            let _over = self.quic.close(true, ErrorCode::Refused.to_wire(), b"");
        }
        ready
    }

    /// Judges the peer's HELLO, with the key that was fetched for it where there is one.
    pub(super) fn authenticate(
        &mut self,
        fetched: Option<Option<PublicKey>>,
        shared: &mut Shared,
        now: Now,
        tell: Tell<'_>,
    ) {
        let Some(proto) = &mut self.proto else { return };
        let local = shared.identity.local();
        let mut verifier = Verifier {
            keys: &*shared.keys,
            signatures: &Ed25519Verifier,
            replay: &mut shared.replay,
        };
        let judged = match fetched {
            None => proto.authenticate(&local, &mut verifier, now),
            Some(key) => proto.key_fetched(key, &local, &mut verifier, now),
        };
        match judged {
            Ok(Authenticated::Connected) => self.tell_connected(shared, tell),
            Ok(Authenticated::BindingAwaited) => debug!("the peer's binding is awaited"),
            Ok(Authenticated::KeyAwaited) => {
                if let Some(method) = proto.awaited_key() {
                    let mut calls = Calls {
                        streams: &mut self.streams,
                        touched: &mut self.touched,
                        resumed: &mut self.resumed,
                        limit: shared.settings.send_queue,
                    };
                    let source = self.peer_address;
                    tell(self.key, Event::KeyAwaited { method, source }, &mut calls);
                }
            }
            Err(error) => debug!(%error, "the peer's HELLO is refused"),
        }
    }

    /// Whether the peer's HELLO waits for its key.
    pub(super) fn awaits_key(&self) -> bool {
        let proto = self.proto.as_ref();
        proto.is_some_and(|proto| proto.awaited_key().is_some())
    }

    /// Operations may be opened, if the peer is wanted: both HELLOs, and what binds them to the
    /// channel, are good.
    pub(super) fn tell_connected(&mut self, shared: &mut Shared, tell: Tell<'_>) {
        if !self.is_wanted(shared) {
            // Here and now, before another byte is read: nothing that the peer sent along with
            // its HELLO comes to be an operation.
            if let Some(proto) = &mut self.proto {
                proto.refuse_peer();
            }
            return;
        }
        if let Some(source) = self.charged.take() {
            shared.limiter.give_back(source);
        }
        let Some(proto) = &self.proto else { return };
        let (peer, Some(agreement)) = (proto.peer().unwrap_or_default(), proto.agreement()) else {
            return;
        };
        self.told_connected = true;
        self.span.record("peer", peer);
        debug!(peer, channel_bound = agreement.channel_bound, "connected");
        let mut calls = Calls {
            streams: &mut self.streams,
            touched: &mut self.touched,
            resumed: &mut self.resumed,
            limit: shared.settings.send_queue,
        };
        tell(self.key, Event::Connected { peer, agreement }, &mut calls);
    }
}

impl Link {
    /// What the local policy says of the peer (`TR-5`).
    fn is_wanted(&self, shared: &Shared) -> bool {
        let Some(policy) = &shared.policy else {
            return true;
        };
        let Some(proto) = &self.proto else {
            return false;
        };
        let Some((did, agreement)) = proto.peer().zip(proto.agreement()) else {
            return false;
        };
        let peer = Peer {
            did,
            address: self.heard_from,
            authenticated: agreement.peer_key.is_some(),
            channel_bound: agreement.channel_bound,
        };
        // One that fails has not said yes; and it must not take the whole node with it.
        let wanted = catch_unwind(AssertUnwindSafe(|| policy(&peer))).unwrap_or_else(|_| {
            error!(did, "the policy panicked");
            false
        });
        if !wanted {
            debug!(did, "the local policy refuses the peer");
        }
        wanted
    }
}

/// The TLS session's `tls-exporter` channel binding (RFC 9266): both ends compute it, and nobody
/// in between can.
fn exporter(quic: &mut Quic) -> Option<[u8; EXPORTER_LEN]> {
    let tls: &mut boring::ssl::SslRef = quic.as_mut();
    let mut value = [0; EXPORTER_LEN];
    tls.export_keying_material(&mut value, "EXPORTER-Channel-Binding", Some(&[]))
        .ok()
        .map(|()| value)
}
