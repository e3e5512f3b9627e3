//! A node that invokes: aire-mio's driver in a thread of its own, which asks every device that
//! connects for something, and notes what comes of it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aire_mio::driver::{Calls, Event};
use aire_mio::{Certificate, ConnectionKey, Driver, Settings};
use aire_proto::StreamId;
use mio::{Events, Poll, Token};

use super::{any_port, identity};

/// An operation that is asked of a device.
#[derive(Clone, Copy)]
pub struct Ask {
    pub agent: &'static str,
    pub operation: &'static str,
    pub args: &'static [u8],
}

/// What a script does about an event of its operation.
pub type Script = dyn FnMut(StreamId, &aire_proto::Event<'_>, &mut Calls<'_>) + Send;

/// The node.
pub struct Dialler {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    goodbye: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    pub told: Arc<Mutex<Vec<String>>>,
}

impl Dialler {
    /// Asks for `ask` as soon as a device is connected, and again on every connection.
    pub fn new(certificate: &Certificate, ask: &'static [Ask], mut script: Box<Script>) -> Self {
        let settings = Settings::default();
        let driver = Driver::server(any_port(), certificate, identity(), settings);
        let mut driver = driver.expect("a free port");
        let address = driver.local_address();
        let stop = Arc::new(AtomicBool::new(false));
        let goodbye = Arc::new(AtomicBool::new(false));
        let told = Arc::new(Mutex::new(Vec::new()));
        let (stopped, parting, notes) = (stop.clone(), goodbye.clone(), told.clone());
        let thread = std::thread::spawn(move || {
            let mut poll = Poll::new().expect("a poll");
            driver
                .register(poll.registry(), Token(0))
                .expect("registered");
            let mut events = Events::with_capacity(8);
            let mut todo: Vec<(ConnectionKey, Ask)> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                if parting.swap(false, Ordering::Relaxed) {
                    driver.goodbye_all();
                }
                todo.retain(|(key, ask)| match driver.may_invoke(*key) {
                    Ok(()) => {
                        driver
                            .invoke(*key, ask.agent, ask.operation, ask.args.to_vec())
                            .expect("opened");
                        false
                    }
                    Err(aire_mio::Error::StreamLimit) => true,
                    Err(_) => false,
                });
                let drive = driver.drive(&mut |key, event, calls| match event {
                    Event::Connected { .. } => {
                        notes.lock().unwrap().push("connected".to_string());
                        todo.extend(ask.iter().map(|ask| (key, *ask)));
                    }
                    Event::Protocol(event) => {
                        if let Some(stream) = stream_of(&event) {
                            script(stream, &event, calls);
                        }
                    }
                    Event::Closed(closed) => notes.lock().unwrap().push(format!("{closed}")),
                    _ => {}
                });
                drive.expect("the socket works");
                let longest = Duration::from_millis(5);
                let sleep = driver.timeout().map_or(longest, |time| time.min(longest));
                poll.poll(&mut events, Some(sleep)).expect("polled");
            }
        });
        Self {
            address,
            stop,
            goodbye,
            thread: Some(thread),
            told,
        }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn goodbye(&self) {
        self.goodbye.store(true, Ordering::Relaxed);
    }

    pub fn has_told(&self, what: &str) -> bool {
        self.told.lock().unwrap().iter().any(|told| told == what)
    }
}

impl Drop for Dialler {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

/// What a script sends to its test.
pub fn notes<T>() -> (mpsc::Sender<T>, Receiver<T>) {
    mpsc::channel()
}

fn stream_of(event: &aire_proto::Event<'_>) -> Option<StreamId> {
    use aire_proto::Event as E;
    match event {
        E::Stream { stream, .. }
        | E::Budget { stream, .. }
        | E::Failed { stream, .. }
        | E::Ended { stream, .. } => Some(*stream),
        _ => None,
    }
}
