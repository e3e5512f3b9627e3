//! The board: QEMU as a child process, what it prints, and the cable that its monitor can pull.

use std::error::Error;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use aire_examples::Leashed;

use crate::say;

/// What the emulator is told about the run.
pub(crate) struct Setup<'a> {
    /// The firmware, whose identity is still the one in the tree.
    pub(crate) image: &'a Path,
    /// The emulator's command line. In it `{image}` stands for the firmware with its identity,
    /// `{monitor}` for the socket of the monitor, and `{board}` for the board's arguments, as
    /// `arg={board}` of its semihosting.
    pub(crate) command: &'a [String],
    /// The board's arguments, with blanks between.
    pub(crate) arguments: &'a str,
    /// The seed of the board's key.
    pub(crate) key: [u8; 32],
    /// SHA-256 of the public key that it is to trust.
    pub(crate) pin: [u8; 32],
}

/// A running board.
pub(crate) struct Board {
    child: Leashed,
    folder: Folder,
    said: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// A folder that goes with the run.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _may_be_gone = fs::remove_dir_all(&self.0);
    }
}

impl Board {
    /// Writes the identity into the firmware, as a factory does, and starts it.
    pub(crate) fn start(setup: &Setup<'_>) -> Result<Self, Box<dyn Error>> {
        let folder = std::env::temp_dir().join(format!("aire-board-{}", std::process::id()));
        fs::create_dir(&folder)?;
        let folder = Folder(folder);
        let image = folder.0.join("firmware.elf");
        write_identity(setup, &image)?;
        let arguments = setup.arguments.replace(' ', ",arg=");
        let words = setup.command.iter().map(|word| {
            word.replace("{image}", &image.to_string_lossy())
                .replace("{monitor}", &folder.monitor().to_string_lossy())
                .replace("{board}", &arguments)
        });
        let words: Vec<String> = words.collect();
        let (program, rest) = words
            .split_first()
            .ok_or("the emulator's command is missing")?;
        let mut child = Command::new(program)
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = child.stdout.take().ok_or("no output")?;
        let said = Arc::<Mutex<Vec<String>>>::default();
        let notes = said.clone();
        let reader = thread::spawn(move || listen(output, &notes));
        Ok(Self {
            child: Leashed(child),
            folder,
            said,
            reader: Some(reader),
        })
    }

    /// The lines that it printed so far and that begin so, without that beginning.
    pub(crate) fn said(&self, beginning: &str) -> Vec<String> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = |line: &String| line.strip_prefix(beginning).map(str::to_owned);
        said.iter().filter_map(rest).collect()
    }

    /// Pulls the cable out, or puts it back in.
    pub(crate) fn plug(&self, plugged: bool) -> std::io::Result<()> {
        let mut monitor = UnixStream::connect(self.folder.monitor())?;
        monitor.set_read_timeout(Some(Duration::from_secs(5)))?;
        let state = if plugged { "on" } else { "off" };
        writeln!(monitor, "set_link lan {state}")?;
        // It prompts, echoes, and prompts again when that is done.
        let mut heard = Vec::new();
        let mut bytes = [0; 256];
        while heard
            .windows(PROMPT.len())
            .filter(|it| *it == PROMPT)
            .count()
            < 2
        {
            match monitor.read(&mut bytes)? {
                0 => break,
                count => heard.extend_from_slice(bytes.get(..count).unwrap_or_default()),
            }
        }
        Ok(())
    }

    /// Waits until something has come to pass, but no longer than `most`, nor than the program runs.
    pub(crate) fn until(
        &mut self,
        most: Duration,
        what: &str,
        came: impl Fn() -> bool,
    ) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + most;
        while !came() {
            if self.child.0.try_wait()?.is_some() {
                return Err(format!("the board ended before {what}").into());
            }
            if Instant::now() > until {
                return Err(format!("waited for {what} in vain").into());
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until the program has ended. Whether it was content.
    pub(crate) fn wait(&mut self, most: Duration) -> Result<(), Box<dyn Error>> {
        let until = Instant::now() + most;
        let status = loop {
            if let Some(status) = self.child.0.try_wait()? {
                break status;
            }
            if Instant::now() > until {
                return Err("the board comes to no end".into());
            }
            thread::sleep(Duration::from_millis(20));
        };
        if let Some(reader) = self.reader.take() {
            let _panicked = reader.join();
        }
        if status.success() {
            Ok(())
        } else {
            Err(format!("the board's program failed: {status}").into())
        }
    }
}

const PROMPT: &[u8] = b"(qemu) ";

impl Folder {
    fn monitor(&self) -> PathBuf {
        self.0.join("monitor")
    }
}

fn listen(output: ChildStdout, notes: &Mutex<Vec<String>>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        say("board", "--", "SAYS", &line);
        notes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
    }
}

/// The device's key and the pin, over those in the program's last KiB of flash.
fn write_identity(setup: &Setup<'_>, image: &Path) -> Result<(), Box<dyn Error>> {
    let identity = image.with_extension("identity");
    fs::write(&identity, [setup.key, setup.pin].concat())?;
    let status = Command::new("arm-none-eabi-objcopy")
        .arg("--update-section")
        .arg(format!(".identity={}", identity.to_string_lossy()))
        .args([setup.image, image])
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("arm-none-eabi-objcopy did not write the identity".into())
    }
}
