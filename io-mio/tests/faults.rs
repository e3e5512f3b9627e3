//! Networks that lose, double, delay and reorder, change addresses, and fall silent.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use aire_mio::{
    Client, Closed, ConnectionKey, Error, ErrorCode, Failure, Node, Operation, Settings,
};
use aire_proto::connection::{CloseReason, Outcome};
use support::hands::{Hands, Told, turn_until};
use support::relay::{Relay, Weather};
use support::{
    PATIENCE, any_port, builder, certificate, client, collect, echo, end_of, eventually,
    short_drain, uri,
};

/// A node with the agent `it`, a relay in this weather before it, and a client behind that.
fn through(
    weather: Weather,
    settings: Settings,
    agent: impl Fn(&mut Operation) -> Result<(), Failure> + Send + Sync + 'static,
) -> (Node, Relay, Client) {
    let certificate = certificate();
    let node = builder(&certificate)
        .agent("it", agent)
        .expect("a free name")
        .settings(settings.clone())
        .listen(any_port())
        .expect("a port");
    let relay = Relay::start(node.address(), weather);
    let client = client(&certificate)
        .settings(settings)
        .connect_timeout(PATIENCE)
        .connect(&uri(relay.address))
        .expect("through the relay");
    (node, relay, client)
}

/// Sends so many numbered frames.
fn count(operation: &mut Operation, frames: u32, len: usize) -> Result<(), Failure> {
    for n in 0..frames {
        let mut payload = n.to_be_bytes().to_vec();
        payload.resize(len, n as u8);
        operation.send(payload)?;
    }
    Ok(())
}

/// Whether these are so many numbered frames, each whole and in its place.
fn is_count(frames: &[Vec<u8>], expected: usize, len: usize) -> bool {
    frames.len() == expected
        && frames.iter().enumerate().all(|(n, frame)| {
            let (number, rest) = frame.split_first_chunk().expect("4 bytes");
            frame.len() == len
                && u32::from_be_bytes(*number) as usize == n
                && rest.iter().all(|byte| *byte == n as u8)
        })
}

#[test]
fn in_any_weather_every_operation_arrives_whole_and_in_order() {
    let skies = [
        Weather {
            seed: 1,
            lost: 5,
            ..Weather::default()
        },
        Weather {
            seed: 2,
            lost: 20,
            ..Weather::default()
        },
        Weather {
            seed: 3,
            twice: 50,
            ..Weather::default()
        },
        Weather {
            seed: 4,
            late: 40,
            ..Weather::default()
        },
        Weather {
            seed: 5,
            lost: 10,
            twice: 10,
            late: 20,
        },
    ];
    for weather in skies {
        let (_node, _relay, client) = through(weather, short_drain(), |operation| {
            let mut input = Vec::new();
            while let Some(frame) = operation.recv()? {
                input.push(frame);
            }
            if !is_count(&input, 50, 2_000) {
                return Err(Failure::application("the input is not what was sent"));
            }
            count(operation, 100, 3_000)
        });
        let client = &client;
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || {
                    let mut operation = client.invoke("it", "", vec![9; 20_000]).expect("invoked");
                    count(&mut operation, 50, 2_000).expect("sent");
                    operation.finish();
                    let frames = collect(&mut operation).expect("it ends well");
                    assert!(is_count(&frames, 100, 3_000), "seed {}", weather.seed);
                });
            }
        });
        assert_eq!(client.closed(), None);
    }
}

#[test]
fn in_bad_weather_cancels_failures_and_unknown_agents_still_reach_the_other_end() {
    let weather = Weather {
        seed: 11,
        lost: 15,
        twice: 10,
        late: 10,
    };
    let (told, heard) = mpsc::channel();
    let (_node, _relay, client) = through(weather, short_drain(), move |operation| {
        if operation.operation() == "fail" {
            return Err(Failure::application("as asked"));
        }
        let slept = operation.sleep(Duration::MAX);
        told.send(slept.clone()).expect("the test listens");
        slept
    });
    for _ in 0..20 {
        let mut cancelled = client.invoke("it", "", "").expect("invoked");
        cancelled.cancel(aire_mio::CancelReason::BudgetExceeded, "spent");
        assert!(matches!(
            heard.recv_timeout(PATIENCE),
            Ok(Err(Failure::Cancelled { .. }))
        ));
        assert!(end_of(&mut cancelled).is_err());
        let mut failed = client.invoke("it", "fail", "").expect("invoked");
        assert_eq!(end_of(&mut failed), Err(Failure::application("as asked")));
        let mut lost = client.invoke("nobody", "", "").expect("invoked");
        assert!(matches!(
            end_of(&mut lost),
            Err(Failure::Failed {
                code: ErrorCode::AgentNotFound,
                ..
            })
        ));
    }
}

#[test]
fn a_nat_that_forgets_changes_the_clients_address_and_operations_go_on() {
    let (_node, relay, client) = through(Weather::default(), short_drain(), |operation| {
        while let Some(frame) = operation.recv()? {
            operation.send(frame)?;
        }
        Ok(())
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    for round in 0..4_u32 {
        for n in 0..20_u32 {
            let payload = [round.to_be_bytes(), n.to_be_bytes()].concat();
            operation.send(payload.clone()).expect("sent");
            assert_eq!(operation.recv(), Ok(Some(payload)));
        }
        relay.rebind();
        assert_eq!(
            echo(&client, "from the new address"),
            "from the new address"
        );
    }
    operation.finish();
    assert_eq!(collect(&mut operation), Ok(Vec::new()));
    let mut seen = relay.seen();
    seen.dedup();
    assert_eq!(seen.len(), 5, "the node saw {seen:?}");
}

#[test]
fn a_nat_that_forgets_in_the_middle_of_a_stream_in_bad_weather_costs_no_byte() {
    let weather = Weather {
        seed: 21,
        lost: 5,
        late: 5,
        ..Weather::default()
    };
    let (_node, relay, client) = through(weather, short_drain(), |operation| {
        count(operation, 400, 5_000)
    });
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let mut frames = Vec::new();
    while let Some(frame) = operation.recv().expect("it goes on") {
        frames.push(frame);
        if frames.len().is_multiple_of(150) {
            relay.rebind();
            // Only what the client sends tells the node where it is now.
            operation
                .send("here I am")
                .expect("the operation is open both ways");
        }
    }
    assert!(is_count(&frames, 400, 5_000));
    assert!(relay.seen().len() >= 3);
}

fn impatient() -> Settings {
    Settings {
        idle_timeout: Duration::from_millis(600),
        ..short_drain()
    }
}

#[test]
fn when_the_network_falls_silent_both_ends_learn_it_and_every_operation_is_lost() {
    let (told, heard) = mpsc::channel();
    let (_node, relay, client) = through(Weather::default(), impatient(), move |operation| {
        let slept = operation.sleep(Duration::MAX);
        told.send(slept.clone()).expect("the test listens");
        slept
    });
    let mut waiting = client.invoke("it", "", "").expect("invoked");
    let mut other = client.invoke("it", "", "").expect("invoked");
    assert_eq!(echo(&client, "all is well"), "all is well");
    relay.silence(true);
    assert_eq!(end_of(&mut waiting), Err(Failure::Lost));
    assert_eq!(other.sleep(Duration::MAX), Err(Failure::Lost));
    let closed = client.wait_closed(PATIENCE).expect("it is over");
    assert_eq!(closed, Closed::Protocol(CloseReason::Lost));
    assert_eq!(closed.to_string(), "the connection was lost");
    let error = client.invoke("it", "", "").expect_err("it is over");
    assert!(matches!(
        error,
        Error::Closed(Closed::Protocol(CloseReason::Lost))
    ));
    assert_eq!(client.peer(), None);
    for _ in 0..2 {
        assert_eq!(heard.recv_timeout(PATIENCE), Ok(Err(Failure::Lost)));
    }
}

#[test]
fn a_silence_shorter_than_the_patience_is_survived() {
    let (_node, relay, client) = through(
        Weather::default(),
        Settings {
            idle_timeout: Duration::from_secs(20),
            ..short_drain()
        },
        |operation| count(operation, 50, 1_000),
    );
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert!(operation.recv().expect("it begins").is_some());
    relay.silence(true);
    thread::sleep(Duration::from_millis(500));
    relay.silence(false);
    let frames = collect(&mut operation).expect("it goes on");
    assert_eq!(frames.len(), 49);
    assert_eq!(echo(&client, "again"), "again");
}

#[test]
fn a_node_forgets_everything_of_a_client_that_is_cut_off() {
    let certificate = certificate();
    let mut server = Hands::server(&certificate, impatient());
    let relay = Relay::start(server.driver.local_address(), Weather::default());
    let mut client = Hands::client(&certificate, impatient());
    let address = uri(relay.address).parse().expect("an address");
    let key = client.driver.connect(&address).expect("dialled");
    turn_until("both are up", &mut [&mut server, &mut client], |hands| {
        hands.iter().all(|one| one.is_connected())
    });
    let mut opened = Vec::new();
    for _ in 0..20 {
        let stream = client.driver.invoke(key, "it", "", vec![7; 50_000]);
        opened.push(stream.expect("allowed"));
    }
    turn_until("some came", &mut [&mut server, &mut client], |hands| {
        hands[0].has_told(|told| matches!(told, Told::Bytes(..)))
    });
    relay.silence(true);
    turn_until("both gave up", &mut [&mut server, &mut client], |hands| {
        hands.iter().all(|one| one.driver.connections() == 0)
    });
    let ended = |(_, told): &&(ConnectionKey, Told)| matches!(told, Told::Ended(_, Outcome::Lost));
    assert_eq!(client.told.iter().filter(ended).count(), opened.len());
    let invoked = |(_, told): &&(ConnectionKey, Told)| matches!(told, Told::Invoked(..));
    assert_eq!(
        server.told.iter().filter(ended).count(),
        server.told.iter().filter(invoked).count(),
        "each that was told of is told the end of"
    );
    for one in [&server, &client] {
        assert_eq!(one.driver.timeout(), None, "nothing is left to wait for");
        assert_eq!(one.driver.keys().count(), 0);
        assert!(one.driver.has_said_all());
    }
}

#[test]
fn a_dial_into_silence_ends_in_time_and_leaves_no_thread_waiting() {
    let certificate = certificate();
    let node = builder(&certificate).listen(any_port()).expect("a port");
    let relay = Relay::start(node.address(), Weather::default());
    relay.silence(true);
    let before = Instant::now();
    let error = client(&certificate)
        .connect_timeout(Duration::from_millis(500))
        .connect(&uri(relay.address))
        .expect_err("nobody hears it");
    assert!(matches!(error, Error::TimedOut), "{error}");
    assert!(before.elapsed() < Duration::from_secs(10));
}

/// A handshake in which nearly everything has to be said twice.
#[test]
fn a_handshake_comes_about_in_the_worst_weather() {
    for seed in 100..104 {
        let weather = Weather {
            seed,
            lost: 30,
            twice: 20,
            late: 20,
        };
        let (node, _relay, client) = through(weather, short_drain(), |_| Ok(()));
        assert_eq!(client.peer().as_deref(), Some(node.did()));
        assert_eq!(echo(&client, "through"), "through");
    }
}

#[test]
fn a_client_behind_a_cut_gives_its_threads_back() {
    let (_node, relay, client) = through(Weather::default(), impatient(), |operation| {
        while operation.recv()?.is_some() {}
        Ok(())
    });
    let client = std::sync::Arc::new(client);
    relay.silence(true);
    // They wait for a stream's answer, for room to send, and for streams that nobody grants.
    let threads: Vec<_> = (0..120)
        .map(|_| {
            let client = client.clone();
            thread::spawn(move || {
                let mut operation = client.invoke("it", "", vec![1; 10_000]).ok()?;
                loop {
                    operation.send(vec![1; 100_000]).ok()?;
                }
            })
        })
        .collect();
    for thread in threads {
        let ended: Option<()> = thread.join().expect("no panic");
        assert_eq!(ended, None);
    }
    eventually("the client knows", || client.closed().is_some());
}
