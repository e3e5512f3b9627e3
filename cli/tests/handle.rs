//! From a handle to an operation that is answered, all of it with the real command: a name server, an
//! HTTPS server that publishes who the node is, and a node whose agent is a Python program.

mod names;
mod support;

use std::net::SocketAddr;

use aire_mio::Certificate;
use support::{Home, Served};

const HOST: &str = "agents.test";
const DID: &str = "did:web:agents.test";

/// A name server that knows one host and, where `txt` says so, the handle `words` there.
fn name_server(txt: bool) -> SocketAddr {
    let txt = txt.then(|| ("_aire.words.agents.test", format!("did={DID}")));
    names::name_server(HOST, txt)
}

/// A node, and an HTTPS server that publishes where it is.
struct World {
    home: Home,
    node: Served,
    publisher: Served,
}

impl World {
    fn new() -> Self {
        let home = Home::new();
        let made = Certificate::self_signed(&[HOST]).expect("a certificate");
        let text = |pem: Vec<u8>| String::from_utf8(pem).expect("text");
        home.file("chain.pem", &text(made.chain_pem().expect("PEM")));
        home.file("private.pem", &text(made.key_pem().expect("PEM")));
        home.file(
            "words.py",
            "import sys\nfor word in sys.stdin.read().split():\n    print(word, len(word), \
             flush=True)\n",
        );
        home.run(&["keygen", "key.pem"]).good();
        let head = format!(
            "listen = [\"127.0.0.1:0\"]\nkey = \"key.pem\"\n[http]\nenabled = false\n[agents.words]\n\
             exec = [\"python3\", \"words.py\"]\n[tls]\ncertificate = \"chain.pem\"\nkey = \
             \"private.pem\"\n[discovery]\ndid = \"{DID}\"\nresolve = false\n"
        );
        let node = home.serve_as_it_is(&head);
        let publisher = home.serve_as_it_is(&format!(
            "{head}[discovery.publish]\nlisten = \"127.0.0.1:0\"\nendpoints = [\"{}\"]\nhandles = \
             [\"@words@{HOST}\"]\n",
            node.uri()
        ));
        Self {
            home,
            node,
            publisher,
        }
    }

    /// Runs the command, which looks names up at `dns` and in this world's publisher.
    fn run(&self, args: &[&str], dns: SocketAddr) -> support::Ran {
        let dns = dns.to_string();
        let port = self.publisher.text("publisher").rsplit_once(':');
        let (_, port) = port.expect("an address");
        let names = [
            "--dns",
            &dns,
            "--https-ca",
            "chain.pem",
            "--https-port",
            port,
            "--danger-allow-private",
        ];
        self.home.run(&[args, &names].concat())
    }

    fn invoke(&self, handle: &str, dns: SocketAddr) -> support::Ran {
        let pin = Certificate::from_pem_files(
            self.home.path().join("chain.pem"),
            self.home.path().join("private.pem"),
        );
        let pin = pin.expect("a certificate").pin().to_string();
        let words = "the quick brown fox";
        let args = [
            "invoke",
            handle,
            "words/count",
            words,
            "--lines",
            "--pin",
            &pin,
        ];
        self.run(&args, dns)
    }
}

#[test]
fn a_handle_leads_to_an_answer_by_dns_and_by_https() {
    let world = World::new();
    for txt in [true, false] {
        let dns = name_server(txt);
        let answer = world.invoke("@words@agents.test", dns).good();
        assert_eq!(answer, "the 3\nquick 5\nbrown 5\nfox 3\n", "by DNS: {txt}");
        let found = world
            .run(&["resolve", "@words@agents.test", "--json"], dns)
            .good();
        assert!(found.contains(DID), "{found}");
        assert!(found.contains(&world.node.uri()), "{found}");
    }
}

#[test]
fn a_handle_that_nobody_has_leads_nowhere_and_says_why() {
    let world = World::new();
    let dns = name_server(true);
    let ran = world.invoke("@nobody@agents.test", dns);
    assert_eq!(ran.code(), Some(3), "{}", ran.stderr());
    assert!(
        ran.stderr().contains("@nobody@agents.test"),
        "{}",
        ran.stderr()
    );
    assert_eq!(ran.stdout(), "");
}
