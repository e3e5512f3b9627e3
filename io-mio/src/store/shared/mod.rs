//! Operations in Redis or Valkey, as streams, so that any node can go on where another one
//! stopped (`RES-11`).
//!
//! What must happen at once happens in a script on the server: one beside this file for each call.
//! Under the prefix, an operation has four keys, and each token one:
//!
//! | key | type | holds |
//! |---|---|---|
//! | `operation:<name>` | hash | the record, the window's ends, the two tokens, the end |
//! | `frames:<name>` | stream | the retained frames, entry `<seq>-0` for frame `seq`; then the end |
//! | `lengths:<name>` | list | how long each of these frames is |
//! | `words:<name>` | stream | what the initiator said, entry `<number>-0` |
//! | `token:<SHA-256>` | hash | whose it is, of what, until when |
//!
//! Each has an end in time, so nothing stays for ever when every node dies.

mod pool;
mod word;

use std::str::FromStr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use aire_proto::UnixMillis;
use redis::{Script, ToRedisArgs};

use self::pool::{ANSWER, Pool};
use super::{
    BATCH_BYTES, Batch, ClaimError, Claimed, MAX_WORD_BYTES, MAX_WORDS, OperationKey, Record,
    ResumeStore, StoreError, TOKEN_LEN, Terminal, Word, coding, hash_of, hex, later,
};

/// Where the keys begin, unless [`RedisStore::with_prefix`] says otherwise.
const PREFIX: &str = "aire:";

/// The server waits so long at most before it says that nothing came. A server that is gone
/// without a word is missed so much later at most.
const SLICE: Duration = Duration::from_secs(1);

/// The server forgets this much later than it would have to, so that clocks which disagree a
/// little do not cut a token's time short (`RES-8`).
const SLACK: Duration = Duration::from_secs(1);

/// Nothing is kept longer than this, 100 years: the server counts milliseconds in 64 bits.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Resumable operations in a Redis or Valkey server that several nodes share: another node honours
/// the token (`RES-11`), and the crash of a node loses nothing of what it had sent.
///
/// What the crash of the server loses is its own configuration's: `appendonly yes` with
/// `appendfsync always` loses nothing. Give it `maxmemory-policy noeviction`, for a full server
/// has to say so. A cluster needs all keys in one slot: a prefix like `{aire}:` does that.
///
/// The clocks of the nodes have to agree to about a second. A server that does not answer is an
/// error within a few seconds. Every call that is under way has a connection of its own, so that
/// one that waits holds up nobody; a few are kept for the next ones.
pub struct RedisStore {
    pool: Pool,
    prefix: String,
}

/// A script with what comes before every one that is about an operation.
macro_rules! script {
    ($file:literal) => {
        LazyLock::new(|| Script::new(concat!(include_str!("keep.lua"), include_str!($file))))
    };
}

static OPEN: LazyLock<Script> = script!("open.lua");
static ISSUE: LazyLock<Script> = script!("issue.lua");
static APPEND: LazyLock<Script> = script!("append.lua");
static FINISH: LazyLock<Script> = script!("finish.lua");
static READ: LazyLock<Script> = script!("read.lua");
static TELL: LazyLock<Script> = script!("tell.lua");
static WORDS: LazyLock<Script> = script!("words.lua");
static BEAT: LazyLock<Script> = script!("beat.lua");
static FORGET: LazyLock<Script> = script!("forget.lua");
static CLAIM: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("claim.lua")));

/// What a script returns after its first word, which was `OK`.
type Reply = std::vec::IntoIter<Vec<u8>>;

impl RedisStore {
    /// The store at `url`: `redis://host:port/database`, or `unix:///path/of/socket`. Nodes that
    /// are given the same one share their operations.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when there is no server, or it does not let us in.
    pub fn connect(url: &str) -> Result<Self, StoreError> {
        Ok(Self {
            pool: Pool::connect(url)?,
            prefix: PREFIX.into(),
        })
    }

    /// Begins all keys with `prefix` instead of `aire:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The key of the kind `kind` with the name `name`.
    fn key(&self, kind: &str, name: impl std::fmt::Display) -> String {
        format!("{}{kind}:{name}", self.prefix)
    }

    /// Runs a script that is about one operation.
    fn run(
        &self,
        script: &Script,
        key: &OperationKey,
        args: &[&dyn Argument],
    ) -> Result<Reply, StoreError> {
        let mut call = script.prepare_invoke();
        for kind in ["operation", "frames", "lengths", "words"] {
            call.key(self.key(kind, key));
        }
        for arg in args {
            arg.add_to(&mut call);
        }
        let reply: Vec<Vec<u8>> = self.pool.call(ANSWER, |server| call.invoke(server))?;
        let mut reply = reply.into_iter();
        let status = reply.next().unwrap_or_default();
        let mut number = || number(reply.next().unwrap_or_default());
        Err(match status.as_slice() {
            b"OK" => return Ok(reply),
            b"EXISTS" => StoreError::Exists,
            b"UNKNOWN" => StoreError::Unknown,
            b"FULL" => StoreError::Full,
            b"FINISHED" => StoreError::Finished,
            b"ORDER" => StoreError::OutOfOrder {
                expected: number()?,
            },
            b"LARGE" => StoreError::FrameTooLarge {
                len: usize::try_from(number()?).unwrap_or(usize::MAX),
                max_bytes: usize::try_from(number()?).unwrap_or(usize::MAX),
            },
            b"EVICTED" => StoreError::Evicted { oldest: number()? },
            _ => strange(),
        })
    }

    /// Looks with `look` until there is something, or `patience` has passed; in between, waits for
    /// an entry after number `after` in the stream at `stream`.
    fn wait<T>(
        &self,
        stream: &str,
        after: u64,
        patience: Duration,
        look: impl Fn() -> Result<(bool, T), StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Instant::now().checked_add(patience);
        loop {
            let (something, found) = look()?;
            let left = deadline.map_or(SLICE, |at| at.saturating_duration_since(Instant::now()));
            // The server counts milliseconds, and takes 0 for ever.
            let millis = left.min(SLICE).as_millis();
            if something || millis == 0 {
                return Ok(found);
            }
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(1).arg("BLOCK").arg(millis as u64);
            command.arg("STREAMS").arg(stream).arg(format!("{after}-0"));
            // What came is looked at by the script, which knows more than the stream does.
            let _came: redis::Value = self
                .pool
                .call(SLICE + ANSWER, |server| command.query(server))?;
        }
    }
}

/// What a script may be given.
trait Argument {
    fn add_to(&self, call: &mut redis::ScriptInvocation<'_>);
}

impl<T: ToRedisArgs> Argument for T {
    fn add_to(&self, call: &mut redis::ScriptInvocation<'_>) {
        call.arg(self);
    }
}

/// A time for which the server keeps something, in milliseconds.
fn millis(length: Duration) -> u64 {
    let length = length.min(LONGEST).saturating_add(SLACK);
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn strange() -> StoreError {
    StoreError::Content("the server's entries are not what this version writes".into())
}

fn number<N: FromStr>(digits: Vec<u8>) -> Result<N, StoreError> {
    let text = String::from_utf8(digits).map_err(|_| strange())?;
    text.parse().map_err(|_| strange())
}

impl ResumeStore for RedisStore {
    fn open(
        &self,
        key: &OperationKey,
        record: &Record,
        lease: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let limits = &record.limits;
        let args: [&dyn Argument; 6] = [
            &coding::record(record)?,
            &record.owner,
            &limits.max_bytes,
            &limits.max_frames,
            &later(now, lease).0,
            &millis(lease),
        ];
        self.run(&OPEN, key, &args).map(drop)
    }

    fn issue(
        &self,
        key: &OperationKey,
        token: &[u8; TOKEN_LEN],
        ttl: Duration,
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        let args: [&dyn Argument; 6] = [
            &self.key("token", ""),
            &key.to_string(),
            &hex(&boring::sha::sha256(token)),
            &later(now, ttl).0,
            &millis(ttl),
            &millis(ttl.saturating_mul(2)),
        ];
        self.run(&ISSUE, key, &args).map(drop)
    }

    fn append(&self, key: &OperationKey, seq: u64, payload: &[u8]) -> Result<(), StoreError> {
        self.run(&APPEND, key, &[&seq, &payload]).map(drop)
    }

    fn finish(&self, key: &OperationKey, terminal: &Terminal) -> Result<(), StoreError> {
        let bytes = coding::terminal(terminal)?;
        self.run(&FINISH, key, &[&bytes]).map(drop)
    }

    fn claim(
        &self,
        token: &[u8],
        owner: Option<&str>,
        last_recv: u64,
        now: UnixMillis,
    ) -> Result<Claimed, ClaimError> {
        let hash = hash_of(token).ok_or(ClaimError::Invalid)?;
        let mut call = CLAIM.key(self.key("token", hex(&hash)));
        call.arg(self.key("operation", ""))
            .arg(self.key("token", ""));
        call.arg(u8::from(owner.is_none())).arg(owner.unwrap_or(""));
        call.arg(last_recv).arg(now.0);
        let reply: Vec<Vec<u8>> = self.pool.call(ANSWER, |server| call.invoke(server))?;
        let mut reply = reply.into_iter();
        let status = reply.next().unwrap_or_default();
        match status.as_slice() {
            b"OK" => {}
            b"INVALID" => return Err(ClaimError::Invalid),
            b"EXPIRED" => return Err(ClaimError::Expired),
            b"UNAVAILABLE" => return Err(ClaimError::Unavailable),
            _ => return Err(strange().into()),
        }
        Ok(Claimed {
            key: word::read_key(&reply.next().unwrap_or_default())?,
            record: coding::read_record(&reply.next().unwrap_or_default())?,
        })
    }

    fn read(&self, key: &OperationKey, from: u64, patience: Duration) -> Result<Batch, StoreError> {
        let from = from.max(1);
        self.wait(&self.key("frames", key), from - 1, patience, || {
            let mut reply = self.run(&READ, key, &[&from, &BATCH_BYTES])?;
            let worked_until = UnixMillis(number(reply.next().unwrap_or_default())?);
            let terminal = match reply.next().unwrap_or_default() {
                none if none.is_empty() => None,
                some => Some(coding::read_terminal(&some)?),
            };
            let frames: Vec<_> = (from..).zip(reply).collect();
            let something = terminal.is_some() || !frames.is_empty();
            let batch = Batch {
                frames,
                terminal,
                worked_until,
            };
            Ok((something, batch))
        })
    }

    fn tell(&self, key: &OperationKey, word: &Word) -> Result<(), StoreError> {
        let args: [&dyn Argument; 3] = [&word::word(word)?, &MAX_WORDS, &MAX_WORD_BYTES];
        self.run(&TELL, key, &args).map(drop)
    }

    fn words(
        &self,
        key: &OperationKey,
        after: u64,
        patience: Duration,
    ) -> Result<Vec<(u64, Word)>, StoreError> {
        self.wait(&self.key("words", key), after, patience, || {
            let mut reply = self.run(&WORDS, key, &[&after])?;
            let mut words = Vec::new();
            while let (Some(nth), Some(said)) = (reply.next(), reply.next()) {
                words.push((number(nth)?, word::read_word(&said)?));
            }
            Ok((!words.is_empty(), words))
        })
    }

    fn beat(&self, key: &OperationKey, lease: Duration, now: UnixMillis) -> Result<(), StoreError> {
        let args: [&dyn Argument; 2] = [&later(now, lease).0, &millis(lease)];
        self.run(&BEAT, key, &args).map(drop)
    }

    /// The server does it by itself.
    fn sweep(&self, _now: UnixMillis) -> Result<(), StoreError> {
        Ok(())
    }

    fn forget(&self, key: &OperationKey) -> Result<(), StoreError> {
        self.run(&FORGET, key, &[&self.key("token", "")]).map(drop)
    }
}
