//! Configurations that are no good: `aire serve` says where, and why.

mod support;

use support::Home;

const ECHO: &str = "[agents.echo]\nbuiltin = \"echo\"\n";

/// What `aire serve --check` says of `config`, given that it refuses it.
fn refusal(home: &Home, config: &str) -> String {
    home.file("aire.toml", config);
    let ran = home.run(&["serve", "--check"]);
    assert_eq!(ran.code(), Some(2), "{config}");
    assert_eq!(ran.stdout(), "");
    ran.stderr()
}

#[test]
fn a_good_configuration_is_good_and_nothing_is_served() {
    let home = Home::new();
    home.run(&["keygen", "key.pem"]).good();
    home.file("prog.sh", "");
    home.file(
        "all.toml",
        r#"
        listen = ["127.0.0.1:4433", "[::1]:4433"]
        key = "key.pem"

        [tls]
        self_signed = ["node.example.org"]

        [limits]
        connections = 100
        operations_per_connection = 10
        operations = 50
        delegators = 3
        payload = 100_000
        stream_window = 100_000
        connection_window = 1_000_000
        send_queue = 65536
        idle_timeout = "1m"
        handshake_timeout = "5s"
        cancel_timeout = "2.5s"
        drain_timeout = "10s"
        timestamp_window = "2m"
        retry = false
        inbound_per_second = 5
        inbound_burst = 10
        replay_capacity = 1000
        replay_capacity_per_peer = 10
        qlog_dir = "qlog"

        [[caps]]
        tokens = 1000

        [[caps]]
        peer = "did:web:example.com"
        agent = "run"
        cost = "0.25EUR"
        time = "1h"

        [admission]
        allow = ["did:web:example.com", "did:web:example.org"]
        deny = ["did:web:example.net"]

        [resume]
        store = "file"
        path = "operations.redb"
        max_operations = 10
        by_anyone = true

        [http]
        listen = "127.0.0.1:9000"

        [discovery]
        did = "did:web:example.org"
        dns = "127.0.0.1:53"
        known_keys = "known"
        timeout = "2s"

        [discovery.publish]
        listen = "127.0.0.1:8443"
        endpoints = ["aire://example.org"]
        handles = ["@alice@example.org"]

        [agents.echo]
        builtin = "echo"
        resumable = "5m"

        [agents.count]
        builtin = "stream"
        frames = 5
        max_frames = 50
        pause = "10ms"

        [agents.run]
        exec = ["sh", "prog.sh"]
        arguments = "argv"
        input = "chunks"
        output = "chunks"
        max_frame = 1000
        tokens_per_frame = 2
        budget_patience = "10s"
        timeout = "1m"
        grace = "1s"
        max_processes = 2
        directory = "."
        environment = { LANG = "C.UTF-8" }
        inherit = ["PATH", "HOME"]
        tell_stderr = false
        "#,
    );
    let checked = home.run(&["serve", "--check", "--json", "all.toml"]).json();
    assert_eq!(
        checked["agents"],
        serde_json::json!(["count", "echo", "run"])
    );
    assert_eq!(
        home.run(&["serve", "--check", "all.toml"]).good(),
        "all.toml is good\n"
    );
}

#[test]
fn a_refusal_names_the_file_the_line_and_the_field() {
    let home = Home::new();
    for (config, begins) in [
        ("\nlisen = []\n", "aire.toml:2:1: lisen: unknown field"),
        (
            "[limits]\n\nconections = 4\n",
            "aire.toml:3:1: limits.conections: unknown field",
        ),
        (
            "[limits]\nconnections = 0\n",
            "aire.toml:2:15: limits.connections: ",
        ),
        (
            "[limits]\nidle_timeout = \"5\"\n",
            "aire.toml:2:16: limits.idle_timeout: \"5\" is no time",
        ),
        (
            "listen = [\n  \"127.0.0.1:1\",\n  \"x\"]\n",
            "aire.toml:3:3: listen[1]: ",
        ),
        (
            "listen = []\n[agents.a]\nbuiltin=\"echo\"\n",
            "aire.toml:1:10: listen: at least one",
        ),
        (
            "[agents.a]\nbuiltin = \"ech\"\n",
            "aire.toml:2:11: agents.a.builtin: unknown variant",
        ),
        (
            "[agents.a]\n",
            "aire.toml:1:1: agents.a: `exec` or `builtin` is missing",
        ),
        (
            "[agents.a]\nexec = [\"sh\"]\nframes = 2\n",
            "aire.toml:1:1: agents.a: `frames` is for",
        ),
        (
            "[agents.a]\nexec = [\"no-such-program\"]\n",
            "aire.toml:2:8: agents.a.exec: there is no program",
        ),
        (
            "[agents.a]\nexec = [\"./none\"]\n",
            "aire.toml:2:8: agents.a.exec: ",
        ),
        (
            "[agents.a]\nexec = [\"sh\"]\ndirectory = \"none\"\n",
            "aire.toml:3:13: agents.a.directory: ",
        ),
        (
            "[resume]\nstore = \"file\"\n",
            "aire.toml:1:1: resume: `store = \"file\"` needs a `path`",
        ),
        (
            "[admission]\ndeny = [\"bob\"]\n",
            "aire.toml:2:8: admission.deny[0]: \"bob\": not a DID",
        ),
        (
            "[tls]\ncertificate = \"c.pem\"\n",
            "aire.toml:1:1: tls: `certificate` and `key` go together",
        ),
        ("[agents.a]\nbuiltin = \"echo\n", "aire.toml:2:16: "),
        ("", "aire.toml: agents: there is none"),
    ] {
        let said = refusal(&home, config);
        assert!(
            said.starts_with(&format!("aire: {begins}")),
            "{config}: {said}"
        );
    }
    for (config, begins) in [
        ("key = \"none.pem\"\n", "aire.toml:1:7: key: cannot open"),
        (
            "[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\n",
            "aire.toml:2:15: tls.certificate: cannot open",
        ),
        (
            "[[caps]]\nagent = \"other\"\n",
            "aire.toml:2:9: caps[0].agent: there is no agent",
        ),
        (
            "[[caps]]\ncost = \"1EUR\"\n[[caps]]\ncost = \"1USD\"\n",
            "aire.toml:4:8: caps[1].cost: all caps",
        ),
        (
            "[discovery.publish]\nlisten = \"127.0.0.1:0\"\nendpoints = []\n",
            "aire.toml:2:10: discovery.publish: ",
        ),
    ] {
        let said = refusal(&home, &format!("{config}{ECHO}"));
        assert!(
            said.starts_with(&format!("aire: {begins}")),
            "{config}: {said}"
        );
    }
}

#[test]
fn a_missing_configuration_is_an_error_with_its_name() {
    let home = Home::new();
    let ran = home.run(&["serve", "none.toml"]);
    assert_eq!(ran.code(), Some(2));
    assert!(
        ran.stderr().contains("cannot read none.toml"),
        "{}",
        ran.stderr()
    );
}
