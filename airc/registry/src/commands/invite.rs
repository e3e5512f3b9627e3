//! `airc-registry invite`: the bearer keys of registrations (AGAP-13).

use std::sync::Arc;

use airc_core::registry::{Registry, hash_secret};
use airc_core::store::{InviteRecord, Store, Stored};
use airc_core::time::Time;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::{Invite, Where};
use super::{Output, database, load, runtime};
use crate::Error;
use crate::clock::Clock;
use crate::engine::{Engine, EngineError, EngineSettings};

/// Issues, lists or revokes.
///
/// # Errors
/// [`Error::Config`], [`Error::Store`], [`Error::Usage`].
pub(super) fn run(args: &Invite, out: &mut Output) -> Result<(), Error> {
    match args {
        Invite::Create {
            place,
            uses,
            expires,
            note,
        } => {
            if note.len() > MAX_NOTE {
                return Err(Error::Usage(format!("a note has at most {MAX_NOTE} bytes")));
            }
            let now = now();
            let expires = expires.map(|after| now.after_seconds(after.as_seconds()));
            create(place, *uses, expires, note, now, out)
        }
        Invite::List { place } => list(place, out),
        Invite::Revoke { place, id } => revoke(place, id, out),
    }
}

fn create(
    place: &Where,
    uses: u32,
    expires: Option<Time>,
    note: &str,
    now: Time,
    out: &mut Output,
) -> Result<(), Error> {
    let mut random = [0; 36];
    boring::rand::rand_bytes(&mut random)
        .map_err(|error| Error::Failed(format!("no random bytes: {error}")))?;
    let (name, secret) = random.split_at(4);
    let id = format!("inv_{}", HEXLOWER.encode(name));
    let key = format!("airc_{}", BASE64URL_NOPAD.encode(secret));
    let record = InviteRecord {
        id: id.clone(),
        hash: hash_secret(&key),
        note: note.to_owned(),
        uses_left: (uses > 0).then_some(uses),
        expires,
        created: now,
        revoked: false,
    };
    let shown = describe(&record, now);
    write(place, move |store| store.put_invite(&record))?;
    let mut document = shown;
    if let Value::Object(fields) = &mut document {
        fields.insert("key".into(), key.clone().into());
    }
    out.present(&document, |out| {
        out.line(format_args!("key   {key}"))?;
        out.line(format_args!("id    {id}"))?;
        out.line("The key is shown this once. Agents register with:")?;
        out.line(format_args!("  Authorization: Bearer {key}"))
    })
}

fn list(place: &Where, out: &mut Output) -> Result<(), Error> {
    let invites = write(place, |store| store.invites())?;
    let now = now();
    let described: Vec<Value> = invites.iter().map(|invite| describe(invite, now)).collect();
    out.present(&json!({ "invites": described }), |out| {
        if invites.is_empty() {
            return out.line("There are no invites.");
        }
        for invite in &invites {
            let uses = match invite.uses_left {
                Some(uses) => format!("{uses} left"),
                None => "any number".into(),
            };
            let id = &invite.id;
            let (state, note) = (state(invite, now), printable(&invite.note));
            out.line(format_args!(
                "{id}  {state:<8} {uses:<10}  {}  {note}",
                date(invite.created)
            ))?;
        }
        Ok(())
    })
}

fn revoke(place: &Where, id: &str, out: &mut Output) -> Result<(), Error> {
    let known = {
        let id = id.to_owned();
        write(place, move |store| store.revoke_invite(&id))?
    };
    if !known {
        let words = format!("there is no invite {id:?}; `airc-registry invite list` has them all");
        return Err(Error::Usage(words));
    }
    let done = json!({ "id": id, "revoked": true });
    out.present(&done, |out| out.line(format_args!("{id} is revoked")))
}

/// One transaction, on the store that a registry may be serving from at this moment.
fn write<T: Send + 'static>(
    place: &Where,
    work: impl FnMut(&mut dyn Store) -> Stored<T> + Send + 'static,
) -> Result<T, Error> {
    let (loaded, _) = load(place)?;
    let config = &loaded.config;
    let database = database(config)?;
    let registry = Arc::new(Registry::new(config.settings(config.listen)));
    let failed = |error: &EngineError| Error::Store(error.to_string());
    let engine = Engine::open(&database, registry, EngineSettings::default());
    let engine = engine.map_err(|error| failed(&error))?;
    runtime()?.block_on(async {
        let done = engine.write(work).await;
        engine.stop().await;
        done.map_err(|error| failed(&error))
    })
}

fn describe(invite: &InviteRecord, now: Time) -> Value {
    json!({
        "id": invite.id,
        "state": state(invite, now),
        "uses_left": invite.uses_left,
        "created": date(invite.created),
        "expires": invite.expires.map(date),
        "note": invite.note,
    })
}

fn state(invite: &InviteRecord, now: Time) -> &'static str {
    if invite.revoked {
        "revoked"
    } else if invite.uses_left == Some(0) {
        "used"
    } else if invite.expires.is_some_and(|expires| expires <= now) {
        "expired"
    } else {
        "good"
    }
}

fn date(time: Time) -> String {
    let millis = i64::try_from(time.0).unwrap_or(i64::MAX);
    match Timestamp::from_millisecond(millis) {
        Ok(time) => time.to_string(),
        Err(_) => "never".into(),
    }
}

/// A note without what would move a terminal's cursor.
fn printable(note: &str) -> String {
    note.chars()
        .map(|letter| {
            if letter.is_control() {
                '\u{fffd}'
            } else {
                letter
            }
        })
        .collect()
}

fn now() -> Time {
    Clock::system().now()
}

const MAX_NOTE: usize = 200;
