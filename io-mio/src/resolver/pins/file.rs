//! The file of keys that were trusted at first use. Always replaced as a whole, so that a crash
//! leaves the old one or the new one; a lock file keeps processes from losing each other's lines.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aire_proto::identity::{Did, PublicKey};

use super::multibase;
use crate::resolver::ResolveError;

/// The most DIDs in a file.
const MOST_DIDS: usize = 10_000;
/// The most bytes of a file.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// How long to wait for another process that adds a line.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// A file, as it was when it was last read.
pub(super) struct PinFile {
    path: PathBuf,
    text: String,
    /// The keys of a DID, and their line, counted from 1.
    pinned: HashMap<String, (Vec<PublicKey>, usize)>,
    seen: Option<Seen>,
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Seen {
    modified: Option<SystemTime>,
    len: u64,
    #[cfg(unix)]
    inode: u64,
}

impl PinFile {
    /// Reads the file, or takes one that is not there for an empty one.
    pub(super) fn open(path: PathBuf) -> Result<Self, ResolveError> {
        let mut file = Self {
            path,
            text: String::new(),
            pinned: HashMap::new(),
            seen: None,
        };
        file.refresh()?;
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The keys of a DID, and their line.
    pub(super) fn keys_of(&self, did: &str) -> Option<(&[PublicKey], usize)> {
        let (keys, line) = self.pinned.get(did)?;
        Some((keys, *line))
    }

    /// Reads the file again, if it is not the one that was read.
    pub(super) fn refresh(&mut self) -> Result<(), ResolveError> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.text.clear();
                self.pinned.clear();
                self.seen = None;
                return Ok(());
            }
            Err(error) => return Err(self.failed(&error)),
        };
        let seen = self.attempt(file.metadata())?;
        let seen = Seen {
            modified: seen.modified().ok(),
            len: seen.len(),
            #[cfg(unix)]
            inode: std::os::unix::fs::MetadataExt::ino(&seen),
        };
        if self.seen == Some(seen) {
            return Ok(());
        }
        if seen.len > MOST_BYTES {
            return Err(self.error(format!("it is larger than {MOST_BYTES} bytes")));
        }
        let mut text = String::new();
        let read = Read::by_ref(&mut file)
            .take(MOST_BYTES)
            .read_to_string(&mut text);
        self.attempt(read)?;
        self.pinned = parse(&text).map_err(|reason| self.error(reason))?;
        self.text = text;
        self.seen = Some(seen);
        Ok(())
    }

    /// Adds a DID with its keys, unless it is there by now.
    pub(super) fn add(&mut self, did: &str, keys: &[PublicKey]) -> Result<(), ResolveError> {
        let lock = beside(&self.path, ".lock");
        let lock = self.attempt(private(OpenOptions::new().write(true).create(true), &lock))?;
        self.attempt(lock_soon(&lock))?;
        self.refresh()?;
        if self.pinned.contains_key(did) {
            return Ok(());
        }
        if self.pinned.len() >= MOST_DIDS {
            return Err(self.error(format!(
                "it is full: {MOST_DIDS} DIDs are pinned; remove lines that are not needed any more"
            )));
        }
        let mut text = self.text.clone();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(did);
        for key in keys {
            text.push(' ');
            text.push_str(&multibase(key));
        }
        text.push('\n');
        self.attempt(replace(&self.path, text.as_bytes()))?;
        self.refresh()
        // Closing the lock file gives the lock up.
    }

    fn attempt<T>(&self, done: io::Result<T>) -> Result<T, ResolveError> {
        done.map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> ResolveError {
        self.error(error.to_string())
    }

    fn error(&self, reason: String) -> ResolveError {
        ResolveError::PinFile {
            path: self.path.clone(),
            reason,
        }
    }
}

/// Reads all lines, or says what is wrong with one.
fn parse(text: &str) -> Result<HashMap<String, (Vec<PublicKey>, usize)>, String> {
    let mut pinned = HashMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_ascii_whitespace();
        let Some(did) = words.next().filter(|word| !word.starts_with('#')) else {
            continue;
        };
        if Did::parse(did).is_err() {
            return Err(format!("line {number}: {did:?} is no DID"));
        }
        let keys: Option<Vec<_>> = words.map(PublicKey::from_multibase).collect();
        let keys = keys.filter(|keys| !keys.is_empty()).ok_or_else(|| {
            format!("line {number}: keys in multibase, z6Mk..., have to follow the DID")
        })?;
        if let Some((_, first)) = pinned.insert(did.to_owned(), (keys, number)) {
            return Err(format!(
                "line {number}: {did} is on line {first} already: keep one of them"
            ));
        }
    }
    Ok(pinned)
}

/// Puts `content` where the file is, all of it or nothing.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = beside(path, ".new");
    // Left behind by a crash, perhaps; nobody else may write it while we have the lock.
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = private(OpenOptions::new().write(true).create_new(true), &new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

/// Waits until no other process has the lock, but not for ever: others wait for this thread.
fn lock_soon(file: &File) -> io::Result<()> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                return Err(io::Error::other(
                    "another process does not give its lock up",
                ));
            }
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// Opens a file that, where it is made, only its owner can read.
fn private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// A name for a file beside another one.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A directory that goes away with the value.
    pub(in crate::resolver::pins) struct Dir(pub(in crate::resolver::pins) PathBuf);

    impl Dir {
        pub(in crate::resolver::pins) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("aire-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).expect("a directory");
            Self(path)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _left = fs::remove_dir_all(&self.0);
        }
    }

    const KEY: PublicKey = PublicKey([1; 32]);

    fn error_of(text: &str) -> String {
        let dir = Dir::new("pins-bad");
        let path = dir.0.join("known");
        fs::write(&path, text).expect("written");
        PinFile::open(path).err().expect(text).to_string()
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        let key = multibase(&KEY);
        for (text, words) in [
            ("# ok\nexample.com z6Mk\n".to_owned(), ["line 2", "no DID"]),
            ("did:web:a\n".into(), ["line 1", "multibase"]),
            ("\n\ndid:web:a x\n".into(), ["line 3", "multibase"]),
            (
                format!("did:web:a {key}\ndid:web:a {key}\n"),
                ["line 2", "line 1"],
            ),
        ] {
            let error = error_of(&text);
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn it_is_made_for_its_owner_alone_and_leaves_nothing_behind() {
        let dir = Dir::new("pins-mode");
        let path = dir.0.join("known");
        fs::write(beside(&path, ".new"), "half of it, when the power went").expect("written");
        let mut file = PinFile::open(path.clone()).expect("it opens");
        file.add("did:web:a", &[KEY]).expect("added");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(&path)
                .expect("it is there")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert!(!beside(&path, ".new").exists());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let path = std::env::temp_dir().join("aire-no-such-directory/known");
        let mut file = PinFile::open(path).expect("an empty one");
        let error = file
            .add("did:web:a", &[KEY])
            .expect_err("it cannot be written");
        assert!(error.to_string().contains("aire-no-such-directory"));
    }

    #[test]
    fn a_lock_that_is_never_given_up_is_not_waited_for() {
        let dir = Dir::new("pins-locked");
        let path = dir.0.join("known");
        let held = File::create(beside(&path, ".lock")).expect("made");
        held.lock().expect("locked");
        let mut file = PinFile::open(path).expect("it opens");
        let error = file.add("did:web:a", &[KEY]).expect_err("it is locked");
        assert!(error.to_string().contains("another process"), "{error}");
        drop(held);
        file.add("did:web:a", &[KEY]).expect("it is free");
    }

    #[test]
    fn a_full_file_takes_no_more_and_says_so() {
        let dir = Dir::new("pins-full");
        let path = dir.0.join("known");
        let key = multibase(&KEY);
        let lines = (0..MOST_DIDS).map(|n| format!("did:web:n{n} {key}\n"));
        fs::write(&path, lines.collect::<String>()).expect("written");
        let mut file = PinFile::open(path).expect("it opens");
        let error = file.add("did:web:a", &[KEY]).expect_err("it is full");
        assert!(error.to_string().contains("full"), "{error}");
    }
}
