//! What frames do (RFC 9000 §19).

use super::Connection;
use super::books::Books;
use crate::coding::Reader;
use crate::error::{Code, Fault, fault};
use crate::frame::Frame;
use crate::recovery::{Ack, Space};
use crate::stream;
use crate::time::Instant;

/// What a packet's frames came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) ack_eliciting: bool,
    /// Everything was taken. Otherwise the packet is not acknowledged, and the server sends again
    /// what it carried.
    pub(super) whole: bool,
}

/// Where a packet's frames come from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    pub(super) space: Space,
    /// The connection id that the packet came to.
    pub(super) destination: &'a [u8],
    /// The packet was sealed with keys older than ours.
    pub(super) behind: bool,
}

impl Connection<'_> {
    /// Does what all frames of a packet say.
    ///
    /// # Errors
    /// The rule that was broken; `frame_type` is then that of the frame that broke it.
    pub(super) fn on_frames(
        &mut self,
        origin: &Origin<'_>,
        payload: &[u8],
        now: Instant,
        frame_type: &mut u8,
    ) -> Result<Seen, Fault> {
        let mut seen = Seen {
            ack_eliciting: false,
            whole: true,
        };
        let mut reader = Reader::new(payload);
        while !reader.is_empty() && !self.is_closed() {
            let frame = Frame::read(&mut reader, frame_type)?;
            if origin.space != Space::Application && !frame.may_come_in_the_handshake() {
                return Err(fault!(
                    Code::PROTOCOL_VIOLATION,
                    "a frame that may not come in the handshake"
                ));
            }
            seen.ack_eliciting |= frame.is_ack_eliciting();
            seen.whole &= self.on_frame(origin, frame, now)?;
        }
        Ok(seen)
    }

    fn on_frame(
        &mut self,
        origin: &Origin<'_>,
        frame: Frame<'_>,
        now: Instant,
    ) -> Result<bool, Fault> {
        match frame {
            Frame::Padding | Frame::Ping | Frame::Blocked => {}
            Frame::Ack(ack) => self.on_ack(origin, &ack, now)?,
            Frame::Crypto { offset, data } => {
                return self.on_crypto(origin.space, offset, data, now);
            }
            Frame::Stream {
                stream,
                offset,
                data,
                fin,
            } => {
                let taken = self.streams.on_stream(stream, offset, data, fin)?;
                return Ok(taken == stream::Taken::Yes);
            }
            Frame::ResetStream {
                stream,
                code,
                final_size,
            } => self.streams.on_reset_stream(stream, code, final_size)?,
            Frame::StopSending { stream, code } => self.streams.on_stop_sending(stream, code)?,
            Frame::MaxData(max) => self.streams.on_max_data(max),
            Frame::MaxStreamData { stream, max } => {
                self.streams.on_max_stream_data(stream, max)?;
            }
            Frame::MaxStreams {
                bidirectional: true,
                max,
            } => self.streams.on_max_streams(max)?,
            // This end opens no unidirectional stream.
            Frame::MaxStreams { .. } => {}
            Frame::StreamDataBlocked { stream } => self.streams.on_stream_data_blocked(stream)?,
            Frame::NewToken(token) => self.keep_token(token),
            Frame::NewConnectionId(id) => self.remote_ids.on_new(&id)?,
            Frame::RetireConnectionId(sequence) => {
                self.local_ids.on_retire(sequence, origin.destination)?;
                self.issue_ids();
            }
            Frame::PathChallenge(data) => self.path.on_challenge(data),
            Frame::PathResponse(data) => self.path.on_response(data, &self.seed),
            Frame::Close {
                application,
                code,
                frame_type,
            } => self.on_close(application, code, frame_type, now),
            Frame::HandshakeDone => self.confirm(now),
        }
        Ok(true)
    }

    fn on_ack(&mut self, origin: &Origin<'_>, ack: &Ack<'_>, now: Instant) -> Result<(), Fault> {
        let space = origin.space;
        let mut books = Books {
            streams: &mut self.streams,
            outgoing: &mut self.outgoing,
            local_ids: &mut self.local_ids,
            remote_ids: &mut self.remote_ids,
            received: &mut self.spaces.get_mut(space).received,
        };
        let newly = self
            .recovery
            .on_ack(space, ack, now, &mut |_, fate, carried| {
                books.settle(fate, carried);
            })?;
        if space == Space::Application {
            self.unanswered = 0;
        }
        if let (Space::Application, Some(newly), Some(keys)) =
            (space, newly, self.application.as_mut())
        {
            keys.on_acked(newly.largest, origin.behind)?;
        }
        Ok(())
    }

    /// A token that is too long for us is worth no more than none.
    fn keep_token(&mut self, token: &[u8]) {
        self.token.clear();
        if self.token.extend_from_slice(token).is_ok() {
            self.news.token = true;
        }
    }
}
