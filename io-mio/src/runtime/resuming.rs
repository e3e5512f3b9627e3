//! What the loop does for operations that outlive their connection: a node's RESUMEs, and a
//! client's operations that wait for another connection.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use aire_proto::connection::{CallError, Outcome, Side};
use aire_proto::resume::TicketError;
use aire_proto::{ErrorCode, OpId, StreamId};
use tracing::{debug, info};

use super::{Known, Loop, Served, Service, Serving, Worker, apply, span_of};
use crate::Error;
use crate::driver::{Calls, Closed, ConnectionKey, Driver};
use crate::mailbox::{Command, DialState, Opening};
use crate::metrics::count;
use crate::operation::{About, Failure, Operation, Place, Shared};
use crate::resumption::{Keeper, Pump, Redial, Resumable, Turn};
use crate::status::Subject;

/// A client's operation whose connection is lost.
pub(super) struct Suspended {
    served: Served,
    shared: Arc<Shared>,
    /// How its stream ended.
    ended: (Outcome, Side),
    /// What the application asked meanwhile.
    deferred: Vec<Command>,
}

/// A client's operations that were on a connection which is no more.
#[derive(Default)]
pub(super) struct Wandering {
    suspended: HashMap<Place, Suspended>,
    /// Where operations are that calls under way name by an older place.
    moved: HashMap<Place, Place>,
}

impl Wandering {
    /// Where the operation is that was at `place` once.
    pub(super) fn place(&self, place: Place) -> Place {
        self.moved.get(&place).copied().unwrap_or(place)
    }

    /// Keeps a call for later, if the operation is suspended; gives it back otherwise.
    pub(super) fn defer(&mut self, place: Place, command: Command) -> Option<Command> {
        let Some(suspended) = self.suspended.get_mut(&place) else {
            return Some(command);
        };
        match (suspended.deferred.last_mut(), command) {
            // Only the latest counts (BUD-5).
            (Some(Command::Budget(waiting)), Command::Budget(budget)) => *waiting = budget,
            // The operation itself knows of these.
            (_, Command::Cancel { .. } | Command::Finish | Command::Resume) => {}
            (_, command) => suspended.deferred.push(command),
        }
        None
    }

    fn moved(&mut self, from: Place, to: Place) {
        for place in self.moved.values_mut().filter(|place| **place == from) {
            *place = to;
        }
        self.moved.insert(from, to);
    }

    /// The operation at `place` is over.
    pub(super) fn forget(&mut self, place: Place) {
        if !self.moved.is_empty() {
            self.moved.retain(|_, to| *to != place);
        }
    }

    /// No connection comes any more.
    pub(super) fn give_up(&mut self) {
        for (_, suspended) in self.suspended.drain() {
            suspended.shared.gave_up(Failure::Lost);
        }
    }

    fn is_waiting(&self) -> bool {
        !self.suspended.is_empty()
    }

    fn drop_expired(&mut self) {
        self.suspended.retain(|_, suspended| {
            let live = suspended.shared.continuation().is_some();
            if !live {
                suspended.shared.gave_up(expired());
            }
            live
        });
    }
}

/// The token's time is over before it could be used.
fn expired() -> Failure {
    Failure::Failed {
        code: ErrorCode::ResumeExpired,
        detail: "there was no connection in time".into(),
        data: Vec::new(),
    }
}

/// Opens an operation that another connection, or another process, began.
pub(super) fn resume(driver: &mut Driver, opening: &Opening) -> Result<StreamId, Error> {
    let resume = opening.progress.as_ref().and_then(|it| it.resume());
    let resume = resume.ok_or(Error::Ticket(TicketError::Malformed))?;
    driver.resume(opening.connection, resume.token, resume.last_recv)
}

/// Who keeps an operation, and how, if it can be resumed.
pub(super) fn keeper_of(
    service: &Service,
    known: Option<&Known>,
    about: &About,
) -> Option<(Arc<Keeper>, Resumable)> {
    let keeper = service.keeper.as_ref()?;
    let how = keeper.agent(&about.agent)?;
    known?.resumable.then(|| (keeper.clone(), how))
}

/// A node's side.
impl Loop {
    /// Answers a RESUME: on a thread, because the store may take its time.
    pub(super) fn resumed(
        &mut self,
        key: ConnectionKey,
        event: aire_proto::Event<'_>,
        calls: &mut Calls<'_>,
    ) {
        let aire_proto::Event::Resumed { stream, op, resume } = event else {
            return;
        };
        let Some(keeper) = self.service.keeper.clone() else {
            // No token of ours is out there (RES-5).
            count(&self.mailbox.counters.resumes_refused);
            let _ended = calls.fail(stream, ErrorCode::ResumeInvalid, "", Vec::new());
            return;
        };
        let about = self.about_resumed(key, op);
        let (span, subject) = (span_of(&about), Subject::new(&about));
        let ledger = calls.ledger(stream).unwrap_or_default();
        let shared = Shared::new((key, stream), self.send_queue, 0, ledger);
        // Until it is known whose budget that is, none is read.
        calls.pause(stream);
        let pump = Pump {
            keeper,
            operation: Operation::new(shared.clone(), self.mailbox.clone(), about),
            token: resume.token.to_vec(),
            last_recv: resume.last_recv,
        };
        let served = Served {
            serving: Serving::Thread(shared),
            span: span.clone(),
            asked: None,
            resumes: true,
            subject,
        };
        self.served.insert((key, stream), served);
        let worker = Worker::new(&self.workers);
        let started = self.workers.load(Ordering::Relaxed) <= self.service.max_workers
            && thread::Builder::new()
                .name("aire-resumption".into())
                .spawn(move || {
                    let _worker = worker;
                    let _entered = span.enter();
                    pump.run();
                })
                .is_ok();
        if !started {
            self.refuse(key, stream, calls);
        }
    }

    fn about_resumed(&self, key: ConnectionKey, op: OpId) -> About {
        let known = self.known.get(&key);
        About {
            op,
            agent: String::new(),
            operation: String::new(),
            args: Vec::new(),
            peer: known.map(|known| known.peer.clone()).unwrap_or_default(),
            address: String::new(),
            node: String::new(),
            path: None,
            responder: true,
        }
    }

    /// As many operations as may run are running.
    pub(super) fn refuse(&mut self, key: ConnectionKey, stream: StreamId, calls: &mut Calls<'_>) {
        if let Some(served) = self.served.get_mut(&(key, stream)) {
            served.serving = Serving::Nobody;
        }
        let detail = "as many operations as may run are running";
        let _ended = calls.fail(stream, ErrorCode::Refused, detail, Vec::new());
    }

    /// Whether an event is not for whom the stream once belonged to: the operation goes on
    /// elsewhere, or will.
    pub(super) fn belongs_elsewhere(
        &mut self,
        place: Place,
        event: &aire_proto::Event<'_>,
    ) -> bool {
        let Some(Serving::Thread(shared)) = self.served.get(&place).map(|it| &it.serving) else {
            return false;
        };
        let left = shared.has_left(place);
        let aire_proto::Event::Ended { outcome, by, .. } = event else {
            return left;
        };
        if left {
            self.served.remove(&place);
        }
        left || self.outlives(place, *outcome, *by)
    }

    /// Whether an operation outlives the end of its stream, which may be that of its connection.
    fn outlives(&mut self, place: Place, outcome: Outcome, by: Side) -> bool {
        // A cancel that was never answered is said again on another connection.
        let unanswered = matches!(outcome, Outcome::Cancelled(_)) && by == Side::Local;
        if outcome != Outcome::Lost && !unanswered {
            return false;
        }
        let Some(Serving::Thread(shared)) = self.served.get(&place).map(|it| &it.serving) else {
            return false;
        };
        if outcome == Outcome::Lost && shared.detach() {
            debug!("the operation goes on without its connection");
            count(&self.mailbox.counters.detached);
            self.served.remove(&place);
            return true;
        }
        let may_redial = self
            .redial
            .as_ref()
            .is_some_and(|redial| redial.how.is_some() && redial.key == place.0);
        if !may_redial || self.stopping || !shared.suspend() {
            return false;
        }
        let shared = shared.clone();
        if let Some(served) = self.served.remove(&place) {
            debug!(parent: &served.span, "suspended");
            let suspended = Suspended {
                served,
                shared,
                ended: (outcome, by),
                deferred: Vec::new(),
            };
            self.wandering.suspended.insert(place, suspended);
        }
        true
    }
}

/// A client's side.
impl Loop {
    /// The address that operations of this side are at.
    pub(super) fn dialled_address(&self) -> String {
        let redial = self.redial.as_ref();
        redial
            .map(|redial| redial.address.node().to_owned())
            .unwrap_or_default()
    }

    /// Both HELLOs of a connection are judged.
    pub(super) fn is_up(&mut self, key: ConnectionKey) {
        if let Some(redial) = self.redial.as_mut().filter(|redial| redial.key == key) {
            redial.up();
        }
    }

    /// The connection that a client's operations are opened on.
    pub(super) fn current(&self, connection: ConnectionKey) -> ConnectionKey {
        self.redial.as_ref().map_or(connection, |redial| redial.key)
    }

    /// Whether the connection is lost, and another one awaited.
    pub(super) fn is_redialling(&self) -> bool {
        self.redial
            .as_ref()
            .is_some_and(|redial| !redial.is_up() && !redial.is_over())
    }

    /// A connection is over. Whether it is dialled again.
    pub(super) fn redial(&mut self, key: ConnectionKey, closed: &Closed) -> bool {
        let Some(redial) = self.redial.as_mut().filter(|redial| redial.key == key) else {
            return false;
        };
        let wanted = !self.stopping && !self.wandering.suspended.is_empty();
        if redial.is_over() || !wanted || !Redial::may_return(closed) {
            redial.over();
            self.wandering.give_up();
            return false;
        }
        redial.lost(closed, Instant::now());
        debug!(%closed, "the connection will be dialled again");
        redial.dialled.set(DialState::Trying);
        true
    }

    /// How long the loop may sleep.
    pub(super) fn timeout(&self, driver: &Driver) -> Option<Duration> {
        let redial = self.redial.as_ref().and_then(Redial::due);
        let redial = redial.map(|at| at.saturating_duration_since(Instant::now()));
        match (driver.timeout(), redial) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        }
    }

    /// Dials again where that is due, and resumes what there is to resume.
    pub(super) fn turn_redial(&mut self, driver: &mut Driver) {
        let now = Instant::now();
        let Some(redial) = &mut self.redial else {
            return;
        };
        match redial.turn(now) {
            Turn::Rest => {}
            Turn::Dial => {
                self.wandering.drop_expired();
                if self.wandering.suspended.is_empty() {
                    self.stop_redialling();
                    return;
                }
                match driver.connect_to(&redial.address, redial.peer) {
                    Ok(key) => {
                        let known = Known::dialled(redial.dialled.clone());
                        self.known.insert(key, known);
                        redial.dialling(key, now);
                    }
                    Err(error) => {
                        debug!(%error, "dialling failed");
                        redial.lost(&Closed::NoAnswer, now);
                    }
                }
            }
            // Its end comes as an event, and makes another one due.
            Turn::DropAttempt => driver.drop_connection(redial.key),
            Turn::GiveUp => {
                let key = redial.key;
                self.stop_redialling();
                driver.drop_connection(key);
            }
        }
        if self.redial.as_ref().is_some_and(Redial::is_up) && self.wandering.is_waiting() {
            self.resume_suspended(driver);
        }
    }

    /// No connection is awaited any more.
    pub(super) fn stop_redialling(&mut self) {
        self.wandering.give_up();
        if !self.is_redialling() {
            return;
        }
        if let Some(redial) = &mut self.redial {
            let why = redial.why.clone().unwrap_or(Closed::NoAnswer);
            redial.over();
            redial.dialled.set(DialState::Closed(why));
        }
    }

    fn resume_suspended(&mut self, driver: &mut Driver) {
        let Some(key) = self.redial.as_ref().map(|redial| redial.key) else {
            return;
        };
        for (place, suspended) in std::mem::take(&mut self.wandering.suspended) {
            if place.0 == key {
                // The connection is there yet: it was the stream that ended.
                let (outcome, by) = suspended.ended;
                suspended.shared.gave_up_as(outcome, by);
                continue;
            }
            let Some(how) = suspended.shared.continuation() else {
                suspended.shared.gave_up(expired());
                continue;
            };
            match driver.resume(key, &how.token, how.received) {
                Ok(stream) => {
                    info!(parent: &suspended.served.span, received = how.received, "resumed");
                    count(&self.mailbox.counters.resumed);
                    let mut commands = suspended.deferred;
                    commands.extend(match how.cancelled {
                        Some((reason, detail)) => Some(Command::Cancel { reason, detail }),
                        None => how.finished.then_some(Command::Finish),
                    });
                    let ledger = suspended.shared.ledger().clone();
                    commands.insert(0, Command::Adopt(ledger));
                    let paused = suspended.shared.moved((key, stream));
                    self.wandering.moved(place, (key, stream));
                    self.served.insert((key, stream), suspended.served);
                    let Some(mut calls) = driver.calls(key) else {
                        continue;
                    };
                    if paused {
                        calls.pause(stream);
                    }
                    for command in commands {
                        // A stream that was just opened takes all.
                        let _taken = apply(&mut calls, stream, command);
                    }
                }
                Err(Error::Call(CallError::NotNegotiated | CallError::Draining)) => {
                    suspended.shared.gave_up(Failure::Lost);
                }
                // Later, or on the next connection.
                Err(error) => {
                    debug!(%error, "not resumed yet");
                    self.wandering.suspended.insert(place, suspended);
                }
            }
        }
    }
}
