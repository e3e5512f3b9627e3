//! Handles, by DNS and by HTTPS (`DISC-3` to `DISC-7`).

use aire_mio::ResolveError;
use aire_mio::http::Response;
use aire_mio::resolver::{Target, What};
use aire_proto::address::AnswerError;

use super::world::{Answer, DID, DOCUMENT, World, identity, publication};

const HANDLE: &str = "@me@agents.test";
const TXT: &str = "_aire.me.agents.test";
const PAGE: &str = "/.well-known/aire-did?name=me";

/// A world in which a document claims the handle.
fn world(name: &str) -> World {
    let world = World::new(name);
    let published = publication(&identity(DID))
        .endpoint("aire://127.0.0.1:7/", &[], Some("echo"))
        .and_then(|it| it.endpoint("aire://127.0.0.1:8", &[], None))
        .expect("endpoints")
        .handle(HANDLE)
        .expect("a handle");
    world.publish("agents.test", &published, "max-age=60");
    world
}

fn finds_it(world: &World) {
    let resolved = world.resolver().resolve("me@agents.test").expect("found");
    assert_eq!(resolved.target, Target::Handle(HANDLE.into()));
    assert_eq!(resolved.did.as_deref(), Some(DID));
    let ports: Vec<_> = resolved.endpoints.iter().map(|it| it.uri.port()).collect();
    assert_eq!(ports, [7, 8], "DISC-2: in order");
    assert_eq!(resolved.endpoints[0].agent.as_deref(), Some("echo"));
}

#[test]
fn a_handle_is_found_by_its_txt_record() {
    let world = world("txt");
    world.txt(TXT, &["did=did:web:agents.test"]);
    finds_it(&world);
}

#[test]
fn a_txt_record_in_pieces_is_one_record() {
    let world = world("txt-pieces");
    let pieces = ["did=did:web:", "agents.test"].map(str::to_owned);
    world.name(TXT, Answer::Txt(vec![pieces.into()]));
    finds_it(&world);
}

#[test]
fn a_handle_is_found_over_https() {
    let world = world("https");
    world.page("agents.test", PAGE, Response::text(format!("{DID}\n")));
    finds_it(&world);
}

#[test]
fn a_name_server_that_does_not_answer_does_not_keep_https_from_winning() {
    let world = world("silent-dns");
    world.name(TXT, Answer::Silence);
    world.page("agents.test", PAGE, Response::text(format!("{DID}\n")));
    finds_it(&world);
    let trace = world.resolver().trace(HANDLE);
    let txt = trace.steps.iter().find(|step| step.what == What::Txt);
    let txt = txt.expect("it was begun").outcome.clone();
    assert!(txt.is_ok_and(|text| text.contains("not waited for")));
}

#[test]
fn a_web_server_that_cannot_be_found_does_not_keep_dns_from_winning() {
    let world = world("silent-web");
    let handle = "@me@slow.test";
    world.name("slow.test", Answer::Silence);
    world.txt("_aire.me.slow.test", &["did=did:web:agents.test"]);
    let published = publication(&identity(DID))
        .endpoint("aire://127.0.0.1:7", &[], None)
        .expect("an endpoint")
        .handle(handle)
        .expect("a handle");
    world.publish("agents.test", &published, "max-age=60");
    let resolved = world.resolver().resolve(handle).expect("found");
    assert_eq!(resolved.did.as_deref(), Some(DID));
}

/// Neither way leads to a DID; why not by DNS, and by HTTPS.
fn reasons(world: &World) -> (ResolveError, ResolveError) {
    match world.resolver().resolve(HANDLE) {
        Err(ResolveError::Handle { dns, https, .. }) => (*dns, *https),
        other => panic!("it is found nowhere: {other:?}"),
    }
}

#[test]
fn a_handle_with_two_records_is_refused() {
    let world = world("two-records");
    world.txt(TXT, &["did=did:web:agents.test", "v=spf1 -all"]);
    let (dns, https) = reasons(&world);
    assert!(
        matches!(&dns, ResolveError::Answer { error: AnswerError::SeveralRecords, from } if from == TXT),
        "{dns}"
    );
    assert!(matches!(https, ResolveError::Status { status: 404, .. }));
}

#[test]
fn a_handle_that_nobody_knows_says_why_both_ways() {
    let world = world("unknown");
    let (dns, https) = reasons(&world);
    assert!(matches!(
        dns,
        ResolveError::Answer {
            error: AnswerError::NoRecord,
            ..
        }
    ));
    assert!(matches!(https, ResolveError::Status { status: 404, .. }));
}

#[test]
fn answers_of_another_form_are_refused() {
    let world = world("forms");
    for (txt, page) in [
        ("DID=did:web:agents.test", "did:web:agents.test"),
        ("did= did:web:agents.test", "did:web:agents.test\r\n"),
        ("did=", "did:web:agents.test\n\n"),
        ("did=agents.test", "agents.test\n"),
        ("x", "<html>"),
    ] {
        world.txt(TXT, &[txt]);
        world.page("agents.test", PAGE, Response::text(page));
        let (dns, https) = reasons(&world);
        assert!(
            matches!(
                dns,
                ResolveError::Answer {
                    error: AnswerError::TxtForm,
                    ..
                }
            ),
            "{txt}"
        );
        assert!(
            matches!(
                https,
                ResolveError::Answer {
                    error: AnswerError::BodyForm,
                    ..
                }
            ),
            "{page}"
        );
    }
}

#[test]
fn a_document_that_does_not_claim_the_handle_is_refused() {
    let world = world("not-claimed");
    let handle = "@you@agents.test";
    world.txt("_aire.you.agents.test", &["did=did:web:agents.test"]);
    let error = world.resolver().resolve(handle).expect_err("DISC-7");
    assert_eq!(
        error,
        ResolveError::NotAlsoKnownAs {
            handle: handle.into(),
            did: DID.into()
        }
    );
    // A did:key claims nothing.
    let key = aire_mio::Identity::generate().expect("an identity");
    world.txt("_aire.you.agents.test", &[&format!("did={}", key.did())]);
    let error = world.resolver().resolve(handle).expect_err("DISC-7");
    assert!(matches!(error, ResolveError::NotAlsoKnownAs { .. }));
}

#[test]
fn every_step_is_told_with_what_came_of_it() {
    let world = world("trace");
    world.txt(TXT, &["did=did:web:agents.test"]);
    let trace = world.resolver().trace("aire://me@agents.test/echo/op");
    let resolved = trace.outcome.expect("found");
    assert_eq!(resolved.agent.as_deref(), Some("echo"));
    assert_eq!(resolved.operation.as_deref(), Some("op"));
    let of = |what| trace.steps.iter().filter(move |step| step.what == what);
    let text = |what| {
        let step = of(what).next_back().expect("it was taken");
        (
            step.detail.clone(),
            step.outcome.clone().expect("it went well"),
        )
    };
    assert_eq!(text(What::Txt), (TXT.into(), DID.into()));
    let (detail, address) = text(What::Addresses);
    assert_eq!(
        (detail.as_str(), address.as_str()),
        ("agents.test", "127.0.0.1")
    );
    assert!(text(What::Tls).1.starts_with("TLSv1."));
    let url = format!("https://agents.test{DOCUMENT}");
    assert_eq!(text(What::Get).0, url);
    assert_eq!(text(What::Document), (DID.into(), "1 usable key".into()));
    assert_eq!(text(What::AlsoKnownAs).0, "aire://me@agents.test");
    assert!(text(What::Endpoints).1.contains("127.0.0.1:7"));
    let last = trace.steps.last().map(|step| step.what);
    assert_eq!(last, Some(What::Endpoints));

    let trace = world.resolver().trace("did:web:nowhere.test");
    assert!(trace.outcome.is_err());
    let failed = trace.steps.iter().find(|step| step.outcome.is_err());
    assert_eq!(failed.map(|step| step.what), Some(What::Addresses));
}
