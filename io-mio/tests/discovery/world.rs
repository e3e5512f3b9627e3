//! A little internet: a name server, and one web server for all hosts.
#![allow(unreachable_pub)]

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aire_mio::http::{Response, Server};
use aire_mio::publish::Publication;
use aire_mio::{Certificate, Identity, Resolver, ResolverSettings};
use boring::pkey::PKey;
use boring::ssl::{SslAcceptor, SslMethod};
use boring::x509::X509;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, TXT};
use hickory_resolver::proto::rr::{RData, Record, RecordType};

use crate::support::Dir;

/// The hosts that there are.
pub const HOSTS: [&str; 4] = ["agents.test", "other.test", "inside.test", "slow.test"];
pub const DID: &str = "did:web:agents.test";
pub const DOCUMENT: &str = "/.well-known/did.json";

/// What the name server knows of a name.
#[derive(Clone)]
pub enum Answer {
    Addresses(Vec<Ipv4Addr>),
    Txt(Vec<Vec<String>>),
    /// It never answers.
    Silence,
}

type Zone = Arc<Mutex<BTreeMap<String, Answer>>>;

/// A name server over UDP.
struct NameServer {
    address: SocketAddr,
    zone: Zone,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let address = socket.local_addr().expect("bound");
        let zone = Zone::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (known, stopped) = (zone.clone(), stop.clone());
        let thread = thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok((len, from)) = socket.recv_from(&mut packet) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let query = Message::from_vec(packet.get(..len).unwrap_or_default());
                if let Some(answer) = query.ok().and_then(|query| answer(&query, &known)) {
                    let packet = answer.to_vec().expect("it can be written");
                    socket.send_to(&packet, from).expect("sent");
                }
            }
        });
        Self {
            address,
            zone,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let wake = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        wake.send_to(&[0], self.address).expect("sent");
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

fn answer(query: &Message, zone: &Zone) -> Option<Message> {
    let asked = query.queries.first()?;
    let name = asked.name().to_ascii().trim_end_matches('.').to_lowercase();
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(asked.clone());
    let record = |data| Record::from_rdata(asked.name().clone(), 0, data);
    match (
        zone.lock().expect("unharmed").get(&name),
        asked.query_type(),
    ) {
        (Some(Answer::Silence), _) => return None,
        (Some(Answer::Addresses(all)), RecordType::A) => {
            answer.add_answers(all.iter().map(|ip| record(RData::A(A(*ip)))));
        }
        (Some(Answer::Txt(all)), RecordType::TXT) => {
            let texts = all.iter().map(|text| TXT::new(text.clone()));
            answer.add_answers(texts.map(|txt| record(RData::TXT(txt))));
        }
        (Some(_), _) => {}
        (None, _) => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    Some(answer)
}

/// What the web server answers, by host and path with query.
#[derive(Default)]
struct Site {
    pages: HashMap<(String, String), Response>,
    asked: HashMap<(String, String), usize>,
    /// Answers wait while it is shut.
    shut: bool,
    /// How many wait.
    waiting: usize,
}

type Shared = Arc<(Mutex<Site>, Condvar)>;

/// The whole of it.
pub struct World {
    pub dir: Dir,
    pub certificate: Certificate,
    names: NameServer,
    site: Shared,
    web: Server,
}

impl World {
    pub fn new(name: &str) -> Self {
        let dir = Dir::new(&format!("discovery-{name}"));
        let certificate = Certificate::self_signed(&HOSTS).expect("a certificate");
        dir.file("roots.pem", &certificate.chain_pem().expect("PEM"));
        let names = NameServer::start();
        let site = Shared::default();
        let served = site.clone();
        let web = Server::start(
            ([127, 0, 0, 1], 0).into(),
            Some(&certificate),
            move |asked| {
                let query = asked.query.as_ref().map(|query| format!("?{query}"));
                let path = format!("{}{}", asked.path, query.unwrap_or_default());
                let host = asked.host.clone().unwrap_or_default();
                let host = host.split(':').next().unwrap_or_default().to_owned();
                let (site, opened) = &*served;
                let mut site = site.lock().expect("unharmed");
                let place = (host, path);
                *site.asked.entry(place.clone()).or_default() += 1;
                site.waiting += 1;
                while site.shut {
                    site = opened.wait(site).expect("unharmed");
                }
                site.waiting -= 1;
                let page = site.pages.get(&place).cloned();
                page.unwrap_or_else(Response::not_found)
            },
        );
        let world = Self {
            dir,
            certificate,
            names,
            site,
            web: web.expect("a free port"),
        };
        for host in HOSTS {
            world.name(host, Answer::Addresses(vec![Ipv4Addr::LOCALHOST]));
        }
        world
    }

    /// Has the name server know a name.
    pub fn name(&self, name: &str, answer: Answer) {
        let mut zone = self.names.zone.lock().expect("unharmed");
        zone.insert(name.into(), answer);
    }

    pub fn txt(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(|text| vec![(*text).to_owned()]);
        self.name(name, Answer::Txt(texts.collect()));
    }

    /// Has the web server know a page.
    pub fn page(&self, host: &str, path: &str, response: Response) {
        let mut site = self.site.0.lock().expect("unharmed");
        site.pages.insert((host.into(), path.into()), response);
    }

    /// How often a page was asked for.
    pub fn asked(&self, host: &str, path: &str) -> usize {
        let site = self.site.0.lock().expect("unharmed");
        let asked = site.asked.get(&(host.to_owned(), path.to_owned()));
        asked.copied().unwrap_or_default()
    }

    /// How many requests wait for the site to open.
    pub fn waiting(&self) -> usize {
        self.site.0.lock().expect("unharmed").waiting
    }

    /// Has the web server answer nothing, or answer again.
    pub fn shut(&self, shut: bool) {
        self.site.0.lock().expect("unharmed").shut = shut;
        self.site.1.notify_all();
    }

    /// Publishes the documents of an identity whose document is at this host.
    pub fn publish(&self, host: &str, publication: &Publication, cache_control: &str) {
        let page = Response::json(publication.document());
        let page = page.with_header("cache-control", cache_control);
        self.page(host, &publication.document_path(), page);
    }

    pub fn settings(&self) -> ResolverSettings {
        ResolverSettings {
            // Longer than any test waits for anything, unless it is about that.
            timeout: Duration::from_secs(60),
            extra_roots: Some(self.dir.0.join("roots.pem")),
            dns: Some(self.names.address),
            https_port: self.web.address().port(),
            danger_allow_private: true,
            ..ResolverSettings::default()
        }
    }

    pub fn resolver(&self) -> Resolver {
        Resolver::new(self.settings()).expect("a resolver")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Or the server waits for ever.
        self.shut(false);
    }
}

/// A new identity that is a `did:web`.
pub fn identity(did: &str) -> Identity {
    let identity = Identity::generate().expect("an identity");
    identity.with_did(did, "key-1").expect("a DID")
}

pub fn publication(identity: &Identity) -> Publication {
    Publication::of(identity).expect("a did:web")
}

/// A web server that says what it likes, byte by byte if it must: `say` is given each connection.
pub struct Raw {
    pub address: SocketAddr,
}

impl Raw {
    pub fn start(
        certificate: &Certificate,
        say: impl Fn(&mut dyn Write) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let mut tls = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls()).expect("TLS");
        let chain = certificate.chain_pem().expect("PEM");
        let leaf = X509::from_pem(&chain).expect("a certificate");
        let key = certificate.key_pem().expect("PEM");
        let key = PKey::private_key_from_pem(&key).expect("a key");
        tls.set_certificate(&leaf).expect("set");
        tls.set_private_key(&key).expect("set");
        let tls = tls.build();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let say = Arc::new(say);
        // It goes with the test program.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (tls, say) = (tls.clone(), say.clone());
                thread::spawn(move || {
                    let Ok(mut stream) = tls.accept(stream) else {
                        return;
                    };
                    let mut request = [0; 4096];
                    if stream.read(&mut request).is_ok() {
                        // The other end may have had enough.
                        let _gone = say(&mut stream);
                    }
                });
            }
        });
        Self { address }
    }
}

/// Some address of the public internet, which nobody connects to here.
pub fn stranger(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}
