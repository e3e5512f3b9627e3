//! One end of a QUIC connection that says on its streams whatever a check wants.
//!
//! It drives quiche's timers while it waits, so a packet that is lost is sent again and no check
//! fails of it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use aire_proto::{ErrorCode, varint};

use super::verdict::{Stop, failed};
use super::wire::{self, CANCEL, Frame, STREAM};

/// What came on one stream.
#[derive(Debug, Default)]
pub(super) struct Came {
    /// Its whole frames.
    pub(super) frames: Vec<Frame>,
    /// The server ended its side with FIN.
    pub(super) fin: bool,
    /// The server reset its side, with this code.
    pub(super) reset: Option<u64>,
    /// The bytes behind the last whole frame.
    rest: Vec<u8>,
}

impl Came {
    fn is_over(&self) -> bool {
        self.fin || self.reset.is_some()
    }
}

/// What an operation came to.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The payloads of its STREAM frames.
    pub(super) streams: Vec<Vec<u8>>,
    /// The code of its ERROR.
    pub(super) error: Option<ErrorCode>,
    /// The reason of its CANCEL.
    pub(super) cancel: Option<u64>,
    /// The code of its reset.
    pub(super) reset: Option<u64>,
}

impl Answer {
    /// In words, for a person who reads why a check failed.
    pub(super) fn describe(&self) -> String {
        let end = match (self.error, self.cancel, self.reset) {
            (Some(code), ..) => format!("ERROR {code}"),
            (None, Some(reason), _) => format!("CANCEL with reason {reason}"),
            (None, None, Some(code)) => format!("a reset with code {code:#04x}"),
            (None, None, None) => "a good end".into(),
        };
        format!("{} STREAM frames and {end}", self.streams.len())
    }

    /// Whether it ended as the agent meant it to.
    pub(super) fn is_good(&self) -> bool {
        self.error.is_none() && self.cancel.is_none() && self.reset.is_none()
    }
}

/// Where and how to dial.
pub(super) struct Dial<'a> {
    pub(super) address: SocketAddr,
    /// The name that the certificate must be for.
    pub(super) server_name: Option<&'a str>,
    /// How long to wait for whatever should happen.
    pub(super) patience: Duration,
    /// When to wait for nothing more.
    pub(super) ends: Instant,
}

/// The probe's end of a connection. It closes when it is dropped.
pub(super) struct Peer {
    quic: quiche::Connection,
    socket: UdpSocket,
    local: SocketAddr,
    address: SocketAddr,
    came: BTreeMap<u64, Came>,
    /// The system says that nobody listens.
    nobody_listens: bool,
    last_heard: Instant,
    patience: Duration,
    ends: Instant,
    buffer: Vec<u8>,
}

impl Peer {
    /// Begins to dial: QUIC is not up yet.
    pub(super) fn dial(dial: &Dial<'_>, config: &mut quiche::Config) -> Result<Self, Stop> {
        let any: SocketAddr = match dial.address {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let bound = UdpSocket::bind(any).and_then(|socket| {
            socket.connect(dial.address)?;
            Ok((socket.local_addr()?, socket))
        });
        let (local, socket) =
            bound.map_err(|error| failed(format!("no UDP socket to {}: {error}", dial.address)))?;
        let id = wire::random::<{ quiche::MAX_CONN_ID_LEN }>();
        let id = quiche::ConnectionId::from_ref(&id);
        let quic = quiche::connect(dial.server_name, &id, local, dial.address, config)
            .map_err(|error| failed(format!("QUIC does not begin: {error}")))?;
        Ok(Self {
            quic,
            socket,
            local,
            address: dial.address,
            came: BTreeMap::new(),
            nobody_listens: false,
            last_heard: Instant::now(),
            patience: dial.patience,
            ends: dial.ends,
            buffer: vec![0; 65_535],
        })
    }

    /// Waits until QUIC is up.
    pub(super) fn establish(&mut self) -> Result<(), Stop> {
        self.until("a QUIC connection", |peer| peer.quic.is_established())
    }

    /// What QUIC knows of the connection.
    pub(super) const fn quic(&self) -> &quiche::Connection {
        &self.quic
    }

    /// The value that both ends of this very connection can compute (RFC 9266).
    pub(super) fn exporter(&mut self) -> Option<[u8; 32]> {
        let tls: &mut boring::ssl::SslRef = self.quic.as_mut();
        let mut value = [0; 32];
        tls.export_keying_material(&mut value, "EXPORTER-Channel-Binding", Some(&[]))
            .ok()
            .map(|()| value)
    }

    /// Whether the system said that nobody listens there.
    pub(super) const fn nobody_listens(&self) -> bool {
        self.nobody_listens
    }

    /// Writes all of it to a stream, however long that takes; less when the server wants no more.
    pub(super) fn send(&mut self, stream: u64, bytes: &[u8], fin: bool) -> Result<(), Stop> {
        let mut rest = bytes;
        let give_up = self.give_up();
        while !self.is_over() {
            match self.quic.stream_send(stream, rest, fin) {
                Ok(len) => rest = &rest[len..],
                // QUIC forgets a stream that both sides are done with, and says so in the same way.
                Err(quiche::Error::Done) if self.has_ended(stream) => break,
                Err(quiche::Error::Done) => {}
                Err(quiche::Error::StreamLimit) => {
                    return Err(failed("the server allows no further stream"));
                }
                // It wants no more: what it answers says why.
                Err(_) => break,
            }
            if rest.is_empty() {
                break;
            }
            if Instant::now() > give_up {
                return Err(failed(format!(
                    "the server takes no more: {} of {} bytes",
                    bytes.len() - rest.len(),
                    bytes.len()
                )));
            }
            self.turn();
        }
        self.flush();
        Ok(())
    }

    /// Writes it byte by byte, each in a packet of its own where QUIC lets us.
    pub(super) fn send_slowly(&mut self, stream: u64, bytes: &[u8]) -> Result<(), Stop> {
        bytes
            .chunks(1)
            .try_for_each(|byte| self.send(stream, byte, false))
    }

    /// Resets our side of a stream.
    pub(super) fn reset(&mut self, stream: u64, code: u64) {
        // A stream that is gone needs no reset.
        let _gone = self
            .quic
            .stream_shutdown(stream, quiche::Shutdown::Write, code);
        self.flush();
    }

    /// Asks the server to say no more on a stream. What it still says is not seen.
    pub(super) fn stop(&mut self, stream: u64, code: u64) {
        let _gone = self
            .quic
            .stream_shutdown(stream, quiche::Shutdown::Read, code);
        self.flush();
    }

    /// The whole frames that came on a stream.
    pub(super) fn frames(&self, stream: u64) -> &[Frame] {
        self.came
            .get(&stream)
            .map_or(&[], |came| came.frames.as_slice())
    }

    /// How many frames of a type came on a stream.
    pub(super) fn count(&self, stream: u64, kind: u8) -> usize {
        let frames = self.frames(stream).iter();
        frames.filter(|frame| frame.kind == kind).count()
    }

    /// The streams on which something came, and what.
    pub(super) fn streams(&self) -> impl Iterator<Item = (u64, &Came)> {
        self.came.iter().map(|(id, came)| (*id, came))
    }

    /// Whether the server ended or reset its side of a stream.
    pub(super) fn has_ended(&self, stream: u64) -> bool {
        self.came.get(&stream).is_some_and(Came::is_over)
    }

    /// Whether the connection is over, whoever ended it.
    pub(super) fn is_over(&self) -> bool {
        self.nobody_listens
            || self.quic.is_closed()
            || self.quic.is_draining()
            || self.quic.peer_error().is_some()
    }

    /// The application's code with which the server closed the connection.
    pub(super) fn closed_with(&self) -> Option<ErrorCode> {
        let error = self.quic.peer_error()?;
        error.is_app.then(|| ErrorCode::from_wire(error.error_code))
    }

    /// Waits until the operation on a stream has ended.
    pub(super) fn answer(&mut self, op: u64) -> Result<Answer, Stop> {
        self.until(&format!("the end of operation {op}"), |peer| {
            peer.has_ended(op)
        })?;
        let mut answer = Answer::default();
        let Some(came) = self.came.get(&op) else {
            return Ok(answer);
        };
        answer.reset = came.reset;
        if came.fin && !came.rest.is_empty() {
            let left = came.rest.len();
            return Err(failed(format!(
                "the server ended operation {op} with {left} bytes of a frame that is cut (WIRE-8)"
            )));
        }
        for frame in &came.frames {
            if frame.op != op {
                let (name, other) = (frame.name(), frame.op);
                return Err(failed(format!(
                    "{name} of operation {other} came on the stream of operation {op} (WIRE-9)"
                )));
            }
            match frame.kind {
                STREAM => answer.streams.push(frame.payload.clone()),
                CANCEL => {
                    let reason = varint::decode(&frame.payload);
                    answer.cancel = Some(reason.map_or(0, |(reason, _)| reason));
                }
                _ => answer.error = frame.error().or(answer.error),
            }
        }
        Ok(answer)
    }

    /// Whether the server has refused the connection, or it is over for another reason.
    pub(super) fn is_refused(&self) -> bool {
        self.is_over() || self.frames(0).iter().any(|frame| frame.error().is_some())
    }

    /// Waits until the connection is over.
    ///
    /// A CONNECTION_CLOSE that is lost need not be sent again. So the server is asked for a sign
    /// of life from time to time: once it gives none, and `silence_counts`, the connection is over
    /// too.
    pub(super) fn until_over(
        &mut self,
        what: &str,
        silence_counts: impl Fn(&Self) -> bool,
    ) -> Result<(), Stop> {
        let give_up = self.give_up();
        let mut ask = Instant::now() + BETWEEN_PINGS;
        while !self.is_over() {
            let now = Instant::now();
            if self.last_heard.elapsed() >= SILENCE && silence_counts(self) {
                return Ok(());
            }
            if now >= give_up {
                let words = self.describe();
                return Err(failed(format!("{what} did not come in time; {words}")));
            }
            if now >= ask {
                // It cannot fail on a connection that is not over.
                let _asked = self.quic.send_ack_eliciting();
                ask = now + BETWEEN_PINGS;
            }
            self.turn();
        }
        Ok(())
    }

    /// Waits until the server has refused the connection with one of `codes`: by ERROR on the
    /// control stream, by CONNECTION_CLOSE, or both alike (`GAP-5`). A transport may lose the ERROR
    /// that comes right before the close.
    pub(super) fn refused(&mut self, codes: &[ErrorCode]) -> Result<(), Stop> {
        let wanted = list(codes);
        let what = format!("{wanted} and the end of the connection");
        self.until_over(&what, Self::is_refused)?;
        let said = self.frames(0).iter().find_map(Frame::error);
        let closed = self.closed_with();
        let is_wanted = |code: Option<ErrorCode>| code.is_none_or(|code| codes.contains(&code));
        if (said.is_some() || closed.is_some()) && is_wanted(said) && is_wanted(closed) {
            return Ok(());
        }
        Err(failed(format!(
            "{wanted} was expected; {}",
            self.describe()
        )))
    }

    /// What the server said on the control stream and how the connection is, in words.
    pub(super) fn describe(&self) -> String {
        let mut said: Vec<String> = self.frames(0).iter().take(8).map(Frame::name).collect();
        if said.is_empty() {
            said.push("nothing".into());
        }
        format!(
            "on the control stream the server said {}, and {}",
            said.join(", "),
            self.state()
        )
    }

    fn state(&self) -> String {
        if self.nobody_listens {
            return "nobody listens at its port".into();
        }
        if let Some(error) = self.quic.peer_error() {
            let reason = String::from_utf8_lossy(&error.reason);
            let reason: String = reason.chars().take(80).collect();
            let code = match (error.is_app, error.error_code) {
                (true, 0) => "code 0".into(),
                (true, code) => ErrorCode::from_wire(code).to_string(),
                (false, code) => format!("QUIC's error {code:#x}"),
            };
            return format!("closed with {code}{}", quoted(&reason));
        }
        if let Some(error) = self.quic.local_error() {
            let reason = String::from_utf8_lossy(&error.reason);
            return format!(
                "QUIC on this side ended with error {:#x}{}",
                error.error_code,
                quoted(&reason)
            );
        }
        match (self.quic.is_timed_out(), self.quic.is_closed()) {
            (true, _) => "the connection timed out".into(),
            (_, true) => "the connection is closed".into(),
            _ => "the connection is open".into(),
        }
    }

    /// Waits until it is so.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&Self) -> bool,
    ) -> Result<(), Stop> {
        let give_up = self.give_up();
        loop {
            if is_so(self) {
                return Ok(());
            }
            if self.is_over() {
                return Err(failed(format!("{what} was expected; {}", self.describe())));
            }
            if Instant::now() >= give_up {
                return Err(failed(format!(
                    "{what} did not come in time; {}",
                    self.describe()
                )));
            }
            self.turn();
        }
    }

    /// Listens for a while, or until the connection is over.
    pub(super) fn linger(&mut self, time: Duration) {
        let until = (Instant::now() + time).min(self.ends);
        while Instant::now() < until && !self.is_over() {
            self.turn_within(until.saturating_duration_since(Instant::now()));
        }
    }

    fn give_up(&self) -> Instant {
        (Instant::now() + self.patience).min(self.ends)
    }

    fn turn(&mut self) {
        self.turn_within(LONGEST_SLEEP);
    }

    /// Sends what there is, waits at most so long for what comes, and reads it.
    fn turn_within(&mut self, time: Duration) {
        self.flush();
        let timer = self.quic.timeout().unwrap_or(LONGEST_SLEEP);
        // A timeout of zero would be none at all.
        let sleep = timer
            .min(time)
            .clamp(Duration::from_millis(1), LONGEST_SLEEP);
        // Neither can fail on a socket that is bound.
        let _set = self.socket.set_read_timeout(Some(sleep));
        self.receive();
        let _set = self.socket.set_nonblocking(true);
        for _ in 0..MOST_DATAGRAMS {
            if !self.receive() {
                break;
            }
        }
        let _set = self.socket.set_nonblocking(false);
        let due = self.quic.timeout_instant();
        if due.is_some_and(|due| due <= Instant::now()) {
            self.quic.on_timeout();
        }
        self.read();
        self.flush();
    }

    /// Takes one datagram; whether there was one.
    fn receive(&mut self) -> bool {
        match self.socket.recv(&mut self.buffer) {
            Ok(len) => {
                self.last_heard = Instant::now();
                let info = quiche::RecvInfo {
                    from: self.address,
                    to: self.local,
                };
                // What a bad packet means, the connection's state says.
                let _bad = self.quic.recv(&mut self.buffer[..len], info);
                true
            }
            Err(error) => {
                // After a close it is no news that nobody listens.
                let refused = error.kind() == ErrorKind::ConnectionRefused;
                self.nobody_listens |= refused && self.quic.peer_error().is_none();
                false
            }
        }
    }

    fn read(&mut self) {
        for stream in self.quic.readable() {
            let came = self.came.entry(stream).or_default();
            while came.rest.len() < MOST_PENDING && came.frames.len() < MOST_FRAMES {
                match self.quic.stream_recv(stream, &mut self.buffer) {
                    Ok((len, fin)) => {
                        came.rest.extend_from_slice(&self.buffer[..len]);
                        let (frames, used) = wire::frames(&came.rest);
                        came.frames.extend(frames);
                        came.rest.drain(..used);
                        came.fin |= fin;
                        if fin {
                            break;
                        }
                    }
                    Err(quiche::Error::StreamReset(code)) => {
                        came.reset = Some(code);
                        break;
                    }
                    Err(_) => break,
                }
            }
        }
    }

    fn flush(&mut self) {
        while let Ok((len, _)) = self.quic.send(&mut self.buffer) {
            // A packet that the system does not take is lost, and sent again.
            let _lost = self.socket.send(&self.buffer[..len]);
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !self.is_over() && self.quic.close(true, 0, b"").is_ok() {
            self.flush();
        }
    }
}

/// Codes, in words.
fn list(codes: &[ErrorCode]) -> String {
    let names: Vec<_> = codes.iter().map(ToString::to_string).collect();
    names.join(" or ")
}

fn quoted(reason: &str) -> String {
    match reason.is_empty() {
        true => String::new(),
        false => format!(" ({reason:?})"),
    }
}

/// How often the server is asked for a sign of life while it should close.
const BETWEEN_PINGS: Duration = Duration::from_millis(250);

/// After how long without one there is none to come.
const SILENCE: Duration = Duration::from_secs(3);

/// How long to sleep when nothing is due.
const LONGEST_SLEEP: Duration = Duration::from_millis(100);

/// How many datagrams are taken before timers are looked at again.
const MOST_DATAGRAMS: usize = 64;

/// The most of a frame that is kept: a server cannot fill this machine's memory.
const MOST_PENDING: usize = 4 << 20;

/// The most frames that are kept of a stream.
const MOST_FRAMES: usize = 100_000;
