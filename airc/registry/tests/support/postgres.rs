//! A PostgreSQL server of the tests' own: on a Unix socket in a scratch directory, one for the whole
//! test program and a database for each test, gone with the program whatever ends it.
#![allow(dead_code, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use airc_registry::store::Database;
use postgres::{Client, NoTls};

const INSTALL: &str = "PostgreSQL is missing: apt-get install postgresql";

/// Ends the server when its input ends, as it does when this program is killed.
const GUARDIAN: &str = r#"
"$@" -D "$DATA/db" -F -c listen_addresses= -c unix_socket_directories="$DATA" \
    -c shared_buffers=16MB -c max_connections=64 -c logging_collector=off >"$DATA/log" 2>&1 &
cat >/dev/null
pid=$(head -n 1 "$DATA/db/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
wait
rm -rf "$DATA"
"#;

pub struct Cluster {
    directory: PathBuf,
    databases: AtomicUsize,
    _guardian: Child,
    /// Its end is the guardian's sign.
    _alive: ChildStdin,
}

/// A new, empty database; `None`, and a word about it, where there is no PostgreSQL. Where `CI` is
/// set there has to be.
pub fn database() -> Option<Database> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        let Some(programs) = programs() else {
            assert!(std::env::var_os("CI").is_none(), "{INSTALL}");
            eprintln!("\n==== SKIPPED: {INSTALL} ====\n");
            return None;
        };
        Some(Cluster::start(&programs))
    });
    cluster.as_ref().map(Cluster::create)
}

/// A connection beside those of a registry.
pub fn client(database: &Database) -> Client {
    let Database::Postgres(url) = database else {
        panic!("{database} is not PostgreSQL");
    };
    Client::connect(url, NoTls).expect("the server takes connections")
}

impl Cluster {
    fn start(programs: &Path) -> Self {
        let directory = tempfile::tempdir().expect("a scratch directory").keep();
        let user = server_user();
        if let Some(user) = user {
            let owner = Command::new("chown").arg(user).arg(&directory).status();
            assert!(owner.expect("chown").success());
        }
        let made = as_user(user, &programs.join("initdb"))
            .arg("-D")
            .arg(directory.join("db"))
            .args(["-A", "trust", "-U", "airc", "-E", "UTF8", "--locale=C"])
            .arg("--no-sync")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .output()
            .expect("initdb starts");
        assert!(made.status.success(), "{made:?}");
        let server = as_user(user, &programs.join("postgres"));
        let mut guardian = Command::new("sh")
            .args(["-c", GUARDIAN, "guardian"])
            .arg(server.get_program())
            .args(server.get_args())
            .env("DATA", &directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let alive = guardian.stdin.take().expect("a pipe");
        let cluster = Self {
            directory,
            databases: AtomicUsize::new(0),
            _guardian: guardian,
            _alive: alive,
        };
        cluster.wait();
        cluster
    }

    fn url(&self, name: &str) -> String {
        let directory = self.directory.display().to_string().replace('/', "%2F");
        format!("postgres://airc@{directory}/{name}")
    }

    fn wait(&self) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while let Err(error) = Client::connect(&self.url("postgres"), NoTls) {
            if Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.join("log"));
                panic!(
                    "PostgreSQL did not come up: {error}\n{}",
                    log.unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn create(&self) -> Database {
        // One at a time: the template must have no other user.
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut client = Client::connect(&self.url("postgres"), NoTls).expect("a connection");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        client.batch_execute(&create).expect("a database");
        Database::Postgres(self.url(&name))
    }
}

/// Where the programs of the newest PostgreSQL are.
fn programs() -> Option<PathBuf> {
    let mut places: Vec<PathBuf> = Vec::new();
    for (parent, below) in [
        ("/usr/lib/postgresql", "bin"),
        ("/opt/homebrew/opt", "bin"),
        ("/usr/local/opt", "bin"),
    ] {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut found: Vec<_> = entries
            .map(|entry| entry.path().join(below))
            .filter(|place| place.display().to_string().contains("postgres"))
            .collect();
        found.sort();
        places.extend(found.into_iter().rev());
    }
    if let Ok(told) = Command::new("pg_config").arg("--bindir").output() {
        places.push(String::from_utf8_lossy(&told.stdout).trim().into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    places.extend(std::env::split_paths(&path));
    places
        .into_iter()
        .find(|place| place.join("initdb").is_file() && place.join("postgres").is_file())
}

/// The server refuses to run as root: who it runs as then.
fn server_user() -> Option<&'static str> {
    let id = |arguments: &[&str]| {
        let told = Command::new("id").args(arguments).output().expect("id");
        (told.status.success(), told.stdout)
    };
    let (_, me) = id(&["-u"]);
    if me.trim_ascii() != b"0" {
        return None;
    }
    let has_its_own = id(&["-u", "postgres"]).0;
    Some(if has_its_own { "postgres" } else { "nobody" })
}

fn as_user(user: Option<&str>, program: &Path) -> Command {
    match user {
        None => Command::new(program),
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--"]).arg(program);
            command
        }
    }
}
