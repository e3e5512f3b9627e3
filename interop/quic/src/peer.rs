//! A server in a process of its own.

use std::io::{self, BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::{Options, Stack};

/// Where `scripts/interop.sh` puts the servers that cargo does not build, in the target folder.
const PREPARED: &str = "interop-quic";

/// A running server. Dropped, it ends; if that is because a test fails, it shows its log.
#[derive(Debug)]
pub struct Peer {
    stack: Stack,
    process: Child,
    address: SocketAddr,
    log: Log,
}

impl Peer {
    /// Starts a server and waits until it listens.
    ///
    /// The servers on quiche and quinn are this package's own, and are built with its tests; those
    /// on quic-go and aioquic are prepared by `scripts/interop.sh`.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] for an option that the stack cannot carry out,
    /// [`io::ErrorKind::NotFound`] for a server that is not built, and with the server's own words
    /// one that ends before it listens.
    pub fn start(stack: Stack, options: &Options) -> io::Result<Self> {
        if let Some(feature) = options.beyond(stack) {
            let message = format!("{stack:?} cannot do {feature:?}");
            return Err(io::Error::new(io::ErrorKind::Unsupported, message));
        }
        let mut process = command(stack)?
            .args(options.args())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut log = Log::collect(process.stderr.take());
        let mut first = String::new();
        if let Some(stdout) = process.stdout.take() {
            BufReader::new(stdout).read_line(&mut first)?;
        }
        let port = first.strip_prefix("listening ").map(str::trim_end);
        let Some(port) = port.and_then(|port| port.parse().ok()) else {
            process.kill()?;
            process.wait()?;
            let message = format!("{stack:?} does not listen: {first}{}", log.whole());
            return Err(io::Error::other(message));
        };
        Ok(Self {
            stack,
            process,
            address: (options.listen.ip(), port).into(),
            log,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has logged so far: what went wrong in a connection, for a person to read, and a
    /// line `stream ID answered TEXT` for what came on each stream that the server had opened.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.so_far()
    }

    /// Closes its standard input, as the end of this process would: it ends.
    pub fn hang_up(&mut self) {
        self.process.stdin = None;
    }

    /// Has it ended, and not by a fault?
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::Other`] for an end by a fault.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        match self.process.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(io::Error::other(status.to_string())),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _may_have_ended = self.process.kill();
        let _nothing_to_do = self.process.wait();
        if thread::panicking() {
            eprintln!("-- log of {:?}\n{}--", self.stack, self.log.whole());
        }
    }
}

fn command(stack: Stack) -> io::Result<Command> {
    let test = std::env::current_exe()?;
    Ok(match stack {
        Stack::Quiche => Command::new(above(&test, "quic-peer-quiche")?),
        Stack::Quinn => Command::new(above(&test, "quic-peer-quinn")?),
        Stack::QuicGo => Command::new(above(&test, &format!("{PREPARED}/quic-peer-go"))?),
        Stack::Aioquic => {
            let mut python = Command::new(above(&test, &format!("{PREPARED}/venv/bin/python"))?);
            python.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("python/peer.py"));
            python
        }
    })
}

/// The file `name` in the closest folder above the test's program, `target/debug/deps/TEST`.
fn above(test: &Path, name: &str) -> io::Result<PathBuf> {
    let found = test.ancestors().map(|folder| folder.join(name));
    found
        .into_iter()
        .find(|file| file.is_file())
        .ok_or_else(|| {
            let message = format!("{name} is not built: make interop does that");
            io::Error::new(io::ErrorKind::NotFound, message)
        })
}

/// The standard error of a process, gathered by a thread as it comes.
#[derive(Debug)]
struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Log {
    fn collect(stderr: Option<ChildStderr>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&text);
        let reader = stderr.map(|mut stderr| {
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(len @ 1..) = stderr.read(&mut chunk) {
                    let mut text = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    text.extend_from_slice(&chunk[..len]);
                }
            })
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }

    /// All of it, once the process has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _it_only_reads = reader.join();
        }
        self.so_far()
    }
}
