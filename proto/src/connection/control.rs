//! The control stream: HELLO both ways, GOODBYE, and errors about the connection.

use super::incoming::Incoming;
use super::outgoing::{Fin, Outgoing};
use super::signed::Channel;
use super::{CloseReason, Connection};
use crate::code::ErrorCode;
use crate::handshake::{self, HandshakeError, Local, Rules, Verifier, write_hello};
use crate::id::{Role, StreamId};
use crate::identity::{PublicKey, Resolution};
use crate::storage::{Buffer, Storage, Table};
use crate::time::{Instant, Now};
use crate::wire::{EncodeError, ErrorFrame, Goodbye, Hello, NONCE_LEN};

/// How far the peer's HELLO is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HelloState {
    /// It is still to come.
    Awaited,
    /// It lies in the control stream's scratch, and waits for its judgement.
    Received,
    /// It waits for its key.
    KeyAwaited,
    /// It was good; the proof that binds it to the connection is still to come.
    BindingAwaited,
    /// All is good.
    Accepted,
}

/// One end of the control stream.
#[derive(Debug)]
pub(super) struct Control<B> {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing<B>,
    pub(super) hello: HelloState,
    /// What our binding and the peer's are about.
    pub(super) channel: Option<Channel>,
    /// Our HELLO is queued or sent.
    pub(super) started: bool,
    /// Our HELLO is with the transport, so that other streams may speak (`HS-2`).
    pub(super) said_hello: bool,
    /// The stream exists in the transport: at once for the client that opens it, with its first
    /// byte for the server.
    pub(super) opened: bool,
    /// Until when the handshake must be done.
    pub(super) handshake_deadline: Instant,
}

impl<B: Buffer> Control<B> {
    pub(super) fn new(role: Role, handshake_deadline: Instant) -> Self {
        Self {
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            hello: HelloState::Awaited,
            channel: None,
            started: false,
            said_hello: false,
            opened: role == Role::Client,
            handshake_deadline,
        }
    }

    /// Whether the transport could be offered something.
    pub(super) fn wants_to_send(&self) -> bool {
        self.opened && self.outgoing.wants_to_send()
    }

    /// Tells the peer why the connection is over, where there is something to tell. What is in
    /// the way of it in the outbox is part of the story: our HELLO comes first.
    pub(super) fn say(&mut self, reason: CloseReason) {
        let Some(code) = reason.told_to_peer() else {
            return;
        };
        if self.started {
            let error = ErrorFrame {
                code,
                // What a peer has to know is the code (SIG-14); logs on this side know the rest.
                detail: "",
                data: &[],
            };
            // With no room left for it, the code in CONNECTION_CLOSE has to say it alone.
            let _no_room = self.outgoing.push(0, &error);
            self.outgoing.blocked = false;
        }
    }
}

impl CloseReason {
    /// What an ERROR on the control stream should say; `None` when there is no complaint.
    pub(super) const fn told_to_peer(&self) -> Option<ErrorCode> {
        match self {
            Self::Handshake(error) => Some(error.code()),
            Self::HandshakeTimeout => Some(ErrorCode::Refused),
            Self::Violation { code, .. } => Some(*code),
            Self::Done | Self::Peer(_) | Self::Lost => None,
        }
    }
}

/// How far the peer's HELLO got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Authenticated {
    /// It is good: operations may be opened.
    Connected,
    /// It is good, and its proof of the channel is awaited:
    /// [`Event::ChannelBound`](super::Event::ChannelBound) says when operations may be opened.
    BindingAwaited,
    /// Its key must be fetched: see [`Connection::awaited_key`].
    KeyAwaited,
}

impl<S: Storage> Connection<S> {
    /// Queues our signed HELLO (`HS-2`, `SIG-6`). `nonce` is 16 fresh bytes from a cryptographic
    /// random source. Check the capabilities with
    /// [`check_local`](crate::capability::check_local) at configuration time.
    ///
    /// # Errors
    /// [`EncodeError`] when the HELLO does not fit the control outbox.
    pub fn start(
        &mut self,
        local: &Local<'_>,
        nonce: &[u8; NONCE_LEN],
        now: Now,
    ) -> Result<(), EncodeError> {
        if !self.control.started {
            self.control
                .outgoing
                .build(|out| write_hello(out, local, nonce, now.unix))?;
            self.control.started = true;
            self.say_owed_binding(local, now)?;
        }
        Ok(())
    }

    /// Judges the peer's HELLO: key, signature, replay, capabilities. The answer to
    /// [`Event::HelloReceived`](super::Event::HelloReceived); `local` as in
    /// [`start`](Self::start).
    ///
    /// # Errors
    /// What is wrong with it. The connection is then closed with that error's code.
    pub fn authenticate(
        &mut self,
        local: &Local<'_>,
        verifier: &mut Verifier<'_>,
        now: Now,
    ) -> Result<Authenticated, HandshakeError> {
        self.authenticate_with(None, local, verifier, now)
    }

    /// The verification method whose key must be fetched, while one must.
    #[must_use]
    pub fn awaited_key(&self) -> Option<&str> {
        if self.control.hello != HelloState::KeyAwaited {
            return None;
        }
        let payload = self.scratches.get(StreamId::CONTROL)?.as_slice();
        Some(Hello::decode(payload).ok()?.block?.method)
    }

    /// Goes on with [`authenticate`](Self::authenticate) where it asked for a key; `None` when
    /// the key could not be fetched.
    ///
    /// # Errors
    /// As [`authenticate`](Self::authenticate).
    pub fn key_fetched(
        &mut self,
        key: Option<PublicKey>,
        local: &Local<'_>,
        verifier: &mut Verifier<'_>,
        now: Now,
    ) -> Result<Authenticated, HandshakeError> {
        let resolution = key.map_or(Resolution::Failed, Resolution::Key);
        self.authenticate_with(Some(resolution), local, verifier, now)
    }

    fn authenticate_with(
        &mut self,
        key: Option<Resolution>,
        local: &Local<'_>,
        verifier: &mut Verifier<'_>,
        now: Now,
    ) -> Result<Authenticated, HandshakeError> {
        match self.control.hello {
            HelloState::Accepted => return Ok(Authenticated::Connected),
            HelloState::BindingAwaited => return Ok(Authenticated::BindingAwaited),
            HelloState::Awaited | HelloState::Received | HelloState::KeyAwaited => {}
        }
        // Asked before a HELLO came, or after the connection closed, there is none: half a HELLO
        // has not been judged.
        let payload = match self.control.hello {
            HelloState::Received | HelloState::KeyAwaited => self.scratches.get(StreamId::CONTROL),
            HelloState::Awaited | HelloState::BindingAwaited | HelloState::Accepted => None,
        };
        let payload = payload.map(Buffer::as_slice).unwrap_or_default();
        let window = self.config.timestamp_window;
        let judged = handshake::authenticate(payload, key, local, verifier, window, now);
        let agreement = match judged {
            Ok(Some(agreement)) => agreement,
            Ok(None) => {
                self.control.hello = HelloState::KeyAwaited;
                return Ok(Authenticated::KeyAwaited);
            }
            Err(error) => {
                self.close_because(CloseReason::Handshake(error));
                return Err(error);
            }
        };
        let node_id = Hello::decode(payload).map_or("", |hello| hello.node_id);
        if self.peer.append(node_id.as_bytes()).is_none() {
            let error = HandshakeError::TooLarge;
            self.close_because(CloseReason::Handshake(error));
            return Err(error);
        }
        self.scratches.remove(StreamId::CONTROL);
        self.control.hello = HelloState::Accepted;
        self.counters.trailing_hello_bytes = agreement.trailing as u64;
        self.agreement = Some(agreement);
        if !agreement.active.channel_binding() {
            return Ok(Authenticated::Connected);
        }
        if let Err(error) = self.begin_binding(local, now) {
            self.close_because(CloseReason::Handshake(error));
            return Err(error);
        }
        Ok(Authenticated::BindingAwaited)
    }

    /// The rules that a HELLO's bytes are judged by.
    pub(super) fn rules(&self) -> Rules {
        Rules {
            window: self.config.timestamp_window,
            accept_unsigned: self.config.danger_accept_unsigned_peers,
        }
    }

    /// Says GOODBYE (`GAP-8`): neither side opens further operations, live ones finish, and the
    /// connection closes when none is left, or after the drain timeout.
    pub fn goodbye(&mut self, now: Now) {
        if self.goodbye_sent || !self.is_open() {
            return;
        }
        self.goodbye_sent = true;
        if self.control.outgoing.push(0, &Goodbye).is_err() {
            self.close_because(CloseReason::Done);
            return;
        }
        self.start_draining(now);
    }

    /// Sets the drain deadline, once.
    pub(super) fn start_draining(&mut self, now: Now) {
        if self.drain_deadline.is_none() {
            let deadline = now.instant.after(self.config.drain_timeout);
            self.drain_deadline = Some(deadline);
            self.due(deadline);
        }
        self.close_when_drained();
    }

    /// Closes once a GOODBYE has come through and no operation is left.
    pub(super) fn close_when_drained(&mut self) {
        let drained =
            self.is_draining() && self.operations.is_empty() && self.control.outgoing.is_flushed();
        if drained {
            self.close_because(CloseReason::Done);
        }
    }

    /// The local policy wants nothing of this peer (`TR-5`): the connection ends with ERROR
    /// `REFUSED`. Called as soon as the peer is known, no operation of its is ever told.
    pub fn refuse_peer(&mut self) {
        self.close_because(CloseReason::Handshake(HandshakeError::Refused));
    }

    /// Ends the connection at once, and every operation with it.
    pub fn close(&mut self) {
        self.close_because(CloseReason::Done);
    }

    /// The transport lost the peer, or the peer closed the connection with this application code.
    pub fn connection_lost(&mut self, code: Option<u64>) {
        self.control.outgoing.abandon();
        self.control.outgoing.fin = Fin::Sent;
        self.close_sent = true;
        self.close_because(match code {
            None => CloseReason::Lost,
            Some(0) => CloseReason::Done,
            Some(code) => CloseReason::Peer(ErrorCode::from_wire(code)),
        });
    }
}
