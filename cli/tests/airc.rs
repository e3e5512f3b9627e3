//! `aire airc`, as it is run, at a registry that listens.

mod names;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Command, Stdio};

use airc_registry::Config;
use airc_registry::config::Tls;
use airc_registry::http::Server;
use aire_mio::Certificate;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use support::{Home, Ran, wait_until};
use tokio::runtime::Runtime;

/// A registry, and a home for those who talk at it.
struct World {
    runtime: Runtime,
    server: Option<Server>,
    home: Home,
}

impl World {
    fn new(change: impl FnOnce(&mut Config, &Home)) -> Self {
        let home = Home::new();
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: format!("sqlite:{}", home.path().join("registry.db").display()),
            open: true,
            ..Config::default()
        };
        // A test asks faster than anybody else.
        config.limits.requests_per_identity = 0;
        config.limits.requests_per_address = 0;
        change(&mut config, &home);
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start(config)).expect("a registry");
        Self {
            runtime,
            server: Some(server),
            home,
        }
    }

    fn open() -> Self {
        Self::new(|_, _| {})
    }

    /// With two who are registered: `seth`, and `alex`, who takes `game:*`.
    fn with_two() -> Self {
        let world = Self::open();
        world.arrives("seth", &[]);
        world.arrives("alex", &["--payload", "game:*"]);
        world
    }

    /// With two who have consented to each other.
    fn with_friends() -> Self {
        let world = Self::with_two();
        world.run("seth", &["consent", "request", "alex"]).good();
        world.run("alex", &["consent", "accept", "@seth"]).good();
        world
    }

    fn port(&self) -> u16 {
        self.server.as_ref().expect("it runs").address().port()
    }

    fn arrives(&self, who: &str, args: &[&str]) {
        self.home.run(&["keygen", &key_of(who)]).good();
        let args = [&["register"], args].concat();
        self.run(who, &args).good();
    }

    fn command(&self, who: &str, args: &[&str]) -> Command {
        let mut command = self.home.command(&[&["airc"], args].concat());
        command
            .env("AIRC_REGISTRY", format!("http://127.0.0.1:{}", self.port()))
            .env("AIRC_HANDLE", who)
            .env("AIRE_KEY", key_of(who));
        command
    }

    fn run(&self, who: &str, args: &[&str]) -> Ran {
        Ran::of(&mut self.command(who, args))
    }

    /// What a command prints, a line of JSON each.
    fn lines(&self, who: &str, args: &[&str]) -> Vec<Value> {
        let printed = self.run(who, &[args, &["--json"]].concat()).good();
        let line = |line| serde_json::from_str(line).expect("JSON");
        printed.lines().map(line).collect()
    }

    fn json(&self, who: &str, args: &[&str]) -> Value {
        self.run(who, &[args, &["--json"]].concat()).json()
    }

    fn start(&self, who: &str, args: &[&str]) -> Going {
        let mut command = self.command(who, args);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        Going { child, stdout }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let stopped = self.runtime.block_on(server.stop());
            assert!(stopped.is_ok() || std::thread::panicking());
        }
    }
}

/// A command that goes on.
struct Going {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

impl Going {
    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("text");
        serde_json::from_str(&line).expect("a line of JSON")
    }

    /// Tells it to end, and waits until it has.
    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::INT).expect("it runs");
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        // It has ended already when all went well.
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn key_of(who: &str) -> String {
    format!("{who}.pem")
}

#[test]
fn two_agents_register_agree_and_talk() {
    let world = World::with_two();
    let seen = world.json("seth", &["identity", "@alex"]);
    assert_eq!(seen["capabilities"]["payloads"], json!(["game:*"]));
    assert!(seen["publicKey"].is_string());

    let waits = world.run("seth", &["send", "@alex", "Hello?"]).good();
    assert!(waits.ends_with("waits for @alex's consent\n"), "{waits}");
    let asked = world.lines("alex", &["poll"]);
    assert_eq!(
        asked,
        [json!({ "event": "consent_requested", "from": "seth" })]
    );
    let list = world.json("alex", &["consent", "list", "--state", "pending"]);
    assert_eq!(list["incoming"][0]["handle"], "seth");
    assert_eq!(
        world.run("alex", &["consent", "accept", "seth"]).good(),
        "@seth: accepted\n"
    );
    let status = world.run("seth", &["consent", "status", "alex"]).good();
    assert_eq!(
        status,
        "from @seth to @alex: accepted\nfrom @alex to @seth: accepted\n"
    );

    let payload = r#"game:chess={"move":"e4","big":123456789012345678901234567890}"#;
    let sent = world.json(
        "seth",
        &["send", "alex", "Your move!", "--payload", payload],
    );
    assert_eq!(
        (&sent["consent"], &sent["text_only"]),
        (&json!("accepted"), &json!(false))
    );

    // What waited, and what came since; each once, over several runs.
    let came = world.lines("alex", &["poll"]);
    assert_eq!(came.len(), 2, "{came:?}");
    assert_eq!(came[0]["message"]["body"], "Hello?");
    assert_eq!(came[1]["message"]["id"], sent["id"]);
    assert!(came.iter().all(|line| line["proof"] == "verified"));
    assert_eq!(world.lines("alex", &["poll"]), [] as [Value; 0]);
    assert_eq!(world.lines("alex", &["poll", "--from-start"]).len(), 2);
    let printed = world.run("alex", &["poll", "--from-start"]).good();
    assert!(printed.contains("    game:chess "), "{printed}");
    assert!(
        printed.contains("123456789012345678901234567890"),
        "{printed}"
    );

    let id = sent["id"].as_str().expect("an id");
    world
        .run("alex", &["ack", id, "--reason", "Thanks."])
        .good();
    let thread = world.json("seth", &["thread", "alex"]);
    let messages = thread.as_array().expect("a list");
    let mut data = messages
        .iter()
        .map(|line| &line["message"]["payload"]["data"]);
    let ack = data.find(|data| data["ref"] == sent["id"]).expect("an ack");
    assert_eq!(ack["status"], "received");
    assert_eq!(messages.len(), 3);
}

#[test]
fn how_far_an_inbox_was_read_is_for_its_owner_alone() {
    let world = World::with_friends();
    world.run("seth", &["send", "alex", "Hello"]).good();
    world.run("alex", &["poll"]).good();
    let kept: Vec<_> = fs::read_dir(world.home.path().join("state/aire/airc"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry"))
        .collect();
    assert_eq!(kept.len(), 1);
    let name = kept[0].file_name();
    assert!(name.to_string_lossy().starts_with("alex@http"), "{name:?}");
    let mode = kept[0].metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A cursor of one's own choice is used, and nothing is kept of it.
    let cursor = fs::read_to_string(kept[0].path()).expect("text");
    world.run("seth", &["send", "alex", "again"]).good();
    for _ in 0..2 {
        let lines = world.lines("alex", &["poll", "--since", cursor.trim_end()]);
        assert_eq!(lines.len(), 1);
    }
    fs::write(kept[0].path(), "").expect("a file");
    let ran = world.run("alex", &["poll"]);
    assert_eq!(ran.code(), Some(2));
    assert!(ran.stderr().contains("--from-start"), "{}", ran.stderr());
}

#[test]
fn the_words_of_others_do_not_steer_the_terminal() {
    let world = World::with_friends();
    let nasty = "\x1b[2Jgone\r\nnext\u{202e}";
    world.run("seth", &["heartbeat", "--context", nasty]).good();
    world.run("seth", &["send", "alex", nasty]).good();
    let data = r#"{"x":"\u001b[2J\u009b2J"}"#;
    world
        .run(
            "seth",
            &["send", "alex", "--payload", &format!("game:x={data}")],
        )
        .good();
    world.arrives("carol", &[]);
    world
        .run("carol", &["consent", "request", "alex", "--message", nasty])
        .good();
    for args in [
        &["who"][..],
        &["poll"],
        &["thread", "seth"],
        &["consent", "list"],
        &["identity", "seth"],
    ] {
        let ran = world.run("alex", args);
        let printed = ran.good() + &ran.stderr();
        let steers = |letter: char| letter.is_control() && letter != '\n' || letter == '\u{202e}';
        assert!(!printed.contains(steers), "{args:?}: {printed:?}");
        assert!(!printed.contains("\nnext"), "{args:?}: {printed:?}");
    }
}

#[test]
fn a_payload_comes_from_a_file_and_falls_back_to_text() {
    let world = World::with_friends();
    world.home.file("task.json", r#"{"task":"tidy up"}"#);
    let send = |args: &[&str]| {
        world.run(
            "seth",
            &[
                &["send", "alex", "--json", "--payload", "handoff=@task.json"],
                args,
            ]
            .concat(),
        )
    };
    let alone = send(&["Please tidy up."]);
    assert_eq!(alone.json()["text_only"], true);
    assert!(
        alone.stderr().contains("the text went alone"),
        "{}",
        alone.stderr()
    );
    assert_eq!(send(&["--unlisted", "send"]).json()["text_only"], false);
    let refused = send(&["--unlisted", "refuse"]);
    assert_eq!(refused.code(), Some(4), "{}", refused.stderr());
    let strict = send(&["--unlisted", "send", "--strict"]);
    assert_eq!(strict.code(), Some(4));
    assert!(
        strict.stderr().contains("unsupported_payload"),
        "{}",
        strict.stderr()
    );
    // Alex knows chess, and says so of what it does not.
    let came = world.lines("alex", &["poll", "--payload", "game:*"]);
    assert_eq!(came[1]["message"]["payload"]["data"]["task"], "tidy up");
    let acks = world.lines("seth", &["poll"]);
    assert_eq!(acks.len(), 1);
    assert_eq!(
        acks[0]["message"]["payload"]["data"]["status"],
        "unsupported_payload"
    );

    for bad in [
        "handoff",
        "handoff={",
        "handoff=[1]",
        "handoff=@missing.json",
    ] {
        let ran = world.run("seth", &["send", "alex", "--payload", bad]);
        assert_eq!(ran.code(), Some(2), "{bad}: {}", ran.stderr());
    }
}

#[test]
fn who_keeps_a_heartbeat_is_there_until_the_end() {
    let world = World::with_two();
    let beating = world.start(
        "seth",
        &[
            "heartbeat",
            "--keep",
            "--status",
            "busy",
            "--context",
            "building auth.js",
        ],
    );
    wait_until("a heartbeat", || {
        world.json("alex", &["who"])[0]["context"] == "building auth.js"
    });
    let mut watching = world.start("alex", &["who", "--watch", "--every", "100ms", "--json"]);
    let came = watching.line();
    assert_eq!(
        (&came["event"], &came["handle"]),
        (&json!("came"), &json!("seth"))
    );
    assert_eq!(came["status"], "busy");
    assert_eq!(beating.end(), Some(0));
    let left = watching.line();
    assert_eq!(
        (&left["event"], &left["handle"]),
        (&json!("left"), &json!("seth"))
    );
    assert_eq!(watching.end(), Some(0));
    assert_eq!(world.run("alex", &["who"]).good(), "");
}

#[test]
fn what_comes_is_printed_as_it_comes() {
    let world = World::with_friends();
    let mut reading = world.start("alex", &["poll", "--follow", "--every", "50ms", "--json"]);
    for text in ["one", "two"] {
        world.run("seth", &["send", "alex", text]).good();
        assert_eq!(reading.line()["message"]["body"], text);
    }
    assert_eq!(reading.end(), Some(0));
    assert_eq!(world.lines("alex", &["poll"]), [] as [Value; 0]);
}

#[test]
fn a_key_is_changed_for_a_new_one() {
    let world = World::with_friends();
    world.home.run(&["keygen", "new.pem"]).good();
    let rotated = world.json("seth", &["rotate", "new.pem"]);
    assert_eq!(rotated["key"], "new.pem");
    assert!(rotated["previous_key_valid_until"].is_u64());
    let ran = world.run("seth", &["rotate", "seth.pem"]);
    assert_eq!(ran.code(), Some(4), "the old key changes nothing any more");
    let args = ["send", "alex", "Hello", "--key", "new.pem"];
    world.run("seth", &args).good();
    assert_eq!(world.lines("alex", &["poll"])[0]["proof"], "verified");
}

#[test]
fn exit_codes_and_words_say_what_is_wrong() {
    let world = World::with_two();
    let fails = |who: &str, args: &[&str], code: i32, words: &str| {
        let ran = world.run(who, args);
        assert_eq!(ran.code(), Some(code), "{args:?}: {}", ran.stderr());
        assert!(ran.stderr().contains(words), "{args:?}: {}", ran.stderr());
        assert_eq!(ran.stdout(), "");
    };
    fails("seth", &["identity", "nobody"], 3, "identity_not_found");
    fails("seth", &["send", "nobody", "x"], 3, "identity_not_found");
    fails("seth", &["send", "Not A Handle", "x"], 2, "a handle is");
    fails(
        "seth",
        &["send", "alex", "x", "--strict"],
        4,
        "consent_required",
    );
    fails("seth", &["ack", "msg_none"], 2, "msg_none");
    fails(
        "seth",
        &["poll", "--since", "nonsense"],
        1,
        "invalid_request",
    );
    fails("alex", &["poll", "--key", "seth.pem"], 4, "auth_failed");
    fails(
        "seth",
        &["register", "--key", "missing.pem"],
        2,
        "missing.pem",
    );
    fails(
        "seth",
        &["who", "--registry", "http://registry.example"],
        2,
        "danger",
    );
    fails("seth", &["who", "--registry", "nonsense"], 2, "nonsense");
    // Nobody listens on the port of what was closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", closed.local_addr().expect("bound"));
    drop(closed);
    fails("seth", &["who", "--registry", &url], 3, &url);
    world.run("alex", &["consent", "block", "seth"]).good();
    fails("seth", &["send", "alex", "x"], 4, "consent_blocked");

    let nowhere = world.home.run(&["airc", "who"]);
    assert_eq!(nowhere.code(), Some(2));
    assert!(
        nowhere.stderr().contains("AIRC_REGISTRY"),
        "{}",
        nowhere.stderr()
    );
}

/// A certificate for `agents.test` and `localhost`, in the home; its pin.
fn certificate(home: &Home) -> String {
    let made = Certificate::self_signed(&["agents.test", "localhost"]).expect("a certificate");
    let text = |pem: Vec<u8>| String::from_utf8(pem).expect("text");
    home.file("chain.pem", &text(made.chain_pem().expect("PEM")));
    home.file("private.pem", &text(made.key_pem().expect("PEM")));
    made.pin().to_string()
}

fn with_tls(config: &mut Config, home: &Home) {
    config.domain = Some("agents.test".parse().expect("a domain"));
    config.tls = Some(Tls {
        certificate: home.path().join("chain.pem"),
        key: home.path().join("private.pem"),
    });
}

#[test]
fn a_registry_with_tls_is_believed_by_who_knows_its_authority() {
    let world = World::new(|config, home| {
        certificate(home);
        with_tls(config, home);
    });
    let url = format!("https://localhost:{}", world.port());
    let who = |more: &[&str]| world.run("seth", &[&["who", "--registry", &url], more].concat());
    who(&["--ca", "chain.pem"]).good();
    let stranger = who(&[]);
    assert_eq!(stranger.code(), Some(3), "{}", stranger.stderr());
}

#[test]
fn who_registered_with_an_aire_node_is_invoked_by_its_handle() {
    let mut pin = String::new();
    let world = World::new(|config, home| {
        pin = certificate(home);
        with_tls(config, home);
    });
    let home = &world.home;
    home.file(
        "words.py",
        "import sys\nfor word in sys.stdin.read().split():\n    print(word, len(word), \
         flush=True)\n",
    );
    home.run(&["keygen", "words.pem"]).good();
    // Its DID is the one that the registry gives it; the key of its node is its key there.
    let node = home.serve_as_it_is(
        "listen = [\"127.0.0.1:0\"]\nkey = \"words.pem\"\n[http]\nenabled = \
         false\n[agents.words]\nexec = [\"python3\", \"words.py\"]\n[tls]\ncertificate = \
         \"chain.pem\"\nkey = \"private.pem\"\n[discovery]\ndid = \
         \"did:web:agents.test:agents:words\"\nresolve = false\n",
    );
    let url = format!("https://localhost:{}", world.port());
    let uri = node.uri();
    let at = ["--registry", &url, "--ca", "chain.pem"];
    let register = ["register", "--aire", &uri, "--agent", "words"];
    world.run("words", &[&register[..], &at].concat()).good();

    let dns = names::name_server("agents.test", None).to_string();
    let port = world.port().to_string();
    let answer = home.run(&[
        "invoke",
        "@words@agents.test",
        "words/count",
        "the quick fox",
        "--lines",
        "--pin",
        &pin,
        "--dns",
        &dns,
        "--https-ca",
        "chain.pem",
        "--https-port",
        &port,
        "--danger-allow-private",
    ]);
    assert_eq!(answer.good(), "the 3\nquick 5\nfox 3\n");
}
