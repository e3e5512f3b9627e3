//! A Redis server of the test's own: on a free port, without a trace on the disk, gone with the
//! test.
#![allow(dead_code, unreachable_pub)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How to get one.
const INSTALL: &str = "redis-server is missing: apt-get install redis-server";

pub struct RedisServer {
    child: Child,
    port: u16,
}

impl RedisServer {
    /// A new, empty server; `None`, and a word about it, when the program is not installed. Where
    /// `CI` is set it has to be.
    pub fn start() -> Option<Self> {
        // Another program may take the port in between.
        for _ in 0..5 {
            let child = match spawn(free_port()) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    assert!(std::env::var_os("CI").is_none(), "{INSTALL}");
                    eprintln!("skipped: {INSTALL}");
                    return None;
                }
                started => started.expect("redis-server starts"),
            };
            if let Some(server) = child {
                return Some(server);
            }
        }
        panic!("redis-server did not come up on any of five ports");
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it has ended");
    }

    /// Stops it in its tracks: it keeps its connections, and answers nothing.
    pub fn freeze(&self) {
        signal("STOP", self.child.id());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _reaped_already = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// `None` when it has ended again, or does not listen in time.
fn spawn(port: u16) -> std::io::Result<Option<RedisServer>> {
    let child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no"])
        .arg("--dir")
        .arg(std::env::temp_dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let mut server = RedisServer { child, port };
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if server.child.try_wait()?.is_some() {
            return Ok(None);
        }
        if let Some(process) = who_listens(port) {
            // Two tests may have found the same port free.
            return Ok((process == server.child.id()).then_some(server));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(None)
}

/// The process whose Redis answers at `port`.
fn who_listens(port: u16) -> Option<u32> {
    let mut server = TcpStream::connect(("127.0.0.1", port)).ok()?;
    server.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    server.write_all(b"INFO server\r\nQUIT\r\n").ok()?;
    let mut about = String::new();
    server.read_to_string(&mut about).ok()?;
    let process = about
        .lines()
        .find_map(|line| line.strip_prefix("process_id:"));
    process?.trim().parse().ok()
}

/// Sends a signal; the standard library sends only one.
fn signal(name: &str, process: u32) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {process}")])
        .status()
        .expect("a shell");
    assert!(sent.success());
}
