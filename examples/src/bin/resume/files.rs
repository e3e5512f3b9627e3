//! What the client keeps: who it is, how far it has come, and what it has got.
//!
//! The output and the ticket are two files, and a process may be killed between any two steps. So
//! each token is written in this order:
//!
//! 1. its line is appended to the output;
//! 2. a ticket that counts it takes the place of the one before, by a rename, which happens as a
//!    whole or not at all.
//!
//! At every moment the output then has at least the lines that the ticket counts, and the ticket
//! decides: whoever starts anew cuts the output after as many lines, and the node sends what comes
//! after these. A line that was cut off, whole or half, comes again; so none is missing, and none
//! is there twice.
//!
//! One moment stays that no order of writing helps against: a ticket is good for one RESUME, and
//! the next one comes with the answer. Who is killed between the two begins anew.
//!
//! A write has left the process when it returns, so this holds when the process is killed. For it
//! to hold when the power fails too, `File::sync_data` belongs after each of the two steps.

use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use aire_mio::Identity;
use aire_proto::resume::Ticket;

pub(crate) struct Files {
    dir: PathBuf,
}

impl Files {
    pub(crate) fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.dir.join("output")
    }

    /// The same identity each time: an operation is resumed by who invoked it, or not at all.
    pub(crate) fn identity(&self) -> io::Result<Identity> {
        let path = self.dir.join("key");
        let mut seed = [0; 32];
        match File::open(&path) {
            Ok(mut file) => file.read_exact(&mut seed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                File::open("/dev/urandom")?.read_exact(&mut seed)?;
                self.replace("key", &seed)?;
            }
            Err(error) => return Err(error),
        }
        Ok(Identity::from_seed(seed))
    }

    /// The ticket, if an operation was left in the middle.
    pub(crate) fn ticket(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join("ticket")) {
            Ok(ticket) => Ok(Some(ticket)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts `ticket` in the place of the one before.
    pub(crate) fn keep_ticket(&self, ticket: &[u8]) -> io::Result<()> {
        self.replace("ticket", ticket)
    }

    /// Writes a file as a whole or not at all. Only its owner may read it: a key, or a ticket, is
    /// as good as a password.
    fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        let mut file = OpenOptions::new();
        file.write(true).create(true).truncate(true).mode(0o600);
        file.open(&new)?.write_all(content)?;
        fs::rename(new, self.dir.join(name))
    }

    /// The operation is over, and the output complete.
    pub(crate) fn drop_ticket(&self) -> io::Result<()> {
        match fs::remove_file(self.dir.join("ticket")) {
            // It was over before there was any.
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The output, to append to: of what is there the lines that `ticket` counts, or nothing
    /// without one.
    pub(crate) fn open_output(&self, ticket: Option<&[u8]>) -> Result<File, Box<dyn Error>> {
        let counted = match ticket {
            Some(ticket) => Ticket::decode(ticket)?.received,
            None => 0,
        };
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(self.output())?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let (mut kept, mut lines) = (0, 0);
        for line in text.split_inclusive('\n').filter(|it| it.ends_with('\n')) {
            if lines < counted {
                lines += 1;
                kept += line.len() as u64;
            }
        }
        if lines < counted {
            return Err("the output has fewer lines than the ticket counts".into());
        }
        file.set_len(kept)?;
        Ok(file)
    }
}
