//! What a store in Redis promises: nodes share it, and it fails in time.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use aire_mio::store::{ClaimError, RedisStore, ResumeStore, StoreError, Terminal, Word, new_token};

use super::redis::RedisServer;
use super::{LEASE, LONG, NO_TIME, NOW, Store, Suite, TTL, appended, issued, opened, record};

pub(super) fn in_redis(suite: Suite) {
    let Some(server) = RedisServer::start() else {
        return;
    };
    suite(&node(&server), &node(&server));
}

fn node(server: &RedisServer) -> Store {
    Arc::new(RedisStore::connect(&server.url()).expect("a server"))
}

#[test]
fn nothing_stays_in_a_shared_store_for_ever() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let mut connection = ask(&server);
    // Whatever comes next may never come: the node may crash after any of these.
    let mut all_end = |count| {
        let keys = redis::cmd("KEYS").arg("*").query(&mut connection);
        let keys: Vec<String> = keys.unwrap();
        assert_eq!(keys.len(), count, "{keys:?}");
        for key in keys {
            assert!(key.starts_with("aire:"), "{key}");
            let left = redis::cmd("PTTL").arg(&key).query(&mut connection);
            let left: i64 = left.unwrap();
            assert!((0..=121_000).contains(&left), "{key} lives for {left} ms");
        }
    };
    let key = opened(&store);
    all_end(1);
    appended(&store, &key, &[b"1"]);
    all_end(3);
    store.tell(&key, &Word::InputFinished).unwrap();
    all_end(4);
    issued(&store, &key);
    issued(&store, &key);
    all_end(6);
    store.finish(&key, &Terminal::Finished).unwrap();
    all_end(6);
    let key = opened(&store);
    store.finish(&key, &Terminal::Finished).unwrap();
    all_end(8);
}

fn ask(server: &RedisServer) -> redis::Connection {
    let client = redis::Client::open(server.url()).unwrap();
    client.get_connection().unwrap()
}

#[test]
fn prefixes_keep_stores_apart() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let apart = RedisStore::connect(&server.url()).unwrap();
    let apart = apart.with_prefix("{other}:");
    let key = opened(&store);
    let token = issued(&store, &key);
    assert_eq!(apart.read(&key, 1, NO_TIME), Err(StoreError::Unknown));
    let claimed = apart.claim(&token, None, 0, NOW);
    assert_eq!(claimed, Err(ClaimError::Invalid));
    let token = new_token().unwrap();
    apart.open(&key, &record(), LEASE, NOW).unwrap();
    apart.issue(&key, &token, TTL, NOW).unwrap();
    assert!(apart.claim(&token, None, 0, NOW).is_ok());
}

#[test]
fn who_reads_a_shared_store_cannot_resume() {
    let Some(server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let key = opened(&store);
    let token = issued(&store, &key);
    let hex: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut connection = ask(&server);
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(&mut connection).unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert!(!key.contains(&hex));
        let dump: Vec<u8> = redis::cmd("DUMP").arg(&key).query(&mut connection).unwrap();
        assert!(!dump.windows(32).any(|at| at == token));
        assert!(!dump.windows(64).any(|at| at == hex.as_bytes()));
    }
}

/// No call takes longer, whatever becomes of the server.
const SOON: Duration = Duration::from_secs(5);

fn fails_soon<T: std::fmt::Debug>(call: impl FnOnce() -> Result<T, StoreError>) {
    let began = Instant::now();
    let result = call();
    assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
    assert!(began.elapsed() < SOON, "after {:?}", began.elapsed());
}

/// What a store says when the server goes away while a reader waits, and from then on.
fn a_lost_server_is_an_error_soon(lose: fn(&mut RedisServer)) {
    let Some(mut server) = RedisServer::start() else {
        return;
    };
    let store = node(&server);
    let key = opened(&store);
    let token = issued(&store, &key);
    std::thread::scope(|scope| {
        let (started, start) = mpsc::channel();
        let (store, key) = (&store, &key);
        let waiter = scope.spawn(move || {
            started.send(()).expect("the test is there");
            (store.read(key, 1, LONG), Instant::now())
        });
        start.recv().expect("the waiter is there");
        std::thread::sleep(Duration::from_millis(300));
        lose(&mut server);
        let lost = Instant::now();
        let (result, ended) = waiter.join().expect("no panic");
        assert!(matches!(result, Err(StoreError::Failed(_))), "{result:?}");
        assert!(ended.duration_since(lost) < SOON);
    });
    fails_soon(|| store.append(&key, 1, b"lost"));
    fails_soon(|| store.read(&key, 1, LONG));
    fails_soon(|| match store.claim(&token, None, 0, NOW) {
        Err(ClaimError::Store(error)) => Err::<(), _>(error),
        other => panic!("{other:?}"),
    });
    fails_soon(|| RedisStore::connect(&server.url()).map(drop));
}

#[test]
fn a_server_that_is_killed_is_an_error_soon() {
    a_lost_server_is_an_error_soon(RedisServer::kill);
}

#[test]
fn a_server_that_hangs_is_an_error_soon() {
    a_lost_server_is_an_error_soon(|server| server.freeze());
}

#[test]
fn an_address_that_is_none_is_an_error() {
    for wrong in ["", "http://localhost", "rediss://localhost", "redis://"] {
        let refused = RedisStore::connect(wrong).err();
        assert!(matches!(refused, Some(StoreError::Failed(_))), "{wrong:?}");
    }
}
