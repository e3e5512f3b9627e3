//! The control stream's bytes: HELLO first, then GOODBYE and errors about the connection
//! (`HS-2`, `HS-3`, `GAP-15`).

use super::control::HelloState;
use super::event::{Event, Input};
use super::incoming::{Assembly, Mode, Source, assemble, skip};
use super::input::{Found, Step};
use super::signed::BINDING_FRAME;
use super::{CloseReason, Connection};
use crate::code::ErrorCode;
use crate::handshake::{self, HandshakeError};
use crate::id::StreamId;
use crate::storage::{Buffer, Storage, Table};
use crate::time::Now;
use crate::wire::{ErrorFrame, FrameHeader, FrameType, Piece};

impl<S: Storage> Connection<S> {
    pub(super) fn read_control<'i>(&mut self, input: &mut Input<'i>, now: Now) -> Step<'i> {
        self.control.opened = true;
        if matches!(
            self.control.hello,
            HelloState::Received | HelloState::KeyAwaited
        ) {
            return Step::Rest;
        }
        let decoder = &mut self.control.incoming.decoder;
        match self.control.incoming.mode {
            Mode::Between => match decoder.next(&mut input.bytes) {
                Some(Piece::Header(header)) => self.control_header(header, now),
                _ if input.fin => {
                    input.fin = false;
                    self.control_fin()
                }
                _ => Step::Rest,
            },
            Mode::Whole(FrameType::Goodbye) => match decoder.next(&mut input.bytes) {
                Some(Piece::Payload { remaining: 0, .. }) => {
                    self.control_frame(FrameType::Goodbye, Source::Input(&[]), now)
                }
                Some(_) => Step::Again,
                None => self.end_of_input(input),
            },
            Mode::Whole(frame) => {
                match assemble(
                    &mut self.scratches,
                    StreamId::CONTROL,
                    decoder,
                    &mut input.bytes,
                ) {
                    Assembly::Whole(source) => self.control_frame(frame, source, now),
                    Assembly::NoScratch => Step::Rest,
                    Assembly::Incomplete => self.end_of_input(input),
                }
            }
            _ => match decoder.next(&mut input.bytes) {
                Some(Piece::Payload { remaining, .. }) => {
                    if remaining == 0 {
                        self.control.incoming.mode = Mode::Between;
                    }
                    Step::Again
                }
                _ => self.end_of_input(input),
            },
        }
    }

    fn control_header<'i>(&mut self, header: FrameHeader, now: Now) -> Step<'i> {
        let frame = header.frame_type;
        let first = self.control.hello == HelloState::Awaited;
        let rule = match frame {
            FrameType::Hello if first && header.op_id == 0 => None,
            _ if first => Some("the first frame on the control stream was no HELLO"),
            FrameType::Hello => Some("a second HELLO came"),
            FrameType::CapabilityUpdate => Some("a frame of the reserved type 0x02 came"),
            FrameType::Goodbye | FrameType::Error if header.op_id == 0 => None,
            FrameType::Goodbye | FrameType::Error => {
                Some("a frame on the control stream named an operation")
            }
            FrameType::Reserved(_) | FrameType::Vendor(_) => None,
            _ => Some("a frame of an operation came on the control stream"),
        };
        if let Some(rule) = rule {
            self.violation(ErrorCode::ProtocolViolation, rule);
            return Step::Rest;
        }
        let binds = frame == FrameType::Vendor(BINDING_FRAME)
            && header.op_id == 0
            && self.control.hello == HelloState::BindingAwaited;
        if matches!(frame, FrameType::Reserved(_) | FrameType::Vendor(_)) && !binds {
            self.count_skipped();
            self.control.incoming.mode = skip(header.payload_len);
            return Step::Again;
        }
        // Nobody reads what a GOODBYE holds, so it needs no scratch.
        let limit = match frame {
            FrameType::Goodbye => self.config.max_payload,
            _ => S::Scratch::CAPACITY as u64,
        };
        if header.payload_len > limit {
            self.close_because(if first {
                CloseReason::Handshake(HandshakeError::TooLarge)
            } else {
                CloseReason::Violation {
                    code: ErrorCode::FrameTooLarge,
                    rule: "a frame on the control stream was too large",
                }
            });
            return Step::Rest;
        }
        if header.payload_len == 0 {
            return self.control_frame(frame, Source::Input(&[]), now);
        }
        self.control.incoming.mode = Mode::Whole(frame);
        Step::Again
    }

    fn control_frame<'i>(&mut self, frame: FrameType, source: Source<'i>, now: Now) -> Step<'i> {
        self.control.incoming.mode = Mode::Between;
        match frame {
            FrameType::Hello => self.hello(source, now),
            FrameType::Vendor(_) => self.binding(source, now),
            FrameType::Goodbye => {
                let again = core::mem::replace(&mut self.goodbye_received, true);
                self.start_draining(now);
                if again {
                    Step::Again
                } else {
                    Step::Found(Found::Ready(Event::Goodbye))
                }
            }
            _ => {
                let decoded = self
                    .bytes_of(StreamId::CONTROL, source)
                    .map(ErrorFrame::decode);
                let reason = match decoded {
                    Some(Ok(error)) => CloseReason::Peer(error.code),
                    _ => CloseReason::Violation {
                        code: ErrorCode::MalformedFrame,
                        rule: "an ERROR on the control stream was malformed",
                    },
                };
                self.close_because(reason);
                Step::Rest
            }
        }
    }

    fn hello<'i>(&mut self, source: Source<'i>, now: Now) -> Step<'i> {
        let rules = self.rules();
        // It stays in the scratch until it is judged, since its key may have to be fetched.
        let kept = match source {
            Source::Input(bytes) => {
                let mut scratch = S::Scratch::default();
                scratch.append(bytes).is_some()
                    && self.scratches.insert(StreamId::CONTROL, scratch).is_ok()
            }
            Source::Scratch => true,
        };
        let judged = match self.scratches.get(StreamId::CONTROL) {
            Some(scratch) if kept => handshake::judge(scratch.as_slice(), rules, now.unix),
            _ => Err(HandshakeError::TooLarge),
        };
        match judged {
            Ok(()) => {
                self.control.hello = HelloState::Received;
                Step::Found(Found::Ready(Event::HelloReceived))
            }
            Err(error) => {
                self.close_because(CloseReason::Handshake(error));
                Step::Rest
            }
        }
    }

    fn control_fin<'i>(&mut self) -> Step<'i> {
        if !self.control.incoming.at_boundary() {
            self.violation(
                ErrorCode::MalformedFrame,
                "the control stream ended in the middle of a frame",
            );
        } else if self.control.hello == HelloState::Awaited {
            self.violation(
                ErrorCode::ProtocolViolation,
                "the control stream ended before HELLO",
            );
        }
        Step::Rest
    }
}
