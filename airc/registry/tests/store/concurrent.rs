//! Several registries on one database, and readers with cursors: nothing is lost, nothing is twice.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use airc_core::store::Position;
use airc_registry::engine::{EngineError, EngineSettings};
use airc_registry::store::Database;
use tokio::task::JoinSet;

use crate::inbox::{GIVE_UP, Post, run};
use crate::postgres_server;

const SENDERS: usize = 6;
const EACH: usize = 40;

/// Sends from two registries, and polls a third with a cursor all the while.
async fn two_write_and_one_polls(database: &Database) {
    let settings = EngineSettings::default;
    let one = Arc::new(Post::open(database, settings()).await);
    let two = Arc::new(Post::open(database, settings()).await);
    let reader = Post::open(database, settings()).await;
    let mut sending = JoinSet::new();
    for sender in 0..SENDERS {
        let post = Arc::clone(if sender % 2 == 0 { &one } else { &two });
        sending.spawn(async move {
            for n in 0..EACH {
                post.send(&format!("msg_{sender}_{n}")).await.unwrap();
            }
        });
    }
    let (mut at, mut seen) = (Position(0), HashSet::new());
    let deadline = Instant::now() + GIVE_UP;
    while seen.len() < SENDERS * EACH {
        assert!(Instant::now() < deadline, "only {} came", seen.len());
        let (ids, last) = reader.poll(at, 7).await;
        at = last;
        for id in ids {
            assert!(seen.insert(id.clone()), "{id} came twice");
        }
        while let Some(sent) = sending.try_join_next() {
            sent.unwrap();
        }
    }
    assert_eq!(reader.inbox().await, seen);
    for post in [one, two] {
        post.engine.clone().stop().await;
    }
    reader.engine.stop().await;
}

#[test]
fn two_registries_on_one_file_lose_nothing() {
    run(async {
        let (_scratch, database, _third) = Post::sqlite(EngineSettings::default()).await;
        two_write_and_one_polls(&database).await;
    });
}

#[test]
fn two_registries_on_one_postgres_lose_nothing() {
    let Some(database) = postgres_server::database() else {
        return;
    };
    run(two_write_and_one_polls(&database));
}

/// Ends all connections of registries to a database, again and again.
fn cut(database: &Database, done: &AtomicBool) -> u64 {
    let mut client = postgres_server::client(database);
    let mut ended = 0;
    while !done.load(Ordering::SeqCst) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
            WHERE datname = current_database() AND application_name = 'airc-registry'";
        ended += client.execute(sql, &[]).unwrap();
        std::thread::sleep(Duration::from_millis(30));
    }
    ended
}

#[test]
fn connections_that_are_cut_lose_nothing_that_was_answered() {
    let Some(database) = postgres_server::database() else {
        return;
    };
    run(async {
        let settings = EngineSettings {
            retries: 100,
            ..EngineSettings::default()
        };
        let post = Arc::new(Post::open(&database, settings).await);
        let done = Arc::new(AtomicBool::new(false));
        let cutting = {
            let (database, done) = (database.clone(), Arc::clone(&done));
            std::thread::spawn(move || cut(&database, &done))
        };
        let mut sending = JoinSet::new();
        for sender in 0..SENDERS {
            let post = Arc::clone(&post);
            sending.spawn(async move {
                let mut answered = Vec::new();
                for n in 0..EACH {
                    let id = format!("msg_{sender}_{n}");
                    match post.send(&id).await {
                        Ok(()) => answered.push(id),
                        // It was not to be found out what became of it.
                        Err(EngineError::Failed) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                answered
            });
        }
        let answered = sending.join_all().await.concat();
        done.store(true, Ordering::SeqCst);
        assert!(cutting.join().unwrap() > 0, "nothing was cut");
        let kept = post.inbox().await;
        for id in &answered {
            assert!(kept.contains(id), "{id} is lost");
        }
        assert!(answered.len() > SENDERS * EACH / 2, "{}", answered.len());
    });
}

#[test]
fn tables_are_made_once_when_many_open_a_new_database() {
    let Some(database) = postgres_server::database() else {
        return;
    };
    std::thread::scope(|scope| {
        let open =
            || airc_registry::store::open(&database, airc_registry::store::Access::Write).map(drop);
        let opening: Vec<_> = (0..6).map(|_| scope.spawn(open)).collect();
        for opened in opening {
            opened.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_postgres_of_a_newer_registry_is_refused() {
    use airc_registry::store::{Access, OpenError, open};
    let Some(database) = postgres_server::database() else {
        return;
    };
    drop(open(&database, Access::Write).unwrap());
    let mut client = postgres_server::client(&database);
    client
        .batch_execute("INSERT INTO airc_schema VALUES (99)")
        .unwrap();
    let refused = open(&database, Access::Write).err().unwrap();
    assert!(
        matches!(
            refused,
            OpenError::Newer {
                found: 99,
                known: 1,
                ..
            }
        ),
        "{refused}"
    );
}
