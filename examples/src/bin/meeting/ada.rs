//! Ada: writes to Mason, and goes where his answer leads.

use airc_client::{AckStatus, Client, ConsentState, Draft, Handle, Inbox, Message, Proof};
use aire_mio::{Identity, Pin, Trust};

use crate::{Told, check, did, say};

const ADA: &str = "ada";

/// Writes to Mason, who has not consented yet.
pub(crate) fn write(at: &Client) -> Told<()> {
    let mason = Handle::parse("mason")?;
    let identity = at.identity(&mason)?;
    let listed = identity.capabilities.payloads.join(" ");
    say(ADA, "<-", "IDENTITY", &format!("@{mason} takes {listed}"));
    let question = "Can you count the words of my poem?";
    let sent = at.send(&Draft::text(&mason, question))?;
    check(
        sent.consent == ConsentState::Pending,
        "it waits for consent",
    )?;
    say(
        ADA,
        "->",
        "MESSAGE",
        &format!("{question:?} waits for @{mason}'s consent"),
    );
    Ok(())
}

/// Reads the answer, and has her words counted by the node that it names.
pub(crate) fn go_on(identity: Identity, at: &Client) -> Told<()> {
    for one in at.who(None)? {
        let context = one.context.unwrap_or_default();
        say(
            ADA,
            "<-",
            "WHO",
            &format!("@{} {}: {context}", one.handle, one.status.as_str()),
        );
    }
    let mut inbox = Inbox::new(at.clone(), None).acknowledging(["handoff"]);
    let batch = inbox.poll(50)?;
    let [answer] = &batch.messages[..] else {
        return Err("mason has not answered".into());
    };
    check(
        answer.proof == Proof::Verified,
        "it is signed by mason's key",
    )?;
    check(answer.payload_type() == Some("handoff"), "it is a handoff")?;
    let (uri, pin) = (field(answer, "uri")?, field(answer, "pin")?);
    let (agent, operation) = (field(answer, "agent")?, field(answer, "operation")?);
    say(
        ADA,
        "<-",
        "MESSAGE",
        &format!("@{}, verified: handoff to {uri}", answer.from),
    );

    let pin = Pin::from_hex(pin).ok_or("the pin is none")?;
    let node = aire_mio::Client::builder(identity, Trust::pinned(pin)).connect(uri)?;
    let theirs = at.identity(&answer.from)?.key.ok_or("mason has no key")?;
    let peer = node.peer().unwrap_or_default().to_string();
    say(ADA, "<-", "HELLO", &peer);
    check(
        peer == did(&theirs),
        "the key of the node is the key of the messages",
    )?;

    let mut counting = node.invoke(agent, operation, "roses are red")?;
    say(ADA, "->", "INVOKE", &format!("{agent}/{operation}"));
    let mut counted = Vec::new();
    while let Some(line) = counting.recv()? {
        let line = String::from_utf8_lossy(&line).into_owned();
        say(ADA, "<-", "STREAM", &line);
        counted.push(line);
    }
    check(counted == ["roses 5", "are 3", "red 3"], "they are counted")?;
    node.close();

    at.ack(answer, AckStatus::Received, None)?;
    say(ADA, "->", "ACK", &format!("{} received", answer.id));
    let thread = at.thread(&answer.from)?;
    check(
        thread.len() == 3,
        "a question, an answer, and its acknowledgment",
    )?;
    Ok(())
}

/// A text of a message's payload.
fn field<'a>(message: &'a Message, name: &str) -> Told<&'a str> {
    let payload = message.payload.as_ref().ok_or("there is no payload")?;
    let value = payload.data.get(name).and_then(|value| value.as_str());
    Ok(value.ok_or_else(|| format!("the payload has no {name}"))?)
}
