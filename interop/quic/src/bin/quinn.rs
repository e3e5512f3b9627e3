//! The test protocol's server on quinn.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aire_interop_quic::server::{self, Command};
use aire_interop_quic::{ALPN, CONNECTION_WINDOW, FAILED, Options, STREAM_WINDOW, pattern};
use clap::Parser;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, Incoming, RecvStream, SendStream, TransportConfig, VarInt};
use rustls::crypto::ring::{self, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ServerConfig, SignatureAlgorithm, SignatureScheme};

type Failure = Box<dyn Error + Send + Sync>;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let options = Arguments::parse().options;
    let settings = Settings::new(&options)?;
    let (config, _) = settings.for_one_connection()?;
    let endpoint = Endpoint::server(config, options.listen)?;
    server::announce(endpoint.local_addr()?);
    while let Some(incoming) = endpoint.accept().await {
        if options.retry && !incoming.remote_address_validated() {
            incoming.retry()?;
            continue;
        }
        let (config, full_handshake) = settings.for_one_connection()?;
        tokio::spawn(serve(incoming, config, full_handshake));
    }
    Ok(())
}

/// What all connections have in common.
struct Settings {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<dyn SigningKey>,
    tls: ServerConfig,
    transport: Arc<TransportConfig>,
}

impl Settings {
    fn new(options: &Options) -> Result<Self, Failure> {
        let mut provider = ring::default_provider();
        if options.chacha {
            provider.cipher_suites = vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256];
        }
        if options.p256 {
            provider.kx_groups = vec![kx_group::SECP256R1];
        }
        let key = provider
            .key_provider
            .load_private_key(PrivateKeyDer::from_pem_file(&options.key)?)?;
        let chain = CertificateDer::pem_file_iter(&options.cert)?.collect::<Result<Vec<_>, _>>()?;
        let resolver = SingleCertAndKey::from(CertifiedKey::new(chain.clone(), Arc::clone(&key)));
        let mut tls = ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        tls.alpn_protocols = vec![ALPN.to_vec()];

        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(options.max_streams.into())
            .max_concurrent_uni_streams(0_u32.into())
            .stream_receive_window(STREAM_WINDOW.into())
            .receive_window(CONNECTION_WINDOW.into())
            .max_idle_timeout(Some(
                Duration::from_millis(options.idle_ms.into()).try_into()?,
            ));
        Ok(Self {
            chain,
            key,
            tls,
            transport: Arc::new(transport),
        })
    }

    /// quinn does not tell whether TLS resumed a session. But only a full handshake is signed: so
    /// each connection gets a configuration whose key says whether it was asked to sign.
    fn for_one_connection(&self) -> Result<(quinn::ServerConfig, Arc<AtomicBool>), Failure> {
        let key = Arc::new(WatchedKey {
            key: Arc::clone(&self.key),
            signed: Arc::default(),
        });
        let signed = Arc::clone(&key.signed);
        let mut tls = self.tls.clone();
        tls.cert_resolver = Arc::new(SingleCertAndKey::from(CertifiedKey::new(
            self.chain.clone(),
            key,
        )));
        // The suite of Initial packets, which no option touches.
        let initial = cipher_suite::TLS13_AES_128_GCM_SHA256
            .tls13()
            .and_then(|suite| suite.quic_suite())
            .ok_or("ring cannot protect Initial packets")?;
        let tls = QuicServerConfig::with_initial(Arc::new(tls), initial)?;
        let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
        config.transport_config(Arc::clone(&self.transport));
        Ok((config, signed))
    }
}

/// A key that remembers that it was used.
#[derive(Debug)]
struct WatchedKey {
    key: Arc<dyn SigningKey>,
    signed: Arc<AtomicBool>,
}

impl SigningKey for WatchedKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        self.signed.store(true, Ordering::Relaxed);
        self.key.choose_scheme(offered)
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

async fn serve(incoming: Incoming, config: quinn::ServerConfig, full_handshake: Arc<AtomicBool>) {
    let address = incoming.remote_address();
    let why = match serve_until_over(incoming, config, full_handshake).await {
        Ok(never) => match never {},
        Err(why) => why,
    };
    server::log_end(address, why);
}

async fn serve_until_over(
    incoming: Incoming,
    config: quinn::ServerConfig,
    full_handshake: Arc<AtomicBool>,
) -> Result<std::convert::Infallible, Failure> {
    let connection = incoming.accept_with(Arc::new(config))?.await?;
    loop {
        let (mut send, mut receive) = connection.accept_bi().await?;
        let resumed = !full_handshake.load(Ordering::Relaxed);
        let connection = connection.clone();
        tokio::spawn(async move {
            if let Err(error) = answer(&connection, resumed, &mut send, &mut receive).await {
                eprintln!("stream {}: {error}", send.id());
                // One that is over already is none to reset.
                let _ = send.reset(FAILED.into());
                let _ = receive.stop(FAILED.into());
            }
        });
    }
}

/// Does what the first line of a stream says.
async fn answer(
    connection: &Connection,
    resumed: bool,
    send: &mut SendStream,
    receive: &mut RecvStream,
) -> Result<(), Failure> {
    match read_line(receive).await?.parse()? {
        Command::Echo => echo(send, receive).await?,
        Command::Sink => {
            let count = count(receive).await?;
            send.write_all(count.to_string().as_bytes()).await?;
        }
        Command::Source(length) => source(send, length).await?,
        Command::Open(streams) => {
            open(connection, streams).await?;
            send.write_all(b"done").await?;
        }
        Command::Reset(code) => {
            send.reset(code.into())?;
            receive.stop(code.into())?;
            return Ok(());
        }
        Command::KeyUpdate => {
            connection.force_key_update();
            send.write_all(b"ok").await?;
        }
        Command::Peer => {
            let address: SocketAddr = connection.remote_address();
            send.write_all(address.to_string().as_bytes()).await?;
        }
        Command::Close(code) => connection.close(VarInt::from_u32(code), b"as told"),
        Command::Resumed => send.write_all(if resumed { b"yes" } else { b"no" }).await?,
    }
    send.finish()?;
    // Whatever the client still sends: dropped unread, the stream would be stopped.
    count(receive).await?;
    Ok(())
}

/// The first line, without its end. Byte for byte: what follows belongs to the command.
async fn read_line(receive: &mut RecvStream) -> Result<String, Failure> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        receive.read_exact(&mut byte).await?;
        match byte {
            [b'\n'] => return Ok(String::from_utf8(line)?),
            [other] => line.push(other),
        }
    }
}

async fn echo(send: &mut SendStream, receive: &mut RecvStream) -> Result<(), Failure> {
    let mut chunk = vec![0; 16 * 1024];
    while let Some(length) = receive.read(&mut chunk).await? {
        send.write_all(&chunk[..length]).await?;
    }
    Ok(())
}

async fn count(receive: &mut RecvStream) -> Result<u64, Failure> {
    let mut count = 0;
    let mut chunk = vec![0; 16 * 1024];
    while let Some(length) = receive.read(&mut chunk).await? {
        count += u64::try_from(length)?;
    }
    Ok(count)
}

async fn source(send: &mut SendStream, length: u64) -> Result<(), Failure> {
    for start in (0..length).step_by(16 * 1024) {
        let end = length.min(start + 16 * 1024);
        let chunk: Vec<u8> = (start..end).map(pattern).collect();
        send.write_all(&chunk).await?;
    }
    Ok(())
}

async fn open(connection: &Connection, streams: u64) -> Result<(), Failure> {
    let mut answers = Vec::new();
    for number in 0..streams {
        let (mut send, mut receive) = connection.open_bi().await?;
        send.write_all(format!("hello {number}\n").as_bytes())
            .await?;
        send.finish()?;
        answers.push(tokio::spawn(async move {
            let answer = receive.read_to_end(STREAM_WINDOW as usize).await?;
            server::log_answer(receive.id(), &answer);
            Ok::<(), quinn::ReadToEndError>(())
        }));
    }
    for answer in answers {
        answer.await??;
    }
    Ok(())
}
