//! The event loop behind [`Node`](crate::Node) and [`Client`](crate::Client): one thread, one
//! driver, many operations on threads of their own or on agents inside the loop.

use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use aire_proto::{ErrorCode, StreamId};
use mio::{Events, Poll, Token, Waker};
use tracing::{Span, debug, debug_span, error};

use crate::Error;
use crate::agent::{Agent, EventAgent};
use crate::driver::{Calls, Closed, ConnectionKey, Driver, Event, QueueError};
use crate::mailbox::{Command, DialState, Dialled, Mailbox, Message, Opening};
use crate::operation::{About, Failure, Operation, Received, Shared};

#[derive(Clone)]
pub(crate) enum Registered {
    Threaded(Arc<dyn Agent>),
    InLoop(Arc<Mutex<dyn EventAgent>>),
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
}

/// What the loop remembers of a connection.
struct Known {
    peer: String,
    dialled: Option<Arc<Dialled>>,
}

/// A running event loop.
pub(crate) struct Runtime {
    pub(crate) mailbox: Mailbox,
    thread: Option<JoinHandle<()>>,
}

impl Runtime {
    /// Starts the loop over `driver` on a thread of its own. `dialled` is the connection that it
    /// was made for, if it was; the loop ends with it.
    pub(crate) fn start(
        driver: Driver,
        agents: HashMap<String, Registered>,
        max_workers: usize,
        dialled: Option<(ConnectionKey, Arc<Dialled>)>,
    ) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, messages) = channel();
        let mailbox = Mailbox { sender, waker };
        let mut state = Loop {
            poll,
            messages,
            mailbox: mailbox.clone(),
            agents,
            served: HashMap::new(),
            known: HashMap::new(),
            waiting: VecDeque::new(),
            workers: Arc::new(AtomicUsize::new(0)),
            max_workers,
            send_queue: driver.send_queue(),
            ends_with: dialled.as_ref().map(|(key, _)| *key),
            stopping: false,
        };
        if let Some((key, dialled)) = dialled {
            let known = Known {
                peer: String::new(),
                dialled: Some(dialled),
            };
            state.known.insert(key, known);
        }
        let thread = thread::Builder::new()
            .name("aire-loop".into())
            .spawn(move || state.run(driver))?;
        Ok(Self {
            mailbox,
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
    agents: HashMap<String, Registered>,
    served: HashMap<(ConnectionKey, StreamId), Served>,
    known: HashMap<ConnectionKey, Known>,
    waiting: VecDeque<Opening>,
    workers: Arc<AtomicUsize>,
    max_workers: usize,
    send_queue: usize,
    ends_with: Option<ConnectionKey>,
    stopping: bool,
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
        for served in self.served.values() {
            if let Serving::Thread(shared) = &served.serving {
                shared.failed(Failure::Lost);
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
            self.open_waiting(driver);
            if self.is_over(driver) {
                return Ok(());
            }
            if let Err(error) = self.poll.poll(&mut events, driver.timeout())
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
        let lost = self
            .ends_with
            .is_some_and(|key| !self.known.contains_key(&key));
        (lost || (self.stopping && self.known.is_empty())) && driver.has_said_all()
    }

    fn message(&mut self, driver: &mut Driver, message: Message) {
        match message {
            Message::Operation(key, stream, command) => {
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
            Message::Stop => {
                self.stopping = true;
                driver.goodbye_all();
            }
        }
    }

    /// Opens the operations that wait for a stream, as far as there are any.
    fn open_waiting(&mut self, driver: &mut Driver) {
        if self.waiting.is_empty() {
            return;
        }
        let (mut still, now) = (VecDeque::new(), Instant::now());
        while let Some(opening) = self.waiting.pop_front() {
            if opening.until.is_some_and(|until| until <= now) {
                continue;
            }
            match driver.may_invoke(opening.connection) {
                Err(Error::StreamLimit) => still.push_back(opening),
                Err(error) => {
                    let _gone = opening.reply.send(Err(error));
                }
                Ok(()) => self.open(driver, opening),
            }
        }
        self.waiting = still;
    }

    fn open(&mut self, driver: &mut Driver, mut opening: Opening) {
        let args = std::mem::take(&mut opening.args);
        let args_len = args.len();
        match driver.invoke(opening.connection, &opening.agent, &opening.operation, args) {
            Ok(stream) => self.opened(opening, stream, args_len),
            Err(error) => {
                let _gone = opening.reply.send(Err(error));
            }
        }
    }

    fn opened(&mut self, opening: Opening, stream: StreamId, args_len: usize) {
        let Some(op) = aire_proto::OpId::new(stream.get()) else {
            return;
        };
        let known = self.known.get(&opening.connection);
        let about = About {
            op,
            agent: opening.agent,
            operation: opening.operation,
            args: Vec::new(),
            peer: known.map(|known| known.peer.clone()).unwrap_or_default(),
            responder: false,
        };
        let span = span_of(&about);
        debug!(parent: &span, "invoked");
        let shared = Shared::new(self.send_queue, args_len);
        let served = Served {
            serving: Serving::Thread(shared.clone()),
            span,
        };
        self.served.insert((opening.connection, stream), served);
        let operation = Operation {
            connection: opening.connection,
            stream,
            shared,
            mailbox: self.mailbox.clone(),
            about,
        };
        // A caller that is gone drops it, which cancels it.
        let _gone = opening.reply.send(Ok(operation));
    }

    fn event(&mut self, key: ConnectionKey, event: Event<'_>, calls: &mut Calls<'_>) {
        match event {
            Event::Connected { peer, agreement } => {
                let known = self.known.entry(key).or_insert_with(|| Known {
                    peer: String::new(),
                    dialled: None,
                });
                known.peer = peer.into();
                if let Some(dialled) = &known.dialled {
                    dialled.set(DialState::Connected {
                        peer: peer.into(),
                        minor: agreement.minor,
                    });
                }
            }
            // Without a resolver nothing is fetched, so nothing is awaited.
            Event::KeyAwaited { method } => debug!(method, "no resolver for this method"),
            Event::Closed(closed) => {
                let known = self.known.remove(&key);
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
            E::Resumed { stream, .. } => {
                // No token of ours is out there (RES-5).
                let _ended = calls.fail(stream, ErrorCode::ResumeInvalid, "", Vec::new());
                return;
            }
            E::Args { stream, .. }
            | E::Stream { stream, .. }
            | E::Cancelled { stream, .. }
            | E::Budget { stream, .. }
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
        let Some(served) = self.served.get_mut(&(key, stream)) else {
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
        if let E::Ended { .. } = event {
            self.served.remove(&(key, stream));
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
            responder: true,
        };
        let span = span_of(&about);
        debug!(parent: &span, args_len, "invoked");
        let serving = match self.agents.get(agent) {
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
        self.served.insert((key, stream), Served { serving, span });
        if let Some(agent) = in_loop {
            tell_in_loop(&agent, key, stream, Event::Protocol(event), calls);
        } else if args_len == 0 {
            self.start_thread(key, stream, calls);
        }
    }

    /// Hands an operation whose arguments are complete to a thread.
    fn start_thread(&mut self, key: ConnectionKey, stream: StreamId, calls: &mut Calls<'_>) {
        let Some(served) = self.served.get_mut(&(key, stream)) else {
            return;
        };
        let shared = Shared::new(self.send_queue, 0);
        let thread = Serving::Thread(shared.clone());
        let (agent, about) = match std::mem::replace(&mut served.serving, thread) {
            Serving::Gathering { agent, about, .. } => (agent, about),
            other => {
                served.serving = other;
                return;
            }
        };
        let operation = Operation {
            connection: key,
            stream,
            shared,
            mailbox: self.mailbox.clone(),
            about,
        };
        let worker = Worker::new(&self.workers);
        let span = served.span.clone();
        let started = self.workers.load(Ordering::Relaxed) <= self.max_workers
            && thread::Builder::new()
                .name("aire-operation".into())
                .spawn(move || {
                    let _worker = worker;
                    let _entered = span.enter();
                    serve(&*agent, operation);
                })
                .is_ok();
        if !started {
            served.serving = Serving::Nobody;
            let detail = "as many operations as may run are running";
            let _ended = calls.fail(stream, ErrorCode::Refused, detail, Vec::new());
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
            None => operation.finish(),
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

/// Whether the thread has so much waiting that nothing more is to be read.
fn tell_thread(shared: &Shared, event: aire_proto::Event<'_>) -> bool {
    use aire_proto::Event as E;
    match event {
        E::Stream {
            bytes, remaining, ..
        } => return shared.stream(bytes, remaining),
        E::Budget { budget, .. } => return shared.notice(Received::Budget(budget)),
        E::Delegated { delegate, .. } => {
            return shared.notice(Received::Delegated {
                target: delegate.target.into(),
                target_did: delegate.target_did.into(),
            });
        }
        E::Cancelled { cancel, .. } => shared.failed(Failure::Cancelled {
            reason: cancel.reason,
            detail: cancel.detail.into(),
        }),
        E::Failed { error, .. } => shared.failed(Failure::Failed {
            code: error.code,
            detail: error.detail.into(),
            data: error.data.into(),
        }),
        E::InputFinished { .. } => shared.finished(),
        E::Ended { outcome, by, .. } => shared.ended(outcome, by),
        _ => {}
    }
    false
}

fn tell_in_loop(
    agent: &Mutex<dyn EventAgent>,
    key: ConnectionKey,
    stream: StreamId,
    event: Event<'_>,
    calls: &mut Calls<'_>,
) {
    let told = catch_unwind(AssertUnwindSafe(|| {
        let mut agent = agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.event(key, event, calls);
    }));
    if told.is_err() {
        error!("an agent in the loop panicked");
        let detail = "the agent panicked";
        let _ended = calls.fail(stream, ErrorCode::Application, detail, Vec::new());
    }
}

fn apply(calls: &mut Calls<'_>, stream: StreamId, command: Command) -> Result<(), QueueError> {
    match command {
        Command::Send(payload) => calls.send_counted(stream, payload),
        Command::Budget(budget) => calls.send_budget(stream, budget),
        Command::Finish => calls.finish(stream),
        Command::Fail { code, detail, data } => calls.fail(stream, code, detail, data),
        Command::Cancel { reason, detail } => calls.cancel(stream, reason, detail),
        Command::Resume => {
            calls.resume(stream);
            Ok(())
        }
    }
}
