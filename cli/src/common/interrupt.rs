//! Ctrl-C, SIGTERM and SIGHUP: a command that has something to end asks it to, and a person who
//! has no patience presses again.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aire_mio::Bell;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::Error;
use crate::error::Exit;

/// Watches for signals. As long as nobody listens, the first one ends the process; then it is
/// noted, and the second one ends the process.
#[derive(Clone)]
pub struct Interrupts(Arc<Inner>);

struct Inner {
    listening: AtomicBool,
    /// The first signal that came while somebody listened; 0 for none.
    noted: AtomicI32,
    bell: Arc<Bell>,
    /// What sets the terminal right before the process ends.
    farewell: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Interrupts").field(&self.signal()).finish()
    }
}

impl Interrupts {
    /// Begins to watch.
    ///
    /// # Errors
    /// [`Error::Failed`] when the system does not allow it.
    pub fn watch() -> Result<Self, Error> {
        let failed = |error| Error::Failed(format!("cannot catch signals: {error}"));
        let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
        let interrupts = Self(Arc::new(Inner {
            listening: AtomicBool::new(false),
            noted: AtomicI32::new(0),
            bell: Arc::new(Bell::default()),
            farewell: Mutex::new(None),
        }));
        let noting = interrupts.clone();
        thread::Builder::new()
            .name("aire-signals".into())
            .spawn(move || signals.forever().for_each(|signal| noting.came(signal)))
            .map_err(failed)?;
        Ok(interrupts)
    }

    /// From now on the first signal rings the [`bell`](Self::bell) and does nothing else.
    pub fn listen(&self) {
        self.0.listening.store(true, Ordering::SeqCst);
    }

    /// Whether a signal came that somebody listened for.
    #[must_use]
    pub fn came_yet(&self) -> bool {
        self.signal().is_some()
    }

    /// The first signal that came while somebody listened.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        let noted = self.0.noted.load(Ordering::SeqCst);
        (noted != 0).then_some(noted)
    }

    /// Rings when a signal is noted, and for whatever else is to wake the same thread.
    #[must_use]
    pub fn bell(&self) -> &Arc<Bell> {
        &self.0.bell
    }

    /// What is to be done when a signal ends the process.
    pub fn at_the_end(&self, farewell: impl FnOnce() + Send + 'static) {
        let mut place = self.farewell();
        *place = Some(Box::new(farewell));
    }

    fn farewell(&self) -> std::sync::MutexGuard<'_, Option<Box<dyn FnOnce() + Send>>> {
        let place = self.0.farewell.lock();
        place.unwrap_or_else(PoisonError::into_inner)
    }

    fn came(&self, signal: i32) {
        let first = self.0.noted.load(Ordering::SeqCst) == 0;
        if self.0.listening.load(Ordering::SeqCst) && first {
            self.0.noted.store(signal, Ordering::SeqCst);
            self.0.bell.ring();
            return;
        }
        if let Some(farewell) = self.farewell().take() {
            farewell();
        }
        process::exit(Exit::Interrupted as i32);
    }
}
