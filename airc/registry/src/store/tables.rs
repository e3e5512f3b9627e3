//! The statements, and [`Store`] over them: written once, in the SQL that SQLite and PostgreSQL
//! share. Only how tables are made differs (`schema.sql` of each).
//!
//! Every statement finds its rows by an index, so that none gets slower as a registry grows.

use airc_core::handle::Handle;
use airc_core::store::{
    ConsentRecord, ConsentState, IdentityRecord, InviteRecord, MessageRecord, Once, Page, Position,
    PresenceRecord, SecretHash, SessionRecord, Store, StoreError, Stored,
};
use airc_core::time::Time;

use super::columns::{self, Row, Value};
use super::unreadable;

/// A transaction of a database. Parameters are `?1`, `?2`...
pub(super) trait Driver {
    /// Runs a statement that returns no rows. How many rows it has changed.
    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Stored<u64>;

    /// Runs a statement that returns rows.
    fn query(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        each: &mut dyn FnMut(&dyn Row) -> Stored<()>,
    ) -> Stored<()>;
}

/// [`Store`] over a transaction.
pub(super) struct Tables<D>(pub(super) D);

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:expr;)*) => {
        $($(#[$doc])* const $name: &str = $sql;)*
        /// All of them, for the test that asks how each is carried out.
        #[cfg(test)]
        pub(super) const STATEMENTS: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

statements! {
    IDENTITY = "SELECT handle, key, previous_key, previous_until, capabilities, endpoints, created \
        FROM airc_identity WHERE handle = ?1";
    PUT_IDENTITY = "INSERT INTO airc_identity \
        (handle, key, previous_key, previous_until, capabilities, endpoints, created) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (handle) DO UPDATE SET \
        key = excluded.key, previous_key = excluded.previous_key, \
        previous_until = excluded.previous_until, capabilities = excluded.capabilities, \
        endpoints = excluded.endpoints, created = excluded.created";

    PRESENCE = "SELECT handle, status, context, heartbeat, expires \
        FROM airc_presence WHERE handle = ?1";
    PUT_PRESENCE = "INSERT INTO airc_presence (handle, status, context, heartbeat, expires) \
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (handle) DO UPDATE SET \
        status = excluded.status, context = excluded.context, heartbeat = excluded.heartbeat, \
        expires = excluded.expires";
    PRESENT = "SELECT handle, status, context, heartbeat, expires \
        FROM airc_presence WHERE handle > ?1 AND expires > ?2 ORDER BY handle LIMIT ?3";

    CONSENT = "SELECT sender, recipient, state, message, since \
        FROM airc_consent WHERE sender = ?1 AND recipient = ?2";
    PUT_CONSENT = "INSERT INTO airc_consent (sender, recipient, state, message, since) \
        VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (sender, recipient) DO UPDATE SET \
        state = excluded.state, message = excluded.message, since = excluded.since";
    DROP_CONSENT = "DELETE FROM airc_consent WHERE sender = ?1 AND recipient = ?2";
    CONSENTS_TO = "SELECT sender, recipient, state, message, since FROM airc_consent \
        WHERE recipient = ?1 ORDER BY since DESC, sender LIMIT ?2";
    CONSENTS_TO_IN = "SELECT sender, recipient, state, message, since FROM airc_consent \
        WHERE recipient = ?1 AND state = ?2 ORDER BY since DESC, sender LIMIT ?3";
    CONSENTS_FROM = "SELECT sender, recipient, state, message, since FROM airc_consent \
        WHERE sender = ?1 ORDER BY since DESC, recipient LIMIT ?2";

    /// Changes nothing if it is remembered still.
    REMEMBER = "INSERT INTO airc_once (handle, kind, value, until) VALUES (?1, ?2, ?3, ?5) \
        ON CONFLICT (handle, kind, value) DO UPDATE SET until = excluded.until \
        WHERE airc_once.until <= ?4";

    DELIVER = "INSERT INTO airc_message \
        (sender, recipient, id, sent, received, signed, envelope) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING position";
    HOLD = "INSERT INTO airc_held (sender, recipient, id, sent, received, signed, envelope) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (recipient, sender, sent, id) \
        DO UPDATE SET received = excluded.received, signed = excluded.signed, \
        envelope = excluded.envelope";
    HELD_BY_PAIR = "SELECT COUNT(*) FROM airc_held WHERE recipient = ?1 AND sender = ?2";
    HELD_BY_RECIPIENT = "SELECT COUNT(*) FROM airc_held WHERE recipient = ?1";
    RELEASE = "INSERT INTO airc_message \
        (sender, recipient, id, sent, received, signed, envelope) \
        SELECT sender, recipient, id, sent, CAST(?3 AS BIGINT), signed, envelope FROM airc_held \
        WHERE recipient = ?1 AND sender = ?2 ORDER BY sent, id";
    DROP_HELD = "DELETE FROM airc_held WHERE recipient = ?1 AND sender = ?2";

    INBOX = "SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND position > ?2 ORDER BY position LIMIT ?3";
    /// The two directions apart, so that each is the head of an index scan.
    THREAD = "SELECT * FROM (SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND sender = ?2 AND position > ?3 \
        ORDER BY position LIMIT ?4) AS inbound UNION ALL \
        SELECT * FROM (SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?2 AND sender = ?1 AND position > ?3 \
        ORDER BY position LIMIT ?4) AS outbound ORDER BY position LIMIT ?4";
    /// What somebody wrote to itself: one direction.
    SOLILOQUY = "SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND sender = ?1 AND position > ?2 \
        ORDER BY position LIMIT ?3";
    LATEST_INBOX = "SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND received > ?2 \
        ORDER BY position DESC LIMIT ?3";
    LATEST_THREAD = "SELECT * FROM (SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND sender = ?2 AND received > ?3 \
        ORDER BY position DESC LIMIT ?4) AS inbound UNION ALL \
        SELECT * FROM (SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?2 AND sender = ?1 AND received > ?3 \
        ORDER BY position DESC LIMIT ?4) AS outbound ORDER BY position DESC LIMIT ?4";
    LATEST_SOLILOQUY = "SELECT position, sender, recipient, id, sent, received, signed, envelope \
        FROM airc_message WHERE recipient = ?1 AND sender = ?1 AND received > ?2 \
        ORDER BY position DESC LIMIT ?3";

    PUT_SESSION = "INSERT INTO airc_session (hash, handle, expires) VALUES (?1, ?2, ?3) \
        ON CONFLICT (hash) DO UPDATE SET handle = excluded.handle, expires = excluded.expires";
    SESSION = "SELECT hash, handle, expires FROM airc_session WHERE hash = ?1";

    PUT_INVITE = "INSERT INTO airc_invite (id, hash, note, uses_left, expires, created, revoked) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (hash) DO UPDATE SET id = excluded.id, \
        note = excluded.note, uses_left = excluded.uses_left, expires = excluded.expires, \
        created = excluded.created, revoked = excluded.revoked";
    INVITES = "SELECT id, hash, note, uses_left, expires, created, revoked FROM airc_invite \
        ORDER BY created DESC, id";
    USE_INVITE = "UPDATE airc_invite SET uses_left = uses_left - 1 WHERE hash = ?1 \
        AND revoked = FALSE AND (expires IS NULL OR expires > ?2) \
        AND (uses_left IS NULL OR uses_left > 0)";
    REVOKE_INVITE = "UPDATE airc_invite SET revoked = TRUE WHERE id = ?1";

    EXPIRE_ONCE = "DELETE FROM airc_once WHERE (handle, kind, value) IN \
        (SELECT handle, kind, value FROM airc_once WHERE until <= ?1 ORDER BY until LIMIT ?2)";
    EXPIRE_SESSIONS = "DELETE FROM airc_session WHERE hash IN \
        (SELECT hash FROM airc_session WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    EXPIRE_PRESENCE = "DELETE FROM airc_presence WHERE handle IN \
        (SELECT handle FROM airc_presence WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
    EXPIRE_MESSAGES = "DELETE FROM airc_message WHERE (recipient, position) IN \
        (SELECT recipient, position FROM airc_message WHERE received < ?1 \
        ORDER BY received LIMIT ?2)";
    EXPIRE_HELD = "DELETE FROM airc_held WHERE (recipient, sender, sent, id) IN \
        (SELECT recipient, sender, sent, id FROM airc_held WHERE received < ?1 \
        ORDER BY received LIMIT ?2)";
}

impl<D: Driver> Tables<D> {
    fn all<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Stored<T>,
    ) -> Stored<Vec<T>> {
        let mut rows = Vec::new();
        self.0.query(sql, values, &mut |row| {
            rows.push(read(row)?);
            Ok(())
        })?;
        Ok(rows)
    }

    fn one<T>(
        &mut self,
        sql: &'static str,
        values: &[Value<'_>],
        read: impl Fn(&dyn Row) -> Stored<T>,
    ) -> Stored<Option<T>> {
        Ok(self.all(sql, values, read)?.pop())
    }

    fn count(&mut self, sql: &'static str, values: &[Value<'_>]) -> Stored<u64> {
        let count = self.one(sql, values, |row| columns::unsigned(row, 0))?;
        count.ok_or_else(|| unreadable("a count"))
    }

    /// One row more than `limit` was asked for, to know whether there are more.
    fn page(&mut self, sql: &'static str, values: &[Value<'_>], limit: usize) -> Stored<Page> {
        let mut messages = self.all(sql, values, |row| {
            Ok((Position(columns::unsigned(row, 0)?), columns::message(row)?))
        })?;
        let more = messages.len() > limit;
        messages.truncate(limit);
        Ok(Page { messages, more })
    }
}

fn message_values(message: &MessageRecord) -> Stored<[Value<'_>; 7]> {
    // PostgreSQL has no such text. Neither has canonical JSON, nor an id of section 2.3.
    if message.id.contains('\0') || message.envelope.contains('\0') {
        return Err(StoreError {
            message: "a message with a NUL character cannot be kept".to_owned(),
            transient: false,
        });
    }
    Ok([
        Value::handle(&message.from),
        Value::handle(&message.to),
        Value::Text(&message.id),
        Value::unsigned(message.timestamp),
        Value::time(message.received),
        Value::Bool(message.signed),
        Value::Text(&message.envelope),
    ])
}

impl<D: Driver> Store for Tables<D> {
    fn identity(&mut self, handle: &Handle) -> Stored<Option<IdentityRecord>> {
        self.one(IDENTITY, &[Value::handle(handle)], columns::identity)
    }

    fn put_identity(&mut self, identity: &IdentityRecord) -> Stored<()> {
        let capabilities = columns::capabilities_to_text(&identity.capabilities)?;
        let endpoints = columns::endpoints_to_text(&identity.endpoints)?;
        let values = [
            Value::handle(&identity.handle),
            Value::option(identity.key.as_ref(), |key| Value::Bytes(&key.0)),
            Value::option(identity.previous.as_ref(), |old| Value::Bytes(&old.key.0)),
            Value::option(identity.previous.as_ref(), |old| Value::time(old.until)),
            Value::Text(&capabilities),
            Value::Text(&endpoints),
            Value::time(identity.created),
        ];
        self.0.execute(PUT_IDENTITY, &values).map(drop)
    }

    fn presence(&mut self, handle: &Handle) -> Stored<Option<PresenceRecord>> {
        self.one(PRESENCE, &[Value::handle(handle)], columns::presence)
    }

    fn put_presence(&mut self, presence: &PresenceRecord) -> Stored<()> {
        let values = [
            Value::handle(&presence.handle),
            Value::option(presence.status, |status| {
                Value::Text(columns::status_to_text(status))
            }),
            Value::option(presence.context.as_deref(), Value::Free),
            Value::time(presence.heartbeat),
            Value::time(presence.expires),
        ];
        self.0.execute(PUT_PRESENCE, &values).map(drop)
    }

    fn present(
        &mut self,
        now: Time,
        after: Option<&Handle>,
        limit: usize,
    ) -> Stored<Vec<PresenceRecord>> {
        // The empty text is before every handle.
        let after = Value::Text(after.map_or("", Handle::as_str));
        let values = [after, Value::time(now), Value::limit(limit)];
        self.all(PRESENT, &values, columns::presence)
    }

    fn consent(&mut self, from: &Handle, to: &Handle) -> Stored<Option<ConsentRecord>> {
        let values = [Value::handle(from), Value::handle(to)];
        self.one(CONSENT, &values, columns::consent)
    }

    fn put_consent(&mut self, consent: &ConsentRecord) -> Stored<()> {
        let (from, to) = (Value::handle(&consent.from), Value::handle(&consent.to));
        if consent.state == ConsentState::None {
            return self.0.execute(DROP_CONSENT, &[from, to]).map(drop);
        }
        let values = [
            from,
            to,
            Value::Text(columns::state_to_text(consent.state)),
            Value::option(consent.message.as_deref(), Value::Free),
            Value::time(consent.since),
        ];
        self.0.execute(PUT_CONSENT, &values).map(drop)
    }

    fn consents_to(
        &mut self,
        of: &Handle,
        state: Option<ConsentState>,
        limit: usize,
    ) -> Stored<Vec<ConsentRecord>> {
        let (of, limit) = (Value::handle(of), Value::limit(limit));
        match state {
            None => self.all(CONSENTS_TO, &[of, limit], columns::consent),
            Some(state) => {
                let state = Value::Text(columns::state_to_text(state));
                self.all(CONSENTS_TO_IN, &[of, state, limit], columns::consent)
            }
        }
    }

    fn consents_from(&mut self, of: &Handle, limit: usize) -> Stored<Vec<ConsentRecord>> {
        let values = [Value::handle(of), Value::limit(limit)];
        self.all(CONSENTS_FROM, &values, columns::consent)
    }

    fn remember(
        &mut self,
        handle: &Handle,
        once: Once<'_>,
        now: Time,
        until: Time,
    ) -> Stored<bool> {
        let (kind, text) = match once {
            Once::Nonce(text) => (0, text),
            Once::MessageId(text) => (1, text),
        };
        let values = [
            Value::handle(handle),
            Value::Int(kind),
            Value::Bytes(text.as_bytes()),
            Value::time(now),
            Value::time(until),
        ];
        Ok(self.0.execute(REMEMBER, &values)? > 0)
    }

    fn deliver(&mut self, message: &MessageRecord) -> Stored<Position> {
        self.count(DELIVER, &message_values(message)?).map(Position)
    }

    fn hold(&mut self, message: &MessageRecord) -> Stored<()> {
        self.0.execute(HOLD, &message_values(message)?).map(drop)
    }

    fn held(&mut self, from: &Handle, to: &Handle) -> Stored<(u64, u64)> {
        let (from, to) = (Value::handle(from), Value::handle(to));
        let of_pair = self.count(HELD_BY_PAIR, &[to, from])?;
        let of_recipient = self.count(HELD_BY_RECIPIENT, &[to])?;
        Ok((of_pair, of_recipient))
    }

    fn release(&mut self, from: &Handle, to: &Handle, now: Time) -> Stored<u64> {
        let [to, from] = [Value::handle(to), Value::handle(from)];
        self.0.execute(RELEASE, &[to, from, Value::time(now)])?;
        self.0.execute(DROP_HELD, &[to, from])
    }

    fn drop_held(&mut self, from: &Handle, to: &Handle) -> Stored<u64> {
        let values = [Value::handle(to), Value::handle(from)];
        self.0.execute(DROP_HELD, &values)
    }

    fn inbox(&mut self, owner: &Handle, after: Position, limit: usize) -> Stored<Page> {
        let owner = Value::handle(owner);
        let (after, and_more) = (Value::unsigned(after.0), limit.saturating_add(1));
        self.page(INBOX, &[owner, after, Value::limit(and_more)], limit)
    }

    fn thread(
        &mut self,
        owner: &Handle,
        peer: &Handle,
        after: Position,
        limit: usize,
    ) -> Stored<Page> {
        let alone = owner == peer;
        let (owner, peer) = (Value::handle(owner), Value::handle(peer));
        let (after, and_more) = (Value::unsigned(after.0), limit.saturating_add(1));
        let and_more = Value::limit(and_more);
        if alone {
            self.page(SOLILOQUY, &[owner, after, and_more], limit)
        } else {
            self.page(THREAD, &[owner, peer, after, and_more], limit)
        }
    }

    fn latest(
        &mut self,
        owner: &Handle,
        peer: Option<&Handle>,
        since: Time,
        limit: usize,
    ) -> Stored<Vec<MessageRecord>> {
        let alone = peer == Some(owner);
        let owner = Value::handle(owner);
        let (since, limit) = (Value::time(since), Value::limit(limit));
        let mut messages = match peer {
            None => self.all(LATEST_INBOX, &[owner, since, limit], columns::message),
            Some(_) if alone => {
                self.all(LATEST_SOLILOQUY, &[owner, since, limit], columns::message)
            }
            Some(peer) => {
                let values = [owner, Value::handle(peer), since, limit];
                self.all(LATEST_THREAD, &values, columns::message)
            }
        }?;
        messages.reverse();
        Ok(messages)
    }

    fn put_session(&mut self, session: &SessionRecord) -> Stored<()> {
        let values = [
            Value::Bytes(&session.hash),
            Value::handle(&session.handle),
            Value::time(session.expires),
        ];
        self.0.execute(PUT_SESSION, &values).map(drop)
    }

    fn session(&mut self, hash: &SecretHash) -> Stored<Option<SessionRecord>> {
        self.one(SESSION, &[Value::Bytes(hash)], columns::session)
    }

    fn put_invite(&mut self, invite: &InviteRecord) -> Stored<()> {
        let values = [
            Value::Text(&invite.id),
            Value::Bytes(&invite.hash),
            Value::Free(&invite.note),
            Value::option(invite.uses_left, |left| Value::Int(left.into())),
            Value::option(invite.expires, Value::time),
            Value::time(invite.created),
            Value::Bool(invite.revoked),
        ];
        self.0.execute(PUT_INVITE, &values).map(drop)
    }

    fn invites(&mut self) -> Stored<Vec<InviteRecord>> {
        self.all(INVITES, &[], columns::invite)
    }

    fn use_invite(&mut self, hash: &SecretHash, now: Time) -> Stored<bool> {
        let values = [Value::Bytes(hash), Value::time(now)];
        Ok(self.0.execute(USE_INVITE, &values)? > 0)
    }

    fn revoke_invite(&mut self, id: &str) -> Stored<bool> {
        Ok(self.0.execute(REVOKE_INVITE, &[Value::Text(id)])? > 0)
    }

    fn expire(&mut self, now: Time, messages_before: Time, limit: usize) -> Stored<u64> {
        let (now, before) = (Value::time(now), Value::time(messages_before));
        let limit = Value::limit(limit);
        let steps = [
            (EXPIRE_ONCE, now),
            (EXPIRE_SESSIONS, now),
            (EXPIRE_PRESENCE, now),
            (EXPIRE_MESSAGES, before),
            (EXPIRE_HELD, before),
        ];
        let mut gone = 0_u64;
        for (sql, moment) in steps {
            gone = gone.saturating_add(self.0.execute(sql, &[moment, limit])?);
        }
        Ok(gone)
    }
}
