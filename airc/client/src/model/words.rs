//! Statuses and states of consent, as the wire has them.

use airc_core::store::{ConsentState, Status};

const STATUSES: [(Status, &str); 4] = [
    (Status::Online, "online"),
    (Status::Idle, "idle"),
    (Status::Busy, "busy"),
    (Status::Offline, "offline"),
];

const CONSENTS: [(ConsentState, &str); 4] = [
    (ConsentState::None, "none"),
    (ConsentState::Pending, "pending"),
    (ConsentState::Accepted, "accepted"),
    (ConsentState::Blocked, "blocked"),
];

/// The status as the wire has it.
#[must_use]
pub fn status_word(status: Status) -> &'static str {
    word(&STATUSES, status)
}

/// The state of a consent as the wire has it.
#[must_use]
pub fn consent_word(state: ConsentState) -> &'static str {
    word(&CONSENTS, state)
}

pub(crate) fn parse_status(text: &str) -> Option<Status> {
    meaning(&STATUSES, text)
}

pub(crate) fn parse_consent(text: &str) -> Option<ConsentState> {
    meaning(&CONSENTS, text)
}

fn word<T: Copy + PartialEq>(words: &[(T, &'static str)], meaning: T) -> &'static str {
    let found = words.iter().find(|(known, _)| *known == meaning);
    found.map_or("", |(_, word)| word)
}

fn meaning<T: Copy>(words: &[(T, &str)], word: &str) -> Option<T> {
    let found = words.iter().find(|(_, known)| *known == word);
    found.map(|(meaning, _)| *meaning)
}
