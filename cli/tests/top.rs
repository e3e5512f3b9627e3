//! `aire top`, with the real binary.

mod support;

use std::net::{SocketAddr, TcpListener};

use aire_mio::http::{Response, Server};
use serde_json::Value;
use support::Home;

/// A server that tells this at `/status`.
fn telling(status: &'static str) -> Server {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    Server::start(listen, None, move |request| match request.path.as_str() {
        "/status" => Response::json(status),
        _ => Response::not_found(),
    })
    .expect("it listens")
}

#[test]
fn a_node_that_serves_is_shown_with_its_connections_and_operations() {
    let home = Home::new();
    let node = home.serve("[agents.time]\nbuiltin = \"time\"\n");
    let url = node.ready["http"].as_str().expect("an address").to_owned();
    let url = match url.starts_with("http://") {
        true => url,
        false => format!("http://{url}"),
    };
    let client = node.connect();
    let mut ticks = client.invoke("time", "ticks", "10ms").expect("a stream");
    ticks.recv().expect("it goes on").expect("a tick");
    let told = home.run(&["top", "--once", &url]).good();
    for word in [
        node.text("did"),
        "1 connections, by age",
        "1 operations",
        "time/ticks",
        "1 now, 1 in all",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let json = home.run(&["top", "--once", "--json", &url]).json();
    assert_eq!(json["did"], node.text("did"));
    assert_eq!(json["connections"][0]["operations"][0]["agent"], "time");
}

#[test]
fn what_is_no_node_is_told() {
    let home = Home::new();
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port");
    let free = nobody.local_addr().expect("an address");
    drop(nobody);
    let ran = home.run(&["top", "--once", &format!("http://{free}")]);
    assert_eq!(ran.code(), Some(3), "{}", ran.stderr());

    for (told, why) in [
        ("{}", "no connections"),
        ("[", "no status"),
        ("7", "no status"),
    ] {
        let server = telling(told);
        let url = format!("http://{}/status", server.address());
        let ran = home.run(&["top", "--once", "--json", &url]);
        assert_eq!(ran.code(), Some(1), "{told}");
        let error: Value = serde_json::from_str(&ran.stderr()).expect("JSON");
        let words = error["error"].as_str().expect("words");
        assert!(words.contains(why), "{told}: {words}");
    }

    for url in ["https://127.0.0.1:1", "127.0.0.1:1", "http://a b"] {
        let ran = home.run(&["top", "--once", url]);
        assert_eq!(ran.code(), Some(2), "{url}: {}", ran.stderr());
    }
}

#[test]
fn without_a_terminal_there_is_no_live_view() {
    let server = telling("{\"connections\": []}");
    let url = format!("http://{}", server.address());
    let ran = Home::new().run(&["top", &url]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("--once"), "{}", ran.stderr());
}
