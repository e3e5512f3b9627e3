//! Signatures behind HELLO: signed CANCEL frames (`SIG-13`), and the proof that the peer's key sits
//! at the other end of this very connection (`GAP-21`).

use super::control::HelloState;
use super::event::Event;
use super::incoming::Source;
use super::input::{Found, Step};
use super::{CloseReason, Connection};
use crate::code::ErrorCode;
use crate::handshake::{self, HandshakeError, Local};
use crate::id::StreamId;
use crate::storage::{Buffer, Storage};
use crate::time::{Now, UnixMillis};
use crate::wire::{
    Cancel, EncodeError, FrameType, NONCE_LEN, Payload, SIGNATURE_LEN, SignatureBlock, Writer,
    domain_separator,
};

/// Bytes of an RFC 9266 `tls-exporter` value.
pub const EXPORTER_LEN: usize = 32;

/// The frame that binds an identity to its connection, on the control stream.
pub(super) const BINDING_FRAME: u8 = 0x80;

/// The longest verification method that a binding of ours can carry.
const MAX_METHOD_LEN: usize = 512;

/// What binds this connection to its TLS session.
#[derive(Clone, Copy)]
pub(super) struct Channel {
    exporter: [u8; EXPORTER_LEN],
    nonce: [u8; NONCE_LEN],
}

impl core::fmt::Debug for Channel {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Channel(..)")
    }
}

/// A binding's payload: the block's signed part as it stands, and the signature.
struct Binding<'a> {
    block: &'a [u8],
    signature: [u8; SIGNATURE_LEN],
}

impl Payload for Binding<'_> {
    const TYPE: FrameType = FrameType::Vendor(BINDING_FRAME);
    const SINCE_MINOR: u64 = 0;

    fn write(&self, out: &mut Writer<'_>) {
        out.bytes(self.block);
        out.prefixed(&self.signature);
    }
}

impl<S: Storage> Connection<S> {
    /// Hands in what this connection's TLS session exports under the label
    /// `EXPORTER-Channel-Binding` with an empty context (RFC 9266), and 16 fresh random bytes.
    /// Call it before [`authenticate`](Self::authenticate) when the local capabilities name
    /// [`CHANNEL_BINDING`](crate::capability::CHANNEL_BINDING).
    pub fn bind_channel(&mut self, exporter: &[u8; EXPORTER_LEN], nonce: &[u8; NONCE_LEN]) {
        self.control.channel = Some(Channel {
            exporter: *exporter,
            nonce: *nonce,
        });
    }

    /// Queues our binding, and waits for the peer's.
    pub(super) fn begin_binding(
        &mut self,
        local: &Local<'_>,
        now: Now,
    ) -> Result<(), HandshakeError> {
        let channel = self
            .control
            .channel
            .ok_or(HandshakeError::ChannelNotBound)?;
        // Our HELLO goes first: if it is still to be said, the binding follows it.
        if self.control.started {
            let said = self.say_binding(&channel, local, now.unix);
            said.map_err(|_| HandshakeError::TooLarge)?;
        }
        self.control.hello = HelloState::BindingAwaited;
        Ok(())
    }

    /// Queues our binding behind our HELLO, where the peer's HELLO was judged before ours was said.
    pub(super) fn say_owed_binding(
        &mut self,
        local: &Local<'_>,
        now: Now,
    ) -> Result<(), EncodeError> {
        let binds = self
            .agreement
            .is_some_and(|agreed| agreed.active.channel_binding());
        match self.control.channel {
            Some(channel) if binds => self.say_binding(&channel, local, now.unix),
            _ => Ok(()),
        }
    }

    fn say_binding(
        &mut self,
        channel: &Channel,
        local: &Local<'_>,
        unix: UnixMillis,
    ) -> Result<(), EncodeError> {
        let method = local.signer.method();
        // Separator and exporter value, then the block: the signer wants one slice.
        let mut message = [0; 13 + EXPORTER_LEN + 32 + MAX_METHOD_LEN];
        let mut writer = Writer::new(&mut message);
        writer.bytes(&domain_separator(FrameType::Vendor(BINDING_FRAME)));
        writer.bytes(&channel.exporter);
        let block_at = writer.len();
        SignatureBlock::write_signed_part(method, &channel.nonce, unix, &mut writer);
        let len = writer.finish()?;
        let signed = message.get(..len).unwrap_or_default();
        let binding = Binding {
            block: signed.get(block_at..).unwrap_or_default(),
            signature: local.signer.sign(signed),
        };
        let needed = EncodeError::BufferTooSmall { needed: len };
        self.control.outgoing.push(0, &binding).map_err(|_| needed)
    }

    /// The peer's binding is here: from now on operations may be opened, or nothing may.
    pub(super) fn binding<'i>(&mut self, source: Source<'i>, now: Now) -> Step<'i> {
        let good = self
            .bytes_of(StreamId::CONTROL, source)
            .is_some_and(|payload| self.is_bound_by(payload, now.unix));
        self.drop_scratch(StreamId::CONTROL, source);
        if !good {
            self.close_because(CloseReason::Handshake(HandshakeError::ChannelNotBound));
            return Step::Rest;
        }
        self.control.hello = HelloState::Accepted;
        if let Some(agreement) = &mut self.agreement {
            agreement.channel_bound = true;
        }
        Step::Found(Found::Ready(Event::ChannelBound))
    }

    fn is_bound_by(&self, payload: &[u8], unix: UnixMillis) -> bool {
        let (Ok((block, covered)), Some(channel)) =
            (SignatureBlock::decode(payload), &self.control.channel)
        else {
            return false;
        };
        // Joined to be one slice behind the separator, as a verifier wants it.
        let mut signed: heapless::Vec<u8, { EXPORTER_LEN + 32 + MAX_METHOD_LEN }> =
            heapless::Vec::new();
        let joined = signed.extend_from_slice(&channel.exporter).is_ok()
            && signed
                .extend_from_slice(payload.get(..covered).unwrap_or_default())
                .is_ok();
        let frame = FrameType::Vendor(BINDING_FRAME);
        joined && self.check_signature(&block, frame, &signed, unix).is_ok()
    }

    /// Checks the signature that a CANCEL carries, if it does.
    pub(super) fn check_cancel(&self, payload: &[u8], unix: UnixMillis) -> Result<(), ErrorCode> {
        // What does not parse is found and told by whoever reads it.
        let Ok((_, Some((block, covered)))) = Cancel::decode_signed(payload) else {
            return Ok(());
        };
        let covered = payload.get(..covered).unwrap_or_default();
        self.check_signature(&block, FrameType::Cancel, covered, unix)
            .map_err(|error| error.code())
    }

    /// Judges a signature of the peer's, which is by the key that its HELLO verified with
    /// (`SIG-1`, `SIG-8`, `SIG-9`). Its nonce is not remembered: TLS keeps the frame on this
    /// connection, and here it cannot do twice what it did once.
    fn check_signature(
        &self,
        block: &SignatureBlock<'_>,
        frame: FrameType,
        covered: &[u8],
        unix: UnixMillis,
    ) -> Result<(), HandshakeError> {
        let window = self.config.timestamp_window;
        handshake::judge_block(block, self.peer.as_slice(), window, unix)?;
        let key = self.agreement.and_then(|agreed| agreed.peer_key);
        let (Some(key), Some(verifier)) = (key, self.config.signatures) else {
            return Err(HandshakeError::BadSignature);
        };
        handshake::check_signature(block, frame, covered, &key, verifier.0)
    }
}
