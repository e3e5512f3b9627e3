-- Version 1. Times are milliseconds since 1970, but for "sent": the sender's Unix seconds.
CREATE TABLE airc_identity (
    handle TEXT NOT NULL PRIMARY KEY,
    key BLOB,
    previous_key BLOB,
    previous_until INTEGER,
    capabilities TEXT NOT NULL,
    endpoints TEXT NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE airc_presence (
    handle TEXT NOT NULL PRIMARY KEY,
    status TEXT,
    context TEXT,
    heartbeat INTEGER NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_presence_expires ON airc_presence (expires);

CREATE TABLE airc_consent (
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'accepted', 'blocked')),
    message TEXT,
    since INTEGER NOT NULL,
    PRIMARY KEY (sender, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_consent_to ON airc_consent (recipient, since DESC, sender);
CREATE INDEX airc_consent_to_in ON airc_consent (recipient, state, since DESC, sender);
CREATE INDEX airc_consent_from ON airc_consent (sender, since DESC, recipient);

-- What must not come twice: nonces (kind 0) and message ids (kind 1).
CREATE TABLE airc_once (
    handle TEXT NOT NULL,
    kind INTEGER NOT NULL,
    value BLOB NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (handle, kind, value)
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_once_until ON airc_once (until);

-- AUTOINCREMENT: a position is not used again when its message is gone.
CREATE TABLE airc_message (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    sender TEXT NOT NULL,
    recipient TEXT NOT NULL,
    id TEXT NOT NULL,
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    envelope TEXT NOT NULL
) STRICT;
-- "received" is in them so that what came before a moment is skipped without a look at the message.
CREATE INDEX airc_message_inbox ON airc_message (recipient, position, received);
CREATE INDEX airc_message_thread ON airc_message (recipient, sender, position, received);
CREATE INDEX airc_message_received ON airc_message (received);

CREATE TABLE airc_held (
    recipient TEXT NOT NULL,
    sender TEXT NOT NULL,
    sent INTEGER NOT NULL,
    id TEXT NOT NULL,
    received INTEGER NOT NULL,
    signed INTEGER NOT NULL,
    envelope TEXT NOT NULL,
    PRIMARY KEY (recipient, sender, sent, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_held_received ON airc_held (received);

CREATE TABLE airc_session (
    hash BLOB NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_session_expires ON airc_session (expires);

CREATE TABLE airc_invite (
    hash BLOB NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    note TEXT NOT NULL,
    uses_left INTEGER,
    expires INTEGER,
    created INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX airc_invite_created ON airc_invite (created DESC, id);
