//! What a registry tells, for people and for programs. Others' words never steer the terminal.

use airc_client::{Identity, Message, Presence, Proof, json};
use jiff::Timestamp;
use serde::ser::{Error as _, SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::common::output::style;
use crate::common::present::{harmless, one_line};
use crate::{Error, Output};

/// JSON as the registry sent it: whole numbers of any length stay as they are.
pub(super) struct Json<'a>(pub(super) &'a json::Value);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            json::Value::Null => to.serialize_unit(),
            json::Value::Bool(value) => to.serialize_bool(*value),
            json::Value::String(text) => to.serialize_str(text),
            json::Value::Number(number) => RawValue::from_string(number.to_string())
                .map_err(S::Error::custom)?
                .serialize(to),
            json::Value::Array(items) => {
                let mut list = to.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Json(item))?;
                }
                list.end()
            }
            json::Value::Object(object) => Document(object).serialize(to),
        }
    }
}

/// An object of JSON.
pub(super) struct Document<'a>(pub(super) &'a json::Object);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0.iter() {
            map.serialize_entry(key, &Json(value))?;
        }
        map.end()
    }
}

/// A time for people, to the second.
pub(super) fn time(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or_else(|| "at no time".into(), |time| time.to_string())
}

/// How long ago something was, in the largest unit that fits.
pub(super) fn ago(seconds: u64) -> String {
    let now = Timestamp::now().as_second();
    let age = u64::try_from(now).unwrap_or(0).saturating_sub(seconds);
    match age {
        0..60 => format!("{age} s ago"),
        60..3600 => format!("{} min ago", age / 60),
        3600..86_400 => format!("{} h ago", age / 3600),
        _ => format!("{} d ago", age / 86_400),
    }
}

/// How somebody is, on one line.
pub(super) fn presence_line(presence: &Presence, out: &Output) -> String {
    use airc_client::Status;
    let colour = match presence.status {
        Status::Online => style::GOOD,
        Status::Busy => style::WARNING,
        Status::Idle | Status::Offline => style::DIM,
    };
    let handle = format!("@{}", presence.handle);
    let status = out.styled(colour, format!("{:7}", presence.status.as_str()));
    let when = out.styled(style::DIM, format!("{:>10}", ago(presence.last_heartbeat)));
    let context = one_line(presence.context.as_deref().unwrap_or_default());
    let line = format!(
        "{}  {status}  {when}  {context}",
        out.styled(style::STRONG, format!("{handle:20}"))
    );
    line.trim_end().into()
}

/// How somebody is, for programs.
#[derive(Serialize)]
pub(super) struct PresenceReport<'a> {
    handle: &'a str,
    status: &'static str,
    context: Option<&'a str>,
    last_heartbeat: u64,
    expires_at: u64,
}

impl<'a> From<&'a Presence> for PresenceReport<'a> {
    fn from(presence: &'a Presence) -> Self {
        Self {
            handle: presence.handle.as_str(),
            status: presence.status.as_str(),
            context: presence.context.as_deref(),
            last_heartbeat: presence.last_heartbeat,
            expires_at: presence.expires_at,
        }
    }
}

/// Who somebody is, on several lines.
pub(super) fn identity_lines(identity: &Identity, out: &mut Output) -> Result<(), Error> {
    let handle = out.styled(style::STRONG, format!("@{}", identity.handle));
    out.line(handle.to_string())?;
    let mut rows = Vec::new();
    if let Some(key) = identity
        .document
        .get("publicKey")
        .and_then(|key| key.as_str())
    {
        rows.push(("key", key.to_owned()));
    }
    if let Some(previous) = &identity.previous {
        rows.push((
            "replaced",
            format!("a key that counts until {}", time(previous.until)),
        ));
    }
    rows.extend(identity.did.clone().map(|did| ("did", did)));
    let payloads = &identity.capabilities.payloads;
    if !payloads.is_empty() {
        rows.push(("takes", payloads.join(" ")));
    }
    for endpoint in &identity.endpoints {
        let agent = endpoint.agent.iter().map(|agent| format!(" ({agent})"));
        rows.push((
            "aire",
            format!("{}{}", endpoint.uri, agent.collect::<String>()),
        ));
    }
    for (name, value) in rows {
        let label = out.styled(style::DIM, format!("{name:8}"));
        out.line(format_args!("  {label}  {}", one_line(&value)))?;
    }
    match &identity.presence {
        Some(presence) => {
            let line = presence_line(presence, out);
            out.line(format_args!("  {line}"))
        }
        None => Ok(()),
    }
}

/// A message for programs: who it is from is proven as `proof` says.
#[derive(Serialize)]
pub(super) struct MessageReport<'a> {
    event: &'static str,
    proof: &'static str,
    message: Document<'a>,
}

impl<'a> From<&'a Message> for MessageReport<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            event: "message",
            proof: proof(message.proof),
            message: Document(&message.document),
        }
    }
}

const fn proof(proof: Proof) -> &'static str {
    match proof {
        Proof::Verified => "verified",
        Proof::Unsigned => "unsigned",
        Proof::Wrong => "wrong",
        Proof::Unchecked => "unchecked",
    }
}

/// A message for people: a line about it, and what it says, indented so that nothing in it looks
/// like another message.
pub(super) fn message_lines(message: &Message, out: &mut Output) -> Result<(), Error> {
    let when = out.styled(style::DIM, time(message.timestamp)).to_string();
    let who = format!("@{} to @{}", message.from, message.to);
    let who = out.styled(style::STRONG, who).to_string();
    let doubt = match message.proof {
        Proof::Verified => String::new(),
        Proof::Unsigned => out.styled(style::WARNING, "  unsigned").to_string(),
        Proof::Unchecked => out.styled(style::WARNING, "  not checked").to_string(),
        Proof::Wrong => out.styled(style::BAD, "  WRONG SIGNATURE").to_string(),
    };
    let id = out.styled(style::DIM, one_line(&message.id)).to_string();
    out.line(format_args!("{when}  {who}{doubt}  {id}"))?;
    for line in message.body.iter().flat_map(|body| body.lines()) {
        out.line(format_args!("    {}", harmless(line)))?;
    }
    let Some(payload) = &message.payload else {
        return Ok(());
    };
    let data = json::Value::from(payload.data.clone()).to_string();
    let kind = out
        .styled(style::STRONG, one_line(&payload.kind))
        .to_string();
    out.line(format_args!("    {kind} {}", one_line(&data)))
}
