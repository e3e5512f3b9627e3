//! The client that the servers are checked with: quinn's.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use aire_interop_quic::{ALPN, Credentials, NAME};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig};
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{self, cipher_suite};
use rustls::pki_types::CertificateDer;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// How many streams a server may have open to the client at once.
pub(crate) const SERVERS_STREAMS: u32 = 2;

pub(crate) struct Client {
    pub(crate) endpoint: Endpoint,
    config: ClientConfig,
}

impl Client {
    /// Trusts `credentials`, and offers what `provider` has.
    pub(crate) fn new(credentials: &Credentials, provider: CryptoProvider) -> Self {
        let mut roots = RootCertStore::empty();
        let anchor = CertificateDer::from(credentials.anchor().to_vec());
        roots.add(anchor).unwrap();
        let mut tls = rustls::ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        let initial = cipher_suite::TLS13_AES_128_GCM_SHA256.tls13().unwrap();
        let tls = QuicClientConfig::with_initial(tls.into(), initial.quic_suite().unwrap());
        let mut config = ClientConfig::new(Arc::new(tls.unwrap()));
        let mut transport = TransportConfig::default();
        transport.max_concurrent_bidi_streams(SERVERS_STREAMS.into());
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        Self { endpoint, config }
    }

    /// Offers all that ring has.
    pub(crate) fn plain(credentials: &Credentials) -> Self {
        Self::new(credentials, ring::default_provider())
    }

    pub(crate) async fn connect(&self, server: SocketAddr) -> Result<Connection, ConnectionError> {
        let config = self.config.clone();
        self.endpoint
            .connect_with(config, server, NAME)
            .unwrap()
            .await
    }

    /// Goes on at another address.
    pub(crate) fn move_away(&self) -> SocketAddr {
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        self.endpoint.rebind(socket).unwrap();
        address
    }
}

/// Sends a command and its data on a stream of its own, and returns the answer.
pub(crate) async fn ask(connection: &Connection, command: &str, data: &[u8]) -> Vec<u8> {
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    let request = async {
        send.write_all(format!("{command}\n").as_bytes())
            .await
            .unwrap();
        send.write_all(data).await.unwrap();
        send.finish().unwrap();
    };
    let ((), answer) = tokio::join!(request, receive.read_to_end(usize::MAX));
    answer.unwrap()
}

/// As [`ask`], of a command that has no data and answers with text.
pub(crate) async fn ask_text(connection: &Connection, command: &str) -> String {
    String::from_utf8(ask(connection, command, b"").await).unwrap()
}

/// A way to `server` that tells the first byte of each datagram which comes from there.
pub(crate) async fn tap(
    server: SocketAddr,
) -> io::Result<(SocketAddr, mpsc::UnboundedReceiver<u8>)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = socket.local_addr()?;
    let (seen, see) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut datagram = [0; 2048];
        let mut client = None;
        while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
            let to = if from == server {
                let _nobody_looks = seen.send(datagram[0]);
                client.unwrap()
            } else {
                client = Some(from);
                server
            };
            socket.send_to(&datagram[..length], to).await.unwrap();
        }
    });
    Ok((address, see))
}
