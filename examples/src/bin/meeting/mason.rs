//! Mason: consents to who asks, and hands work over to his node.

use airc_client::{Beat, Client, Draft, Inbox, Payload, Proof, Status};
use aire_mio::{Certificate, ErrorCode, Failure, Identity, Node, Operation};

use crate::{Told, check, did, say};

const MASON: &str = "mason";

/// Sees who asks, consents, reads what waited, and answers with a `handoff`. The node that it leads
/// to runs on.
pub(crate) fn answer(identity: Identity, at: &Client) -> Told<Node> {
    at.heartbeat(&Beat {
        status: Some(Status::Online),
        context: Some("counting words".into()),
    })?;
    say(MASON, "->", "HEARTBEAT", "online, counting words");

    let mut inbox = Inbox::new(at.clone(), None).acknowledging(["handoff"]);
    let batch = inbox.poll(50)?;
    check(batch.messages.is_empty(), "nothing comes without consent")?;
    let [from] = &batch.pending[..] else {
        return Err("nobody asks mason for consent".into());
    };
    say(MASON, "<-", "PENDING", &format!("@{from} asks"));
    let state = at.accept_consent(from)?;
    say(
        MASON,
        "->",
        "ACCEPT",
        &format!("@{from}: {}", state.as_str()),
    );

    let batch = inbox.poll(50)?;
    let [question] = &batch.messages[..] else {
        return Err("what waited has not come".into());
    };
    check(
        question.proof == Proof::Verified,
        "it is signed by ada's key",
    )?;
    let words = question.body.as_deref().unwrap_or_default();
    say(
        MASON,
        "<-",
        "MESSAGE",
        &format!("@{from}, verified: {words:?}"),
    );

    let theirs = at.identity(from)?.key.ok_or("ada has no key")?;
    let (node, handoff) = serve(identity, did(&theirs))?;
    let uri = format!("aire://{}", node.address());
    let draft = Draft::payload(from, handoff).with_text("Ask my node.");
    let sent = at.send(&draft)?;
    check(!sent.text_only, "ada takes handoffs")?;
    say(MASON, "->", "MESSAGE", &format!("handoff to {uri}"));
    Ok(node)
}

/// A node that counts words for who has the DID `for_whom`, and a payload that leads there.
fn serve(identity: Identity, for_whom: String) -> Told<(Node, Payload)> {
    let certificate = Certificate::self_signed(&[])?;
    let pin = certificate.pin().to_string();
    let count = move |operation: &mut Operation| count(operation, &for_whom);
    let node = Node::builder(identity, certificate)
        .agent("words", count)?
        .listen(([127, 0, 0, 1], 0).into())?;
    let data = [
        ("uri", format!("aire://{}", node.address())),
        ("pin", pin),
        ("agent", "words".into()),
        ("operation", "count".into()),
    ];
    let kind = "handoff".into();
    let data = data.into_iter().collect();
    Ok((node, Payload { kind, data }))
}

fn count(operation: &mut Operation, for_whom: &str) -> Result<(), Failure> {
    let peer = operation.peer().to_string();
    say(MASON, "<-", "INVOKE", &format!("words/count from {peer}"));
    if peer != for_whom {
        return Err(Failure::Failed {
            code: ErrorCode::Refused,
            detail: "this is for somebody else".into(),
            data: Vec::new(),
        });
    }
    let text = String::from_utf8_lossy(operation.args()).into_owned();
    for word in text.split_whitespace() {
        operation.send(format!("{word} {}", word.chars().count()))?;
    }
    say(MASON, "->", "FIN", "complete");
    Ok(())
}
