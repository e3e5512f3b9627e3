//! Operations that a device invokes at a real node, over a link with weather.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use aire_embassy::{Error, Handle, Options, Status};
use aire_mio::{CancelReason, ErrorCode, Failure};
use embassy_futures::join::join4;
use embassy_time::{Duration, Timer};
use support::link::Weather;
use support::world::{World, options};
use support::{Rng, any_port, builder, certificate, eventually, run};

/// Sends frames of these lengths to `mirror`, and reads them back in pieces of `buffer` bytes.
async fn mirrored(handle: Handle, lengths: &[usize], buffer: usize, seed: u64) {
    let mut rng = Rng::new(seed);
    let operation = handle.invoke("mirror", "it", b"").await.unwrap();
    let mut buffer = vec![0; buffer];
    for len in lengths {
        let frame = rng.bytes(*len);
        operation.send(&frame).await.unwrap();
        let mut back: Vec<u8> = Vec::new();
        loop {
            let chunk = operation.recv(&mut buffer).await.unwrap().unwrap();
            back.extend(&buffer[..chunk.len]);
            if chunk.remaining == 0 {
                break;
            }
        }
        assert!(back == frame, "{len} bytes came back otherwise");
    }
    // Both FINs travel alone.
    operation.finish().unwrap();
    assert_eq!(operation.recv(&mut buffer).await, Ok(None));
    assert_eq!(operation.ended().await, Ok(()));
    assert_eq!(operation.received(), lengths.len() as u64);
}

#[test]
fn an_operation_is_answered_with_a_stream() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 1);
        let handle = world.client(options(&certificate), 1);
        handle.connected().await;
        assert_eq!(handle.status(), Status::Connected);
        assert!(handle.is_channel_bound(), "both can");
        let key = handle.peer_key().unwrap();
        assert_eq!(aire_proto::identity::DidKey::new(&key).did(), node.did());

        // Arguments longer than any buffer on the way.
        let args = Rng::new(3).bytes(10_000);
        let operation = handle.invoke("mirror", "it", &args).await.unwrap();
        operation.finish().unwrap();
        let mut buffer = vec![0; 20_000];
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(10_000)));
        assert!(buffer[..10_000] == args);
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(None));
        assert_eq!(operation.ended().await, Ok(()));
    });
}

#[test]
fn frames_of_every_length_come_back_as_they_were() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 2);
        let handle = world.client(options(&certificate), 2);
        let lengths = [0, 1, 0, 63, 64, 2047, 2048, 2049, 16_383, 16_384, 65_536, 3];
        mirrored(handle, &lengths, 100, 1).await;
        mirrored(handle, &lengths, 4096, 2).await;
    });
}

#[test]
fn four_operations_at_once_with_frames_of_64_kib_pass_through_2_kib_in_bad_weather() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let weather = Weather {
            lost: 100,
            doubled: 10,
            damaged: 10,
            delay: Duration::from_millis(25),
            jitter: Duration::from_millis(3),
            ..Weather::default()
        };
        let world = World::new(spawner, node.address(), weather, 3);
        let options = Options {
            incoming: 0,
            ..options(&certificate)
        };
        let handle = world.client(options, 3);
        let frames = [65_536, 65_536];
        join4(
            mirrored(handle, &frames, 2048, 1),
            mirrored(handle, &frames, 2048, 2),
            mirrored(handle, &frames, 2048, 3),
            mirrored(handle, &frames, 2048, 4),
        )
        .await;
        assert!(handle.stats().lost_packets > 0, "the weather was bad");
    });
}

#[test]
fn a_frame_that_does_not_fit_is_skipped_and_the_next_one_comes() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 4);
        let handle = world.client(options(&certificate), 4);
        let operation = handle.invoke("mirror", "it", b"").await.unwrap();
        operation.send(&[1; 5000]).await.unwrap();
        operation.send(&[2; 50]).await.unwrap();
        let mut buffer = [0; 50];
        let skipped = operation.recv_frame(&mut buffer).await;
        assert_eq!(skipped, Err(Error::FrameTooLong(5000)));
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(50)));
        assert_eq!(buffer, [2; 50]);
    });
}

#[test]
fn a_frame_is_written_in_pieces_and_must_be_whole() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 5);
        let handle = world.client(options(&certificate), 5);
        let operation = handle.invoke("mirror", "it", b"").await.unwrap();
        operation.begin(6).await.unwrap();
        operation.write(b"abc").await.unwrap();
        assert_eq!(operation.begin(1).await, Err(Error::FrameUnfinished));
        assert_eq!(operation.finish(), Err(Error::FrameUnfinished));
        assert_eq!(operation.write(b"defg").await, Err(Error::FrameOverrun));
        operation.write(b"def").await.unwrap();
        operation.finish().unwrap();
        let mut buffer = [0; 6];
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(6)));
        assert_eq!(&buffer, b"abcdef");
        assert_eq!(operation.ended().await, Ok(()));
        assert!(operation.begin(1).await.is_err());
    });
}

#[test]
fn what_the_node_refuses_is_an_error_with_its_code() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate)
            .agent("fails", |_: &mut aire_mio::Operation| {
                Err(Failure::application("no more ink"))
            })
            .unwrap()
            .listen(any_port())
            .unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 6);
        let handle = world.client(options(&certificate), 6);
        let operation = handle.invoke("nobody", "it", b"").await.unwrap();
        let mut buffer = [0; 10];
        let answer = operation.recv(&mut buffer).await;
        assert_eq!(answer, Err(Error::Failed(ErrorCode::AgentNotFound)));
        drop(operation);
        let operation = handle.invoke("fails", "it", b"").await.unwrap();
        assert_eq!(
            operation.ended().await,
            Err(Error::Failed(ErrorCode::Application))
        );
        assert_eq!(operation.detail(), "no more ink");
    });
}

#[test]
fn an_operation_that_is_cancelled_or_dropped_ends_at_the_node() {
    run(async |spawner| {
        let certificate = certificate();
        let (told, heard) = std::sync::mpsc::channel();
        let told = std::sync::Mutex::new(told);
        let node = builder(&certificate)
            .agent("waits", move |operation: &mut aire_mio::Operation| {
                operation.send(*b"here")?;
                let ended = operation.sleep(std::time::Duration::from_secs(60));
                told.lock().unwrap().send(format!("{ended:?}")).unwrap();
                ended
            })
            .unwrap()
            .listen(any_port())
            .unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 7);
        let handle = world.client(options(&certificate), 7);
        let operation = handle.invoke("waits", "it", b"").await.unwrap();
        assert_eq!(operation.recv_frame(&mut [0; 4]).await, Ok(Some(4)));
        operation
            .cancel(CancelReason::ResourceExhausted, "no room")
            .unwrap();
        let ended = operation.ended().await;
        assert_eq!(
            ended,
            Err(Error::Cancelled(CancelReason::ResourceExhausted))
        );
        assert!(
            operation.cancel(CancelReason::Internal, "").is_err(),
            "it is over"
        );
        drop(operation);
        let mut said = String::new();
        eventually("the node hears of it", || {
            said.extend(heard.try_recv());
            !said.is_empty()
        })
        .await;
        assert!(said.contains("ResourceExhausted"), "{said}");

        let operation = handle.invoke("waits", "it", b"").await.unwrap();
        assert_eq!(operation.recv_frame(&mut [0; 4]).await, Ok(Some(4)));
        drop(operation);
        said.clear();
        eventually("the node hears of the drop", || {
            said.extend(heard.try_recv());
            !said.is_empty()
        })
        .await;
        assert!(said.contains("UserCancelled"), "{said}");

        // In the middle of a frame it is a reset.
        let operation = handle.invoke("waits", "it", b"").await.unwrap();
        assert_eq!(operation.recv_frame(&mut [0; 4]).await, Ok(Some(4)));
        operation.begin(100).await.unwrap();
        drop(operation);
        said.clear();
        eventually("the node hears of the reset", || {
            said.extend(heard.try_recv());
            !said.is_empty()
        })
        .await;
        // And all slots are free again.
        let mut held = Vec::new();
        for _ in 0..2 {
            held.push(handle.invoke("waits", "it", b"").await.unwrap());
        }
        assert_eq!(
            handle.invoke("waits", "it", b"").await.unwrap_err(),
            Error::Busy
        );
    });
}

#[test]
fn a_budget_goes_with_the_operation_and_the_node_reports_what_it_spent() {
    use aire_embassy::Event;
    use aire_proto::budget::Charge;
    use aire_proto::wire::Budget;

    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate)
            .agent("writer", |operation: &mut aire_mio::Operation| {
                operation.set_budget_patience(std::time::Duration::from_secs(20));
                // The budget comes behind the invocation.
                operation.recv()?;
                for nth in 0..6_u8 {
                    operation.charge(&Charge::tokens(1))?;
                    operation.send([nth])?;
                }
                Ok(())
            })
            .unwrap()
            .listen(any_port())
            .unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 8);
        let handle = world.client(options(&certificate), 8);
        let operation = handle.invoke("writer", "it", b"").await.unwrap();
        let tokens = |count| Budget {
            tokens: Some(count),
            ..Budget::default()
        };
        operation.send_budget(&tokens(4)).await.unwrap();
        operation.send(b"go").await.unwrap();
        let mut buffer = [0; 4];
        for nth in 0..4 {
            assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(1)));
            assert_eq!(buffer[0], nth);
        }
        let Ok(Event::Budget(report)) = operation.event().await else {
            panic!("no report");
        };
        assert!(report.is_report());
        assert_eq!(report.tokens_spent, Some(4));
        operation.send_budget(&tokens(2)).await.unwrap();
        for nth in 4..6 {
            assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(1)));
            assert_eq!(buffer[0], nth);
        }
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(None));
    });
}

#[test]
fn an_answer_that_came_before_the_connection_ended_is_not_lost() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate)
            .settings(aire_mio::Settings::default())
            .listen(any_port())
            .unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 10);
        let handle = world.client(options(&certificate), 10);
        let operation = handle.invoke("mirror", "it", &[7; 1500]).await.unwrap();
        operation.finish().unwrap();
        eventually("the node has heard it", || node.metrics().served == 1).await;
        // It parts once its answer was acknowledged: all of it lies in QUIC's buffer then.
        let parted = std::thread::spawn(move || node.stop());
        eventually("the node is gone", || parted.is_finished()).await;
        Timer::after_millis(50).await;
        let mut buffer = [0; 1500];
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(Some(1500)));
        assert_eq!(buffer, [7; 1500]);
        assert_eq!(operation.recv_frame(&mut buffer).await, Ok(None));
        assert_eq!(operation.ended().await, Ok(()));
        eventually("the connection is over", || handle.why().is_some()).await;
    });
}

#[test]
fn who_has_disconnected_says_goodbye_and_can_connect_again() {
    run(async |spawner| {
        let certificate = certificate();
        let node = builder(&certificate).listen(any_port()).unwrap();
        let world = World::new(spawner, node.address(), Weather::default(), 9);
        let handle = world.client(options(&certificate), 9);
        mirrored(handle, &[10], 10, 1).await;
        eventually("TLS gave a ticket", || {
            handle.tls_ticket(&mut [0; 1000]).is_some()
        })
        .await;
        handle.disconnect().await;
        assert_eq!(handle.status(), Status::Off);
        assert_eq!(
            handle.invoke("mirror", "it", b"").await.unwrap_err(),
            Error::Off
        );
        let said = || world.link.borrow().datagrams()[1];
        let before = said();
        Timer::after_millis(300).await;
        assert_eq!(said(), before, "nothing is said");
        handle.connect();
        mirrored(handle, &[10], 10, 2).await;
        assert!(
            handle.is_tls_resumed(),
            "by the ticket of the first connection"
        );
    });
}
