//! The file with the ticket of an operation, from which another run goes on.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use aire_mio::{ErrorCode, Failure, Operation};
use aire_proto::resume::Ticket;

use crate::Error;
use crate::common::dial::Call;
use crate::common::files::Draft;

/// A ticket's file. It is behind by at most [`INTERVAL`], and up to date whenever this process
/// ends in an orderly way.
pub(super) struct TicketFile {
    path: PathBuf,
    found: Option<Vec<u8>>,
    /// STREAM frames that earlier runs received.
    before: u64,
    /// The latest, and whether the file has it.
    latest: Option<Vec<u8>>,
    unsaved: bool,
    saved: Option<Instant>,
}

impl TicketFile {
    /// Looks whether there is a ticket, and whether it is one of `call`.
    pub(super) fn open(path: &Path, call: &Call) -> Result<Self, Error> {
        let found = read(path)?;
        let mut before = 0;
        if let Some(bytes) = &found {
            let not_good = |error| {
                Error::Usage(format!(
                    "{} holds no ticket: {error}; name another file, or remove it",
                    path.display()
                ))
            };
            let ticket = Ticket::decode(bytes).map_err(not_good)?;
            let of = Call {
                agent: ticket.agent.into(),
                operation: ticket.operation.into(),
            };
            if of != *call {
                return Err(Error::Usage(format!(
                    "{} holds the ticket of another operation, {of}: name another file, or remove \
                     it",
                    path.display()
                )));
            }
            before = ticket.received;
        }
        Ok(Self {
            path: path.into(),
            latest: found.clone(),
            found,
            before,
            unsaved: false,
            saved: None,
        })
    }

    /// The ticket of an earlier run.
    pub(super) fn found(&self) -> Option<&[u8]> {
        self.found.as_deref()
    }

    /// What was received is printed: `frames` in this run. Writes the ticket where it is time, and
    /// says when it will be.
    pub(super) fn note(&mut self, operation: &Operation) -> Result<Option<Instant>, Error> {
        if let Some(ticket) = operation.ticket()
            && self.latest.as_ref() != Some(&ticket)
        {
            self.latest = Some(ticket);
            self.unsaved = true;
        }
        let due = self.saved.and_then(|saved| saved.checked_add(INTERVAL));
        match due {
            _ if !self.unsaved => Ok(None),
            Some(due) if due > Instant::now() => Ok(Some(due)),
            _ => self.save().map(|()| None),
        }
    }

    /// Writes the ticket, if there is one.
    pub(super) fn save(&mut self) -> Result<(), Error> {
        if let Some(ticket) = &self.latest {
            Draft::private(&self.path, ticket)?.replace()?;
            self.unsaved = false;
            self.saved = Some(Instant::now());
        }
        Ok(())
    }

    /// The operation is over, after `frames` in this run. Whether another run can go on with it.
    pub(super) fn ended(&mut self, how: &Result<(), Failure>, frames: u64) -> Result<bool, Error> {
        if how.as_ref().is_err_and(may_go_on) {
            self.count(frames)?;
            self.save()?;
            return Ok(self.latest.is_some());
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::File {
                path: self.path.clone(),
                doing: "remove",
                source: error,
            }),
            _ => Ok(false),
        }
    }

    /// Takes over a ticket that the operation gave away when it was left.
    pub(super) fn left(&mut self, ticket: Vec<u8>) -> Result<(), Error> {
        self.latest = Some(ticket);
        self.save()
    }

    /// Brings the ticket's count up to date: an operation that is lost makes none any more.
    fn count(&mut self, frames: u64) -> Result<(), Error> {
        let Some(latest) = &self.latest else {
            return Ok(());
        };
        let failed = |error| Error::Failed(format!("the ticket cannot be written: {error}"));
        let mut ticket = Ticket::decode(latest).map_err(failed)?;
        ticket.received = self.before.saturating_add(frames);
        let mut bytes = vec![0; Ticket::MAX_LEN];
        let written = ticket.encode(&mut bytes).map_err(failed)?;
        self.latest = Some(written.to_vec());
        Ok(())
    }
}

/// Whether the operation may still be there. Where the node does not let it be resumed, the reason
/// may be the wrong key: the ticket stays.
const fn may_go_on(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Lost
            | Failure::Failed {
                code: ErrorCode::ResumeInvalid,
                ..
            }
    )
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let failed = |source| Error::reading(path, source);
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    // One more than it may have, so that a file that is too long is no ticket.
    file.take(Ticket::MAX_LEN as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

/// How often the file is written while frames come: so much is printed twice when the process is
/// killed.
const INTERVAL: Duration = Duration::from_millis(100);
