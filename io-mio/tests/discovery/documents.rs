//! DID documents, and the keys in them (`ID-2`, `ID-3`, `SIG-2`).

use aire_mio::http::Response;
use aire_mio::{Identity, Pins, ResolveError, Resolver, ResolverSettings};

use super::world::{DID, DOCUMENT, World, identity, publication};

const METHOD: &str = "did:web:agents.test#key-1";

#[test]
fn id_2_a_key_is_found_in_the_document_of_a_did_web() {
    let world = World::new("key");
    let identity = identity(DID);
    world.publish("agents.test", &publication(&identity), "max-age=60");
    let resolver = world.resolver();
    assert_eq!(resolver.key(METHOD), Ok(identity.public_key()));
    assert_eq!(
        resolver.document(DID).map(|it| it.id().to_owned()),
        Ok(DID.into())
    );
    let error = resolver
        .key("did:web:agents.test#key-2")
        .expect_err("there is none");
    assert!(matches!(error, ResolveError::NoMethod { .. }), "{error}");
}

#[test]
fn id_3_a_did_with_a_path_has_its_document_there() {
    let world = World::new("path");
    let did = "did:web:agents.test:people:me";
    let identity = identity(did);
    world.publish("agents.test", &publication(&identity), "max-age=60");
    let method = format!("{did}#key-1");
    assert_eq!(world.resolver().key(&method), Ok(identity.public_key()));
    assert_eq!(world.asked("agents.test", "/people/me/did.json"), 1);
}

#[test]
fn a_did_key_needs_nobody() {
    let settings = ResolverSettings {
        // Nobody is there.
        dns: Some(([127, 0, 0, 1], 1).into()),
        ..ResolverSettings::default()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    let identity = Identity::generate().expect("an identity");
    assert_eq!(resolver.key(identity.method()), Ok(identity.public_key()));
    let document = resolver
        .document(identity.did())
        .expect("it is its own document");
    assert_eq!(document.key(identity.method()), Ok(identity.public_key()));
    let error = resolver
        .resolve(identity.did())
        .expect_err("it has no place");
    assert!(matches!(error, ResolveError::NoEndpoint { .. }), "{error}");
    for bad in [
        "did:key:z6Mk#z6Mk",
        "did:key:zzz",
        "did:web:agents.test",
        "x",
        "",
    ] {
        assert!(
            matches!(resolver.key(bad), Err(ResolveError::Key { .. })),
            "{bad}"
        );
    }
    let error = resolver
        .key("did:plc:abc#key")
        .expect_err("an unknown method");
    assert!(matches!(error, ResolveError::Method { .. }), "{error}");
}

#[test]
fn a_document_that_is_none_or_anothers_is_refused() {
    let world = World::new("wrong");
    let page = |json: &str| world.page("agents.test", DOCUMENT, Response::json(json));
    page("{\"id\": \"did:web:other.test\"}");
    let error = world.resolver().document(DID).expect_err("another's");
    assert!(
        matches!(error, ResolveError::OtherDocument { .. }),
        "{error}"
    );
    page("<html>");
    let error = world.resolver().document(DID).expect_err("none");
    assert!(matches!(error, ResolveError::Document { .. }), "{error}");
    page(
        r##"{"id":"did:web:agents.test","verificationMethod":[{"id":"did:web:agents.test#key-1",
        "type":"Multikey","publicKeyMultibase":"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"}]}"##,
    );
    let error = world.resolver().key(METHOD).expect_err("another type");
    assert!(matches!(&error, ResolveError::Key { reason, .. } if reason.contains("Multikey")));
}

#[test]
fn a_key_that_is_trusted_at_first_use_must_stay() {
    let world = World::new("tofu");
    let known = world.dir.0.join("known");
    let resolver = || {
        let settings = ResolverSettings {
            pins: Pins::none().trust_on_first_use(&known),
            ..world.settings()
        };
        Resolver::new(settings).expect("a resolver")
    };
    let (first, second) = (identity(DID), identity(DID));
    world.publish("agents.test", &publication(&first), "no-store");
    let before = resolver();
    assert_eq!(before.key(METHOD), Ok(first.public_key()));
    world.publish("agents.test", &publication(&second), "no-store");
    for resolver in [before, resolver()] {
        let error = resolver.key(METHOD).expect_err("it has changed");
        let ResolveError::KeyChanged {
            pinned_at, found, ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(*found, second.public_key());
        assert_eq!(*pinned_at, Some((known.clone(), 1)));
    }
    std::fs::remove_file(&known).expect("it was there");
    assert_eq!(resolver().key(METHOD), Ok(second.public_key()));
}

#[test]
fn only_a_pinned_key_is_good() {
    let world = World::new("pinned");
    let (good, bad) = (identity(DID), identity(DID));
    let settings = ResolverSettings {
        pins: Pins::none().pin(DID, good.public_key()),
        ..world.settings()
    };
    let resolver = Resolver::new(settings).expect("a resolver");
    world.publish("agents.test", &publication(&bad), "no-store");
    let error = resolver.key(METHOD).expect_err("it is not pinned");
    assert!(matches!(
        error,
        ResolveError::KeyChanged {
            pinned_at: None,
            ..
        }
    ));
    world.publish("agents.test", &publication(&good), "no-store");
    assert_eq!(resolver.key(METHOD), Ok(good.public_key()));
}
