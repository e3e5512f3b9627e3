//! The engine: batches, bounds, failures, and its end.

use std::sync::mpsc;
use std::time::Duration;

use airc_core::store::{Once, StoreError};
use airc_core::time::Time;
use airc_registry::clock::Clock;
use airc_registry::engine::{Engine, EngineError, EngineSettings};
use tokio::task::JoinHandle;

use crate::inbox::{NOW, Post, run, until};
use crate::records::handle;

/// Keeps the writer busy until the sender is dropped. It is busy when this returns.
async fn block(engine: &Engine) -> (mpsc::Sender<()>, JoinHandle<Result<(), EngineError>>) {
    let (let_go, wait) = mpsc::channel();
    let (begins, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let engine = engine.clone();
    let blocked = tokio::spawn(async move {
        let task = move |_: &mut dyn airc_core::store::Store| {
            let _nobody = begins.send(());
            let _let_go: Result<(), _> = wait.recv();
            Ok(())
        };
        engine.write(task).await
    });
    has_begun.recv().await.expect("it begins");
    (let_go, blocked)
}

fn store_error(transient: bool) -> StoreError {
    StoreError {
        message: "for the test".into(),
        transient,
    }
}

#[test]
fn a_message_is_taken_and_a_forged_one_refused() {
    run(async {
        let (_scratch, _, post) = Post::sqlite(EngineSettings::default()).await;
        post.send("msg_1").await.unwrap();
        let registry = post.engine.registry();
        let forger = crate::agents::Agent::new("forger");
        let body = forger
            .message(&handle("sink"), "msg_2", post.engine.clock().now())
            .replace("\"from\":\"forger\"", "\"from\":\"sender\"");
        let forged = crate::agents::post(registry, "/messages", &body);
        let answer = post.engine.call(forged).await.unwrap();
        assert_eq!(answer.result.unwrap_err().code.as_str(), "auth_failed");
        assert_eq!(post.inbox().await.len(), 1);
    });
}

#[test]
fn what_waits_goes_into_one_transaction() {
    run(async {
        let (_scratch, _, post) = Post::sqlite(EngineSettings::default()).await;
        let (let_go, blocked) = block(&post.engine).await;
        let before = post.engine.stats();
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let (engine, call) = (post.engine.clone(), post.message(&format!("msg_{n}")));
                tokio::spawn(async move { engine.call(call).await })
            })
            .collect();
        until("all wait", || post.engine.stats().waiting == 21).await;
        // The last are checked still: one that has been checked after it waits behind the writer.
        post.engine.read(|_| Ok(())).await.unwrap();
        drop(let_go);
        blocked.await.unwrap().unwrap();
        for call in waiting {
            call.await.unwrap().unwrap().result.unwrap();
        }
        let after = post.engine.stats();
        assert_eq!(after.batched - before.batched, 21);
        assert!(after.batches - before.batches < 21, "{after:?}");
        assert_eq!(after.waiting, 0);
        assert_eq!(post.inbox().await.len(), 20);
    });
}

#[test]
fn what_is_too_much_is_said_at_once() {
    run(async {
        let settings = EngineSettings {
            queue: 2,
            ..EngineSettings::default()
        };
        let (_scratch, _, post) = Post::sqlite(settings).await;
        let (let_go, blocked) = block(&post.engine).await;
        let (engine, call) = (post.engine.clone(), post.message("msg_1"));
        let waiting = tokio::spawn(async move { engine.call(call).await });
        until("both wait", || post.engine.stats().waiting == 2).await;
        assert_eq!(post.send("msg_2").await, Err(EngineError::Busy));
        assert_eq!(post.engine.read(|_| Ok(())).await, Err(EngineError::Busy));
        assert_eq!(post.engine.write(|_| Ok(())).await, Err(EngineError::Busy));
        drop(let_go);
        blocked.await.unwrap().unwrap();
        waiting.await.unwrap().unwrap();
        post.send("msg_2").await.unwrap();
        assert_eq!(post.inbox().await.len(), 2);
    });
}

#[test]
fn a_call_that_fails_or_panics_fails_alone() {
    run(async {
        let (_scratch, _, post) = Post::sqlite(EngineSettings::default()).await;
        let (let_go, blocked) = block(&post.engine).await;
        let engine = &post.engine;
        let write = |name: &'static str, then: fn() -> Result<(), StoreError>| {
            let engine = engine.clone();
            tokio::spawn(async move {
                engine
                    .write(move |store| {
                        let me = handle("me");
                        store.remember(&me, Once::Nonce(name), Time(0), Time(u64::MAX))?;
                        then()
                    })
                    .await
            })
        };
        let first = write("first", || Ok(()));
        let fails = write("fails", || Err(store_error(false)));
        let panics = write("panics", || panic!("for the test"));
        let last = write("last", || Ok(()));
        until("all wait", || engine.stats().waiting == 5).await;
        drop(let_go);
        blocked.await.unwrap().unwrap();
        assert_eq!(first.await.unwrap(), Ok(()));
        assert_eq!(fails.await.unwrap(), Err(EngineError::Failed));
        assert_eq!(panics.await.unwrap(), Err(EngineError::Failed));
        assert_eq!(last.await.unwrap(), Ok(()));
        let stats = engine.stats();
        assert_eq!((stats.failures, stats.panics), (2, 1));

        let known = engine
            .write(|store| {
                let me = handle("me");
                let mut known = Vec::new();
                for name in ["first", "fails", "panics", "last"] {
                    let once = Once::Nonce(name);
                    if !store.remember(&me, once, Time(1), Time(2))? {
                        known.push(name);
                    }
                }
                Ok(known)
            })
            .await;
        assert_eq!(known.unwrap(), ["first", "last"]);
        assert!(engine.is_running());
    });
}

#[test]
fn what_may_pass_is_tried_again_and_not_for_ever() {
    run(async {
        let settings = EngineSettings {
            retries: 3,
            ..EngineSettings::default()
        };
        let (_scratch, _, post) = Post::sqlite(settings).await;
        let failing = |times: u32| {
            let mut tried = 0;
            move |_: &mut dyn airc_core::store::Store| {
                tried += 1;
                if tried <= times {
                    Err(store_error(true))
                } else {
                    Ok(tried)
                }
            }
        };
        assert_eq!(post.engine.write(failing(3)).await, Ok(4));
        assert_eq!(
            post.engine.write(failing(4)).await,
            Err(EngineError::Failed)
        );
        assert_eq!(post.engine.read(failing(1)).await, Ok(2));
        assert_eq!(post.engine.stats().retries, 7);
    });
}

#[test]
fn what_was_taken_is_finished_before_the_engine_stops() {
    run(async {
        let (_scratch, database, post) = Post::sqlite(EngineSettings::default()).await;
        let (let_go, blocked) = block(&post.engine).await;
        let waiting: Vec<_> = (0..50)
            .map(|n| {
                let (engine, call) = (post.engine.clone(), post.message(&format!("msg_{n}")));
                tokio::spawn(async move { engine.call(call).await })
            })
            .collect();
        until("all wait", || post.engine.stats().waiting == 51).await;
        let stopping = tokio::spawn(post.engine.clone().stop());
        until("it stops", || !post.engine.is_running()).await;
        assert_eq!(post.send("msg_late").await, Err(EngineError::Stopped));
        drop(let_go);
        blocked.await.unwrap().unwrap();
        for call in waiting {
            call.await.unwrap().unwrap().result.unwrap();
        }
        stopping.await.unwrap();
        assert_eq!(
            post.engine.read(|_| Ok(())).await,
            Err(EngineError::Stopped)
        );
        let again = Post::open(&database, EngineSettings::default()).await;
        assert_eq!(again.inbox().await.len(), 50);
    });
}

#[test]
fn what_is_over_is_forgotten_in_small_steps() {
    run(async {
        let clock = Clock::standing(NOW);
        let settings = EngineSettings {
            expire_every: Duration::from_millis(1),
            expire_limit: 3,
            clock: clock.clone(),
            ..EngineSettings::default()
        };
        let (_scratch, _, post) = Post::sqlite(settings).await;
        for n in 0..5 {
            post.send(&format!("msg_{n}")).await.unwrap();
        }
        let retention = post.engine.registry().settings().retention;
        // A nonce and an id of each message.
        clock.set(NOW.after_seconds(retention));
        until("ten are gone", || post.engine.stats().expired == 10).await;
        assert_eq!(post.inbox().await.len(), 5);
        clock.set(NOW.after_seconds(retention + 1));
        until("the messages are gone", || {
            post.engine.stats().expired == 15
        })
        .await;
        assert_eq!(post.inbox().await.len(), 0);
    });
}

#[test]
fn an_engine_that_has_lost_a_thread_says_so_and_takes_nothing() {
    struct PanicsWhenDropped;
    impl Drop for PanicsWhenDropped {
        fn drop(&mut self) {
            panic!("for the test");
        }
    }
    run(async {
        let (_scratch, _, post) = Post::sqlite(EngineSettings::default()).await;
        let bomb = PanicsWhenDropped;
        let engine = post.engine.clone();
        let write = tokio::spawn(async move {
            let task = move |_: &mut dyn airc_core::store::Store| {
                let _kept = &bomb;
                Ok(())
            };
            engine.write(task).await
        });
        write.await.unwrap().unwrap();
        post.engine.failed().await;
        assert!(!post.engine.is_running());
        assert_eq!(post.send("msg_1").await, Err(EngineError::Stopped));
        post.engine.stop().await;
    });
}

#[test]
fn a_database_that_cannot_be_opened_is_said() {
    let scratch = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", scratch.path().join("no/where").display());
    let registry = std::sync::Arc::default();
    let settings = EngineSettings::default();
    let error = Engine::open(&database.parse().unwrap(), registry, settings).unwrap_err();
    assert!(matches!(error, EngineError::Open(_)), "{error}");
    assert!(error.to_string().contains("no/where"), "{error}");
}
