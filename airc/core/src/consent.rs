//! Consent: whether somebody may write to somebody (section 2.6, AGAP-1 to 4).
//!
//! A consent belongs to an ordered pair: the consent of a recipient to what a sender sends. The
//! sender asks for it ([`Event::Request`]) or just writes ([`Event::Message`]); the recipient
//! answers ([`Event::Accept`], [`Event::Block`]), asked or not.
//!
//! | state | request | message | accept | block |
//! |---|---|---|---|---|
//! | none | pending, tell | pending, hold | accepted, open | blocked, nothing |
//! | pending | pending, nothing | pending, hold | accepted, open both | blocked, drop |
//! | accepted | accepted, nothing | accepted, deliver | accepted, nothing | blocked, nothing |
//! | blocked | blocked, refuse | blocked, refuse | accepted, open | blocked, nothing |
//!
//! Nothing is held but while a consent is pending: that is the one state which a message that is
//! held leads to, and both ways out of it empty what is held.

use crate::store::ConsentState;

/// What happens to a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// The sender asks for it.
    Request,
    /// The sender sends a message that is no handshake.
    Message,
    /// The recipient gives it.
    Accept,
    /// The recipient refuses it.
    Block,
}

/// What has to be done about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Nothing.
    Nothing,
    /// The recipient is told that the sender asks.
    Tell,
    /// The message is held until the recipient answers; the recipient sees that the sender asks.
    Hold,
    /// The message is delivered.
    Deliver,
    /// The sender may write from now on.
    Open,
    /// The sender may write from now on, and what is held is delivered. Since it was the sender who
    /// asked, the other direction opens as well, as [`also_opened`] says.
    OpenBoth,
    /// What is held is dropped.
    Drop,
    /// The sender is refused: `consent_blocked`.
    Refuse,
}

/// Where a consent goes, and what has to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transition {
    /// Where it stands afterwards.
    pub state: ConsentState,
    /// What has to be done.
    pub effect: Effect,
}

/// What an event does to a consent: the table above.
#[must_use]
pub const fn next(state: ConsentState, event: Event) -> Transition {
    use ConsentState::{Accepted, Blocked, None, Pending};
    let (state, effect) = match (state, event) {
        (None, Event::Request) => (Pending, Effect::Tell),
        (Pending, Event::Request) => (Pending, Effect::Nothing),
        (Accepted, Event::Request) => (Accepted, Effect::Nothing),
        (None | Pending, Event::Message) => (Pending, Effect::Hold),
        (Accepted, Event::Message) => (Accepted, Effect::Deliver),
        (Blocked, Event::Request | Event::Message) => (Blocked, Effect::Refuse),
        (None | Blocked, Event::Accept) => (Accepted, Effect::Open),
        (Pending, Event::Accept) => (Accepted, Effect::OpenBoth),
        (Accepted, Event::Accept) => (Accepted, Effect::Nothing),
        (Pending, Event::Block) => (Blocked, Effect::Drop),
        (None | Accepted | Blocked, Event::Block) => (Blocked, Effect::Nothing),
    };
    Transition { state, effect }
}

/// Where the other direction goes with [`Effect::OpenBoth`]: who asked for consent can be written
/// to, unless they have refused that.
#[must_use]
pub const fn also_opened(other: ConsentState) -> ConsentState {
    match other {
        ConsentState::Blocked => ConsentState::Blocked,
        ConsentState::None | ConsentState::Pending | ConsentState::Accepted => {
            ConsentState::Accepted
        }
    }
}

impl ConsentState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::None, Self::Pending, Self::Accepted, Self::Blocked];

    /// The state as the wire has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Blocked => "blocked",
        }
    }

    /// The state that the wire calls `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::format;
    use std::string::String;

    use super::*;

    const EVENTS: [Event; 4] = [Event::Request, Event::Message, Event::Accept, Event::Block];

    #[test]
    fn the_table_in_the_documentation_is_what_happens_in_all_sixteen_cells() {
        let mut table = String::new();
        for state in ConsentState::ALL {
            table += &format!("//! | {} |", state.as_str());
            for event in EVENTS {
                let Transition { state, effect } = next(state, event);
                let effect = match effect {
                    Effect::Nothing => "nothing",
                    Effect::Tell => "tell",
                    Effect::Hold => "hold",
                    Effect::Deliver => "deliver",
                    Effect::Open => "open",
                    Effect::OpenBoth => "open both",
                    Effect::Drop => "drop",
                    Effect::Refuse => "refuse",
                };
                table += &format!(" {}, {effect} |", state.as_str());
            }
            table += "\n";
        }
        assert!(include_str!("consent.rs").contains(&table), "{table}");
    }

    #[test]
    fn agap_1_who_asked_can_be_written_to_unless_they_refused_it() {
        for state in ConsentState::ALL {
            let expected = match state {
                ConsentState::Blocked => ConsentState::Blocked,
                _ => ConsentState::Accepted,
            };
            assert_eq!(also_opened(state), expected);
        }
    }

    #[test]
    fn a_state_is_read_back_as_it_is_written() {
        for state in ConsentState::ALL {
            assert_eq!(ConsentState::parse(state.as_str()), Some(state));
        }
        assert_eq!(ConsentState::parse("maybe"), None);
    }
}
