-- Version 1. Times are milliseconds since 1970, but for "sent": the sender's Unix seconds.
-- Texts that people write are JSON strings: they may contain NUL, which "text" may not.
CREATE TABLE airc_schema (version bigint NOT NULL);
INSERT INTO airc_schema (version) VALUES (1);

CREATE TABLE airc_identity (
    handle text COLLATE "C" PRIMARY KEY,
    key bytea,
    previous_key bytea,
    previous_until bigint,
    capabilities text NOT NULL,
    endpoints text NOT NULL,
    created bigint NOT NULL
);

CREATE TABLE airc_presence (
    handle text COLLATE "C" PRIMARY KEY,
    status text,
    context text,
    heartbeat bigint NOT NULL,
    expires bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX airc_presence_expires ON airc_presence (expires);

CREATE TABLE airc_consent (
    sender text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('pending', 'accepted', 'blocked')),
    message text,
    since bigint NOT NULL,
    PRIMARY KEY (sender, recipient)
);
CREATE INDEX airc_consent_to ON airc_consent (recipient, since DESC, sender);
CREATE INDEX airc_consent_to_in ON airc_consent (recipient, state, since DESC, sender);
CREATE INDEX airc_consent_from ON airc_consent (sender, since DESC, recipient);

-- What must not come twice: nonces (kind 0) and message ids (kind 1).
CREATE TABLE airc_once (
    handle text COLLATE "C" NOT NULL,
    kind bigint NOT NULL,
    value bytea NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (handle, kind, value)
);
CREATE INDEX airc_once_until ON airc_once (until);

-- No index begins with the position: nothing could be tempted to read an inbox through it.
CREATE TABLE airc_message (
    position bigint GENERATED ALWAYS AS IDENTITY,
    sender text COLLATE "C" NOT NULL,
    recipient text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    sent bigint NOT NULL,
    received bigint NOT NULL,
    signed boolean NOT NULL,
    envelope text NOT NULL,
    PRIMARY KEY (recipient, position)
);
CREATE INDEX airc_message_thread ON airc_message (recipient, sender, position);
CREATE INDEX airc_message_received ON airc_message (received);

CREATE TABLE airc_held (
    recipient text COLLATE "C" NOT NULL,
    sender text COLLATE "C" NOT NULL,
    sent bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    received bigint NOT NULL,
    signed boolean NOT NULL,
    envelope text NOT NULL,
    PRIMARY KEY (recipient, sender, sent, id)
);
CREATE INDEX airc_held_received ON airc_held (received);

CREATE TABLE airc_session (
    hash bytea PRIMARY KEY,
    handle text COLLATE "C" NOT NULL,
    expires bigint NOT NULL
);
CREATE INDEX airc_session_expires ON airc_session (expires);

CREATE TABLE airc_invite (
    hash bytea PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE,
    note text NOT NULL,
    uses_left bigint,
    expires bigint,
    created bigint NOT NULL,
    revoked boolean NOT NULL
);
CREATE INDEX airc_invite_created ON airc_invite (created DESC, id);
