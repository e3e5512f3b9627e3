//! `aire resolve`, with the real binary.

mod support;

use aire_mio::publish::Publication;
use aire_mio::{Certificate, Identity};
use support::Home;

/// `aire resolve` of a DID at a web server on this machine, and what the server says.
struct Web {
    home: Home,
    did: String,
    _server: aire_mio::http::Server,
}

impl Web {
    fn new() -> Self {
        let home = Home::new();
        let certificate = Certificate::self_signed(&["localhost"]).expect("a certificate");
        let pem = String::from_utf8(certificate.chain_pem().expect("PEM")).expect("text");
        home.file("ca.pem", &pem);
        let listen = "127.0.0.1:0".parse().expect("an address");
        // The port is part of the DID, so the server has to be there first.
        let (publish, published) = std::sync::mpsc::channel::<Publication>();
        let published = std::sync::Mutex::new((published, None::<Publication>));
        let server = aire_mio::http::Server::start(listen, Some(&certificate), move |request| {
            let mut published = published.lock().expect("nobody panics");
            let (coming, known) = &mut *published;
            if let Ok(publication) = coming.try_recv() {
                *known = Some(publication);
            }
            let answer = known.as_ref().and_then(|it| it.respond(request));
            answer.unwrap_or_else(aire_mio::http::Response::not_found)
        })
        .expect("it listens");
        let did = format!("did:web:localhost%3A{}", server.address().port());
        let identity = Identity::generate().expect("a key");
        let identity = identity.with_did(&did, "key-1").expect("a DID");
        let publication = Publication::of(&identity).expect("a did:web");
        let publication = publication
            .endpoint("aire://127.0.0.1:4567", &[], Some("echo"))
            .expect("a URI");
        publish.send(publication).expect("the server is there");
        Self {
            home,
            did,
            _server: server,
        }
    }

    fn resolve(&self, more: &[&str]) -> support::Ran {
        let mut args = vec!["resolve", &self.did, "--https-ca", "ca.pem"];
        args.extend_from_slice(more);
        self.home.run(&args)
    }
}

#[test]
fn a_did_on_the_web_is_resolved_step_by_step() {
    let web = Web::new();
    let told = web.resolve(&["--danger-allow-private"]).good();
    for word in [
        "addresses",
        "tls",
        "document",
        &web.did,
        "aire://127.0.0.1:4567",
    ] {
        assert!(told.contains(word), "{word} is not in:\n{told}");
    }
    let json = web.resolve(&["--danger-allow-private", "--json"]).json();
    assert_eq!(json["did"], web.did.as_str());
    assert_eq!(json["endpoints"][0]["uri"], "aire://127.0.0.1:4567");
    assert_eq!(json["endpoints"][0]["agent"], "echo");
    assert_eq!(json["error"], serde_json::Value::Null);
    let steps = json["steps"].as_array().expect("steps");
    assert!(steps.iter().any(|step| step["what"] == "tls"));
    assert!(steps.iter().all(|step| step["took_ms"].is_number()));
}

#[test]
fn the_step_that_fails_says_why() {
    let web = Web::new();
    let ran = web.resolve(&["--json"]);
    assert_eq!(ran.code(), Some(3));
    let json: serde_json::Value = serde_json::from_str(&ran.stdout()).expect("JSON");
    let steps = json["steps"].as_array().expect("steps");
    let failed = steps.iter().filter_map(|step| step["error"].as_str());
    let words: Vec<_> = failed.collect();
    assert!(
        words.iter().any(|words| words.contains("public internet")),
        "{words:?}"
    );
    assert!(ran.stderr().contains("\"exit\":3"), "{}", ran.stderr());

    let ran = web.resolve(&[]);
    assert_eq!(ran.code(), Some(3));
    assert!(ran.stdout().contains("fail"), "{}", ran.stdout());
    assert!(ran.stdout().contains("leads nowhere"), "{}", ran.stdout());
}

#[test]
fn what_is_no_name_is_a_usage_error() {
    let ran = Home::new().run(&["resolve", "https://a.example"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("aire:// URI"), "{}", ran.stderr());
}
