//! When a client dials again after it lost its connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aire_proto::connection::CloseReason;

use crate::address::Address;
use crate::driver::{Closed, ConnectionKey};
use crate::mailbox::Dialled;

/// How a client goes on after it lost its connection, for as long as it has operations that can
/// be resumed. Times double from `first` to `most`, and each is shortened at random by up to half,
/// so that the clients of a node that was away do not all come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// How long before it dials again; 100 ms by default.
    pub first: Duration,
    /// The longest time between two attempts, and the longest that one may take if it is more
    /// than a second; 5 s by default.
    pub most: Duration,
    /// After how long without a connection it gives up; 5 min by default.
    pub give_up: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(100),
            most: Duration::from_secs(5),
            give_up: Duration::from_secs(300),
        }
    }
}

impl Reconnect {
    /// How long before attempt `nth`, which counts from 0; `chance` is a random byte.
    fn wait(&self, nth: u32, chance: u8) -> Duration {
        let factor = 2_u32.checked_pow(nth).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.most);
        full - full.mul_f32(f32::from(chance) / 512.0)
    }
}

/// What is to be done now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing.
    Rest,
    Dial,
    /// The attempt takes too long: another one.
    DropAttempt,
    GiveUp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The connection is there, or the first one is being tried.
    Up,
    Waiting {
        until: Instant,
    },
    Dialling {
        until: Instant,
    },
    Over,
}

/// The one connection of a client, over all the times that it was dialled.
pub(crate) struct Redial {
    pub(crate) how: Option<Reconnect>,
    pub(crate) address: Address,
    pub(crate) peer: SocketAddr,
    /// The connection, or the latest attempt.
    pub(crate) key: ConnectionKey,
    pub(crate) dialled: Arc<Dialled>,
    stage: Stage,
    attempts: u32,
    lost_at: Option<Instant>,
    /// Why the connection was lost.
    pub(crate) why: Option<Closed>,
}

impl Redial {
    pub(crate) const fn new(
        how: Option<Reconnect>,
        address: Address,
        peer: SocketAddr,
        key: ConnectionKey,
        dialled: Arc<Dialled>,
    ) -> Self {
        Self {
            how,
            address,
            peer,
            key,
            dialled,
            stage: Stage::Up,
            attempts: 0,
            lost_at: None,
            why: None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.stage == Stage::Up
    }

    pub(crate) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Whether a connection that ended like this may be had again.
    pub(crate) const fn may_return(closed: &Closed) -> bool {
        match closed {
            Closed::Protocol(reason) => matches!(reason, CloseReason::Lost | CloseReason::Done),
            Closed::Transport(_) | Closed::NoAnswer => true,
            Closed::Handshake(_) => false,
        }
    }

    /// The connection, or an attempt, is over.
    pub(crate) fn lost(&mut self, closed: &Closed, now: Instant) {
        let how = self.how.unwrap_or_default();
        self.lost_at.get_or_insert(now);
        self.why.get_or_insert_with(|| closed.clone());
        let mut chance = [0];
        // Without chance it is as long as it gets.
        let _none = boring::rand::rand_bytes(&mut chance);
        let [chance] = chance;
        let until = now + how.wait(self.attempts, chance);
        self.attempts = self.attempts.saturating_add(1);
        self.stage = Stage::Waiting { until };
    }

    /// An attempt has begun.
    pub(crate) fn dialling(&mut self, key: ConnectionKey, now: Instant) {
        let most = self.how.unwrap_or_default().most;
        let until = now + most.max(Duration::from_secs(1));
        self.key = key;
        self.stage = Stage::Dialling { until };
    }

    /// Both HELLOs are judged.
    pub(crate) fn up(&mut self) {
        self.stage = Stage::Up;
        self.attempts = 0;
        self.lost_at = None;
        self.why = None;
    }

    /// It is not dialled again.
    pub(crate) fn over(&mut self) {
        self.stage = Stage::Over;
    }

    pub(crate) fn turn(&self, now: Instant) -> Turn {
        let how = self.how.unwrap_or_default();
        let too_long = self
            .lost_at
            .is_some_and(|at| now.saturating_duration_since(at) >= how.give_up);
        match self.stage {
            Stage::Up | Stage::Over => Turn::Rest,
            _ if too_long => Turn::GiveUp,
            Stage::Waiting { until } if now >= until => Turn::Dial,
            Stage::Dialling { until } if now >= until => Turn::DropAttempt,
            Stage::Waiting { .. } | Stage::Dialling { .. } => Turn::Rest,
        }
    }

    /// When there is something to do.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.stage {
            Stage::Up | Stage::Over => None,
            Stage::Waiting { until } | Stage::Dialling { until } => {
                let how = self.how.unwrap_or_default();
                let give_up = self.lost_at.and_then(|at| at.checked_add(how.give_up));
                Some(give_up.map_or(until, |at| at.min(until)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_are_shortened_by_less_than_half() {
        let how = Reconnect::default();
        let millis = |nth| how.wait(nth, 0).as_millis();
        assert_eq!(
            [0, 1, 2, 5, 6, 40].map(millis),
            [100, 200, 400, 3200, 5000, 5000]
        );
        let shortest = how.wait(1, 255).as_millis();
        assert!((100..105).contains(&shortest), "{shortest}");
    }

    #[test]
    fn what_a_peer_refuses_is_not_tried_again() {
        let again = [
            Closed::Protocol(CloseReason::Lost),
            Closed::Protocol(CloseReason::Done),
            Closed::NoAnswer,
            Closed::Transport("the peer was away".into()),
        ];
        assert!(again.iter().all(Redial::may_return));
        let never = [
            Closed::Protocol(CloseReason::Peer(aire_proto::ErrorCode::BadSignature)),
            Closed::Handshake("the server is not trusted".into()),
        ];
        assert!(!never.iter().any(Redial::may_return));
    }
}
