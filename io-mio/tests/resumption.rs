//! Operations that outlive their connection: nothing is lost, nothing comes twice, and the work
//! goes on meanwhile.

mod support;

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use aire_mio::{
    Agent, CancelReason, Closed, Error, ErrorCode, Failure, Operation, Received, Resumable,
};
use aire_proto::UnixMillis;
use aire_proto::budget::Charge;
use aire_proto::connection::CloseReason;
use aire_proto::resume::Ticket;
use aire_proto::wire::Budget;
use support::stage::{Gate, Stage, counting, next, numbers, short_lived, ticket};
use support::{PATIENCE, echo, end_of, eventually};

#[test]
fn after_a_cut_every_frame_comes_once_and_in_order() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "100").expect("invoked");
    gate.open(10);
    for n in 1..=10 {
        assert_eq!(next(&mut operation), n.to_string());
    }
    stage.cut(|| gate.open(30));
    gate.open(60);
    assert_eq!(numbers(&mut operation), (11..=100).collect::<Vec<_>>());
    assert_eq!(client.metrics().resumed, 1);
    assert_eq!(stage.node.metrics().resumed, 1);
    assert_eq!(stage.node.metrics().detached, 1);
    assert_eq!(echo(&client, "still here"), "still here");
}

#[test]
fn after_several_cuts_every_frame_comes_once_and_in_order() {
    let stage = Stage::new(Resumable::default(), |operation: &mut Operation| {
        let mut n = 0_u64;
        while operation.failure().is_none() && n < 1000 {
            n += 1;
            operation.send(n.to_string())?;
            operation.sleep(Duration::from_millis(5))?;
        }
        Ok(())
    });
    let client = stage.connect();
    let mut operations: Vec<_> = (0..3)
        .map(|_| client.invoke("it", "", "").expect("invoked"))
        .collect();
    for round in 1..=3 {
        for operation in &mut operations {
            next(operation);
        }
        stage.cut(|| {});
        eventually("all are resumed", || client.metrics().resumed >= 3 * round);
    }
    for operation in &mut operations {
        assert_eq!(numbers(operation), (4..=1000).collect::<Vec<_>>());
    }
    // Not `detached`: the client may be back before the node misses it.
    assert!(stage.node.metrics().resumed >= 9);
}

#[test]
fn work_goes_on_while_nobody_is_connected_and_its_end_waits() {
    let gate = Gate::default();
    let (ended, has_ended) = mpsc::channel();
    let held = gate.clone();
    let stage = Stage::new(Resumable::default(), move |operation: &mut Operation| {
        operation.send("begun")?;
        held.step();
        for n in 0..50_u8 {
            operation.send(vec![n; 1000])?;
        }
        ended.send(()).expect("the test listens");
        match operation.operation() {
            "well" => Ok(()),
            _ => Err(Failure::Failed {
                code: ErrorCode::Application,
                detail: "too warm".into(),
                data: vec![1, 2, 3],
            }),
        }
    });
    let client = stage.connect();
    let mut well = client.invoke("it", "well", "").expect("invoked");
    let mut badly = client.invoke("it", "badly", "").expect("invoked");
    assert_eq!(
        (next(&mut well), next(&mut badly)),
        ("begun".into(), "begun".into())
    );
    stage.cut(|| {
        gate.open(2);
        for _ in 0..2 {
            has_ended.recv_timeout(PATIENCE).expect("it goes on");
        }
    });
    for operation in [&mut well, &mut badly] {
        for n in 0..50_u8 {
            assert_eq!(operation.recv(), Ok(Some(vec![n; 1000])));
        }
    }
    assert_eq!(well.recv(), Ok(None));
    assert_eq!(
        badly.recv(),
        Err(Failure::Failed {
            code: ErrorCode::Application,
            detail: "too warm".into(),
            data: vec![1, 2, 3],
        })
    );
}

/// Says "begun", and waits until it must stop; the test hears why.
fn waiting() -> (impl Agent, mpsc::Receiver<Result<(), Failure>>) {
    let (told, heard) = mpsc::channel();
    let agent = move |operation: &mut Operation| {
        operation.send("begun")?;
        let slept = operation.sleep(Duration::MAX);
        told.send(slept.clone()).expect("the test listens");
        slept
    };
    (agent, heard)
}

#[test]
fn a_cancel_reaches_the_handler_after_and_during_a_cut() {
    let (agent, heard) = waiting();
    let stage = Stage::new(Resumable::default(), agent);
    let client = stage.connect();
    for during in [false, true] {
        let mut operation = client.invoke("it", "", "").expect("invoked");
        assert_eq!(next(&mut operation), "begun");
        let detail = "no longer needed";
        stage.cut(|| {
            if during {
                operation.cancel(CancelReason::UserCancelled, detail);
            }
        });
        if !during {
            eventually("it is resumed", || client.metrics().resumed == 1);
            operation.cancel(CancelReason::UserCancelled, detail);
        }
        assert_eq!(
            heard.recv_timeout(PATIENCE),
            Ok(Err(Failure::Cancelled {
                reason: CancelReason::UserCancelled,
                detail: detail.into(),
            }))
        );
        let end = end_of(&mut operation).expect_err("it was cancelled");
        let code = match end {
            Failure::Failed { code, .. } => code,
            Failure::Cancelled { .. } => ErrorCode::Cancelled,
            other => panic!("{other:?}"),
        };
        assert_eq!(code, ErrorCode::Cancelled);
    }
}

#[test]
fn dropping_an_operation_during_a_cut_cancels_it() {
    let (agent, heard) = waiting();
    let stage = Stage::new(Resumable::default(), agent);
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    stage.cut(|| drop(operation));
    let ended = heard.recv_timeout(PATIENCE).expect("it ends");
    assert!(matches!(ended, Err(Failure::Cancelled { .. })), "{ended:?}");
}

#[test]
fn a_top_up_after_a_cut_reaches_the_handler_and_the_report_counts_all() {
    let stage = Stage::new(Resumable::default(), |operation: &mut Operation| {
        operation.set_budget_patience(PATIENCE);
        // The first snapshot is here.
        operation.recv()?;
        for n in 0..3_u8 {
            operation.charge(&Charge {
                tokens: 10,
                ..Charge::default()
            })?;
            operation.send(vec![n])?;
        }
        Ok(())
    });
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    let ten = Budget {
        tokens: Some(10),
        ..Budget::default()
    };
    operation.send_budget(ten);
    operation.send("go").expect("sent");
    assert_eq!(operation.recv(), Ok(Some(vec![0])));
    stage.cut(|| {});
    eventually("it is resumed", || client.metrics().resumed == 1);
    operation.send_budget(ten);
    // The frame comes by way of the store, the report does not: in either order.
    let (mut frame, mut spent) = (None, None);
    while frame.is_none() || spent != Some(20) {
        match operation.recv_frame().expect("it goes on") {
            Some(Received::Budget(report)) => spent = report.tokens_spent,
            Some(Received::Stream(payload)) => frame = Some(payload),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(frame, Some(vec![1]));
    operation.send_budget(ten);
    assert_eq!(operation.recv(), Ok(Some(vec![2])));
    assert_eq!(operation.recv(), Ok(None));
}

#[test]
fn input_after_a_cut_reaches_the_handler_and_its_end_too() {
    let stage = Stage::new(Resumable::default(), |operation: &mut Operation| {
        operation.send("begun")?;
        let mut heard = 0;
        while let Some(input) = operation.recv()? {
            heard += input.len();
        }
        operation.send(heard.to_string())
    });
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    stage.cut(|| {});
    eventually("it is resumed", || client.metrics().resumed == 1);
    for _ in 0..100 {
        operation.send(vec![0; 10_000]).expect("sent");
    }
    operation.finish();
    assert_eq!(next(&mut operation), "1000000");
    assert_eq!(operation.recv(), Ok(None));
}

#[test]
fn the_end_of_the_input_is_said_again_after_a_cut() {
    let gate = Gate::default();
    let held = gate.clone();
    let stage = Stage::new(Resumable::default(), move |operation: &mut Operation| {
        operation.send("begun")?;
        held.step();
        end_of(operation)?;
        operation.send("ended")
    });
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    stage.cut(|| operation.finish());
    gate.open(1);
    assert_eq!(next(&mut operation), "ended");
    assert_eq!(operation.recv(), Ok(None));
}

#[test]
fn a_handler_that_is_faster_than_its_pump_loses_no_frames() {
    let gate = Gate::default();
    let held = gate.clone();
    let stage = Stage::new(
        Resumable::default().window(50_000, 20),
        move |operation: &mut Operation| {
            operation.send("begun")?;
            held.step();
            for n in 0..500_u32 {
                operation.send(vec![(n % 251) as u8; 10_000])?;
            }
            Ok(())
        },
    );
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    stage.cut(|| {});
    eventually("it is resumed", || stage.node.metrics().resumed == 1);
    gate.open(1);
    thread::sleep(Duration::from_millis(200));
    for n in 0..500_u32 {
        assert_eq!(operation.recv(), Ok(Some(vec![(n % 251) as u8; 10_000])));
    }
    assert_eq!(operation.recv(), Ok(None));
}

#[test]
fn what_was_invoked_while_there_was_no_connection_waits_for_one() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "2").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    thread::scope(|scope| {
        let mut asked = None;
        stage.cut(|| {
            eventually("the client notices", || client.peer().is_none());
            assert_eq!(client.closed(), None);
            asked = Some(scope.spawn(|| echo(&client, "x")));
            thread::sleep(Duration::from_millis(50));
        });
        let answer = asked.map(|asked| asked.join().expect("it is answered"));
        assert_eq!(answer.as_deref(), Some("x"));
    });
    gate.open(1);
    assert_eq!(numbers(&mut operation), [2]);
    assert_eq!(client.peer().as_deref(), Some(stage.node.did()));
}

#[test]
fn another_client_goes_on_with_a_ticket_where_the_first_one_stopped() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let client = stage.connect_directly();
    let mut operation = client.invoke("it", "count", "20").expect("invoked");
    gate.open(10);
    for n in 1..=4 {
        assert_eq!(next(&mut operation), n.to_string());
    }
    // Frames that arrived, but were not taken, must come again.
    thread::sleep(Duration::from_millis(100));
    ticket(&operation);
    let ticket = operation.leave().expect("it can be resumed");
    client.abandon();
    gate.open(10);
    let told = Ticket::decode(&ticket).expect("a ticket");
    assert_eq!(
        (told.agent, told.operation, told.received),
        ("it", "count", 4)
    );
    assert_eq!(told.address, support::uri(stage.node.address()));
    let another = stage.client().connect(told.address).expect("it answers");
    let mut again = another.resume(&ticket).expect("resumed");
    assert_eq!((again.agent(), again.operation()), ("it", "count"));
    assert_eq!(numbers(&mut again), (5..=20).collect::<Vec<_>>());
    assert_eq!(again.ticket(), None, "it is over");
    // A ticket is good once.
    let mut twice = another.resume(&ticket).expect("asked");
    let Err(Failure::Failed { code, .. }) = twice.recv() else {
        panic!("the token is spent");
    };
    assert_eq!(code, ErrorCode::ResumeInvalid);
}

#[test]
fn what_is_no_ticket_or_too_old_is_refused_in_words() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let client = stage.connect_directly();
    let words = |ticket: &[u8]| client.resume(ticket).expect_err("no ticket").to_string();
    assert!(words(b"").contains("not a ticket"));
    assert!(words(b"nonsense").contains("version"));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("after 1970").as_millis() as i64;
    let mut ticket = Ticket {
        address: "aire://localhost",
        agent: "it",
        operation: "",
        token: &[7; 32],
        received: 3,
        expires: UnixMillis(now - 1),
    };
    let bytes = |ticket: &Ticket<'_>| {
        let mut out = [0; Ticket::MAX_LEN];
        ticket.encode(&mut out).expect("it fits").to_vec()
    };
    assert!(words(&bytes(&ticket)).contains("invoke it anew"));
    ticket.expires = UnixMillis(now + 60_000);
    let long = [7; 300];
    ticket.token = &long;
    assert!(words(&bytes(&ticket)).contains("too long"));
    ticket.token = b"unknown";
    let mut unknown = client.resume(&bytes(&ticket)).expect("asked");
    let Err(Failure::Failed { code, .. }) = unknown.recv() else {
        panic!("nobody knows the token");
    };
    assert_eq!(code, ErrorCode::ResumeInvalid);
}

#[test]
fn work_that_nobody_comes_back_for_is_cancelled_when_its_time_is_over() {
    let (agent, heard) = waiting();
    let stage = Stage::new(short_lived(), agent);
    let client = stage.connect_directly();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    ticket(&operation);
    let ticket = operation.leave().expect("it can be resumed");
    client.abandon();
    let began = Instant::now();
    let Ok(Err(Failure::Cancelled { detail, .. })) = heard.recv_timeout(PATIENCE) else {
        panic!("it is cancelled");
    };
    assert!(detail.contains("in time"), "{detail}");
    assert!(began.elapsed() > Duration::from_millis(400));
    let another = stage.connect_directly();
    let late = match another.resume(&ticket) {
        Err(Error::TicketExpired) => true,
        Err(error) => panic!("{error}"),
        // By the node's clock.
        Ok(mut operation) => matches!(
            end_of(&mut operation),
            Err(Failure::Failed {
                code: ErrorCode::ResumeExpired,
                ..
            })
        ),
    };
    assert!(late);
}

#[test]
fn work_that_somebody_is_connected_to_outlives_its_tokens() {
    let gate = Gate::default();
    let how = Resumable::for_ttl(Duration::from_secs(3));
    let stage = Stage::new(how, counting(&gate));
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "3").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    // On its own stream, then with a pump.
    thread::sleep(Duration::from_millis(4000));
    stage.cut(|| {});
    eventually("it is resumed", || client.metrics().resumed == 1);
    thread::sleep(Duration::from_millis(4000));
    gate.open(1);
    assert_eq!(next(&mut operation), "2");
    stage.cut(|| gate.open(1));
    assert_eq!(numbers(&mut operation), [3]);
}

#[test]
fn the_deadline_ends_work_that_nobody_is_connected_to() {
    let (agent, heard) = waiting();
    let stage = Stage::new(Resumable::default(), agent);
    let client = stage.connect_directly();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("after 1970").as_millis() as i64;
    operation.send_budget(Budget {
        deadline: Some(UnixMillis(now + 1000)),
        ..Budget::default()
    });
    ticket(&operation);
    thread::sleep(Duration::from_millis(100));
    assert!(operation.leave().is_some());
    client.abandon();
    let Ok(Err(Failure::Failed { code, .. })) = heard.recv_timeout(PATIENCE) else {
        panic!("it ends");
    };
    assert_eq!(code, ErrorCode::DeadlineExceeded);
}

#[test]
fn a_client_without_reconnect_ends_with_its_connection_and_leaves_a_ticket() {
    let gate = Gate::default();
    let stage = Stage::new(Resumable::default(), counting(&gate));
    let uri = support::uri(stage.relay.address);
    let client = stage.client().no_reconnect().connect(&uri);
    let client = client.expect("the node answers");
    let mut operation = client.invoke("it", "", "2").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    let ticket = ticket(&operation);
    stage.cut(|| {
        assert!(client.wait_closed(PATIENCE).is_some());
    });
    assert_eq!(operation.recv(), Err(Failure::Lost));
    gate.open(1);
    let mut again = stage.connect().resume(&ticket).expect("resumed");
    assert_eq!(next(&mut again), "2");
}

#[test]
fn a_client_with_nothing_to_resume_ends_with_its_connection() {
    let stage = Stage::new(Resumable::default(), |_: &mut Operation| Ok(()));
    let client = stage.connect();
    assert_eq!(echo(&client, "x"), "x");
    stage.relay.silence(true);
    let closed = client.wait_closed(PATIENCE);
    assert_eq!(closed, Some(Closed::Protocol(CloseReason::Lost)));
}

#[test]
fn a_client_that_never_finds_its_node_again_gives_up() {
    let gate = Gate::default();
    let stage = Stage::new(short_lived(), counting(&gate));
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "2").expect("invoked");
    gate.open(1);
    assert_eq!(next(&mut operation), "1");
    stage.relay.silence(true);
    let Err(Failure::Failed { code, .. }) = operation.recv() else {
        panic!("its token's time passes");
    };
    assert_eq!(code, ErrorCode::ResumeExpired);
    assert!(client.wait_closed(PATIENCE).is_some());
    gate.open(1);
}

#[test]
fn a_client_that_is_dropped_while_it_reconnects_ends_at_once() {
    let (agent, _heard) = waiting();
    let stage = Stage::new(Resumable::default(), agent);
    let client = stage.connect();
    let mut operation = client.invoke("it", "", "").expect("invoked");
    assert_eq!(next(&mut operation), "begun");
    stage.relay.silence(true);
    eventually("the client notices", || client.peer().is_none());
    let began = Instant::now();
    drop(client);
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(operation.recv(), Err(Failure::Lost));
}
