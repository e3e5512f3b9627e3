//! What is asked for once, and how often anybody may ask (`DISC-8`).

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aire_mio::http::Response;
use aire_mio::resolver::Rate;
use aire_mio::{ResolveError, Resolver, ResolverSettings};

use super::world::{DID, DOCUMENT, World, identity, publication, stranger};
use crate::support::{PATIENCE, eventually};

const METHOD: &str = "did:web:agents.test#key-1";

#[test]
fn a_document_is_kept_for_as_long_as_its_server_allows() {
    let world = World::new("cache");
    let identity = identity(DID);
    let asked = || world.asked("agents.test", DOCUMENT);
    let twice = |settings: ResolverSettings, cache_control| {
        world.publish("agents.test", &publication(&identity), cache_control);
        let resolver = Resolver::new(settings).expect("a resolver");
        let before = asked();
        for _ in 0..2 {
            assert_eq!(resolver.key(METHOD), Ok(identity.public_key()));
        }
        asked() - before
    };
    assert_eq!(twice(world.settings(), "max-age=3600"), 1);
    assert_eq!(twice(world.settings(), ""), 1, "the default");
    assert_eq!(twice(world.settings(), "no-store"), 2);
    assert_eq!(twice(world.settings(), "no-cache"), 2);
    assert_eq!(twice(world.settings(), "max-age=0"), 2);
    let capped = ResolverSettings {
        max_cache_age: Duration::ZERO,
        ..world.settings()
    };
    assert_eq!(twice(capped, "max-age=3600"), 2);
    let small = ResolverSettings {
        cache_entries: 0,
        ..world.settings()
    };
    assert_eq!(twice(small, "max-age=3600"), 2);
}

#[test]
fn a_failure_is_remembered_for_a_while() {
    let world = World::new("failures");
    let resolver = world.resolver();
    for _ in 0..2 {
        let error = resolver.document(DID).expect_err("there is none");
        assert!(matches!(error, ResolveError::Status { status: 404, .. }));
    }
    assert_eq!(world.asked("agents.test", DOCUMENT), 1);
}

#[test]
fn a_key_that_a_kept_document_lacks_is_looked_for_in_a_new_one() {
    let world = World::new("rotated");
    let settings = ResolverSettings {
        failure_cache_age: Duration::ZERO,
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let (old, new) = (identity(DID), identity(DID));
    world.publish("agents.test", &publication(&old), "max-age=3600");
    assert_eq!(resolver.key(METHOD), Ok(old.public_key()));
    let both = publication(&old).key("key-2", new.public_key());
    world.publish("agents.test", &both, "max-age=3600");
    assert_eq!(resolver.key(METHOD), Ok(old.public_key()));
    assert_eq!(world.asked("agents.test", DOCUMENT), 1);
    let method = "did:web:agents.test#key-2";
    assert_eq!(resolver.key(method), Ok(new.public_key()));
    assert_eq!(world.asked("agents.test", DOCUMENT), 2);
}

#[test]
fn ten_who_want_a_document_share_one_fetch() {
    let world = World::new("flights");
    let settings = ResolverSettings {
        max_waiting: 10,
        // Or a failure that is remembered would answer in place of a full queue.
        failure_cache_age: Duration::ZERO,
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let identity = identity(DID);
    world.publish("agents.test", &publication(&identity), "no-store");
    world.shut(true);
    let callers: Vec<_> = (0..10)
        .map(|_| {
            let resolver = resolver.clone();
            thread::spawn(move || {
                loop {
                    match resolver.key(METHOD) {
                        // Somebody looked whether all wait.
                        Err(ResolveError::Busy) => thread::yield_now(),
                        other => return other,
                    }
                }
            })
        })
        .collect();
    eventually("all ten wait, and nobody else may", || {
        resolver.document("did:web:nowhere.test").err() == Some(ResolveError::Busy)
    });
    world.shut(false);
    for caller in callers {
        let key = caller.join().expect("it does not panic");
        assert_eq!(key, Ok(identity.public_key()));
    }
    assert_eq!(world.asked("agents.test", DOCUMENT), 1);
}

#[test]
fn each_source_has_its_own_rate() {
    let world = World::new("rate");
    let settings = ResolverSettings {
        per_source: Rate {
            burst: 2,
            every: Duration::from_secs(24 * 60 * 60),
        },
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let identity = identity("did:web:other.test");
    world.publish("other.test", &publication(&identity), "max-age=3600");
    let ask = |method: &str, source| {
        let (tell, told) = channel();
        resolver.fetch_key(method, source, move |answer| {
            tell.send(answer).expect("it is waited for");
        });
        told.recv_timeout(PATIENCE * 3).expect("an answer")
    };
    let (one, other) = (stranger(1), stranger(2));
    let good = "did:web:other.test#key-1";
    assert_eq!(ask(good, one), Ok(identity.public_key()));
    // What is known costs nothing.
    for _ in 0..5 {
        assert_eq!(ask(good, one), Ok(identity.public_key()));
    }
    assert!(matches!(
        ask("did:web:n1.test#k", one),
        Err(ResolveError::NoAddress { .. })
    ));
    let refused = ask("did:web:n2.test#k", one);
    assert_eq!(refused, Err(ResolveError::RateLimited { source: one }));
    assert!(matches!(
        ask("did:web:n2.test#k", other),
        Err(ResolveError::NoAddress { .. })
    ));
}

#[test]
fn a_fetch_that_takes_too_long_is_given_up() {
    let world = World::new("time");
    let settings = ResolverSettings {
        timeout: Duration::from_millis(500),
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    world.shut(true);
    let error = resolver.document(DID).expect_err("nobody answers");
    assert!(matches!(error, ResolveError::TimedOut { .. }), "{error}");
    world.shut(false);
    world.page("agents.test", DOCUMENT, Response::not_found());
}

#[test]
fn who_waits_when_the_last_handle_is_dropped_is_told() {
    let world = World::new("dropped");
    let resolver = world.resolver();
    let (tell, told) = channel();
    world.shut(true);
    resolver.fetch_key(METHOD, stranger(1), move |answer| {
        tell.send(answer).expect("it is waited for");
    });
    eventually("the document is asked for", || world.waiting() == 1);
    drop(resolver);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Err(ResolveError::Stopped)));
}

#[test]
fn a_resolver_does_not_wait_for_itself() {
    let world = World::new("itself");
    let resolver = world.resolver();
    let own = Arc::new(Mutex::new(Some(resolver.clone())));
    let (tell, told) = channel();
    resolver.fetch_key("did:web:nowhere.test#k", stranger(1), move |_| {
        // The last handle may well be dropped here.
        let own = own.lock().expect("unharmed").take().expect("it is there");
        tell.send(own.document(DID).err())
            .expect("it is waited for");
    });
    drop(resolver);
    let answer = told.recv_timeout(PATIENCE).expect("it does not hang");
    assert!(matches!(
        answer,
        Some(ResolveError::WouldBlock | ResolveError::Stopped)
    ));
}
