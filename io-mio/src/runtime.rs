//! The event loop behind [`Node`](crate::Node) and [`Client`](crate::Client): one thread, one
//! driver, many operations on threads of their own or on agents inside the loop.

mod greeting;
mod opening;
mod resuming;
mod telling;

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use aire_proto::budget::Cap;
use aire_proto::connection::{Outcome, Side};
use aire_proto::delegation::Path;
use aire_proto::wire::Payload;
use aire_proto::{ErrorCode, StreamId};
use mio::{Events, Poll, Token, Waker};
use tracing::{Span, debug, debug_span, error};

use resuming::{Wandering, keeper_of};
use telling::{apply, is_circle, tell_in_loop, tell_thread};

use crate::Error;
use crate::agent::{Agent, EventAgent};
use crate::driver::{Calls, Closed, ConnectionKey, Driver, Event};
use crate::mailbox::{DialState, Dialled, Mailbox, Message, Opening, Peers};
use crate::metrics::{Counters, count, set};
use crate::operation::{About, Failure, Operation, Place, Shared};
use crate::resumption::{Keeper, Redial};
use crate::status::{self, Subject};

#[derive(Clone)]
pub(crate) enum Registered {
    Threaded(Arc<dyn Agent>),
    InLoop(Arc<Mutex<dyn EventAgent>>),
}

/// The local policy for an initiator's DID and an agent's id.
pub(crate) type CapPolicy = Arc<dyn Fn(&str, &str) -> Cap + Send + Sync>;

/// What a loop serves.
pub(crate) struct Service {
    /// Keeps the operations that can be resumed, if any can.
    pub(crate) keeper: Option<Arc<Keeper>>,
    pub(crate) agents: HashMap<String, Registered>,
    pub(crate) max_workers: usize,
    pub(crate) cap: CapPolicy,
    /// The most delegators that an operation may come through.
    pub(crate) max_hops: usize,
    /// Fetches the keys of peers.
    #[cfg(feature = "discovery")]
    pub(crate) resolver: Option<crate::Resolver>,
}

impl Default for Service {
    /// Nothing.
    fn default() -> Self {
        Self {
            keeper: None,
            agents: HashMap::new(),
            max_workers: 0,
            cap: Arc::new(|_, _| Cap::default()),
            max_hops: 0,
            #[cfg(feature = "discovery")]
            resolver: None,
        }
    }
}

/// Who is told of an operation's events.
enum Serving {
    /// Its arguments are still arriving.
    Gathering {
        agent: Arc<dyn Agent>,
        about: About,
        left: u64,
    },
    Thread(Arc<Shared>),
    InLoop(Arc<Mutex<dyn EventAgent>>),
    /// It was refused: nobody is told.
    Nobody,
}

struct Served {
    serving: Serving,
    span: Span,
    /// Of an operation that this side opened: who serves it, and which agent there.
    asked: Option<(String, String)>,
    /// It goes on with an operation that is counted already.
    resumes: bool,
    subject: Subject,
}

impl Served {
    /// Counts its end, if it is that of an operation which this side served.
    fn count_end(&self, outcome: Outcome, by: Side, counters: &Counters) {
        use ErrorCode::{Refused, ResumeExpired, ResumeInvalid, ResumeUnavailable};
        let no_resumption = [Refused, ResumeExpired, ResumeInvalid, ResumeUnavailable];
        let goes_on = match outcome {
            Outcome::Lost => self.resumes,
            // The initiator came back another way, and this stream was given up.
            Outcome::Reset(_) => self.resumes && by == Side::Local,
            Outcome::Failed(code) => self.resumes && no_resumption.contains(&code),
            _ => false,
        };
        if self.subject.served && !goes_on {
            counters.operation_ended(outcome);
        }
    }
}

/// An operation whose handler is to start.
struct Ready {
    place: Place,
    agent: Arc<dyn Agent>,
    operation: Operation,
    keeper: Option<(Arc<Keeper>, crate::Resumable)>,
    span: Span,
}

impl Ready {
    fn work(mut self) {
        let _entered = self.span.clone().entered();
        if let Some((keeper, how)) = self.keeper {
            keeper.keep(how, &mut self.operation);
        }
        serve(&*self.agent, self.operation);
    }
}

/// What the loop remembers of a connection.
struct Known {
    peer: String,
    dialled: Option<Arc<Dialled>>,
    /// Whether operations on it may be resumed on another one.
    resumable: bool,
}

impl Known {
    /// One that this side dials.
    const fn dialled(dialled: Arc<Dialled>) -> Self {
        Self {
            peer: String::new(),
            dialled: Some(dialled),
            resumable: false,
        }
    }
}

/// A running event loop.
pub(crate) struct Runtime {
    pub(crate) mailbox: Mailbox,
    pub(crate) peers: Arc<Peers>,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the loop over `driver` on a thread of its own. `redial` is the connection that it
    /// was made for, if it was; the loop ends with it, unless it is dialled again.
    pub(crate) fn start(
        driver: Driver,
        service: Service,
        redial: Option<Redial>,
    ) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, messages) = channel();
        let mailbox = Mailbox {
            sender,
            waker,
            counters: driver.counters(),
        };
        let peers = Arc::<Peers>::default();
        let mut state = Loop {
            poll,
            messages,
            mailbox: mailbox.clone(),
            peers: peers.clone(),
            service,
            served: HashMap::new(),
            paths: HashMap::new(),
            ready: Vec::new(),
            did: driver.did().to_owned(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
            workers: Arc::new(AtomicUsize::new(0)),
            send_queue: driver.send_queue(),
            redial,
            wandering: Wandering::default(),
            unwelcome: Vec::new(),
            stopping: false,
            stop_asked: false,
        };
        if let Some(redial) = &state.redial {
            let known = Known::dialled(redial.dialled.clone());
            state.known.insert(redial.key, known);
        }
        let thread = thread::Builder::new()
            .name("aire-loop".into())
            .spawn(move || state.run(driver))?;
        Ok(Self {
            mailbox,
            peers,
            thread: Some(thread),
        })
    }

    /// Waits until the loop has ended, unless it is the loop itself that asks.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != thread::current().id()
            && thread.join().is_err()
        {
            error!("the event loop panicked");
        }
    }
}

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// The most wishes to open an operation that may wait for a free stream.
const MAX_WAITING: usize = 1024;

struct Loop {
    poll: Poll,
    messages: Receiver<Message>,
    mailbox: Mailbox,
    /// Who is connected.
    peers: Arc<Peers>,
    service: Service,
    served: HashMap<(ConnectionKey, StreamId), Served>,
    /// Through whom operations come whose INVOKE is still on its way.
    paths: HashMap<(ConnectionKey, StreamId), Vec<u8>>,
    /// Operations whose arguments are complete, and whose handlers are to start.
    ready: Vec<Ready>,
    /// Who this side is.
    did: String,
    known: HashMap<ConnectionKey, Known>,
    waiting: VecDeque<Opening>,
    workers: Arc<AtomicUsize>,
    send_queue: usize,
    /// Of a client: its one connection.
    redial: Option<Redial>,
    wandering: Wandering,
    /// Connections to somebody else than was expected.
    unwelcome: Vec<ConnectionKey>,
    stopping: bool,
    /// GOODBYE is still to be said.
    stop_asked: bool,
}

impl Loop {
    fn run(mut self, mut driver: Driver) {
        // A loop that panics must not leave anybody waiting for it either.
        match catch_unwind(AssertUnwindSafe(|| self.run_until_over(&mut driver))) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "the event loop ends"),
            Err(_) => error!("the event loop panicked"),
        }
        // Nobody may wait for a loop that is gone.
        self.peers.all_left();
        self.stop_redialling();
        for served in self.served.values() {
            if let Serving::Thread(shared) = &served.serving {
                shared.failed(Failure::Lost);
                shared.closed();
            }
        }
        for dialled in self
            .known
            .values()
            .filter_map(|known| known.dialled.as_ref())
        {
            if !matches!(dialled.get(), DialState::Closed(_)) {
                dialled.set(DialState::Closed(Closed::NoAnswer));
            }
        }
    }

    fn run_until_over(&mut self, driver: &mut Driver) -> Result<(), Error> {
        driver.register(self.poll.registry(), SOCKET)?;
        let mut events = Events::with_capacity(8);
        loop {
            driver.drive(&mut |key, event, calls| self.event(key, event, calls))?;
            self.start_ready(driver);
            self.drop_unwelcome(driver);
            set(&self.mailbox.counters.operations_live, self.served.len());
            if std::mem::take(&mut self.stop_asked) {
                // Not before: a GOODBYE must not overtake operations that were opened before it.
                driver.goodbye_all();
            }
            self.turn_redial(driver);
            self.open_waiting(driver);
            if self.is_over(driver) {
                return Ok(());
            }
            if let Err(error) = self.poll.poll(&mut events, self.timeout(driver))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            while let Ok(message) = self.messages.try_recv() {
                self.message(driver, message);
            }
        }
    }

    fn is_over(&self, driver: &Driver) -> bool {
        let lost = self.redial.as_ref().is_some_and(Redial::is_over);
        (lost || (self.stopping && self.known.is_empty())) && driver.has_said_all()
    }

    fn message(&mut self, driver: &mut Driver, message: Message) {
        match message {
            Message::Operation(place, command) => {
                let (key, stream) = self.wandering.place(place);
                let Some(command) = self.wandering.defer((key, stream), command) else {
                    return;
                };
                let served = self.served.get(&(key, stream));
                if served.is_some_and(|served| matches!(served.serving, Serving::Nobody)) {
                    // It was refused, and its thread never was.
                    return;
                }
                let Some(mut calls) = driver.calls(key) else {
                    return;
                };
                if let Err(error) = apply(&mut calls, stream, command) {
                    debug!(%stream, ?error, "a call came too late");
                    let served = self.served.get(&(key, stream));
                    if let Some(Serving::Thread(shared)) = served.map(|served| &served.serving) {
                        shared.unwanted();
                    }
                }
            }
            Message::Open(opening) => {
                if self.waiting.len() >= MAX_WAITING {
                    let _gone = opening.reply.send(Err(Error::StreamLimit));
                } else {
                    self.waiting.push_back(opening);
                }
            }
            #[cfg(feature = "discovery")]
            Message::KeyFetched(key, answer) => self.key_fetched(driver, key, answer),
            Message::Ask(connection, question) => question(driver, self.current(connection)),
            Message::List(reply) => {
                let keys = driver.keys().collect();
                let list = status::list(keys, |key, most| {
                    let subject = |stream| Some(self.served.get(&(key, stream))?.subject.clone());
                    driver.describe(key, most, subject)
                });
                // Whoever asked may have gone.
                let _gone = reply.send(list);
            }
            Message::Stop => {
                self.stopping = true;
                self.stop_redialling();
                self.stop_asked = true;
            }
            Message::Abandon => {
                self.stopping = true;
                self.stop_redialling();
                let keys: Vec<_> = driver.keys().collect();
                for key in keys {
                    driver.drop_connection(key);
                }
            }
        }
    }

    fn event(&mut self, key: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>) {
        match event {
            Event::Connected { peer, agreement } => {
                let known = self.known.entry(key).or_insert_with(|| Known {
                    peer: String::new(),
                    dialled: None,
                    resumable: false,
                });
                if !known.expects(peer) {
                    self.unwelcome.push(key);
                    return;
                }
                known.peer = peer.into();
                self.peers.came(key, peer);
                known.resumable = agreement.active.resumable();
                if let Some(dialled) = &known.dialled {
                    dialled.set(DialState::Connected {
                        peer: peer.into(),
                        minor: agreement.minor,
                        channel_bound: agreement.channel_bound,
                    });
                }
                self.is_up(key);
            }
            Event::KeyAwaited { method, source } => self.key_awaited(key, method, source),
            Event::Closed(closed) => {
                self.peers.left(key);
                let known = self.known.remove(&key);
                if self.redial(key, closed) {
                    return;
                }
                if let Some(dialled) = known.and_then(|known| known.dialled) {
                    dialled.set(DialState::Closed(closed.clone()));
                }
            }
            Event::Sent { stream, len } => {
                match self
                    .served
                    .get(&(key, stream))
                    .map(|served| &served.serving)
                {
                    Some(Serving::Thread(shared)) => shared.sent(len),
                    Some(Serving::InLoop(agent)) => {
                        let agent = agent.clone();
                        tell_in_loop(&agent, key, stream, event, calls);
                    }
                    _ => {}
                }
            }
            Event::Protocol(event) => self.protocol_event(key, event, calls),
        }
    }

    fn protocol_event(
        &mut self,
        key: ConnectionKey,
        event: aire_proto::Event<'_>,
        calls: &mut Calls<'_>,
    ) {
        use aire_proto::Event as E;
        let stream = match event {
            E::Invoked { .. } => return self.invoked(key, event, calls),
            E::DelegatedVia { stream, path } => {
                self.paths.insert((key, stream), encoded(&path));
                return;
            }
            E::Ended { stream, .. } if self.paths.remove(&(key, stream)).is_some() => return,
            E::Resumed { .. } => return self.resumed(key, event, calls),
            E::Args { stream, .. }
            | E::Stream { stream, .. }
            | E::Cancelled { stream, .. }
            | E::CancelledLate { stream, .. }
            | E::Budget { stream, .. }
            | E::BudgetRefused { stream, .. }
            | E::Delegated { stream, .. }
            | E::Resumable { stream, .. }
            | E::Failed { stream, .. }
            | E::Vendor { stream, .. }
            | E::InputFinished { stream }
            | E::Ended { stream, .. } => stream,
            E::Goodbye => {
                debug!("the peer said GOODBYE");
                return;
            }
            _ => return,
        };
        let place = (key, stream);
        if self.belongs_elsewhere(place, &event) {
            return;
        }
        let Some(served) = self.served.get_mut(&place) else {
            return;
        };
        let span = served.span.clone();
        let _entered = span.enter();
        if let E::Ended { outcome, by, .. } = event {
            debug!(?outcome, ?by, "ended");
        }
        match &mut served.serving {
            Serving::InLoop(agent) => {
                let agent = agent.clone();
                tell_in_loop(&agent, key, stream, Event::Protocol(event), calls);
            }
            Serving::Thread(shared) => {
                if is_circle(&served.asked, &event) {
                    let detail = "the operation was delegated to itself";
                    let code = ErrorCode::DelegateFailed;
                    let _ended = calls.fail(stream, code, detail, Vec::new());
                    shared.failed(Failure::Failed {
                        code,
                        detail: detail.into(),
                        data: Vec::new(),
                    });
                }
                if tell_thread(shared, event) {
                    calls.pause(stream);
                }
            }
            Serving::Gathering { about, left, .. } => {
                if let E::Args {
                    bytes, remaining, ..
                } = event
                {
                    about.args.extend_from_slice(bytes);
                    *left = remaining;
                }
                if let E::Cancelled { .. } = event {
                    let _ended = calls.fail(stream, ErrorCode::Cancelled, "", Vec::new());
                    served.serving = Serving::Nobody;
                } else if *left == 0 {
                    self.start_thread(key, stream, calls);
                }
            }
            Serving::Nobody => {}
        }
        if let E::Ended { outcome, by, .. } = event {
            if let Some(served) = self.served.remove(&place) {
                served.count_end(outcome, by, &self.mailbox.counters);
            }
            self.wandering.forget(place);
        }
    }

    fn invoked(&mut self, key: ConnectionKey, event: aire_proto::Event<'_>, calls: &mut Calls<'_>) {
        let aire_proto::Event::Invoked {
            stream,
            op,
            agent,
            operation,
            args_len,
        } = event
        else {
            return;
        };
        let about = About {
            op,
            agent: agent.into(),
            operation: operation.into(),
            args: Vec::new(),
            peer: self
                .known
                .get(&key)
                .map(|known| known.peer.clone())
                .unwrap_or_default(),
            address: String::new(),
            node: self.did.clone(),
            path: self.paths.remove(&(key, stream)),
            responder: true,
        };
        let span = span_of(&about);
        debug!(parent: &span, args_len, "invoked");
        count(&self.mailbox.counters.served);
        let cap = (self.service.cap)(&about.peer, &about.agent);
        // Nothing was counted yet, so no currency can be wrong.
        let _capped = calls.cap(stream, &cap);
        let circle = self.refusal_of_path(&about);
        let subject = Subject::new(&about);
        let serving = match self.service.agents.get(agent) {
            _ if circle.is_some() => {
                count(&self.mailbox.counters.circles_refused);
                let detail = circle.unwrap_or_default();
                let _ended = calls.fail(stream, ErrorCode::Refused, detail, Vec::new());
                Serving::Nobody
            }
            None => {
                let detail = format!("there is no agent {agent:?} here");
                let _ended = calls.fail(stream, ErrorCode::AgentNotFound, detail, Vec::new());
                Serving::Nobody
            }
            Some(Registered::InLoop(agent)) => Serving::InLoop(agent.clone()),
            Some(Registered::Threaded(agent)) => Serving::Gathering {
                agent: agent.clone(),
                about,
                left: args_len,
            },
        };
        let in_loop = match &serving {
            Serving::InLoop(agent) => Some(agent.clone()),
            _ => None,
        };
        let served = Served {
            serving,
            span,
            asked: None,
            resumes: false,
            subject,
        };
        self.served.insert((key, stream), served);
        if let Some(agent) = in_loop {
            tell_in_loop(&agent, key, stream, Event::Protocol(event), calls);
        } else if args_len == 0 {
            self.start_thread(key, stream, calls);
        }
    }

    /// Why an operation that was delegated is not served, if it is not: it went round in a circle,
    /// or comes from too far.
    fn refusal_of_path(&self, about: &About) -> Option<&'static str> {
        let path = Path::decode(about.path.as_deref()?).ok()?;
        if path.contains(&self.did, &about.agent) {
            Some("the delegation goes round in a circle")
        } else if path.len() > self.service.max_hops {
            Some("the operation was delegated too often")
        } else {
            None
        }
    }

    /// Hands an operation whose arguments are complete to a thread.
    fn start_thread(&mut self, key: ConnectionKey, stream: StreamId, calls: &mut Calls<'_>) {
        let Some(served) = self.served.get_mut(&(key, stream)) else {
            return;
        };
        let ledger = calls.ledger(stream).unwrap_or_default();
        let shared = Shared::new((key, stream), self.send_queue, 0, ledger);
        let thread = Serving::Thread(shared.clone());
        let (agent, about) = match std::mem::replace(&mut served.serving, thread) {
            Serving::Gathering { agent, about, .. } => (agent, about),
            other => {
                served.serving = other;
                return;
            }
        };
        let keeper = keeper_of(&self.service, self.known.get(&key), &about);
        let operation = Operation::new(shared, self.mailbox.clone(), about);
        self.ready.push(Ready {
            place: (key, stream),
            agent,
            operation,
            keeper,
            span: served.span.clone(),
        });
    }

    /// Starts the handlers of operations that came. What came right behind their INVOKE, a BUDGET
    /// before all, has been taken by now, so that no work is done that it forbids.
    fn start_ready(&mut self, driver: &mut Driver) {
        for ready in std::mem::take(&mut self.ready) {
            let worker = Worker::new(&self.workers);
            let (key, stream) = ready.place;
            let started = self.workers.load(Ordering::Relaxed) <= self.service.max_workers
                && thread::Builder::new()
                    .name("aire-operation".into())
                    .spawn(move || {
                        let _worker = worker;
                        ready.work();
                    })
                    .is_ok();
            if let Some(mut calls) = driver.calls(key).filter(|_| !started) {
                self.refuse(key, stream, &mut calls);
            }
        }
    }
}

/// Counts a thread for as long as it lives.
struct Worker(Arc<AtomicUsize>);

impl Worker {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A path's bytes, to be read again when the operation is handed on.
fn encoded(path: &Path<'_>) -> Vec<u8> {
    let mut bytes = vec![0; path.encoded_len().unwrap_or_default()];
    // The length is the one that it asked for.
    let _written = path.encode(&mut bytes);
    bytes
}

fn span_of(about: &About) -> Span {
    debug_span!(
        "operation",
        op = %about.op,
        part = if about.responder { "responder" } else { "initiator" },
        agent = about.agent,
        operation = about.operation,
        peer = about.peer,
    )
}

/// Runs a handler, whatever it does.
fn serve(agent: &dyn Agent, mut operation: Operation) {
    let handled = catch_unwind(AssertUnwindSafe(|| agent.handle(&mut operation)));
    match handled {
        Ok(Ok(())) => match operation.failure() {
            // A handler that takes a cancel for the end of its input has still been cancelled.
            Some(failure) => operation.fail(&failure),
            None => {
                operation.account();
                operation.finish();
            }
        },
        Ok(Err(failure)) => {
            debug!(%failure, "the agent failed");
            operation.fail(&failure);
        }
        Err(_) => {
            error!("the agent panicked");
            operation.fail(&Failure::application("the agent panicked"));
        }
    }
}
