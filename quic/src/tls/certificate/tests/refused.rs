//! Certificates that break one rule each: every file of three folders, and why it is refused.

use super::authority::{NOW, judge};
use super::*;
use crate::error::{Code, Error};

type Reason = (u8, &'static str);

const FRAME: Reason = (42, "certificate is not X.509 v3 in DER");
const EXTENSIONS: Reason = (42, "certificate's extensions do not parse");
const DATES: Reason = (42, "certificate's dates do not parse");
const NAMES: Reason = (42, "certificate's names do not parse");
const OTHER_NAME: Reason = (42, "certificate is for another name");
const SIGNATURE: Reason = (42, "certificate's signature does not verify");
const MAY_NOT: Reason = (42, "certificate is signed by one that may not");
const NOT_SERVER: Reason = (43, "certificate is not for a server");
const CRITICAL: Reason = (43, "critical certificate extension that is not known");
const CONSTRAINED: Reason = (43, "authority's names are constrained");
const KEY: Reason = (43, "certificate's key is of a kind that is not supported");
const ALGORITHM: Reason = (43, "certificate is signed in a way that is not supported");
const EXPIRED: Reason = (45, "certificate has expired");

/// Every certificate in `folder` is refused for its reason, by its name or the beginning of it.
fn each_is_refused(
    folder: &str,
    reasons: &[(&str, Reason)],
    judge: impl Fn(Vec<u8>) -> Result<ServerKey, Fault>,
) {
    let path = std::format!("{}/tests/certificates/{folder}", env!("CARGO_MANIFEST_DIR"));
    let mut used = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (index, (_, (alert, reason))) = reasons
            .iter()
            .enumerate()
            .find(|(_, (beginning, _))| name.starts_with(beginning))
            .unwrap_or_else(|| panic!("{name}: no reason"));
        let result = judge(file(&std::format!("{folder}/{name}")));
        assert_eq!(
            result,
            Err(&Error::new(Code::crypto(*alert), reason)),
            "{name}"
        );
        used.push(index);
    }
    for (index, (name, _)) in reasons.iter().enumerate() {
        assert!(used.contains(&index), "{name}: no certificate");
    }
}

#[test]
fn one_between_that_may_not_sign_is_refused() {
    let reasons = [
        ("between-no-", MAY_NOT),
        ("between-for-clients", MAY_NOT),
        ("between-expired", EXPIRED),
        ("between-other-key", SIGNATURE),
        ("between-wrong-signature", SIGNATURE),
        ("between-name-constraints", CONSTRAINED),
        ("between-policy-constraints", CRITICAL),
        ("between-negative-path-len", EXTENSIONS),
    ];
    each_is_refused("not-issuers", &reasons, |between| {
        let chain = [good("server-by-between"), between];
        judge(&chain, &[good("authority")], "node.example", Some(NOW))
    });
}

#[test]
fn a_certificate_that_is_not_this_servers_is_refused() {
    let reasons = [
        ("server-common-name", OTHER_NAME),
        ("server-no-extensions", OTHER_NAME),
        ("server-no-signing", NOT_SERVER),
        ("server-for-clients", NOT_SERVER),
        ("server-is-authority", NOT_SERVER),
        ("server-unknown-critical", CRITICAL),
        ("server-impostor", SIGNATURE),
        ("server-p256-other-curve", KEY),
        ("server-rsa-1024", KEY),
        ("server-signed-by-sha1", ALGORITHM),
    ];
    each_is_refused("not-servers", &reasons, |server| {
        let authorities = authorities();
        judge(&[server], &authorities, "node.example", Some(NOW))
    });
}

#[test]
fn a_certificate_that_is_not_in_order_is_refused() {
    let reasons = [
        ("trailing-behind", FRAME),
        ("trailing-outer", FRAME),
        ("trailing-body", FRAME),
        ("trailing-wrapper", FRAME),
        ("trailing-list", EXTENSIONS),
        ("trailing-dates", DATES),
        ("trailing-extension", EXTENSIONS),
        ("trailing-names", EXTENSIONS),
        ("trailing-usage", EXTENSIONS),
        ("trailing-purposes", EXTENSIONS),
        ("trailing-constraints", EXTENSIONS),
        ("trailing-key", KEY),
        ("trailing-signature", SIGNATURE),
        ("long-length-outer", FRAME),
        ("long-length-body", FRAME),
        ("long-length-serial", FRAME),
        ("long-length-extension", EXTENSIONS),
        ("long-length-signature-p256", SIGNATURE),
        ("indefinite-", FRAME),
        ("version-", FRAME),
        ("serial-", FRAME),
        ("algorithms-differ", FRAME),
        ("algorithm-with-null", ALGORITHM),
        ("unique-identifier", FRAME),
        ("no-extension", FRAME),
        ("twice", EXTENSIONS),
        ("critical-", EXTENSIONS),
        ("names-empty", EXTENSIONS),
        ("names-cut", NAMES),
        ("names-high-tag", NAMES),
        ("names-unknown-kind", NAMES),
        ("constraints-", EXTENSIONS),
        ("usage-", EXTENSIONS),
        ("purposes-empty", EXTENSIONS),
        ("signature-with-unused-bits", FRAME),
        ("signature-", SIGNATURE),
        ("date-", DATES),
    ];
    each_is_refused("malformed", &reasons, |server| {
        let authorities = authorities();
        judge(&[server], &authorities, "node.example", Some(NOW))
    });
}

/// The authorities that signed what is wrong, so that nothing is refused for its authority.
fn authorities() -> [Vec<u8>; 2] {
    [good("authority"), good("authority-p256")]
}
