//! A server that takes whatever comes, and signs badly: what `aire probe` is there to catch.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aire_mio::{ALPN, Certificate, Identity};
use aire_proto::capability::DEFINED;
use aire_proto::handshake::Local;
use aire_proto::wire::{Capability, FrameHeader, Invoke};
use aire_proto::{Config, Connection, Growing, Instant, Now, Role, Transmit, UnixMillis};
use boring::pkey::PKey;
use boring::ssl::{SslContextBuilder, SslMethod};
use boring::x509::X509;

const INVOKE: u8 = 0x03;
const STREAM: u8 = 0x04;

/// It answers every INVOKE with its arguments, and refuses nothing at all.
pub(crate) struct BadServer {
    pub(crate) address: SocketAddr,
    pub(crate) pin: String,
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BadServer {
    pub(crate) fn start() -> Self {
        let certificate = Certificate::self_signed(&["localhost"]).expect("a certificate");
        let pin = certificate.pin().to_string();
        let config = config(&certificate);
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let turn = Some(Duration::from_millis(5));
        socket.set_read_timeout(turn).expect("a timeout");
        let address = socket.local_addr().expect("bound");
        let stops = Arc::new(AtomicBool::new(false));
        let stopped = stops.clone();
        let thread = thread::spawn(move || serve(&socket, config, &stopped));
        Self {
            address,
            pin,
            stops,
            thread: Some(thread),
        }
    }
}

impl Drop for BadServer {
    fn drop(&mut self) {
        self.stops.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            assert!(
                thread::panicking(),
                "the bad server is worse than it should be"
            );
        }
    }
}

fn config(certificate: &Certificate) -> quiche::Config {
    let mut tls = SslContextBuilder::new(SslMethod::tls()).expect("TLS");
    let chain = certificate.chain_pem().expect("PEM");
    let key = certificate.key_pem().expect("PEM");
    let chain = X509::stack_from_pem(&chain).expect("a chain");
    let key = PKey::private_key_from_pem(&key).expect("a key");
    tls.set_certificate(&chain[0]).expect("a certificate");
    tls.set_private_key(&key).expect("its key");
    let mut config =
        quiche::Config::with_boring_ssl_ctx_builder(quiche::PROTOCOL_VERSION, tls).expect("QUIC");
    config.set_application_protos(&[ALPN]).expect("a name");
    config.set_max_idle_timeout(30_000);
    config.set_initial_max_data(64 << 20);
    config.set_initial_max_stream_data_bidi_remote(4 << 20);
    config.set_initial_max_stream_data_bidi_local(4 << 20);
    config.set_initial_max_streams_bidi(100);
    config.set_max_send_udp_payload_size(1350);
    config
}

/// One client.
struct Link {
    quic: quiche::Connection,
    /// What of each stream's bytes was not looked at yet.
    input: HashMap<u64, Vec<u8>>,
    /// What waits to be sent.
    output: Vec<(u64, Vec<u8>)>,
    greeted: bool,
}

fn serve(socket: &UdpSocket, mut config: quiche::Config, stops: &AtomicBool) {
    let local = socket.local_addr().expect("bound");
    let identity = Identity::generate().expect("a key");
    let mut links: HashMap<Vec<u8>, Link> = HashMap::new();
    let mut buffer = vec![0; 65_535];
    while !stops.load(Ordering::Relaxed) {
        match socket.recv_from(&mut buffer) {
            Ok((len, from)) => {
                let packet = &mut buffer[..len];
                let Ok(header) = quiche::Header::from_slice(packet, 16) else {
                    continue;
                };
                // Clients choose 20 bytes at random: the first make a good name for a connection.
                let Some(name) = header.dcid.get(..16).map(<[u8]>::to_vec) else {
                    continue;
                };
                if !links.contains_key(&name) && header.ty == quiche::Type::Initial {
                    let id = quiche::ConnectionId::from_ref(&name);
                    let quic = quiche::accept(&id, None, local, from, &mut config);
                    let link = Link {
                        quic: quic.expect("a connection"),
                        input: HashMap::new(),
                        output: Vec::new(),
                        greeted: false,
                    };
                    links.insert(name.clone(), link);
                }
                if let Some(link) = links.get_mut(&name) {
                    let info = quiche::RecvInfo { from, to: local };
                    let _bad = link.quic.recv(packet, info);
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => continue,
        }
        for link in links.values_mut() {
            if link.quic.timeout().is_some_and(|left| left.is_zero()) {
                link.quic.on_timeout();
            }
            link.listen(&identity, &mut buffer);
            link.speak();
            while let Ok((len, info)) = link.quic.send(&mut buffer) {
                let _lost = socket.send_to(&buffer[..len], info.to);
            }
        }
        links.retain(|_, link| !link.quic.is_closed());
    }
}

impl Link {
    fn listen(&mut self, identity: &Identity, buffer: &mut [u8]) {
        for stream in self.quic.readable() {
            while let Ok((len, _)) = self.quic.stream_recv(stream, buffer) {
                let input = self.input.entry(stream).or_default();
                input.extend_from_slice(&buffer[..len]);
            }
            if stream == 0 && !self.greeted {
                self.greeted = true;
                let mut hello = hello(identity);
                // The last byte of its signature.
                *hello.last_mut().expect("a HELLO") ^= 1;
                self.output.push((0, hello));
            }
            if stream != 0 {
                self.answer(stream);
            }
        }
    }

    /// Answers an INVOKE, and knows neither budgets nor cancels.
    fn answer(&mut self, stream: u64) {
        let Some(input) = self.input.get_mut(&stream) else {
            return;
        };
        while let Some((header, used)) = FrameHeader::decode(input) {
            let end = usize::try_from(header.payload_len)
                .ok()
                .and_then(|len| used.checked_add(len));
            let Some(payload) = end.and_then(|end| input.get(used..end)) else {
                return;
            };
            if let (INVOKE, Ok(invoke)) = (header.frame_type.to_wire(), Invoke::decode(payload)) {
                let op = u8::try_from(stream).expect("few streams");
                self.output.push((stream, frames(&invoke, op)));
            }
            input.drain(..end.unwrap_or(used));
        }
    }

    fn speak(&mut self) {
        self.output.retain_mut(|(stream, bytes)| {
            let fin = *stream != 0;
            match self.quic.stream_send(*stream, bytes, fin) {
                Ok(len) => {
                    bytes.drain(..len);
                    !bytes.is_empty()
                }
                Err(quiche::Error::Done) => true,
                Err(_) => false,
            }
        });
    }
}

/// All that is streamed, at once; else the arguments.
fn frames(invoke: &Invoke<'_>, op: u8) -> Vec<u8> {
    let frame = |payload: &[u8]| {
        let len = u32::try_from(payload.len()).expect("not that many") | 0x8000_0000;
        let head = [STREAM, 0, op].into_iter().chain(len.to_be_bytes());
        head.chain(payload.iter().copied()).collect::<Vec<_>>()
    };
    let words = String::from_utf8_lossy(invoke.args);
    let count = words.split(' ').next().and_then(|word| word.parse().ok());
    match (invoke.agent, count) {
        ("stream", Some(count)) => (0..count).flat_map(|_: u32| frame(b"token")).collect(),
        _ => frame(invoke.args),
    }
}

fn hello(identity: &Identity) -> Vec<u8> {
    let mut nonce = [0; 16];
    boring::rand::rand_bytes(&mut nonce).expect("random");
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let unix = since.expect("after 1970").as_millis();
    let now = Now {
        instant: Instant::from_millis(0),
        unix: UnixMillis(i64::try_from(unix).expect("soon")),
    };
    let capabilities = [DEFINED[0], DEFINED[2]].map(|name| Capability {
        name,
        version: 1,
        required: false,
    });
    let local = Local {
        signer: identity.signer(),
        capabilities: &capabilities,
    };
    // A server's would wait for the control stream; the HELLO is the same.
    let mut connection = Connection::<Growing>::new(Role::Client, Config::default(), now);
    connection.start(&local, &nonce, now).expect("it fits");
    let Some(Transmit::Data { head, tail, .. }) = connection.poll_transmit() else {
        panic!("there is a HELLO to send");
    };
    [head, tail].concat()
}
