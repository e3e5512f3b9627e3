//! The test protocol's server on quiche: one thread, one socket, a few connections.

mod streams;
mod tokens;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use aire_interop_quic::{ALPN, CONNECTION_WINDOW, Options, STREAM_WINDOW, server};
use boring::ssl::{SslContextBuilder, SslFiletype, SslMethod};
use clap::Parser;
use quiche::{ConnectionId, Header, RecvInfo, Type};

use streams::Streams;
use tokens::Tokens;

type Failure = Box<dyn std::error::Error>;

/// The length of every connection id of this server, in bytes.
const ID_LEN: usize = 16;

/// The largest datagram sent, in bytes.
const MAX_DATAGRAM: usize = 1350;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

fn main() -> Result<(), Failure> {
    let options = Arguments::parse().options;
    if options.chacha {
        return Err("BoringSSL lets nobody choose the suites of TLS 1.3".into());
    }
    let socket = UdpSocket::bind(options.listen)?;
    let mut server = Server {
        local: socket.local_addr()?,
        socket,
        config: config(&options)?,
        retry: options.retry.then(Tokens::new).transpose()?,
        clients: Vec::new(),
    };
    server::announce(server.local);
    loop {
        server.turn()?;
    }
}

fn config(options: &Options) -> Result<quiche::Config, Failure> {
    let mut tls = SslContextBuilder::new(SslMethod::tls())?;
    tls.set_certificate_chain_file(&options.cert)?;
    tls.set_private_key_file(&options.key, SslFiletype::PEM)?;
    if options.p256 {
        tls.set_curves_list("P-256")?;
    }
    let mut config = quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls)?;
    config.set_application_protos(&[ALPN])?;
    config.set_max_idle_timeout(options.idle_ms.into());
    config.set_max_send_udp_payload_size(MAX_DATAGRAM);
    config.set_initial_max_data(CONNECTION_WINDOW.into());
    config.set_initial_max_stream_data_bidi_local(STREAM_WINDOW.into());
    config.set_initial_max_stream_data_bidi_remote(STREAM_WINDOW.into());
    config.set_initial_max_streams_bidi(options.max_streams.into());
    config.set_active_connection_id_limit(4);
    // Nothing here waits for the time that a packet should leave at.
    config.enable_pacing(false);
    Ok(config)
}

struct Server {
    socket: UdpSocket,
    local: SocketAddr,
    config: quiche::Config,
    retry: Option<Tokens>,
    clients: Vec<Client>,
}

struct Client {
    connection: quiche::Connection,
    streams: Streams,
    /// Where the client's first packets went, before it knew an id of ours.
    first_id: ConnectionId<'static>,
    address: SocketAddr,
}

impl Server {
    /// Takes one datagram in or lets one timer go off, and sends what there is to send.
    fn turn(&mut self) -> Result<(), Failure> {
        let mut datagram = [0; 65535];
        if let Some((length, from)) = self.wait(&mut datagram)?
            && let Err(error) = self.receive(&mut datagram[..length], from)
        {
            eprintln!("datagram from {from}: {error}");
        }
        for client in &mut self.clients {
            client.turn(&self.socket)?;
        }
        self.clients.retain(|client| !client.is_over());
        Ok(())
    }

    /// A datagram; nothing when a timer goes off first.
    fn wait(&self, datagram: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        let due = self
            .clients
            .iter()
            .filter_map(|client| client.connection.timeout())
            .min();
        // Zero would mean: without end.
        let due = due.map(|due| due.max(Duration::from_millis(1)));
        self.socket.set_read_timeout(due)?;
        match self.socket.recv_from(datagram) {
            Ok(received) => Ok(Some(received)),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn receive(&mut self, datagram: &mut [u8], from: SocketAddr) -> Result<(), Failure> {
        let header = Header::from_slice(datagram, ID_LEN)?;
        let known = self
            .clients
            .iter()
            .position(|client| client.has_id(&header.dcid));
        let index = match known {
            Some(index) => index,
            None => match self.accept(&header, from)? {
                Some(client) => {
                    self.clients.push(client);
                    self.clients.len() - 1
                }
                None => return Ok(()),
            },
        };
        let info = RecvInfo {
            from,
            to: self.local,
        };
        self.clients[index].connection.recv(datagram, info)?;
        Ok(())
    }

    /// A new connection, or none: then what there is to answer has been answered.
    fn accept(&mut self, header: &Header<'_>, from: SocketAddr) -> Result<Option<Client>, Failure> {
        let mut answer = [0; MAX_DATAGRAM];
        // Only a long header has a version other than 0, and a Version Negotiation has none.
        if header.version != 0 && !quiche::version_is_supported(header.version) {
            let length = quiche::negotiate_version(&header.scid, &header.dcid, &mut answer)?;
            self.socket.send_to(&answer[..length], from)?;
            return Ok(None);
        }
        if header.ty != Type::Initial {
            return Ok(None);
        }
        let token = header.token.as_deref().unwrap_or_default();
        let (id, original) = match &self.retry {
            None => (random_id()?, None),
            Some(tokens) if token.is_empty() => {
                let token = tokens.mint(from, &header.dcid)?;
                let length = quiche::retry(
                    &header.scid,
                    &header.dcid,
                    &random_id()?,
                    &token,
                    header.version,
                    &mut answer,
                )?;
                self.socket.send_to(&answer[..length], from)?;
                return Ok(None);
            }
            // The id of the Retry stays this connection's.
            Some(tokens) => {
                let original = tokens
                    .original(from, token)?
                    .ok_or("a token of somebody else's")?;
                (header.dcid.clone().into_owned(), Some(original))
            }
        };
        let connection =
            quiche::accept(&id, original.as_ref(), self.local, from, &mut self.config)?;
        Ok(Some(Client {
            connection,
            streams: Streams::default(),
            first_id: header.dcid.clone().into_owned(),
            address: from,
        }))
    }
}

impl Client {
    fn has_id(&self, id: &ConnectionId<'_>) -> bool {
        self.first_id == *id || self.connection.source_ids().any(|own| own == id)
    }

    fn turn(&mut self, socket: &UdpSocket) -> Result<(), Failure> {
        self.connection.on_timeout();
        if self.connection.is_established() {
            // A client that changes its address needs a fresh id for it.
            while self.connection.scids_left() > 0 {
                let mut token = [0; 16];
                boring::rand::rand_bytes(&mut token)?;
                self.connection
                    .new_scid(&random_id()?, u128::from_be_bytes(token), false)?;
            }
            self.streams.turn(&mut self.connection);
        }
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            match self.connection.send(&mut datagram) {
                Ok((length, info)) => socket.send_to(&datagram[..length], info.to)?,
                Err(quiche::Error::Done) => return Ok(()),
                Err(error) => {
                    eprintln!("sending to {}: {error}", self.address);
                    return Ok(());
                }
            };
        }
    }

    /// Logs the end, when it has come.
    fn is_over(&self) -> bool {
        let over = self.connection.is_closed();
        if over {
            let why = match (self.connection.peer_error(), self.connection.local_error()) {
                _ if self.connection.is_timed_out() => "idle for too long".into(),
                (Some(error), _) => format!("closed by the client: {error:?}"),
                (None, Some(error)) => format!("closed by the server: {error:?}"),
                (None, None) => "never established".into(),
            };
            server::log_end(self.address, why);
        }
        over
    }
}

fn random_id() -> Result<ConnectionId<'static>, Failure> {
    let mut id = vec![0; ID_LEN];
    boring::rand::rand_bytes(&mut id)?;
    Ok(ConnectionId::from_vec(id))
}
