//! The independent end: quinn-proto, which is sans-IO too, and so takes our clock.
//!
//! It serves streams: what the client sends on one comes back on it, the end included.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aire_quic::{Instant, Micros};
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, Event, ServerConfig,
    StreamEvent, StreamId, TransportConfig, VarInt,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};

pub const ALPN: &[u8] = b"aire-quic-test/0";

/// How the server is set up.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Validates addresses by Retry.
    pub retry: bool,
    pub only_chacha: bool,
    pub only_aes: bool,
    /// Takes no key share but of P-256.
    pub only_p256: bool,
    /// Signs with a P-256 key in place of Ed25519.
    pub p256_key: bool,
    pub idle: Option<Micros>,
    /// Sends datagrams as long as the path takes.
    pub max_udp_payload: Option<u16>,
    pub no_migration: bool,
}

/// What both ends have to know of the server: it outlives a connection.
pub struct Identity {
    config: Arc<ServerConfig>,
    pub pin: [u8; 32],
    pub certificate: Vec<u8>,
    retry: bool,
}

impl Identity {
    pub fn new(options: &Options) -> Self {
        let algorithm = if options.p256_key {
            &rcgen::PKCS_ECDSA_P256_SHA256
        } else {
            &rcgen::PKCS_ED25519
        };
        let key = rcgen::KeyPair::generate_for(algorithm).unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let pin = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).into();
        Self {
            config: Arc::new(server_config(options, &certificate, &key)),
            pin,
            certificate: certificate.der().to_vec(),
            retry: options.retry,
        }
    }
}

fn server_config(
    options: &Options,
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
) -> ServerConfig {
    use rustls::crypto::ring::{cipher_suite, default_provider, kx_group};
    let mut provider = default_provider();
    // QUIC's Initial packets want AES-128-GCM to be there, whatever TLS agrees on.
    if options.only_chacha {
        provider.cipher_suites = vec![
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
        ];
    }
    if options.only_aes {
        provider.cipher_suites = vec![cipher_suite::TLS13_AES_128_GCM_SHA256];
    }
    if options.only_p256 {
        provider.kx_groups = vec![kx_group::SECP256R1];
    }
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    let mut config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    let mut transport = TransportConfig::default();
    transport.max_concurrent_bidi_streams(VarInt::from_u32(16));
    transport.max_idle_timeout(Some(
        Duration::from_micros(options.idle.unwrap_or(Micros::from_secs(30)).get())
            .try_into()
            .unwrap(),
    ));
    config.transport_config(Arc::new(transport));
    config.migration(!options.no_migration);
    // A NEW_TOKEN after each handshake.
    let mut tokens = quinn_proto::ValidationTokenConfig::default();
    tokens.sent(1);
    config.validation_token_config(tokens);
    config
}

/// A server with at most one connection.
pub struct Server {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, quinn_proto::Connection)>,
    retry: bool,
    /// What quinn's clock shows when ours shows zero.
    epoch: std::time::Instant,
    outbox: Vec<Vec<u8>>,
    echoes: BTreeMap<StreamId, Echo>,
    pub log: Vec<String>,
    pub lost: bool,
    pub retries: u32,
    pub client_ports: Vec<u16>,
}

#[derive(Default)]
struct Echo {
    waiting: Vec<u8>,
    ended: bool,
    finished: bool,
}

impl Server {
    pub fn new(identity: &Identity) -> Self {
        let mut endpoint = EndpointConfig::default();
        endpoint.grease_quic_bit(false);
        Self {
            endpoint: Endpoint::new(
                Arc::new(endpoint),
                Some(Arc::clone(&identity.config)),
                true,
                Some([3; 32]),
            ),
            connection: None,
            retry: identity.retry,
            epoch: std::time::Instant::now(),
            outbox: Vec::new(),
            echoes: BTreeMap::new(),
            log: Vec::new(),
            lost: false,
            retries: 0,
            client_ports: Vec::new(),
        }
    }

    fn at(&self, now: Instant) -> std::time::Instant {
        self.epoch + Duration::from_micros(now.as_micros())
    }

    /// Loses all state of its connection: what comes of it is answered with a stateless reset.
    pub fn forget(&mut self) {
        if let Some((handle, _)) = self.connection.take() {
            self.endpoint
                .handle_event(handle, quinn_proto::EndpointEvent::drained());
        }
    }

    pub fn connection(&mut self) -> Option<&mut quinn_proto::Connection> {
        self.connection.as_mut().map(|(_, connection)| connection)
    }

    pub fn handle(&mut self, datagram: &[u8], port: u16, now: Instant) {
        let at = self.at(now);
        let from = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)), port);
        let mut answer = Vec::new();
        match self
            .endpoint
            .handle(at, from, None, None, datagram.into(), &mut answer)
        {
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                if let Some((known, connection)) = &mut self.connection
                    && *known == handle
                {
                    connection.handle_event(event);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => {
                if self.connection.is_some() {
                    self.endpoint.ignore(incoming);
                } else if self.retry && !incoming.remote_address_validated() {
                    self.retries += 1;
                    let transmit = self.endpoint.retry(incoming, &mut answer).unwrap();
                    answer.truncate(transmit.size);
                    self.outbox.push(answer);
                } else {
                    match self.endpoint.accept(incoming, at, &mut answer, None) {
                        Ok(accepted) => self.connection = Some(accepted),
                        Err(error) => {
                            self.log.push(format!("{:?}", error.cause));
                            if let Some(transmit) = error.response {
                                answer.truncate(transmit.size);
                                self.outbox.push(answer);
                            }
                        }
                    }
                }
            }
            Some(DatagramEvent::Response(transmit)) => {
                answer.truncate(transmit.size);
                self.outbox.push(answer);
            }
            None => {}
        }
    }

    /// Serves what came.
    pub fn work(&mut self, now: Instant) {
        let at = self.at(now);
        let Some((handle, connection)) = &mut self.connection else {
            return;
        };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(event) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(event);
            }
        }
        while let Some(event) = connection.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { dir: Dir::Bi }) => {
                    while let Some(stream) = connection.streams().accept(Dir::Bi) {
                        self.echoes.entry(stream).or_default();
                    }
                }
                Event::Stream(StreamEvent::Available { .. }) => {}
                Event::ConnectionLost { reason } => {
                    self.log.push(format!("lost: {reason}"));
                    self.lost = true;
                }
                other => self.log.push(format!("{other:?}")),
            }
        }
        for (stream, echo) in &mut self.echoes {
            echo.run(*stream, connection);
        }
        let port = connection.remote_address().port();
        if self.client_ports.last() != Some(&port) {
            self.client_ports.push(port);
        }
        let _ = at;
    }

    /// Opens a stream to the client and says `text` on it; what the client answers is echoed.
    pub fn open(&mut self, text: &[u8]) -> bool {
        let Some((_, connection)) = &mut self.connection else {
            return false;
        };
        let Some(stream) = connection.streams().open(Dir::Bi) else {
            return false;
        };
        let echo = self.echoes.entry(stream).or_default();
        echo.waiting.extend_from_slice(text);
        echo.run(stream, connection);
        true
    }

    /// All datagrams that are to be sent by now.
    pub fn transmits(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let at = self.at(now);
        let mut all = std::mem::take(&mut self.outbox);
        if let Some((_, connection)) = &mut self.connection {
            let mut buffer = Vec::new();
            while let Some(transmit) = connection.poll_transmit(at, 1, &mut buffer) {
                all.push(buffer[..transmit.size].to_vec());
                buffer.clear();
            }
        }
        all
    }

    pub fn next_deadline(&mut self) -> Option<Instant> {
        let epoch = self.epoch;
        let (_, connection) = self.connection.as_mut()?;
        let at = connection.poll_timeout()?;
        let since = at.saturating_duration_since(epoch);
        // Rounded up: our clock counts microseconds.
        Some(Instant::from_micros(since.as_micros() as u64 + 1))
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let at = self.at(now);
        if let Some((_, connection)) = &mut self.connection
            && connection.poll_timeout().is_some_and(|due| due <= at)
        {
            connection.handle_timeout(at);
        }
    }
}

impl Echo {
    fn run(&mut self, stream: StreamId, connection: &mut quinn_proto::Connection) {
        if !self.ended && self.waiting.len() < 65_536 {
            self.receive(stream, connection);
        }
        while !self.waiting.is_empty() {
            match connection.send_stream(stream).write(&self.waiting) {
                Ok(count) => {
                    self.waiting.drain(..count);
                }
                Err(_) => return,
            }
        }
        if self.ended && !self.finished {
            self.finished = true;
            let _ = connection.send_stream(stream).finish();
        }
    }

    fn receive(&mut self, stream: StreamId, connection: &mut quinn_proto::Connection) {
        let mut receive = connection.recv_stream(stream);
        let Ok(mut chunks) = receive.read(true) else {
            return;
        };
        loop {
            match chunks.next(65_536) {
                Ok(Some(chunk)) => self.waiting.extend_from_slice(&chunk.bytes),
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(_) => break,
            }
        }
        let _ = chunks.finalize();
    }
}
