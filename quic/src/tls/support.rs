//! A server's half of the handshake, for tests: it checks what a client says and answers with real
//! flights, spoiled where a test wants them to be.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
// Fuzzing needs a part of it.
#![cfg_attr(not(test), allow(dead_code))]

use std::vec;
use std::vec::Vec;

use super::codes::{self, extension, message};
use super::exchange::PrivateKeys;
use super::schedule::{self, Hash, Transcript};
use super::server_hello::RETRY;
use super::{Client, Level};
use crate::coding::{Reader, Writer};
use crate::config::{Config, Group, Suite, Trust};
use crate::crypto::{Secret, hkdf};

/// Where an extension block begins in the bodies of ServerHello, EncryptedExtensions and
/// CertificateRequest.
pub(crate) const IN_SERVER_HELLO: usize = 38;
pub(crate) const IN_ENCRYPTED_EXTENSIONS: usize = 0;
pub(crate) const IN_CERTIFICATE_REQUEST: usize = 1;

/// What [`Server::spoil`] calls a HelloRetryRequest, which is a ServerHello by its type.
pub(crate) const HELLO_RETRY_REQUEST: u8 = 6;

pub(crate) const NAME: &str = "server.example";
pub(crate) const ALPN: &[u8] = b"aire";
pub(crate) const CLIENT_PARAMETERS: &[u8] = b"\x01\x02\x40\x64";
pub(crate) const SERVER_PARAMETERS: &[u8] = b"\x04\x02\x40\x65";
/// In 2026.
pub(crate) const NOW: u64 = 1_790_000_000;

/// SHA-256 of both identities' SubjectPublicKeyInfo.
pub(crate) const PINS: &[[u8; 32]] = &[
    [
        0x32, 0x4b, 0xe2, 0xde, 0xa8, 0xbc, 0x44, 0x46, 0x1b, 0x02, 0x33, 0xe5, 0x1f, 0xa4, 0x89,
        0x02, 0xed, 0x6b, 0x1c, 0xc6, 0x71, 0xe7, 0x73, 0x9a, 0xf2, 0x55, 0x1e, 0x0b, 0xfe, 0x68,
        0xf5, 0x4e,
    ],
    [
        0x40, 0xf5, 0xcc, 0xec, 0x43, 0x50, 0xfd, 0x37, 0x7f, 0x2d, 0x52, 0xac, 0x92, 0xca, 0xc8,
        0xcd, 0x17, 0x5a, 0x3c, 0xef, 0x27, 0x88, 0x90, 0xc3, 0x38, 0x03, 0x81, 0x23, 0x04, 0xb5,
        0xa3, 0xe1,
    ],
];

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| (byte as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// A client's usual configuration.
pub(crate) fn config() -> Config<'static> {
    Config {
        unix_time: Some(NOW),
        ..Config::new(NAME, ALPN, Trust::Pins(PINS))
    }
}

/// The certificate of the authority that signed that of [`Identity::Ed25519`].
#[cfg(feature = "authority")]
pub(crate) fn authority() -> Vec<u8> {
    hex(
        "3081db30818ea003020102020102300506032b6570300d310b30090603550403\
         0c026361301e170d3230303130313030303030305a170d343930313031303030\
         3030305a300d310b300906035504030c026361302a300506032b6570032100fd\
         1724385aa0c75b64fb78cd602fa1d991fdebf76b13c58ed702eac835e9f618a3\
         133011300f0603551d130101ff040530030101ff300506032b6570034100f278\
         2ed6e9f6b4df33e0d5b1f3d250a9c51facc7083fc5ad5b29d8974feabafb0e93\
         ca1275377e3ebafc5aa35a23f0781b697f01767f263e9e2bb2513f7bb80b",
    )
}

/// What a server proves itself by.
#[derive(Clone, Copy)]
pub(crate) enum Identity {
    /// The seed is 32 times 7.
    Ed25519,
    /// The private key is 32 times 8.
    #[cfg(feature = "p256")]
    P256,
}

impl Identity {
    pub(crate) fn certificate(self) -> Vec<u8> {
        hex(match self {
            Self::Ed25519 => {
                "3081e4308197a003020102020101300506032b6570300d310b30090603550403\
                 0c026361301e170d3230303130313030303030305a170d343930313031303030\
                 3030305a300c310a300806035504030c0173302a300506032b6570032100ea4a\
                 6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22ca31d\
                 301b30190603551d1104123010820e7365727665722e6578616d706c65300506\
                 032b657003410007a9207518fec12fe5c31b87a2a0fe44d64ad14deaec3b4bfc\
                 6ba58a66220229fa5de363ccaa5320147399ab19f5ca54e8d9ecc38ddcf20edf\
                 75d905368c3201"
            }
            #[cfg(feature = "p256")]
            Self::P256 => {
                "308201223081caa003020102020101300a06082a8648ce3d040302300c310a30\
                 0806035504030c0173301e170d3230303130313030303030305a170d34393031\
                 30313030303030305a300c310a300806035504030c01733059301306072a8648\
                 ce3d020106082a8648ce3d030107034200043adab15d66256bf15cd716035b3f\
                 041444e512fed1dd64d4ba75597d20e366f1546d2c90a83ebaba01595099e5f3\
                 ffbbd3384c7494de6759fdd5e65efae9cc67a31d301b30190603551d11041230\
                 10820e7365727665722e6578616d706c65300a06082a8648ce3d040302034700\
                 304402205583cef138245f08c5367dd6559ddeec8ac6769868119927f627fd62\
                 2d548bee022061c68555a66545b514297792891a415fe87e45fc03044d22c1bb\
                 97b21e3b8486"
            }
        })
    }

    fn sign(self, content: &[u8]) -> (u16, Vec<u8>) {
        match self {
            Self::Ed25519 => {
                use ed25519_compact::{KeyPair, Seed};
                let pair = KeyPair::from_seed(Seed::new([7; 32]));
                (0x0807, pair.sk.sign(content, None).to_vec())
            }
            #[cfg(feature = "p256")]
            Self::P256 => {
                use p256::ecdsa::{Signature, SigningKey, signature::Signer};
                let key = SigningKey::from_slice(&[8; 32]).unwrap();
                let signature: Signature = key.sign(content);
                (0x0403, signature.to_der().as_bytes().to_vec())
            }
        }
    }
}

/// A ClientHello, taken apart.
pub(crate) struct Offered {
    pub(crate) random: [u8; 32],
    pub(crate) suites: Vec<u16>,
    pub(crate) extensions: Vec<(u16, Vec<u8>)>,
}

impl Offered {
    /// Parses a whole message and checks the rules that hold for each.
    pub(crate) fn parse(hello: &[u8]) -> Self {
        let mut reader = Reader::new(hello);
        assert_eq!(reader.u8(), Some(message::CLIENT_HELLO));
        let mut body = Reader::new(reader.u24_bytes().unwrap());
        assert!(reader.is_empty());
        assert_eq!(body.u16(), Some(0x0303));
        let random = body.array().unwrap();
        assert_eq!(body.u8_bytes(), Some(&[][..]));
        let mut list = Reader::new(body.u16_bytes().unwrap());
        let mut suites = vec![];
        while let Some(suite) = list.u16() {
            suites.push(suite);
        }
        assert!(list.is_empty());
        assert_eq!(body.u8_bytes(), Some(&[0][..]));
        let mut block = Reader::new(body.u16_bytes().unwrap());
        assert!(body.is_empty());
        let mut extensions: Vec<(u16, Vec<u8>)> = vec![];
        while !block.is_empty() {
            let kind = block.u16().unwrap();
            assert!(extensions.iter().all(|(other, _)| *other != kind));
            assert!(
                extensions
                    .iter()
                    .all(|(other, _)| *other != extension::PRE_SHARED_KEY)
            );
            extensions.push((kind, block.u16_bytes().unwrap().to_vec()));
        }
        Self {
            random,
            suites,
            extensions,
        }
    }

    pub(crate) fn get(&self, kind: u16) -> Option<&[u8]> {
        self.extensions
            .iter()
            .find(|(other, _)| *other == kind)
            .map(|(_, content)| &content[..])
    }

    /// Group and public key of the only key share.
    pub(crate) fn share(&self) -> (u16, Vec<u8>) {
        let mut content = Reader::new(self.get(extension::KEY_SHARE).unwrap());
        let mut list = Reader::new(content.u16_bytes().unwrap());
        let group = list.u16().unwrap();
        let public = list.u16_bytes().unwrap().to_vec();
        assert!(list.is_empty() && content.is_empty());
        (group, public)
    }

    /// Identity, veiled age and binder of the only pre-shared key.
    pub(crate) fn psk(&self) -> Option<(Vec<u8>, u32, Vec<u8>)> {
        let mut content = Reader::new(self.get(extension::PRE_SHARED_KEY)?);
        let mut identities = Reader::new(content.u16_bytes().unwrap());
        let identity = identities.u16_bytes().unwrap().to_vec();
        let age = identities.u32().unwrap();
        let mut binders = Reader::new(content.u16_bytes().unwrap());
        let binder = binders.u8_bytes().unwrap().to_vec();
        assert!(identities.is_empty() && binders.is_empty() && content.is_empty());
        Some((identity, age, binder))
    }
}

/// Spoils a message's body.
pub(crate) type Spoil = fn(&mut Vec<u8>);

/// HelloRetryRequest's wishes.
#[derive(Clone)]
pub(crate) struct Retry {
    pub(crate) group: Option<Group>,
    pub(crate) cookie: Vec<u8>,
}

/// The secrets of a handshake that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secrets {
    pub(crate) handshake: (Hash, Hash),
    pub(crate) application: (Hash, Hash),
}

pub(crate) struct Server {
    pub(crate) group: Group,
    pub(crate) suite: Suite,
    pub(crate) identity: Identity,
    /// What it still has to ask for.
    pub(crate) retry: Option<Retry>,
    /// Whether it asks for a certificate.
    pub(crate) request: bool,
    /// A ticket that it knows, and its key.
    pub(crate) known: Option<(Vec<u8>, Secret)>,
    /// Its transport parameters, and what the client's have to be, where that matters.
    pub(crate) parameters: Vec<u8>,
    pub(crate) expected: Option<&'static [u8]>,
    /// Changes the body of a message of one type before it is sent and hashed.
    pub(crate) spoil: Option<(u8, Spoil)>,
    transcript: Transcript,
    secrets: Option<Secrets>,
    exporter: Secret,
    master: Secret,
    resumption: Secret,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self {
            group: Group::X25519,
            suite: Suite::Aes128Gcm,
            identity: Identity::Ed25519,
            retry: None,
            request: false,
            known: None,
            parameters: SERVER_PARAMETERS.to_vec(),
            expected: Some(CLIENT_PARAMETERS),
            spoil: None,
            transcript: Transcript::new(),
            secrets: None,
            exporter: Secret::ZERO,
            master: Secret::ZERO,
            resumption: Secret::ZERO,
        }
    }

    /// Answers a ClientHello by a HelloRetryRequest, or by the whole flight.
    pub(crate) fn answer(&mut self, hello: &[u8]) -> Vec<(Level, Vec<u8>)> {
        let offered = Offered::parse(hello);
        assert!(offered.suites.contains(&codes::suite(self.suite)));
        let parameters = offered.get(extension::QUIC_TRANSPORT_PARAMETERS);
        assert!(parameters.is_some() && self.expected.is_none_or(|own| Some(own) == parameters));
        if let Some(retry) = self.retry.take() {
            self.transcript.add(hello);
            self.transcript.fold();
            let mut extensions = extension(extension::SUPPORTED_VERSIONS, &[3, 4]);
            if let Some(group) = retry.group {
                let group = codes::group(group).to_be_bytes();
                extensions.extend(extension(extension::KEY_SHARE, &group));
            }
            if !retry.cookie.is_empty() {
                extensions.extend(extension(extension::COOKIE, &counted(2, &retry.cookie)));
            }
            let message = self.hello(&RETRY, &extensions, HELLO_RETRY_REQUEST);
            return vec![(Level::Initial, message)];
        }
        self.flight(&offered, hello)
    }

    fn flight(&mut self, offered: &Offered, hello: &[u8]) -> Vec<(Level, Vec<u8>)> {
        let psk = self.chosen_psk(offered, hello);
        self.transcript.add(hello);
        let (group, public) = offered.share();
        assert_eq!(group, codes::group(self.group));
        let keys = PrivateKeys::new([0x51; 32], [0x52; 32]);
        let shared = keys.agree(self.group, &public).unwrap();

        let mut share = [0; 80];
        let mut writer = Writer::new(&mut share);
        keys.write_public(self.group, &mut writer).unwrap();
        let mut content = group.to_be_bytes().to_vec();
        content.extend(counted(2, writer.written()));
        let mut extensions = extension(extension::SUPPORTED_VERSIONS, &[3, 4]);
        extensions.extend(extension(extension::KEY_SHARE, &content));
        if psk.is_some() {
            extensions.extend(extension(extension::PRE_SHARED_KEY, &[0, 0]));
        }
        let mut flight = vec![(
            Level::Initial,
            self.hello(&[0x5a; 32], &extensions, message::SERVER_HELLO),
        )];

        let early = schedule::early(psk.as_ref().unwrap_or(&Secret::ZERO));
        let handshake = schedule::handshake(&early, &shared);
        let hash = self.transcript.hash();
        let client = hkdf::derive(&handshake, b"c hs traffic", &hash);
        let server = hkdf::derive(&handshake, b"s hs traffic", &hash);
        self.master = schedule::master(&handshake);

        for message in self.handshake_messages(offered, psk.is_some(), &server) {
            flight.push((Level::Handshake, message));
        }
        let hash = self.transcript.hash();
        self.exporter = hkdf::derive(&self.master, b"exp master", &hash);
        self.secrets = Some(Secrets {
            handshake: (*client.bytes(), *server.bytes()),
            application: (
                *hkdf::derive(&self.master, b"c ap traffic", &hash).bytes(),
                *hkdf::derive(&self.master, b"s ap traffic", &hash).bytes(),
            ),
        });
        flight
    }

    fn handshake_messages(
        &mut self,
        offered: &Offered,
        resumed: bool,
        server: &Secret,
    ) -> Vec<Vec<u8>> {
        let mut protocol = offered.get(extension::ALPN).unwrap().to_vec();
        assert_eq!(protocol, counted(2, &counted(1, ALPN)));
        let mut block = extension(extension::ALPN, &std::mem::take(&mut protocol));
        block.extend(extension(extension::SUPPORTED_GROUPS, &[0, 2, 0, 0x1d]));
        block.extend(extension(
            extension::QUIC_TRANSPORT_PARAMETERS,
            &self.parameters,
        ));
        if offered.get(extension::SERVER_NAME).is_some() {
            block.extend(extension(extension::SERVER_NAME, &[]));
        }
        let mut messages = vec![self.message(message::ENCRYPTED_EXTENSIONS, counted(2, &block))];
        if !resumed {
            if self.request {
                let schemes = extension(extension::SIGNATURE_ALGORITHMS, &[0, 2, 8, 7]);
                let mut body = vec![0];
                body.extend(counted(2, &schemes));
                messages.push(self.message(message::CERTIFICATE_REQUEST, body));
            }
            let mut entry = counted(3, &self.identity.certificate());
            entry.extend([0, 0]);
            let mut body = vec![0];
            body.extend(counted(3, &entry));
            messages.push(self.message(message::CERTIFICATE, body));

            let mut content = vec![b' '; 64];
            content.extend(b"TLS 1.3, server CertificateVerify\0");
            content.extend(self.transcript.hash());
            let (scheme, signature) = self.identity.sign(&content);
            let mut body = scheme.to_be_bytes().to_vec();
            body.extend(counted(2, &signature));
            messages.push(self.message(message::CERTIFICATE_VERIFY, body));
        }
        let finished = schedule::finished(server, &self.transcript.hash());
        messages.push(self.message(message::FINISHED, finished.to_vec()));
        messages
    }

    /// The key of the offered ticket, when it is known. Its binder must be right then.
    fn chosen_psk(&self, offered: &Offered, hello: &[u8]) -> Option<Secret> {
        let (known, psk) = self.known.as_ref()?;
        let (identity, _, binder) = offered.psk()?;
        if identity != *known {
            return None;
        }
        assert_eq!(
            offered.get(extension::PSK_KEY_EXCHANGE_MODES),
            Some(&[1, 1][..])
        );
        let bound = &hello[..hello.len() - 35];
        let expected = schedule::binder(psk, &self.transcript.hash_with(bound));
        assert_eq!(binder, expected);
        Some(psk.clone())
    }

    /// Checks the client's last messages, `sent` one behind the other, and gives the secrets.
    pub(crate) fn finish(&mut self, sent: &[u8]) -> Secrets {
        let secrets = self.secrets.clone().unwrap();
        let mut sent = sent;
        if self.request && self.known.is_none() {
            let (certificate, rest) = sent.split_at(8);
            assert_eq!(certificate, [11, 0, 0, 4, 0, 0, 0, 0]);
            self.transcript.add(certificate);
            sent = rest;
        }
        let client = Secret::new(secrets.handshake.0);
        let expected = schedule::finished(&client, &self.transcript.hash());
        assert_eq!(sent[..4], [20, 0, 0, 32]);
        assert_eq!(sent[4..], expected);
        self.transcript.add(sent);
        let hash = self.transcript.hash();
        self.resumption = hkdf::derive(&self.master, b"res master", &hash);
        secrets
    }

    /// The secrets, once the flight was made.
    pub(crate) fn secrets(&self) -> Option<Secrets> {
        self.secrets.clone()
    }

    pub(crate) fn export(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
        schedule::export(&self.exporter, label, context, out)
    }

    /// A NewSessionTicket message, and the ticket's key.
    pub(crate) fn ticket(&self, ticket: &[u8], lifetime: u32) -> (Vec<u8>, Secret) {
        let mut body = lifetime.to_be_bytes().to_vec();
        body.extend(0x0102_0304u32.to_be_bytes());
        body.extend(counted(1, b"nonce"));
        body.extend(counted(2, ticket));
        body.extend([0, 0]);
        let mut message = vec![message::NEW_SESSION_TICKET];
        message.extend(counted(3, &body));
        (message, schedule::ticket_psk(&self.resumption, b"nonce"))
    }

    fn hello(&mut self, random: &[u8; 32], extensions: &[u8], spoiled_as: u8) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend(random);
        body.push(0);
        body.extend(codes::suite(self.suite).to_be_bytes());
        body.push(0);
        body.extend(counted(2, extensions));
        self.spoiled(spoiled_as, message::SERVER_HELLO, body)
    }

    fn message(&mut self, kind: u8, body: Vec<u8>) -> Vec<u8> {
        self.spoiled(kind, kind, body)
    }

    fn spoiled(&mut self, spoiled_as: u8, kind: u8, mut body: Vec<u8>) -> Vec<u8> {
        if let Some((which, spoil)) = self.spoil
            && which == spoiled_as
        {
            spoil(&mut body);
        }
        let mut message = vec![kind];
        message.extend(counted(3, &body));
        self.transcript.add(&message);
        message
    }
}

/// `bytes` behind their length, which takes `width` bytes.
pub(crate) fn counted(width: usize, bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u64).to_be_bytes()[8 - width..].to_vec();
    out.extend(bytes);
    out
}

pub(crate) fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(counted(2, content));
    out
}

/// Rewrites the extension block at `at`, which is the body's last part, without those of type
/// `kind` and with `content` as one at the end.
pub(crate) fn set_extension(body: &mut Vec<u8>, at: usize, kind: u16, content: Option<&[u8]>) {
    let mut block = Reader::new(&body[at + 2..]);
    let mut rewritten = vec![];
    while let Some(other) = block.u16() {
        let bytes = block.u16_bytes().unwrap();
        if other != kind {
            rewritten.extend(extension(other, bytes));
        }
    }
    if let Some(content) = content {
        rewritten.extend(extension(kind, content));
    }
    body.truncate(at);
    body.extend(counted(2, &rewritten));
}

/// Repeats the first extension of the block at `at` at its end.
pub(crate) fn repeat_extension(body: &mut Vec<u8>, at: usize) {
    let mut block = Reader::new(&body[at + 2..]);
    let mut rewritten = block.rest().to_vec();
    let kind = block.u16().unwrap();
    rewritten.extend(extension(kind, block.u16_bytes().unwrap()));
    body.truncate(at);
    body.extend(counted(2, &rewritten));
}

/// A client that has said nothing.
pub(crate) fn client() -> Client {
    Client::new([1; 32], [2; 32], [3; 32])
}

/// The first message of `client`.
pub(crate) fn start(client: &mut Client, config: &Config<'_>) -> Vec<u8> {
    let mut out = [0; 2048];
    let mut writer = Writer::new(&mut out);
    client
        .start(config, CLIENT_PARAMETERS, &mut writer)
        .unwrap();
    writer.written().to_vec()
}

/// A client before each message of a whole conversation, and that message: a retry, a request for
/// a certificate, and a ticket at the end.
pub(crate) fn conversation() -> Vec<(Client, Level, Vec<u8>)> {
    let config = config();
    let mut server = Server::new();
    server.retry = Some(Retry {
        group: None,
        cookie: b"cookie".to_vec(),
    });
    server.request = true;
    let mut client = client();
    let mut sent = start(&mut client, &config);
    let mut all: Vec<(Client, Level, Vec<u8>)> = vec![];
    for _ in 0..2 {
        let flight = server.answer(&sent);
        sent.clear();
        for (level, message) in flight {
            all.push((client.clone(), level, message.clone()));
            let mut out = [0; 2048];
            let mut writer = Writer::new(&mut out);
            client
                .read(level, &message, &config, CLIENT_PARAMETERS, &mut writer)
                .unwrap();
            sent.extend(writer.written());
        }
    }
    server.finish(&sent);
    let (ticket, _) = server.ticket(b"ticket", 60);
    all.push((client, Level::Application, ticket));
    all
}
