//! The client and the registry of this workspace, over HTTP: the whole of section 4, and the codes
//! of section 5 that a client can bring about.

use std::time::{Duration, Instant};

use airc_client::json::Object;
use airc_client::{
    AckStatus, Beat, Client, ConsentState, Draft, Error, ErrorCode, HEARTBEAT_INTERVAL, Handle,
    Inbox, Payload, Proof, Registration, SigningKey, Status, Unlisted,
};
use airc_core::time::Time;
use airc_registry::Config;
use airc_registry::clock::Clock;
use airc_registry::engine::EngineSettings;
use airc_registry::http::Server;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// When a test gives up: far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A registry that runs as long as this value.
struct Running {
    runtime: Runtime,
    server: Option<Server>,
    _dir: TempDir,
}

impl Running {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_engine(change, EngineSettings::default())
    }

    fn with_engine(change: impl FnOnce(&mut Config), engine: EngineSettings) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config {
            listen: ([127, 0, 0, 1], 0).into(),
            database: format!("sqlite:{}", dir.path().join("registry.db").display()),
            open: true,
            require_proof: Some(true),
            ..Config::default()
        };
        // A test asks faster than anybody else.
        config.limits.requests_per_identity = 0;
        config.limits.requests_per_address = 0;
        change(&mut config);
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::start_with(config, engine));
        let server = server.expect("a registry");
        Self {
            runtime,
            server: Some(server),
            _dir: dir,
        }
    }

    fn open() -> Self {
        Self::new(|_| {})
    }

    fn url(&self) -> String {
        let server = self.server.as_ref().expect("it runs");
        format!("http://{}", server.address())
    }

    fn client(&self, handle: &str, key: SigningKey) -> Client {
        let builder = Client::builder(self.url(), handle).key(key);
        builder.build().expect("a client")
    }

    /// A client that is registered, with a new key.
    fn registered(&self, handle: &str, registration: &Registration) -> Client {
        let client = self.client(handle, SigningKey::generate().expect("a key"));
        client.register(registration).expect("it is free");
        client
    }

    /// Seth and Alex, who have consented to each other.
    fn friends(&self) -> (Client, Client) {
        let seth = self.registered("seth", &Registration::default());
        let alex = self.registered("alex", &Registration::default().payload("game:*"));
        seth.request_consent(alex.handle(), None).expect("asked");
        alex.accept_consent(seth.handle()).expect("given");
        (seth, alex)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let stopped = self.runtime.block_on(server.stop());
            assert!(stopped.is_ok() || std::thread::panicking());
        }
    }
}

fn payload(kind: &str, size: usize) -> Payload {
    Payload {
        kind: kind.into(),
        data: [("x", "x".repeat(size))].into_iter().collect::<Object>(),
    }
}

fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_agents_meet_agree_and_talk() {
    let registry = Running::open();
    let seth = registry.registered("seth", &Registration::default());
    let taken = Registration::default()
        .payload("game:*")
        .endpoint("aire://agents.example:4433", Some("words"));
    let alex = registry.registered("alex", &taken);

    // Alex can be found, and what it takes.
    let found = seth.identity(alex.handle()).expect("found");
    assert_eq!(found.key, alex.key().map(|key| key.public_key()));
    assert!(found.takes("game:chess") && !found.takes("handoff"));
    assert_eq!(found.endpoints[0].uri, "aire://agents.example:4433");
    assert!(found.did.as_ref().expect("a DID").starts_with("did:web:"));

    // Without consent, a message waits.
    let early = seth
        .send(&Draft::text(alex.handle(), "Hello?"))
        .expect("taken");
    assert_eq!(early.consent, ConsentState::Pending);
    let mut inbox = Inbox::new(alex.clone(), None).acknowledging(["game:*"]);
    let batch = inbox.poll(50).expect("an inbox");
    assert!(batch.messages.is_empty());
    assert_eq!(batch.pending, [handle("seth")]);
    let asking = alex.consents(Some(ConsentState::Pending)).expect("a list");
    assert_eq!(asking.incoming[0].peer, handle("seth"));

    // With it, it comes, and what is said since.
    let given = alex.accept_consent(seth.handle()).expect("given");
    assert_eq!(given, ConsentState::Accepted);
    let standing = seth.consent_with(alex.handle()).expect("known");
    assert_eq!(standing.outgoing, ConsentState::Accepted);
    assert_eq!(standing.incoming, ConsentState::Accepted);
    let game = Draft::payload(alex.handle(), payload("game:chess", 1)).with_text("Your move!");
    let sent = seth.send(&game).expect("taken");
    assert_eq!(
        (sent.consent, sent.text_only),
        (ConsentState::Accepted, false)
    );
    let task = Draft::payload(alex.handle(), payload("handoff", 1)).unlisted(Unlisted::Send);
    let task = seth.send(&task).expect("taken");
    let batch = inbox.poll(50).expect("an inbox");
    let ids: Vec<_> = batch.messages.iter().map(|message| &message.id).collect();
    assert_eq!(ids, [&early.id, &sent.id, &task.id]);
    assert!(
        batch
            .messages
            .iter()
            .all(|message| message.proof == Proof::Verified)
    );
    assert_eq!(batch.messages[1].payload, Some(payload("game:chess", 1)));
    assert!(
        batch.unacknowledged.is_empty(),
        "{:?}",
        batch.unacknowledged
    );
    assert!(inbox.poll(50).expect("an inbox").messages.is_empty());

    // Alex did not know the handoff, and said so.
    alex.ack(&batch.messages[1], AckStatus::Received, None)
        .expect("taken");
    let page = seth.poll(None, 50).expect("an inbox");
    let acks: Vec<_> = page
        .messages
        .iter()
        .filter_map(|message| message.payload.as_ref())
        .map(|payload| {
            let text = |key| payload.data.get(key).and_then(|value| value.as_str());
            (
                text("ref").expect("a reference"),
                text("status").expect("a status"),
            )
        })
        .collect();
    assert_eq!(
        acks,
        [(&*task.id, "unsupported_payload"), (&*sent.id, "received")]
    );

    // Both see the same thread.
    let thread = |of: &Client, with: &Client| -> Vec<String> {
        let thread = of.thread(with.handle()).expect("a thread");
        thread.into_iter().map(|message| message.id).collect()
    };
    assert_eq!(thread(&seth, &alex).len(), 5);
    assert_eq!(thread(&seth, &alex), thread(&alex, &seth));
}

#[test]
fn who_is_there_is_seen_by_everybody() {
    let registry = Running::open();
    let seth = registry.registered("seth", &Registration::default());
    let alex = registry.registered("alex", &Registration::default());
    let beat = Beat {
        status: Some(Status::Busy),
        context: Some("building auth.js in TypeScript".into()),
    };
    let beats = seth.heartbeats(beat, HEARTBEAT_INTERVAL).expect("a thread");
    wait_until("a heartbeat", || beats.sent() > 0);
    let who = alex.who(None).expect("a list");
    assert_eq!(who.len(), 1);
    assert_eq!(
        (who[0].handle.as_str(), who[0].status),
        ("seth", Status::Busy)
    );
    assert_eq!(
        who[0].context.as_deref(),
        Some("building auth.js in TypeScript")
    );
    assert!(who[0].expires_at > who[0].last_heartbeat);
    assert_eq!(alex.who(Some(Status::Online)).expect("a list"), []);
    let seen = alex
        .fresh_identity(seth.handle())
        .expect("known")
        .presence
        .clone();
    assert_eq!(seen.expect("there").status, Status::Busy);
    beats.stop();
    let gone = Beat {
        status: Some(Status::Offline),
        context: None,
    };
    seth.heartbeat(&gone).expect("taken");
    assert_eq!(alex.who(None).expect("a list"), []);
}

#[test]
fn a_long_list_of_who_is_there_is_read_to_its_end() {
    let registry = Running::open();
    let names: Vec<_> = (0..120)
        .map(|number| format!("agent_{number:03}"))
        .collect();
    for name in &names {
        let client = registry.registered(name, &Registration::default());
        client.heartbeat(&Beat::default()).expect("taken");
    }
    let seth = registry.client("seth", SigningKey::generate().expect("a key"));
    let who = seth.who(None).expect("a list");
    let found: Vec<_> = who.iter().map(|one| one.handle.as_str()).collect();
    assert_eq!(found, names);
}

#[test]
fn an_inbox_that_is_saved_and_restored_loses_nothing_and_repeats_nothing() {
    let registry = Running::open();
    let (seth, alex) = registry.friends();
    let mut sent = Vec::new();
    for number in 0..25 {
        let draft = Draft::text(alex.handle(), format!("number {number}"));
        sent.push(seth.send(&draft).expect("taken").id);
    }
    let (mut cursor, mut found) = (None, Vec::new());
    loop {
        // Each time a client that knows nothing but the cursor.
        let mut inbox = Inbox::new(alex.clone(), cursor);
        let batch = inbox.poll(7).expect("an inbox");
        found.extend(batch.messages.into_iter().map(|message| message.id));
        cursor = inbox.cursor().cloned();
        if !batch.more {
            break;
        }
    }
    assert_eq!(found, sent);
}

#[test]
fn a_rotated_key_signs_and_what_the_old_one_signed_is_still_believed() {
    let registry = Running::open();
    let (seth, alex) = registry.friends();
    let old = seth.key().expect("a key");
    // Alex knows Seth's first key.
    seth.send(&Draft::text(alex.handle(), "before"))
        .expect("taken");
    let new = SigningKey::generate().expect("a key");
    seth.rotate(new.clone()).expect("rotated");
    assert_eq!(
        seth.key().map(|key| key.public_key()),
        Some(new.public_key())
    );
    seth.send(&Draft::text(alex.handle(), "after"))
        .expect("taken");
    // The grace period: a client that has not heard of it goes on.
    let late = registry.client("seth", old.clone());
    late.send(&Draft::text(alex.handle(), "late"))
        .expect("taken");
    let page = alex.poll(None, 50).expect("an inbox");
    let proofs: Vec<_> = page.messages.iter().map(|message| message.proof).collect();
    assert_eq!(proofs, [Proof::Verified; 3]);
    let previous = alex.fresh_identity(seth.handle()).expect("known").previous;
    assert_eq!(previous.expect("a key before").key, old.public_key());
    // The old key changes nothing any more.
    let error = late.rotate(SigningKey::generate().expect("a key"));
    assert_eq!(
        error.expect_err("refused").code(),
        Some(ErrorCode::AuthFailed)
    );
}

#[test]
fn the_codes_of_section_5_are_what_the_registry_answers() {
    let registry = Running::open();
    let (seth, alex) = registry.friends();
    let small = Registration {
        max_payload_size: Some(64),
        ..Registration::default()
    };
    let carol = registry.registered("carol", &small);
    let code = |done: Result<airc_client::Sent, Error>| done.expect_err("refused").code();
    let hello = |to: &Client| Draft::text(to.handle(), "Hello");

    let strict = seth.send(&hello(&carol).strict());
    let error = strict.expect_err("no consent yet");
    assert_eq!(error.code(), Some(ErrorCode::ConsentRequired));
    let status = error
        .refused()
        .and_then(|refused| refused.detail("consent_status"));
    assert!(matches!(status, Some("none" | "pending")), "{error}");

    seth.send(&hello(&carol)).expect("it waits");
    carol.block_consent(seth.handle()).expect("blocked");
    assert_eq!(
        code(seth.send(&hello(&carol))),
        Some(ErrorCode::ConsentBlocked)
    );
    carol.accept_consent(seth.handle()).expect("given");

    let large = Draft::payload(carol.handle(), payload("game:x", 100)).unlisted(Unlisted::Send);
    assert_eq!(code(seth.send(&large)), Some(ErrorCode::PayloadTooLarge));
    let unlisted = Draft::payload(alex.handle(), payload("other", 1)).unlisted(Unlisted::Send);
    assert_eq!(
        code(seth.send(&unlisted.strict())),
        Some(ErrorCode::UnsupportedPayload)
    );

    let nobody = handle("nobody");
    let error = seth.identity(&nobody).expect_err("nobody");
    assert!(error.is_not_found());
    let to_nobody = seth.send(&Draft::text(&nobody, "Hello"));
    assert_eq!(code(to_nobody), Some(ErrorCode::IdentityNotFound));

    let cursor = airc_client::Cursor::from_text("of another registry").expect("a text");
    let error = seth.poll(Some(&cursor), 50).expect_err("no cursor");
    assert_eq!(error.code(), Some(ErrorCode::InvalidRequest));

    // Somebody with another key is not Seth, whatever they ask for.
    let mallory = registry.client("seth", SigningKey::generate().expect("a key"));
    let refused = |error: Error| assert_eq!(error.code(), Some(ErrorCode::AuthFailed), "{error}");
    refused(mallory.send(&hello(&alex)).expect_err("forged"));
    refused(mallory.poll(None, 50).expect_err("forged"));
    refused(mallory.thread(alex.handle()).expect_err("forged"));
    refused(mallory.consents(None).expect_err("forged"));
    refused(mallory.heartbeat(&Beat::default()).expect_err("forged"));
    refused(mallory.accept_consent(alex.handle()).expect_err("forged"));
    refused(
        mallory
            .register(&Registration::default())
            .expect_err("taken"),
    );
    refused(
        mallory
            .rotate(SigningKey::generate().expect("a key"))
            .expect_err("forged"),
    );
}

#[test]
fn too_many_requests_are_refused_with_a_time_to_wait() {
    let registry = Running::new(|config| {
        config.limits.requests_per_identity = 1;
        config.limits.burst = 1;
    });
    let key = SigningKey::generate().expect("a key");
    let seth = Client::builder(registry.url(), "seth").key(key).retries(0);
    let seth = seth.build().expect("a client");
    seth.register(&Registration::default()).expect("it is free");
    let beat = || seth.heartbeat(&Beat::default());
    let error = (0..5).find_map(|_| beat().err()).expect("the limit");
    assert_eq!(error.code(), Some(ErrorCode::RateLimited), "{error}");
    assert!(error.is_temporary());
    assert!(error.retry_after().is_some(), "{error}");
}

#[test]
fn a_closed_registry_wants_an_invite() {
    let registry = Running::new(|config| config.open = false);
    let key = SigningKey::generate().expect("a key");
    let builder = || Client::builder(registry.url(), "seth").key(key.clone());
    for builder in [builder(), builder().invite("guessed")] {
        let client = builder.build().expect("a client");
        let error = client.register(&Registration::default());
        assert_eq!(
            error.expect_err("closed").code(),
            Some(ErrorCode::AuthFailed)
        );
    }
}

#[test]
fn a_registry_in_another_time_refuses_what_is_signed_now() {
    let engine = EngineSettings {
        clock: Clock::standing(Time::from_seconds(1_735_776_000)),
        ..EngineSettings::default()
    };
    let registry = Running::with_engine(|_| {}, engine);
    let seth = registry.client("seth", SigningKey::generate().expect("a key"));
    let error = seth
        .register(&Registration::default())
        .expect_err("too late");
    assert_eq!(error.code(), Some(ErrorCode::ReplayDetected), "{error}");
    assert!(error.is_about_identity());
}
