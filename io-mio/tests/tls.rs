//! Certificates, keys and trust, in files and over the wire.

mod support;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aire_mio::{Certificate, Client, Error, Identity, Node, Operation, Pin, Settings, Trust};
use boring::asn1::Asn1Time;
use boring::bn::BigNum;
use boring::ec::{EcGroup, EcKey};
use boring::hash::MessageDigest;
use boring::nid::Nid;
use boring::pkey::{PKey, Private};
use boring::x509::extension::{BasicConstraints, SubjectAlternativeName};
use boring::x509::{X509, X509NameBuilder};
use support::{Dir, any_port, certificate};

fn node(certificate: &Certificate, settings: Settings, ip: [u8; 4]) -> Node {
    Node::builder(
        Identity::generate().expect("an identity"),
        certificate.clone(),
    )
    .settings(settings)
    .agent("echo", |operation: &mut Operation| {
        operation.send(operation.args().to_vec())
    })
    .expect("a free name")
    .listen((ip, 0).into())
    .expect("a free port")
}

fn connect(node: &Node, trust: Trust, settings: Settings) -> Result<Client, Error> {
    Client::builder(Identity::generate().expect("an identity"), trust)
        .settings(settings)
        .connect_timeout(Duration::from_secs(5))
        .connect(&format!("aire://{}", node.address()))
}

const HOME: [u8; 4] = [127, 0, 0, 1];

/// It failed, and says so in words.
fn says(connected: Result<Client, Error>, words: &[&str]) {
    let sentence = connected.expect_err("it cannot succeed").to_string();
    for word in words {
        assert!(sentence.contains(word), "{sentence}");
    }
}

/// A day, in seconds.
const DAY: i64 = 86_400;

/// The time so many seconds from now.
fn from_now(seconds: i64) -> Asn1Time {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.expect("after 1970").as_secs()).expect("small");
    Asn1Time::from_unix(now + seconds).expect("a time")
}

/// A certificate for this machine, good from then until then, signed by `ca` or by itself.
fn issued(from: i64, until: i64, ca: Option<&(X509, PKey<Private>)>) -> (X509, PKey<Private>) {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("a curve");
    let key = PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("a key");
    let mut name = X509NameBuilder::new().expect("a name");
    let own = if ca.is_some() { "leaf" } else { "root" };
    name.append_entry_by_nid(Nid::COMMONNAME, own)
        .expect("a name");
    let name = name.build();
    let mut builder = X509::builder().expect("a builder");
    builder.set_version(2).expect("X.509 v3");
    let serial = BigNum::from_u32(7).and_then(|serial| serial.to_asn1_integer());
    builder
        .set_serial_number(&serial.expect("a number"))
        .expect("set");
    builder.set_subject_name(&name).expect("set");
    let issuer = ca.map_or(&*name, |(ca, _)| ca.subject_name());
    builder.set_issuer_name(issuer).expect("set");
    builder.set_pubkey(&key).expect("set");
    builder.set_not_before(&from_now(from)).expect("set");
    builder.set_not_after(&from_now(until)).expect("set");
    let mut constraints = BasicConstraints::new();
    if ca.is_none() {
        constraints.critical().ca();
    }
    let constraints = constraints.build().expect("an extension");
    builder.append_extension(&constraints).expect("set");
    let names = SubjectAlternativeName::new()
        .ip("127.0.0.1")
        .build(&builder.x509v3_context(None, None))
        .expect("an extension");
    builder.append_extension(&names).expect("set");
    let signer = ca.map_or(&key, |(_, key)| key);
    builder
        .sign(signer, MessageDigest::sha256())
        .expect("signed");
    (builder.build(), key)
}

/// Writes chain and key to files, and reads them as a server does.
fn in_files(dir: &Dir, chain: &[&X509], key: &PKey<Private>) -> Certificate {
    let chain: Vec<u8> = chain
        .iter()
        .flat_map(|certificate| certificate.to_pem().expect("PEM"))
        .collect();
    let chain = dir.file("chain.pem", &chain);
    let key = dir.file("key.pem", &key.private_key_to_pem_pkcs8().expect("PEM"));
    Certificate::from_pem_files(chain, key).expect("they belong together")
}

#[test]
fn a_certificate_and_its_key_are_read_from_pem_files() {
    let dir = Dir::new("tls-pair");
    let made = certificate();
    let chain = dir.file("chain.pem", &made.chain_pem().expect("PEM"));
    let key = dir.file("key.pem", &made.key_pem().expect("PEM"));
    let read = Certificate::from_pem_files(&chain, &key).expect("they belong together");
    assert_eq!(read.pin(), made.pin());
    let node = node(&read, Settings::default(), HOME);
    connect(&node, Trust::ca_file(&chain), Settings::default()).expect("the chain vouches for it");
}

#[test]
fn a_key_of_another_certificate_is_refused_in_a_sentence() {
    let dir = Dir::new("tls-mismatch");
    let chain = dir.file("chain.pem", &certificate().chain_pem().expect("PEM"));
    let key = dir.file("key.pem", &certificate().key_pem().expect("PEM"));
    let error = Certificate::from_pem_files(&chain, &key).expect_err("they do not");
    let sentence = error.to_string();
    assert!(sentence.contains("does not belong") && sentence.contains("issued together"));
}

#[test]
fn files_that_are_missing_or_hold_something_else_are_named() {
    let dir = Dir::new("tls-garbage");
    let garbage = dir.file("garbage.pem", b"nothing");
    let missing = dir.0.join("missing.pem");
    let chain = dir.file("chain.pem", &certificate().chain_pem().expect("PEM"));
    for (certificate, key, named) in [
        (&missing, &garbage, "missing.pem"),
        (&garbage, &garbage, "garbage.pem"),
        (&chain, &missing, "missing.pem"),
        (&chain, &garbage, "private key"),
    ] {
        let error = Certificate::from_pem_files(certificate, key).expect_err("it is no good");
        assert!(error.to_string().contains(named), "{error}");
    }
    let node = node(&certificate(), Settings::default(), HOME);
    for trust in [Trust::ca_file(&missing), Trust::ca_file(&garbage)] {
        assert!(connect(&node, trust, Settings::default()).is_err());
    }
}

#[test]
fn a_certificate_for_another_address_or_of_another_ca_is_not_believed() {
    let dir = Dir::new("tls-names");
    let shown = certificate();
    let own = dir.file("own.pem", &shown.chain_pem().expect("PEM"));
    let other = dir.file("other.pem", &certificate().chain_pem().expect("PEM"));
    // 127.0.0.2 is this machine too, but the certificate is not for it.
    let elsewhere = node(&shown, Settings::default(), [127, 0, 0, 2]);
    says(
        connect(&elsewhere, Trust::ca_file(&own), Settings::default()),
        &["the server is not trusted", "IP address mismatch"],
    );
    connect(&elsewhere, Trust::pinned(shown.pin()), Settings::default())
        .expect("a pinned key needs no name");
    let home = node(&shown, Settings::default(), HOME);
    for trust in [Trust::ca_file(&other), Trust::system_roots()] {
        says(
            connect(&home, trust, Settings::default()),
            &["the server is not trusted", "self signed certificate"],
        );
    }
}

#[test]
fn a_pin_is_64_hexadecimal_digits_both_ways() {
    let pin = certificate().pin();
    assert_eq!(Pin::from_hex(&pin.to_string()), Some(pin));
    for bad in [
        "",
        "00",
        &"0g".repeat(32),
        &"+1".repeat(32),
        &"00".repeat(33),
    ] {
        assert_eq!(Pin::from_hex(bad), None, "{bad}");
    }
}

#[test]
fn tls_secrets_and_qlog_are_written_where_the_settings_say() {
    let dir = Dir::new("tls-logs");
    let keys = dir.0.join("keys.log");
    let settings = Settings {
        key_log: Some(keys.clone()),
        qlog_dir: Some(dir.0.clone()),
        ..Settings::default()
    };
    let shown = certificate();
    let node = node(&shown, Settings::default(), HOME);
    let client = connect(&node, Trust::pinned(shown.pin()), settings).expect("connected");
    let mut echo = client.invoke("echo", "", "x").expect("invoked");
    assert_eq!(echo.recv(), Ok(Some(b"x".to_vec())));
    client.close();
    let secrets = fs::read_to_string(&keys).expect("a key log");
    assert!(secrets.contains("CLIENT_TRAFFIC_SECRET_0"), "{secrets}");
    let qlogs = fs::read_dir(&dir.0)
        .expect("the directory")
        .filter_map(Result::ok)
        .filter(|entry| entry.path().extension().is_some_and(|ext| ext == "sqlog"))
        .count();
    assert_eq!(qlogs, 1);
}

#[test]
fn a_certificate_is_good_from_its_first_to_its_last_day_only() {
    for (from, until, verdict) in [
        (-2 * DAY, -DAY, Some("certificate has expired")),
        (DAY, 2 * DAY, Some("certificate is not yet valid")),
        (-DAY, DAY, None),
    ] {
        let dir = Dir::new("tls-days");
        let (certificate, key) = issued(from, until, None);
        let shown = in_files(&dir, &[&certificate], &key);
        let node = node(&shown, Settings::default(), HOME);
        let trust = || Trust::ca_file(dir.0.join("chain.pem"));
        match verdict {
            Some(words) => says(connect(&node, trust(), Settings::default()), &[words]),
            None => drop(connect(&node, trust(), Settings::default()).expect("today it is good")),
        }
        connect(&node, Trust::pinned(shown.pin()), Settings::default())
            .expect("a pinned key has no days");
    }
}

#[test]
fn a_chain_is_as_good_as_the_ca_behind_it() {
    let dir = Dir::new("tls-chain");
    let ca = issued(-DAY, DAY, None);
    let (leaf, key) = issued(-DAY, DAY, Some(&ca));
    let shown = in_files(&dir, &[&leaf], &key);
    let node = node(&shown, Settings::default(), HOME);
    let root = dir.file("root.pem", &ca.0.to_pem().expect("PEM"));
    connect(&node, Trust::ca_file(root), Settings::default()).expect("the CA vouches for it");
    let (other, _) = issued(-DAY, DAY, None);
    let other = dir.file("other.pem", &other.to_pem().expect("PEM"));
    says(
        connect(&node, Trust::ca_file(other), Settings::default()),
        &["the server is not trusted"],
    );
}

#[test]
fn a_server_with_another_key_than_the_pinned_one_is_refused_in_words() {
    let shown = certificate();
    let node = node(&shown, Settings::default(), HOME);
    says(
        connect(
            &node,
            Trust::pinned(certificate().pin()),
            Settings::default(),
        ),
        &["the server is not trusted", "not the pinned one"],
    );
    connect(&node, Trust::pinned(shown.pin()), Settings::default()).expect("it is this one");
}

/// Answers QUIC at a port, but speaks another protocol.
fn another_protocol(chain: &Path, key: &Path) -> SocketAddr {
    let mut config = quiche::Config::new(quiche::PROTOCOL_VERSION).expect("a configuration");
    let path = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    config
        .load_cert_chain_from_pem_file(&path(chain))
        .expect("a chain");
    config
        .load_priv_key_from_pem_file(&path(key))
        .expect("a key");
    config.set_application_protos(&[b"h3"]).expect("a name");
    let socket = UdpSocket::bind(any_port()).expect("a port");
    let local = socket.local_addr().expect("bound");
    thread::spawn(move || {
        let mut buffer = [0; 2000];
        let (mut len, from) = socket.recv_from(&mut buffer).expect("somebody dials");
        let id = quiche::ConnectionId::from_ref(&[7; 20]);
        let mut quic = quiche::accept(&id, None, local, from, &mut config).expect("accepted");
        while !quic.is_draining() && !quic.is_closed() {
            let info = quiche::RecvInfo { from, to: local };
            // A bad hello is what this is about.
            let _refused = quic.recv(&mut buffer[..len], info);
            let mut out = [0; 1350];
            while let Ok((len, info)) = quic.send(&mut out) {
                socket.send_to(&out[..len], info.to).expect("sent");
            }
            if quic.is_draining() || quic.local_error().is_some() {
                return;
            }
            (len, _) = socket.recv_from(&mut buffer).expect("it answers");
        }
    });
    local
}

#[test]
fn a_server_that_speaks_another_protocol_is_named_as_such() {
    let dir = Dir::new("tls-alpn");
    let shown = certificate();
    let chain = dir.file("chain.pem", &shown.chain_pem().expect("PEM"));
    let key = dir.file("key.pem", &shown.key_pem().expect("PEM"));
    let address = another_protocol(&chain, &key);
    let connected = Client::builder(support::identity(), Trust::pinned(shown.pin()))
        .connect(&support::uri(address));
    says(connected, &["another protocol than AIRE"]);
}

#[test]
fn a_log_that_cannot_be_written_is_said_before_anything_starts() {
    let dir = Dir::new("tls-no-log");
    let settings = Settings {
        key_log: Some(dir.0.join("no/such/directory/keys.log")),
        ..Settings::default()
    };
    let error = Node::builder(support::identity(), certificate())
        .settings(settings)
        .listen(any_port())
        .expect_err("there is no such directory");
    assert!(error.to_string().contains("keys.log"), "{error}");
}
