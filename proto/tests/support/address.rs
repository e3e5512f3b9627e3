//! What holds for any text that shall be a URI, a handle, a `did:web` or an answer.

use std::collections::HashSet;

use aire_proto::address::{
    DidWeb, Encoded, Handle, Host, HttpsBody, MAX_NAME_LEN, MAX_URI_LEN, Percent, TxtRecord, Uri,
    service,
};

/// Reads `data` in every way that there is. What is read, is printed and read again as the same.
pub(crate) fn check(data: &[u8]) {
    if let Ok(record) = TxtRecord::parse(data) {
        assert_eq!(record.to_string().as_bytes(), data);
    }
    if let Ok(body) = HttpsBody::parse(data) {
        assert_eq!(body.to_string().as_bytes(), data);
    }
    let text = String::from_utf8_lossy(data);
    uri(&text);
    handle(&text);
    did_web(&text);
    percent(&text);
    encoded(&text);
    host(&text);
    if let Some(version) = service::Version::parse(&text) {
        assert_eq!(version.to_string(), text);
    }
    // Two texts, to compare.
    if let Some((one, other)) = text.split_once('\n') {
        uris(one, other);
        if let (Ok(a), Ok(b)) = (Handle::parse(one), Handle::parse(other)) {
            assert_eq!(a == b, a.to_string() == b.to_string());
            assert_eq!(a == b, a.is_confirmed_by([&*b.also_known_as().to_string()]));
        }
    }
}

fn uri(text: &str) {
    let Ok(uri) = Uri::parse(text) else {
        return;
    };
    let normal = uri.to_string();
    assert!(normal.is_ascii(), "{normal}");
    // [::ffff:1:1] grows to [::ffff:0.1.0.1].
    if normal.len() <= MAX_URI_LEN {
        let again = Uri::parse(&normal).expect("the normal form is a URI");
        assert_eq!(again, uri);
        assert_eq!(again.to_string(), normal);
    }
    assert_eq!(uri.userinfo().is_some(), uri.handle().is_some());
    for segment in [uri.agent(), uri.operation()].into_iter().flatten() {
        assert!(!segment.is_empty() && segment != "." && segment != "..");
    }
    assert!(uri.agent().is_some() || uri.operation().is_none());
    let checked = service::check_uri(text);
    assert_eq!(checked.ok(), uri.userinfo().is_none().then_some(uri));
    if let Some(handle) = uri.handle() {
        let confirmed = handle.is_confirmed_by([text]);
        assert_eq!(confirmed, normal == handle.also_known_as().to_string());
    }
}

/// Two URIs are equal exactly when they have one normal form, and then hash alike.
pub(crate) fn uris(one: &str, other: &str) {
    let (Ok(a), Ok(b)) = (Uri::parse(one), Uri::parse(other)) else {
        return;
    };
    let normal = HashSet::from([a.to_string(), b.to_string()]);
    assert_eq!(HashSet::from([a, b]).len(), normal.len());
    assert_eq!(a == b, normal.len() == 1, "{one:?} and {other:?}");
}

fn handle(text: &str) {
    let Ok(handle) = Handle::parse(text) else {
        return;
    };
    let shown = handle.to_string();
    assert_eq!(Handle::parse(&shown), Ok(handle));
    assert!(handle.is_confirmed_by([&*handle.also_known_as().to_string()]));
    let url = handle.https_url().to_string();
    let parameter = format!("?name={}", handle.localpart());
    assert!(url.starts_with("https://") && url.ends_with(&parameter));
    assert!(!url.contains(['@', '#', '%', '&', '\\']));
    if let Some(name) = handle.txt_name() {
        let name = name.to_string();
        assert!(name.len() <= MAX_NAME_LEN && name.starts_with("_aire."));
        let mut labels = name.split('.');
        assert!(labels.all(|label| (1..=63).contains(&label.len())));
    }
}

fn did_web(text: &str) {
    let Ok(did) = DidWeb::parse(text) else {
        return;
    };
    assert_eq!(did.did().as_str(), text);
    let url = did.document_url().to_string();
    assert!(url.is_ascii() && !url.contains(['?', '#', '@', '\\', ' ']));
    let rest = url
        .strip_prefix("https://")
        .expect("nothing else is fetched");
    let (server, path) = rest.split_once('/').expect("a document has a path");
    let (host, port) = match server.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (server, Some(443)),
    };
    assert_eq!(host, did.host().to_string());
    assert_eq!(port, Some(did.port()));
    // Whoever decodes the path, once or again, finds the same segments.
    let count = did.segments().count().max(1).saturating_add(1);
    let mut decoded = path.to_owned();
    for _ in 0..2 {
        let segments = decoded.split(['/', '\\', '?', '#']);
        assert!(
            !segments
                .clone()
                .any(|segment| matches!(segment, "" | "." | ".."))
        );
        assert_eq!(segments.count(), count);
        decoded = match decoded
            .split('/')
            .map(Percent::parse)
            .collect::<Result<Vec<_>, _>>()
        {
            Ok(segments) => segments
                .iter()
                .map(Percent::to_string)
                .collect::<Vec<_>>()
                .join("/"),
            Err(_) => break,
        };
    }
    assert!(path.ends_with("did.json"));
}

fn percent(text: &str) {
    let Ok(percent) = Percent::parse(text) else {
        return;
    };
    let decoded = percent.to_string();
    assert!(decoded.len() <= text.len());
    assert!(percent.chars().eq(decoded.chars()));
    assert_eq!(percent, *decoded);
    let mut out = vec![0; decoded.len()];
    assert_eq!(percent.decode_into(&mut out), Some(&*decoded));
    if let Some(shorter) = out.len().checked_sub(1) {
        assert_eq!(percent.decode_into(&mut out[..shorter]), None);
    }
}

/// Any text is a segment when it is encoded, and any but two and the empty one an agent's id.
fn encoded(text: &str) {
    let encoded = Encoded(text).to_string();
    let percent = Percent::parse(&encoded).expect("it was encoded");
    assert_eq!(percent, text);
    assert_eq!(Encoded(&percent.to_string()).to_string(), encoded);
    if !matches!(text, "" | "." | "..") && encoded.len() < 1000 {
        let uri = format!("aire://node/{encoded}/{encoded}");
        let parsed = Uri::parse(&uri).expect("both are encoded");
        assert_eq!(parsed.agent(), Some(percent));
        assert_eq!(parsed.operation(), Some(percent));
        assert_eq!(parsed.to_string(), uri);
    }
}

fn host(text: &str) {
    let Ok(host) = Host::parse(text) else {
        return;
    };
    let printed = host.to_string();
    assert_eq!(Host::parse(&printed), Ok(host));
    assert_eq!(matches!(host, Host::V6(_)), text.starts_with('['));
    // No resolver takes a name for an address.
    if matches!(host, Host::Name(_)) {
        assert!(printed.parse::<std::net::IpAddr>().is_err());
        let last = printed.rsplit('.').next().expect("a name has a label");
        assert!(!last.bytes().all(|byte| byte.is_ascii_digit()));
    }
}
