//! Records for tests.

use airc_core::PublicKey;
use airc_core::handle::Handle;
use airc_core::store::{
    AireEndpoint, Capabilities, ConsentRecord, ConsentState, IdentityRecord, InviteRecord,
    MessageRecord, PresenceRecord, PreviousKey,
};
use airc_core::time::Time;

/// What people may write into a text, and what databases have stumbled over.
pub(crate) const ANY_TEXT: &str = "it's \"100%\" \\ ?1 $1 \0 \u{1f980} e\u{301} \u{10ffff}\n";

pub(crate) fn handle(text: &str) -> Handle {
    Handle::parse(text).expect("a handle")
}

pub(crate) fn identity(name: &str) -> IdentityRecord {
    IdentityRecord {
        handle: handle(name),
        key: Some(PublicKey([7; 32])),
        previous: Some(PreviousKey {
            key: PublicKey([0; 32]),
            until: Time(9),
        }),
        capabilities: Capabilities {
            payloads: vec!["game:chess".into(), ANY_TEXT.into()],
            max_payload_size: u64::MAX,
            delivery: vec!["poll".into()],
        },
        endpoints: vec![
            AireEndpoint {
                uri: "aire://a.example:4433".into(),
                agent: Some(ANY_TEXT.into()),
            },
            AireEndpoint {
                uri: "aire://b.example".into(),
                agent: None,
            },
        ],
        created: Time(1_735_776_000_123),
    }
}

pub(crate) fn presence(name: &str, expires: u64) -> PresenceRecord {
    PresenceRecord {
        handle: handle(name),
        status: None,
        context: None,
        heartbeat: Time(1),
        expires: Time(expires),
    }
}

pub(crate) fn consent(from: &str, to: &str, state: ConsentState, since: u64) -> ConsentRecord {
    ConsentRecord {
        from: handle(from),
        to: handle(to),
        state,
        message: Some(ANY_TEXT.into()),
        since: Time(since),
    }
}

pub(crate) fn message(from: &str, to: &str, id: &str, received: u64) -> MessageRecord {
    MessageRecord {
        from: handle(from),
        to: handle(to),
        id: id.into(),
        timestamp: received / 1000,
        received: Time(received),
        signed: true,
        envelope: format!("{{\"body\":\"\\u0000 \u{1f980} it's\",\"id\":\"{id}\"}}"),
    }
}

pub(crate) fn invite(id: &str, secret: u8, created: u64) -> InviteRecord {
    InviteRecord {
        id: id.into(),
        hash: [secret; 32],
        note: ANY_TEXT.into(),
        uses_left: Some(2),
        expires: Some(Time(100)),
        created: Time(created),
        revoked: false,
    }
}
