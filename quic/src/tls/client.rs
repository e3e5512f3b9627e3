//! The client's state machine (RFC 8446 §A.1).

use super::certificate::{self, ServerKey};
use super::client_hello::Hello;
use super::codes::{self, ILLEGAL, alert, malformed, message, no_room, unexpected};
use super::exchange::PrivateKeys;
use super::extensions::unsolicited;
use super::schedule::{self, Hash, Transcript};
use super::server_hello::{Answer, ServerHello};
use super::server_messages::{self as messages, NewTicket};
use super::ticket::{self, Offer};
use crate::coding::{Reader, Writer};
use crate::config::{Config, Group, Suite};
use crate::crypto::{Secret, hkdf};
use crate::error::{Code, Fault, fault};

/// What a server's signature is over, in front of the transcript's hash (RFC 8446 §4.4.3).
const SIGNED: &[u8; 98] = b"                                                                \
                            TLS 1.3, server CertificateVerify\0";

/// The keys that a handshake message was protected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Initial,
    Handshake,
    /// 1-RTT.
    Application,
}

/// What a message led to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Progress<'a> {
    /// Nothing that others need to know.
    More,
    /// HelloRetryRequest: a second ClientHello, of the Initial level, was written.
    Retry,
    /// ServerHello: [`Client::secrets`] has those of the Handshake level.
    HandshakeKeys,
    /// EncryptedExtensions: the server's transport parameters, encoded. They are not to be relied
    /// on before [`Progress::Done`].
    Parameters(&'a [u8]),
    /// The server's Finished: it is who it should be, [`Client::secrets`] has those of the
    /// Application level, and our last messages, of the Handshake level, were written.
    Done,
    /// NewSessionTicket: what [`Config::ticket`] of another connection takes was written. A later
    /// ticket is as good as an earlier one.
    Ticket,
}

impl Progress<'_> {
    /// The same without the message's bytes, which may be overwritten then.
    pub(crate) const fn detached(self) -> Progress<'static> {
        match self {
            Self::More => Progress::More,
            Self::Retry => Progress::Retry,
            Self::HandshakeKeys => Progress::HandshakeKeys,
            Self::Parameters(_) => Progress::Parameters(&[]),
            Self::Done => Progress::Done,
            Self::Ticket => Progress::Ticket,
        }
    }
}

/// The TLS side of a connection. About 300 bytes, most of which only the handshake needs.
#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
pub(crate) struct Client {
    state: State,
    /// Everything up to the state's next message. Nobody reads it once the handshake is done.
    transcript: Transcript,
    /// Chosen by the server's first message.
    suite: Option<Suite>,
    /// When the server last proved itself by its certificate, where it took a ticket of ours.
    proven: Option<u64>,
}

#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
enum State {
    /// Before ServerHello.
    Hello(Greeting),
    /// From ServerHello to the server's Finished.
    Flight(Flight),
    Done(Established),
    /// An error ended it.
    Failed,
}

#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
struct Greeting {
    random: [u8; 32],
    keys: PrivateKeys,
    /// The group of the key share that was sent. `None` before the first ClientHello.
    group: Option<Group>,
    retried: bool,
}

#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
struct Flight {
    traffic: Traffic,
    master: Secret,
    next: Next,
    /// Whether the server asked for a certificate.
    asked: bool,
}

/// What the server has to send next.
#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
enum Next {
    EncryptedExtensions,
    /// Or CertificateRequest, once.
    Certificate,
    CertificateVerify(ServerKey),
    Finished,
}

#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
struct Established {
    exporter: Secret,
    resumption: Secret,
    /// Until they were made into keys.
    traffic: Option<Traffic>,
}

/// The traffic secrets of one level.
#[cfg_attr(any(test, feature = "fuzzing"), derive(Clone))]
pub(crate) struct Traffic {
    pub(crate) client: Secret,
    pub(crate) server: Secret,
}

// What reads a message of one type has a frame of its own (`inline(never)`): what it needs is not on
// the stack while another message's signature is verified.

/// What a message is read with.
struct Context<'a, 'w> {
    config: &'a Config<'a>,
    parameters: &'a [u8],
    out: &'a mut Writer<'w>,
}

impl Client {
    /// A client that has said nothing yet. All of its arguments are random bytes; the last two are
    /// secret, and are of no use to anything else.
    pub(crate) fn new(random: [u8; 32], x25519: [u8; 32], p256: [u8; 32]) -> Self {
        Self {
            state: State::Hello(Greeting {
                random,
                keys: PrivateKeys::new(x25519, p256),
                group: None,
                retried: false,
            }),
            transcript: Transcript::new(),
            suite: None,
            proven: None,
        }
    }

    /// Writes ClientHello, which is of the Initial level. `parameters` are our transport
    /// parameters, encoded. INTERNAL_ERROR when it was said already, `out` is too small, or `config`
    /// names no suite, no group, or no protocol of 1 to 255 bytes.
    pub(crate) fn start(
        &mut self,
        config: &Config<'_>,
        parameters: &[u8],
        out: &mut Writer<'_>,
    ) -> Result<(), Fault> {
        let State::Hello(greeting @ Greeting { group: None, .. }) = &mut self.state else {
            return Err(no_room());
        };
        let group = *config.groups.first().ok_or(no_room())?;
        greeting.group = Some(group);
        let hello = Hello {
            random: &greeting.random,
            keys: &greeting.keys,
            group,
            parameters,
            cookie: &[],
        };
        hello
            .write(config, &mut self.transcript, out)
            .ok_or(no_room())
    }

    /// Reads one whole handshake message, header included, that came at `level`. `config` and
    /// `parameters` are those that [`Client::start`] had. What is to be sent is written to `out`;
    /// for a message of the Application level, `out` is where a ticket goes, which takes
    /// [`TICKET_MAX`](super::TICKET_MAX) bytes at the most.
    ///
    /// After an error nothing is read any more.
    pub(crate) fn read<'a>(
        &mut self,
        level: Level,
        message: &'a [u8],
        config: &Config<'_>,
        parameters: &[u8],
        out: &mut Writer<'_>,
    ) -> Result<Progress<'a>, Fault> {
        let mut context = Context {
            config,
            parameters,
            out,
        };
        let progress = self.dispatch(level, message, &mut context);
        if progress.is_err() {
            self.state = State::Failed;
        }
        progress
    }

    fn dispatch<'a>(
        &mut self,
        level: Level,
        message: &'a [u8],
        context: &mut Context<'_, '_>,
    ) -> Result<Progress<'a>, Fault> {
        let mut reader = Reader::new(message);
        let kind = reader.u8().ok_or(malformed())?;
        let body = reader.u24_bytes().ok_or(malformed())?;
        if !reader.is_empty() {
            return Err(malformed());
        }
        let resumed = self.is_resumed();
        match (&mut self.state, level, kind) {
            (State::Hello(_), Level::Initial, message::SERVER_HELLO) => {
                self.server_hello(message, body, context)
            }
            (State::Flight(flight), Level::Handshake, message::FINISHED) => {
                let established =
                    flight.finish(&mut self.transcript, message, body, context.out)?;
                self.state = State::Done(established);
                Ok(Progress::Done)
            }
            (State::Flight(flight), Level::Handshake, _) => {
                let progress = flight.read(&self.transcript, kind, body, context, resumed)?;
                self.transcript.add(message);
                Ok(progress)
            }
            (State::Done(established), Level::Application, message::NEW_SESSION_TICKET) => {
                let ticket = NewTicket::parse(body)?;
                let suite = self.suite.ok_or(unexpected())?;
                let kept = ticket::keep(
                    &ticket,
                    suite,
                    &established.resumption,
                    self.proven,
                    context.config,
                    context.out,
                );
                Ok(if kept {
                    Progress::Ticket
                } else {
                    Progress::More
                })
            }
            (State::Done(_), Level::Application, message::CERTIFICATE_REQUEST) => Err(fault!(
                Code::PROTOCOL_VIOLATION,
                "a certificate is asked for behind the handshake",
            )),
            _ => Err(unexpected()),
        }
    }

    fn server_hello<'a>(
        &mut self,
        message: &'a [u8],
        body: &'a [u8],
        context: &mut Context<'_, '_>,
    ) -> Result<Progress<'a>, Fault> {
        let hello = ServerHello::parse(body)?;
        let suite = context
            .config
            .suites
            .iter()
            .copied()
            .find(|suite| codes::suite(*suite) == hello.suite)
            .ok_or(fault!(
                ILLEGAL,
                "the server chose a suite that was not offered"
            ))?;
        if self.suite.is_some_and(|before| before != suite) {
            return Err(fault!(
                ILLEGAL,
                "the server changed the suite after its retry"
            ));
        }
        self.suite = Some(suite);
        match hello.answer {
            Answer::Retry { group, cookie } => self.retry(message, group, cookie, context),
            Answer::Accept { share, psk } => self.accept(message, share, psk, context),
        }
    }

    /// Says hello again, as a HelloRetryRequest wants it (RFC 8446 §4.1.4).
    #[inline(never)]
    fn retry<'a>(
        &mut self,
        message: &'a [u8],
        group: Option<u16>,
        cookie: &'a [u8],
        context: &mut Context<'_, '_>,
    ) -> Result<Progress<'a>, Fault> {
        let State::Hello(greeting) = &mut self.state else {
            return Err(unexpected());
        };
        if greeting.retried {
            return Err(unexpected());
        }
        greeting.retried = true;
        let mut share = greeting.group.ok_or(unexpected())?;
        if let Some(code) = group {
            let sent = share;
            share = context
                .config
                .groups
                .iter()
                .copied()
                .find(|group| codes::group(*group) == code && *group != sent)
                .ok_or(fault!(
                    ILLEGAL,
                    "the server wants a group that it cannot want"
                ))?;
            greeting.group = Some(share);
        } else if cookie.is_empty() {
            return Err(fault!(ILLEGAL, "a retry that would change nothing"));
        }
        self.transcript.fold();
        self.transcript.add(message);
        let hello = Hello {
            random: &greeting.random,
            keys: &greeting.keys,
            group: share,
            parameters: context.parameters,
            cookie,
        };
        hello
            .write(context.config, &mut self.transcript, context.out)
            .ok_or(no_room())?;
        Ok(Progress::Retry)
    }

    /// Agrees on keys with the server.
    #[inline(never)]
    fn accept<'a>(
        &mut self,
        message: &[u8],
        share: Option<(u16, &[u8])>,
        psk: Option<u16>,
        context: &Context<'_, '_>,
    ) -> Result<Progress<'a>, Fault> {
        let State::Hello(greeting) = &self.state else {
            return Err(unexpected());
        };
        let sent = greeting.group.ok_or(unexpected())?;
        let (group, public) = share.ok_or(fault!(
            Code::crypto(alert::MISSING_EXTENSION),
            "the server sent no key share"
        ))?;
        if group != codes::group(sent) {
            return Err(fault!(
                ILLEGAL,
                "the server's key share is of another group"
            ));
        }
        let psk = match psk {
            None => None,
            Some(0) => Some(Offer::of(context.config).ok_or(unsolicited())?),
            Some(_) => {
                return Err(fault!(
                    ILLEGAL,
                    "the server chose a key that was not offered"
                ));
            }
        };
        let shared = greeting.keys.agree(sent, public)?;
        self.transcript.add(message);
        let hash = self.transcript.hash();
        let early = schedule::early(psk.as_ref().map_or(&Secret::ZERO, |offer| &offer.psk));
        let handshake = schedule::handshake(&early, &shared);
        self.proven = psk.map(|offer| offer.authenticated);
        self.state = State::Flight(Flight {
            traffic: Traffic {
                client: hkdf::derive(&handshake, b"c hs traffic", &hash),
                server: hkdf::derive(&handshake, b"s hs traffic", &hash),
            },
            master: schedule::master(&handshake),
            next: Next::EncryptedExtensions,
            asked: false,
        });
        Ok(Progress::HandshakeKeys)
    }

    /// The suite and the secrets of the level that was reached last. `None` before there are any,
    /// and once they were forgotten.
    pub(crate) const fn secrets(&self) -> Option<(Suite, &Traffic)> {
        let traffic = match &self.state {
            State::Flight(flight) => Some(&flight.traffic),
            State::Done(established) => established.traffic.as_ref(),
            State::Hello(_) | State::Failed => None,
        };
        match (self.suite, traffic) {
            (Some(suite), Some(traffic)) => Some((suite, traffic)),
            _ => None,
        }
    }

    /// Forgets the secrets of the Application level: from them, all keys to come could be told.
    pub(crate) fn forget_secrets(&mut self) {
        if let State::Done(established) = &mut self.state {
            established.traffic = None;
        }
    }

    /// Keying material for the application (RFC 8446 §7.5). `false`, and nothing written, before
    /// the handshake is done, or when `label` has over 249 bytes or `out` over 8160.
    pub(crate) fn export(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
        match &self.state {
            State::Done(established) => {
                schedule::export(&established.exporter, label, context, out)
            }
            _ => false,
        }
    }

    /// Whether the server took the ticket that it was offered.
    pub(crate) const fn is_resumed(&self) -> bool {
        self.proven.is_some()
    }
}

impl Flight {
    /// Reads a message of the server's flight that is not Finished. `transcript` ends in front of
    /// it.
    fn read<'a>(
        &mut self,
        transcript: &Transcript,
        kind: u8,
        body: &'a [u8],
        context: &Context<'_, '_>,
        resumed: bool,
    ) -> Result<Progress<'a>, Fault> {
        let mut progress = Progress::More;
        match (&self.next, kind) {
            (Next::EncryptedExtensions, message::ENCRYPTED_EXTENSIONS) => {
                let parameters = messages::encrypted_extensions(body, context.config)?;
                progress = Progress::Parameters(parameters);
                // Who knows the pre-shared key needs no certificate.
                self.next = if resumed {
                    Next::Finished
                } else {
                    Next::Certificate
                };
            }
            (Next::Certificate, message::CERTIFICATE_REQUEST) if !self.asked => {
                messages::certificate_request(body)?;
                self.asked = true;
            }
            (Next::Certificate, message::CERTIFICATE) => {
                self.next = Next::CertificateVerify(server_key(body, context.config)?);
            }
            (Next::CertificateVerify(key), message::CERTIFICATE_VERIFY) => {
                verify(key, body, &transcript.hash())?;
                self.next = Next::Finished;
            }
            _ => return Err(unexpected()),
        }
        Ok(progress)
    }

    /// Reads the server's Finished and writes our last messages: an empty certificate when there
    /// was a request, and Finished.
    #[inline(never)]
    fn finish(
        &self,
        transcript: &mut Transcript,
        message: &[u8],
        body: &[u8],
        out: &mut Writer<'_>,
    ) -> Result<Established, Fault> {
        if !matches!(self.next, Next::Finished) {
            return Err(unexpected());
        }
        if body.len() != size_of::<Hash>() {
            return Err(malformed());
        }
        let expected = schedule::finished(&self.traffic.server, &transcript.hash());
        if !hkdf::equal(body, &expected) {
            return Err(fault!(
                Code::crypto(alert::DECRYPT_ERROR),
                "the server's Finished is wrong"
            ));
        }
        transcript.add(message);
        let hash = transcript.hash();
        if self.asked {
            const EMPTY: [u8; 8] = [message::CERTIFICATE, 0, 0, 4, 0, 0, 0, 0];
            out.bytes(&EMPTY).ok_or(no_room())?;
            transcript.add(&EMPTY);
        }
        let finished = schedule::finished(&self.traffic.client, &transcript.hash());
        let at = out.len();
        out.bytes(&[message::FINISHED, 0, 0, 32])
            .and_then(|()| out.bytes(&finished))
            .ok_or(no_room())?;
        transcript.add(out.written().get(at..).unwrap_or_default());
        Ok(Established {
            exporter: hkdf::derive(&self.master, b"exp master", &hash),
            resumption: hkdf::derive(&self.master, b"res master", &transcript.hash()),
            traffic: Some(Traffic {
                client: hkdf::derive(&self.master, b"c ap traffic", &hash),
                server: hkdf::derive(&self.master, b"s ap traffic", &hash),
            }),
        })
    }
}

/// The key of the certificate in a Certificate message, which is one that `config` trusts.
#[inline(never)]
fn server_key(body: &[u8], config: &Config<'_>) -> Result<ServerKey, Fault> {
    certificate::check(
        messages::certificate(body)?,
        &config.trust,
        config.server_name,
        config.unix_time,
    )
}

/// Checks a CertificateVerify message: that the server has the private key to `key`.
#[inline(never)]
fn verify(key: &ServerKey, body: &[u8], transcript: &Hash) -> Result<(), Fault> {
    let (scheme, signature) = messages::certificate_verify(body)?;
    if !codes::SCHEMES.contains(&scheme) {
        return Err(fault!(ILLEGAL, "a signature scheme that was not offered"));
    }
    let mut signed = [0; SIGNED.len() + size_of::<Hash>()];
    if let Some((front, back)) = signed.split_first_chunk_mut() {
        *front = *SIGNED;
        back.copy_from_slice(transcript);
    }
    key.verify(scheme, &signed, signature)
}
