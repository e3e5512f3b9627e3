//! `aire serve` with the agents that are built in, and what it tells of itself.

mod support;

use std::io::{Read as _, Write as _};
use std::net::UdpSocket;
use std::net::{SocketAddr, TcpStream};

use aire_mio::{CancelReason, Certificate, Client, Identity, Resolver, ResolverSettings, Trust};
use rustix::process::Signal;
use serde_json::Value;
use support::{Home, collect, next, wait_until};

const AGENTS: &str = "[agents.echo]\nbuiltin = \"echo\"\n[agents.count]\nbuiltin = \
                      \"stream\"\nframes = 3\nmax_frames = 10\n[agents.time]\nbuiltin = \"time\"\n";

/// The status and the body of what `path` answers.
fn get(base: &str, path: &str) -> Option<(u16, String)> {
    let address = base.strip_prefix("http://").expect("in the clear");
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .write_all(
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        )
        .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, body.to_owned()))
}

#[test]
fn the_agents_that_are_built_in_answer() {
    let home = Home::new();
    let node = home.serve(AGENTS);
    let client = node.connect();
    let answer = |agent, operation, args: &str| {
        collect(&mut client.invoke(agent, operation, args).expect("a stream"))
    };
    assert_eq!(
        answer("echo", "echo", "hello"),
        (vec!["hello".into()], Ok(()))
    );
    assert_eq!(
        answer("count", "tokens", ""),
        (
            vec!["token-1".into(), "token-2".into(), "token-3".into()],
            Ok(())
        )
    );
    assert_eq!(answer("count", "tokens", "2 1").0.len(), 2);
    let refused = answer("count", "tokens", "11").1.expect_err("too many");
    assert!(refused.to_string().contains("at most 10"), "{refused}");
    let (times, end) = answer("time", "now", "");
    assert_eq!((times.len(), end), (1, Ok(())));
    assert!(
        times[0].ends_with('Z') && times[0].contains('T'),
        "{times:?}"
    );
    let unknown = answer("nobody", "x", "").1.expect_err("no such agent");
    assert!(unknown.to_string().contains("nobody"), "{unknown}");
}

#[test]
fn echo_can_stream_and_time_can_tick() {
    let home = Home::new();
    let node = home.serve(AGENTS);
    let client = node.connect();
    let mut echo = client.invoke("echo", "stream", "").expect("a stream");
    for text in ["a", "b"] {
        echo.send(text).expect("it is open");
        assert_eq!(next(&mut echo), Ok(Some(text.into())));
    }
    echo.finish();
    assert_eq!(collect(&mut echo), (vec![], Ok(())));
    let mut ticks = client.invoke("time", "ticks", "10ms").expect("a stream");
    assert!(next(&mut ticks).expect("it ticks") <= next(&mut ticks).expect("it ticks"));
    ticks.cancel(CancelReason::UserCancelled, "");
    assert!(collect(&mut ticks).1.is_err());
}

#[test]
fn it_tells_who_it_is_and_keeps_its_key() {
    let home = Home::new();
    let did = home.run(&["keygen", "key.pem"]).good();
    let config = "key = \"key.pem\"\nlisten = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\n[http]\nenabled = \
                  false\n";
    let node = home.serve_as_it_is(&format!("{config}{AGENTS}"));
    assert_eq!(node.text("event"), "ready");
    assert_eq!(node.text("did"), did.trim());
    assert_eq!(node.ready["http"], Value::Null);
    assert_eq!(
        node.ready["agents"],
        serde_json::json!(["count", "echo", "time"])
    );
    let addresses = node.ready["addresses"].as_array().expect("a list");
    assert_eq!(addresses.len(), 2);
    assert_ne!(addresses[0], addresses[1]);
    let client = node.connect();
    assert_eq!(client.peer().as_deref(), Some(did.trim()));
}

#[test]
fn metrics_health_and_status_are_told_over_http() {
    let home = Home::new();
    let node = home.serve(AGENTS);
    let http = node.text("http").to_owned();
    let identity = Identity::generate().expect("a key");
    let did = identity.did().to_owned();
    let client = node.connect_as(identity).expect("it answers");
    assert_eq!(
        collect(&mut client.invoke("echo", "echo", "x").expect("a stream")).1,
        Ok(())
    );
    let mut live = client.invoke("time", "ticks", "1h").expect("a stream");
    next(&mut live).expect("the first");

    assert_eq!(get(&http, "/healthz"), Some((200, "ok\n".into())));
    assert_eq!(get(&http, "/readyz"), Some((200, "ready\n".into())));
    assert_eq!(get(&http, "/nothing").expect("an answer").0, 404);
    let (status, metrics) = get(&http, "/metrics").expect("an answer");
    assert_eq!(status, 200);
    for line in [
        "# TYPE aire_connections_open gauge",
        "aire_connections_open 1",
        "aire_operations_served_total 2",
    ] {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}:\n{metrics}"
        );
    }
    let status = get(&http, "/status").expect("an answer").1;
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["did"], node.text("did"));
    assert_eq!(status["address"], node.address());
    assert_eq!(status["state"], "serving");
    assert_eq!(status["metrics"]["aire_operations_served_total"], 2.0);
    let connection = &status["connections"][0];
    assert_eq!(connection["peer"], did);
    let operation = &connection["operations"][0];
    assert_eq!(operation["agent"], "time");
    assert_eq!(operation["spent"]["tokens"], 1);
}

#[test]
fn a_node_that_drains_is_alive_and_not_ready() {
    let home = Home::new();
    let node = home.serve(AGENTS);
    let http = node.text("http").to_owned();
    let client = node.connect();
    let mut live = client.invoke("echo", "stream", "first").expect("a stream");
    assert_eq!(next(&mut live), Ok(Some("first".into())));
    node.signal(Signal::TERM);
    wait_until("it says so", || {
        get(&http, "/readyz").is_some_and(|(status, _)| status == 503)
    });
    assert_eq!(get(&http, "/healthz").expect("an answer").0, 200);
    // What runs may finish.
    live.send("last").expect("it is open");
    assert_eq!(next(&mut live), Ok(Some("last".into())));
    live.finish();
    assert_eq!(collect(&mut live), (vec![], Ok(())));
    drop(client);
    let (status, rest) = node.ended();
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest, "{\"event\":\"stopped\"}\n");
}

#[test]
fn a_port_that_is_taken_is_an_error_with_the_field() {
    let home = Home::new();
    let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("it is bound");
    home.file("aire.toml", &format!("listen = [\"{address}\"]\n{AGENTS}"));
    let ran = home.run(&["serve"]);
    assert_eq!(ran.code(), Some(2));
    assert!(
        ran.stderr()
            .contains("aire.toml:1:10: listen: cannot listen"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn who_is_denied_is_refused_and_who_is_allowed_is_served() {
    let home = Home::new();
    let [friend, stranger, foe] = [(); 3].map(|()| Identity::generate().expect("a key"));
    let node = home.serve(&format!(
        "{AGENTS}[admission]\nallow = [\"{}\", \"{}\"]\ndeny = [\"{}\"]\n",
        friend.did(),
        foe.did(),
        foe.did()
    ));
    for refused in [stranger, foe] {
        let closed = match node.connect_as(refused) {
            // It may be up before it hears of the refusal.
            Ok(client) => client
                .wait_closed(support::PATIENCE)
                .expect("it ends")
                .to_string(),
            Err(error) => error.to_string(),
        };
        assert!(closed.contains("REFUSED"), "{closed}");
    }
    let client = node.connect_as(friend).expect("it is let in");
    assert_eq!(
        collect(&mut client.invoke("echo", "echo", "x").expect("a stream")).1,
        Ok(())
    );
}

#[test]
fn an_operation_is_resumed_from_a_store_in_a_file_after_the_node_was_killed() {
    let home = Home::new();
    home.run(&["keygen", "key.pem"]).good();
    let config = format!(
        "key = \"key.pem\"\n{}",
        "listen = [\"127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n[resume]\nstore = \
         \"file\"\npath = \"kept.redb\"\n[agents.count]\nbuiltin = \"stream\"\nresumable = \"1h\"\n"
    );
    let node = home.serve_as_it_is(&config);
    let identity = Identity::generate().expect("a key");
    let client = node.connect_as(identity.clone()).expect("it answers");
    let mut operation = client.invoke("count", "tokens", "3").expect("a stream");
    assert_eq!(next(&mut operation), Ok(Some("token-1".into())));
    let ticket = operation.ticket().expect("it can be resumed");
    client.abandon();
    drop(operation);
    node.signal(Signal::KILL);
    drop(node);
    let node = home.serve_as_it_is(&config);
    let client = node.connect_as(identity).expect("it answers");
    let mut operation = client.resume(&ticket).expect("a stream");
    let (frames, _end) = collect(&mut operation);
    // How far it came before it was killed is not known; that nothing is told twice is.
    assert!(frames.iter().all(|frame| frame != "token-1"), "{frames:?}");
    assert!(frames.len() <= 2, "{frames:?}");
}

#[test]
fn the_lines_for_people_say_the_same() {
    let home = Home::new();
    home.file(
        "aire.toml",
        &format!("listen = [\"127.0.0.1:0\"]\n[http]\nlisten = \"127.0.0.1:0\"\n{AGENTS}"),
    );
    let mut child = home
        .command(&["serve"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut seen = String::new();
    let mut stdout = child.stdout.take().expect("a pipe");
    let mut byte = [0];
    while !seen.ends_with("count echo time\n") && stdout.read(&mut byte).expect("text") > 0 {
        seen.push(char::from(byte[0]));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it was started").code(), Some(0));
    for words in [
        "did      did:key:z",
        "listens  aire://127.0.0.1:",
        "pin      ",
        "status   http://127.0.0.1:",
    ] {
        assert!(seen.contains(words), "{words}:\n{seen}");
    }
    assert!(!seen.contains('\x1b'), "no colour in a pipe");
}

#[test]
fn a_node_publishes_who_it_is_and_who_looks_it_up_knows_it() {
    let home = Home::new();
    let made = Certificate::self_signed(&[]).expect("a certificate");
    let (chain, key) = (made.chain_pem().expect("PEM"), made.key_pem().expect("PEM"));
    let text = |pem| String::from_utf8(pem).expect("text");
    let roots = home.file("chain.pem", &text(chain));
    home.file("private.pem", &text(key));
    home.run(&["keygen", "key.pem"]).good();
    let node = home.serve_as_it_is(&format!(
        "listen = [\"127.0.0.1:0\"]\nkey = \"key.pem\"\n[http]\nenabled = \
         false\n[tls]\ncertificate = \"chain.pem\"\nkey = \"private.pem\"\n[discovery]\ndid = \
         \"did:web:localhost\"\nresolve = false\n[discovery.publish]\nlisten = \
         \"127.0.0.1:0\"\nendpoints = [\"aire://localhost:5000/echo\"]\n{AGENTS}"
    ));
    assert_eq!(node.text("did"), "did:web:localhost");
    assert_eq!(
        node.ready["pin"],
        Value::Null,
        "whoever vouches for it is trusted"
    );
    let publisher = node.text("publisher").strip_prefix("https://");
    let publisher: SocketAddr = publisher.expect("over TLS").parse().expect("an address");
    let resolver = Resolver::new(ResolverSettings {
        timeout: support::PATIENCE,
        extra_roots: Some(roots.clone()),
        https_port: publisher.port(),
        danger_allow_private: true,
        ..ResolverSettings::default()
    })
    .expect("a resolver");
    let found = resolver
        .resolve("did:web:localhost")
        .expect("it is published");
    assert_eq!(found.endpoints.len(), 1);
    let client = Client::builder(Identity::generate().expect("a key"), Trust::ca_file(roots))
        .connect_timeout(support::PATIENCE)
        .resolver(resolver)
        .expect_peer("did:web:localhost")
        .connect(&node.uri())
        .expect("its key is the published one");
    assert_eq!(client.peer().as_deref(), Some("did:web:localhost"));
}
