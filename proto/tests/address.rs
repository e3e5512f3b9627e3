//! Addresses: the vectors, what holds for any text, and for any parts in any spelling.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/address.rs"]
mod invariants;

use aire_proto::address::{DEFAULT_PORT, DidWeb, Handle, Host, Uri};
use aire_vectors::{DidWebParts, HandleParts, UriParts, own};
use invariants::{check, uris};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

#[test]
fn every_uri_vector_has_its_parts_or_is_refused() {
    let vectors = own();
    let uris = vectors
        .iter()
        .filter_map(|vector| Some((&*vector.id, vector.as_uri()?)));
    let mut normal_forms = vec![];
    for (id, vector) in uris {
        let parsed = Uri::parse(&vector.text).ok();
        let parts = parsed.map(|uri| UriParts {
            normal: uri.to_string(),
            host: uri.host().to_string(),
            port: uri.port(),
            userinfo: uri.userinfo().map(str::to_owned),
            agent: uri.agent().map(|agent| agent.to_string()),
            operation: uri.operation().map(|operation| operation.to_string()),
        });
        assert_eq!(parts, vector.parts, "{id}");
        normal_forms.extend(parts.map(|parts| (parts.normal, parsed.unwrap())));
        check(vector.text.as_bytes());
    }
    assert!(normal_forms.len() >= 20);
    for (normal, uri) in &normal_forms {
        for (other_normal, other) in &normal_forms {
            assert_eq!(uri == other, normal == other_normal);
        }
    }
}

#[test]
fn every_handle_vector_is_looked_up_where_it_says_or_is_refused() {
    let mut names = [false; 2];
    for vector in &own() {
        let (id, Some(handle)) = (&vector.id, vector.as_handle()) else {
            continue;
        };
        let parsed = Handle::parse(&handle.text).ok();
        let parts = parsed.map(|handle| HandleParts {
            shown: handle.to_string(),
            https_url: handle.https_url().to_string(),
            also_known_as: handle.also_known_as().to_string(),
            txt_name: handle.txt_name().map(|name| name.to_string()),
        });
        assert_eq!(parts, handle.parts, "{id}");
        if let Some(parts) = parts {
            names[usize::from(parts.txt_name.is_some())] = true;
        }
        check(handle.text.as_bytes());
    }
    assert_eq!(names, [true; 2]);
}

#[test]
fn every_did_web_vector_is_its_url_or_is_refused() {
    let mut good = 0_usize;
    for vector in &own() {
        let (id, Some(did_web)) = (&vector.id, vector.as_did_web()) else {
            continue;
        };
        let parsed = DidWeb::parse(&did_web.text).ok();
        let parts = parsed.map(|did_web| DidWebParts {
            url: did_web.document_url().to_string(),
        });
        assert_eq!(parts, did_web.parts, "{id}");
        good = good.saturating_add(usize::from(parts.is_some()));
        check(did_web.text.as_bytes());
    }
    assert!(good >= 5);
}

/// Text out of the pieces that parsers look for.
fn pieces() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "aire://",
            "AIRE://",
            "did:web:",
            "did=",
            "@",
            ":",
            "/",
            "//",
            "%",
            "%3A",
            "%2e",
            "%2F",
            "%25",
            "%c3%a9",
            "%C3",
            "%61",
            ".",
            "..",
            "[",
            "]",
            "::1",
            "[::1]",
            "127.0.0.1",
            "127.1",
            "0x7f",
            "1",
            "4433",
            "65536",
            "+",
            "a",
            "A",
            "b",
            "example.com",
            "-",
            "_",
            "!",
            "?",
            "#",
            "\\",
            " ",
            "\0",
            "\n",
            "é",
            "aire/v0.2",
        ][..],
    );
    vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// A segment, encoded more than it need be where `much` says so, in digits of either case.
fn spelled(text: &str, much: &[bool]) -> String {
    let mut much = much.iter().copied().cycle();
    let mut out = String::new();
    for byte in text.bytes() {
        let bare = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
        match (much.next().unwrap(), much.next().unwrap()) {
            (false, _) if bare => out.push(char::from(byte)),
            (_, true) => out.push_str(&format!("%{byte:02x}")),
            (_, false) => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn segment() -> impl Strategy<Value = String> {
    any::<String>().prop_filter("a name", |text| {
        !matches!(&**text, "" | "." | "..") && text.len() < 200
    })
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn any_bytes_are_read_as_what_they_are_or_refused(data in vec(any::<u8>(), 0..300)) {
        check(&data);
    }

    #[test]
    fn any_text_is_read_as_what_it_is_or_refused(text in any::<String>()) {
        check(text.as_bytes());
    }

    #[test]
    fn pieces_in_any_order_are_read_as_what_they_are_or_refused(text in pieces()) {
        check(text.as_bytes());
        check(format!("aire://{text}").as_bytes());
        check(format!("aire://a/{text}").as_bytes());
        check(format!("did:web:{text}").as_bytes());
        check(format!("did:web:a:{text}").as_bytes());
    }

    #[test]
    fn uris_are_equal_exactly_when_their_normal_forms_are(
        one in "(AIRE|aire)://([aA]@)?[aA](:|:4433|:1)?(/([aA]|%61|%41|!|%21|%2f|%2F|\\.|%2e\\.)){0,3}/?",
        other in "(AIRE|aire)://([aA]@)?[aA](:|:4433|:1)?(/([aA]|%61|%41|!|%21|%2f|%2F|\\.|%2e\\.)){0,3}/?",
    ) {
        uris(&one, &other);
        check(format!("{one}\n{other}").as_bytes());
    }

    #[test]
    fn a_uri_has_the_parts_that_it_was_made_of_however_they_are_spelled(
        host in select(&["a", "Example.com", "127.0.0.1", "[2001:db8::1]"][..]),
        port in option::of(1_u16..),
        agent in segment(),
        operation in option::of(segment()),
        much in vec(any::<bool>(), 2..20),
    ) {
        let mut text = format!("aire://{host}");
        if let Some(port) = port {
            text += &format!(":{port}");
        }
        text += &format!("/{}", spelled(&agent, &much));
        if let Some(operation) = &operation {
            text += &format!("/{}", spelled(operation, &much));
        }
        let uri = Uri::parse(&text).unwrap();
        prop_assert_eq!(uri.host(), Host::parse(host).unwrap());
        prop_assert_eq!(uri.port(), port.unwrap_or(DEFAULT_PORT));
        prop_assert_eq!(uri.agent().map(|agent| agent.to_string()), Some(agent));
        prop_assert_eq!(uri.operation().map(|operation| operation.to_string()), operation);
        check(text.as_bytes());
    }

    #[test]
    fn any_localpart_and_domain_make_a_handle(
        localpart in "[A-Za-z0-9_.-]{1,80}",
        domain in "([a-zA-Z0-9]{1,10}\\.){0,3}[a-zA-Z][a-zA-Z0-9]{0,5}",
    ) {
        let text = format!("{localpart}@{domain}");
        let handle = Handle::parse(&text).unwrap();
        prop_assert_eq!(handle.localpart(), localpart);
        prop_assert_eq!(handle.domain().as_str(), domain);
        let uri = format!("aire://{text}");
        prop_assert_eq!(Uri::parse(&uri).unwrap().handle(), Some(handle));
        check(text.as_bytes());
    }

    #[test]
    fn any_host_port_and_plain_path_make_a_did_web(
        port in option::of(1_u16..),
        path in vec("[A-Za-z0-9_-][A-Za-z0-9._-]{0,9}", 0..5),
    ) {
        let behind = |colon, port: Option<u16>| {
            port.map(|port| format!("{colon}{port}")).unwrap_or_default()
        };
        let mut text = format!("did:web:Example.com{}", behind("%3A", port));
        let other = port.filter(|port| *port != 443);
        let mut url = format!("https://example.com{}", behind(":", other));
        for segment in &path {
            text += &format!(":{segment}");
            url += &format!("/{segment}");
        }
        url += if path.is_empty() { "/.well-known/did.json" } else { "/did.json" };
        prop_assert_eq!(DidWeb::parse(&text).unwrap().document_url().to_string(), url);
        check(text.as_bytes());
    }
}
