//! What leads to an authority.

use super::*;

/// 2030-01-01: within the dates of all that is in order.
pub(super) const NOW: u64 = 1_893_456_000;
/// 2026-01-01 and 2036-01-01, the dates of most.
const FROM: u64 = 1_767_225_600;
const UNTIL: u64 = 2_082_758_400;

pub(super) fn judge(
    chain: &[Vec<u8>],
    authorities: &[Vec<u8>],
    server: &str,
    now: Option<u64>,
) -> Result<ServerKey, Fault> {
    let authorities: Vec<&[u8]> = authorities.iter().map(Vec::as_slice).collect();
    check(
        Reader::new(&list(chain)),
        &Trust::Authorities(&authorities),
        server,
        now,
    )
}

/// A chain of good certificates, dialled as `node.example` in 2030.
fn chain(names: &[&str], authorities: &[&str]) -> Result<ServerKey, Fault> {
    let read = |names: &[&str]| names.iter().map(|name| good(name)).collect::<Vec<_>>();
    judge(&read(names), &read(authorities), "node.example", Some(NOW))
}

#[test]
fn a_certificate_of_an_authority_is_believed() {
    for (server, authority) in [
        ("server-ed25519", "authority"),
        ("server-plain", "authority"),
        ("server-generalized", "authority"),
        ("server-unknown-extension", "authority"),
        ("server-ed25519", "authority-path-len-0"),
        ("server-ed25519", "authority-path-len-huge"),
    ] {
        assert!(matches!(
            chain(&[server], &[authority]),
            Ok(ServerKey::Ed25519(_))
        ));
    }
    for (server, authority) in [
        ("server-p256-by-ed25519", "authority"),
        ("server-p256", "authority-p256"),
    ] {
        assert!(matches!(
            chain(&[server], &[authority]),
            Ok(ServerKey::P256(_))
        ));
    }
}

#[cfg(feature = "rsa")]
#[test]
fn certificates_by_rsa_are_believed_in_either_padding() {
    for server in ["server-rsa", "server-rsa-by-pss"] {
        assert!(matches!(
            chain(&[server], &["authority-rsa"]),
            Ok(ServerKey::Rsa(_))
        ));
    }
}

#[cfg(not(feature = "rsa"))]
#[test]
fn a_certificate_by_rsa_is_not_supported_without_the_feature() {
    assert_eq!(alert(chain(&["server-rsa"], &["authority-rsa"])), Some(43));
}

#[test]
fn an_authoritys_own_dates_count() {
    for authority in ["authority-expired", "authority-not-yet"] {
        assert_eq!(alert(chain(&["server-ed25519"], &[authority])), Some(45));
        assert!(chain(&["server-ed25519"], &[authority, "authority"]).is_ok());
    }
}

#[test]
fn dates_hold_from_their_first_second_to_their_last() {
    let at = |now| {
        let authorities = [good("authority")];
        alert(judge(
            &[good("server-ed25519")],
            &authorities,
            "node.example",
            now,
        ))
    };
    assert_eq!(at(Some(FROM)), None);
    assert_eq!(at(Some(UNTIL)), None);
    assert_eq!(at(Some(FROM - 1)), Some(45));
    assert_eq!(at(Some(UNTIL + 1)), Some(45));
    assert_eq!(at(Some(0)), Some(45));
    assert_eq!(at(Some(u64::MAX)), Some(45));
    assert_eq!(at(None), Some(46));
}

#[test]
fn an_authority_that_is_not_known_is_not_trusted() {
    assert_eq!(alert(chain(&["server-ed25519"], &[])), Some(48));
    let others = ["authority-p256", "authority-other-name"];
    assert_eq!(alert(chain(&["server-ed25519"], &others)), Some(48));
    assert_eq!(alert(chain(&["server-self-signed"], &others)), Some(43));
}

#[test]
fn the_right_name_with_another_key_is_not_the_authority() {
    let other = "authority-other-key";
    assert_eq!(alert(chain(&["server-ed25519"], &[other])), Some(42));
    // An authority may have changed its key: both are tried.
    assert!(chain(&["server-ed25519"], &[other, "authority"]).is_ok());
}

#[test]
fn an_authority_that_does_not_parse_is_none() {
    let broken = [Vec::new(), good("authority")[1..].to_vec()];
    let servers = [good("server-ed25519")];
    let result = judge(&servers, &broken, "node.example", Some(NOW));
    assert_eq!(alert(result), Some(48));
}

#[test]
fn a_chain_leads_over_the_certificates_between_in_their_order() {
    assert!(chain(&["server-by-between", "between"], &["authority"]).is_ok());
    assert!(chain(&["server-by-lowest", "lowest", "between"], &["authority"]).is_ok());
    assert_eq!(
        alert(chain(&["server-by-between"], &["authority"])),
        Some(48)
    );
    let upside_down = ["server-by-lowest", "between", "lowest"];
    assert_eq!(alert(chain(&upside_down, &["authority"])), Some(48));
    let gap = ["server-by-lowest", "between"];
    assert_eq!(alert(chain(&gap, &["authority"])), Some(48));
}

#[test]
fn one_between_can_be_the_authority_that_is_trusted() {
    assert!(chain(&["server-by-between"], &["between"]).is_ok());
    let whole = ["server-by-lowest", "lowest", "between"];
    assert!(chain(&whole, &["between"]).is_ok());
}

#[test]
fn what_is_sent_behind_an_authoritys_is_not_looked_at() {
    let root_sent = ["server-by-between", "between", "authority"];
    assert!(chain(&root_sent, &["authority"]).is_ok());
    let more = [good("server-ed25519"), std::vec![0xff; 9]];
    assert!(judge(&more, &[good("authority")], "node.example", Some(NOW)).is_ok());
}

#[test]
fn an_authority_that_is_only_sent_is_not_trusted() {
    let sent = ["server-by-between", "between", "authority"];
    assert_eq!(alert(chain(&sent, &["authority-p256"])), Some(48));
}

#[test]
fn a_server_does_not_sign_for_another() {
    // The chain is right but for the one between, which is a server's.
    let server = ["server-by-between", "server-ed25519"];
    assert_eq!(alert(chain(&server, &["authority"])), Some(48));
    let leaf = [
        good("server-by-between"),
        file("not-issuers/between-no-authority.der"),
    ];
    let result = judge(&leaf, &[good("authority")], "node.example", Some(NOW));
    assert_eq!(alert(result), Some(42));
}

#[test]
fn a_chain_is_not_longer_than_an_authority_allows() {
    let short = ["server-by-between", "between-path-len-0"];
    assert!(chain(&short, &["authority"]).is_ok());
    let long = ["server-by-lowest", "lowest", "between-path-len-0"];
    assert_eq!(alert(chain(&long, &["authority"])), Some(42));
    let root = ["server-by-between", "between"];
    assert_eq!(alert(chain(&root, &["authority-path-len-0"])), Some(42));
}

#[test]
fn a_certificate_is_for_the_names_that_it_has_and_no_other() {
    let for_name = |server: &str| {
        let result = judge(
            &[good("server-names")],
            &[good("authority")],
            server,
            Some(NOW),
        );
        alert(result).is_none_or(|alert| {
            assert_eq!(alert, 42);
            false
        })
    };
    for server in [
        "first.example",
        "First.EXAMPLE",
        "first.example.",
        "any.wild.example",
        "192.0.2.1",
        "2001:db8::1",
        "2001:0db8:0:0::0:1",
    ] {
        assert!(for_name(server), "{server}");
    }
    for server in [
        "",
        ".",
        "second.example",
        "under.first.example",
        "irst.example",
        "xfirst.example",
        "first.example..",
        ".first.example",
        "first.example\0",
        // A wildcard is one whole label, in front, with two behind it.
        "wild.example",
        ".wild.example",
        "two.any.wild.example",
        "*.wild.example",
        "a b.wild.example",
        "top.example",
        "localhost",
        "ab.part.example",
        "a.b.twice.example",
        "in.any.middle.example",
        // Addresses are addresses and names are names.
        "192.0.2.77",
        "192.0.2.2",
        "192.0.2.1.",
        "2001:db8::2",
        "::ffff:192.0.2.1",
        "[2001:db8::1]",
        "mail@ignored.example",
    ] {
        assert!(!for_name(server), "{server}");
    }
}
