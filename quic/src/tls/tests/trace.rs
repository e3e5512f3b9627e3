//! The simple 1-RTT handshake of RFC 8448 §3, from its messages to its secrets.

use super::super::exchange::PrivateKeys;
use super::super::schedule::{self, Transcript};
use super::super::support::hex;
use crate::config::Group;
use crate::crypto::{Secret, hkdf};

const CLIENT_PRIVATE: &str = "49af42ba7f7994852d713ef2784bcbcaa7911de26adc5642cb634540e7ea5005";
const SERVER_PUBLIC: &str = "c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f";
const SHARED: &str = "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d";

const CLIENT_HELLO: &str = "\
    010000c00303cb34ecb1e78163ba1c38c6dacb196a6dffa21a8d9912ec18a2ef6283024dece70000061301130313\
    02010000910000000b0009000006736572766572ff01000100000a00140012001d00170018001901000101010201\
    03010400230000003300260024001d002099381de560e4bd43d23d8e435a7dbafeb3c06e51c13cae4d5413691e52\
    9aaf2c002b0003020304000d0020001e040305030603020308040805080604010501060102010402050206020202\
    002d00020101001c00024001";
const SERVER_HELLO: &str = "\
    020000560303a6af06a4121860dc5e6e60249cd34c95930c8ac5cb1434dac155772ed3e2692800130100002e0033\
    0024001d0020c9828876112095fe66762bdbf7c672e156d6cc253b833df1dd69b1b04e751f0f002b00020304";
const ENCRYPTED_EXTENSIONS: &str = "\
    080000240022000a00140012001d00170018001901000101010201030104001c0002400100000000";
const CERTIFICATE: &str = "\
    0b0001b9000001b50001b0308201ac30820115a003020102020102300d06092a864886f70d01010b0500300e310c\
    300a06035504031303727361301e170d3136303733303031323335395a170d3236303733303031323335395a300e\
    310c300a0603550403130372736130819f300d06092a864886f70d010101050003818d0030818902818100b4bb49\
    8f8279303d980836399b36c6988c0c68de55e1bdb826d3901a2461eafd2de49a91d015abbc9a95137ace6c1af19e\
    aa6af98c7ced43120998e187a80ee0ccb0524b1b018c3e0b63264d449a6d38e22a5fda430846748030530ef0461c\
    8ca9d9efbfae8ea6d1d03e2bd193eff0ab9a8002c47428a6d35a8d88d79f7f1e3f0203010001a31a301830090603\
    551d1304023000300b0603551d0f0404030205a0300d06092a864886f70d01010b05000381810085aad2a0e5b927\
    6b908c65f73a7267170618a54c5f8a7b337d2df7a594365417f2eae8f8a58c8f8172f9319cf36b7fd6c55b80f21a\
    03015156726096fd335e5e67f2dbf102702e608ccae6bec1fc63a42a99be5c3eb7107c3c54e9b9eb2bd5203b1c3b\
    84e0a8b2f759409ba3eac9d91d402dcc0cc8f8961229ac9187b42b4de10000";
const CERTIFICATE_VERIFY: &str = "\
    0f000084080400805a747c5d88fa9bd2e55ab085a61015b7211f824cd484145ab3ff52f1fda8477b0b7abc90db78\
    e2d33a5c141a078653fa6bef780c5ea248eeaaa785c4f394cab6d30bbe8d4859ee511f602957b15411ac02767145\
    9e46445c9ea58c181e818e95b8c3fb0bf3278409d3be152a3da5043e063dda65cdf5aea20d53dfacd42f74f3";
const SERVER_FINISHED: &str = "\
    140000209b9b141d906337fbd2cbdce71df4deda4ab42c309572cb7fffee5454b78f0718";
const CLIENT_FINISHED: &str = "\
    14000020a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61";

fn is(secret: &Secret, expected: &str) -> bool {
    secret.bytes()[..] == hex(expected)
}

#[test]
fn the_key_exchange_of_the_trace_gives_its_shared_secret() {
    let private = hex(CLIENT_PRIVATE).try_into().unwrap();
    let keys = PrivateKeys::new(private, [1; 32]);
    let shared = keys.agree(Group::X25519, &hex(SERVER_PUBLIC)).unwrap();
    assert!(is(&shared, SHARED));
}

#[test]
fn the_trace_gives_its_secrets_one_by_one() {
    let early = schedule::early(&Secret::ZERO);
    assert!(is(
        &early,
        "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
    ));
    let shared = Secret::new(hex(SHARED).try_into().unwrap());
    let handshake = schedule::handshake(&early, &shared);
    assert!(is(
        &handshake,
        "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"
    ));
    let master = schedule::master(&handshake);
    assert!(is(
        &master,
        "18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"
    ));

    let mut transcript = Transcript::new();
    transcript.add(&hex(CLIENT_HELLO));
    transcript.add(&hex(SERVER_HELLO));
    let hash = transcript.hash();
    let client = hkdf::derive(&handshake, b"c hs traffic", &hash);
    assert!(is(
        &client,
        "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21"
    ));
    let server = hkdf::derive(&handshake, b"s hs traffic", &hash);
    assert!(is(
        &server,
        "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"
    ));

    for message in [ENCRYPTED_EXTENSIONS, CERTIFICATE, CERTIFICATE_VERIFY] {
        transcript.add(&hex(message));
    }
    let finished = hex(SERVER_FINISHED);
    assert_eq!(
        schedule::finished(&server, &transcript.hash())[..],
        finished[4..]
    );
    transcript.add(&finished);
    let hash = transcript.hash();
    for (label, expected) in [
        (
            &b"c ap traffic"[..],
            "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
        ),
        (
            b"s ap traffic",
            "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
        ),
        (
            b"exp master",
            "fe22f881176eda18eb8f44529e6792c50c9a3f89452f68d8ae311b4309d3cf50",
        ),
    ] {
        assert!(is(&hkdf::derive(&master, label, &hash), expected));
    }

    let finished = hex(CLIENT_FINISHED);
    assert_eq!(schedule::finished(&client, &hash)[..], finished[4..]);
    transcript.add(&finished);
    let resumption = hkdf::derive(&master, b"res master", &transcript.hash());
    assert!(is(
        &resumption,
        "7df235f2031d2a051287d02b0241b0bfdaf86cc856231f2d5aba46c434ec196c"
    ));
    assert!(is(
        &schedule::ticket_psk(&resumption, &[0, 0]),
        "4ecd0eb6ec3b4d87f5d6028f922ca4c5851a277fd41311c9e62d2c9492e1c4f3"
    ));
}
