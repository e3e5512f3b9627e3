//! What is played.

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use aire_mio::{
    CancelReason, Certificate, ErrorCode, Failure, Identity, Node, Resumable, Settings,
};

use crate::agents::{Log, Writer, mirror};
use crate::emulator::{Board, Setup};
use crate::weather::{Relay, Weather};
use crate::{Cli, clock, say};

pub(crate) type Played = Result<(), Box<dyn Error>>;

/// How the host's loopback is called in QEMU's user network.
pub(crate) const HOST: &str = "10.0.2.2";

/// How long anything but the whole may take. An emulated board is slow where it counts
/// instructions.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A node for a board, and what both know of each other.
struct Stage {
    node: Node,
    certificate: Certificate,
    writer: Writer,
    log: Log,
    /// The board's.
    key: [u8; 32],
    did: String,
}

impl Stage {
    fn new(settings: Settings) -> Result<Self, Box<dyn Error>> {
        let certificate = Certificate::self_signed(&[])?;
        let (writer, log) = (Writer::default(), Log::default());
        let (writes, replays) = (writer.clone(), log.clone());
        let node = Node::builder(Identity::generate()?, certificate.clone())
            .settings(settings)
            .agent("writer", move |operation: &mut _| writes.write(operation))?
            .agent("mirror", mirror)?
            .resumable_agent(
                "log",
                move |operation: &mut _| replays.replay(operation),
                Resumable::for_ttl(Duration::from_secs(60)),
            )?
            .listen("127.0.0.1:0".parse()?)?;
        let key: [u8; 32] = Certificate::self_signed(&[])?.pin().0;
        let did = Identity::from_seed(key).did().to_owned();
        say("node", "--", "LISTENS", node.did());
        Ok(Self {
            node,
            certificate,
            writer,
            log,
            key,
            did,
        })
    }

    /// Starts a board that dials `peer`.
    fn board(&self, cli: &Cli, peer: SocketAddr, rest: &str) -> Result<Board, Box<dyn Error>> {
        let time = clock::start()?;
        let (peer, time) = (peer.port(), time.port());
        Board::start(&Setup {
            image: &cli.image,
            command: &cli.command,
            arguments: &format!("peer={HOST}:{peer} time={HOST}:{time} {rest}"),
            key: self.key,
            pin: self.certificate.pin().0,
        })
    }

    fn wait_for(&self, board: &mut Board) -> Played {
        let connected = || self.node.peers().contains(&self.did);
        board.until(PATIENCE, "it was connected", connected)?;
        say("node", "<-", "HELLO", &self.did);
        Ok(())
    }
}

pub(crate) fn check(is_so: bool, what: impl FnOnce() -> String) -> Played {
    if is_so { Ok(()) } else { Err(what().into()) }
}

/// The agent answers, is cancelled, keeps a budget, and goes on after a cut.
pub(crate) fn story(cli: &Cli) -> Played {
    let idle = Duration::from_secs(4);
    let stage = Stage::new(Settings {
        idle_timeout: idle,
        ..Settings::default()
    })?;
    let rest = format!("served=2 do=budget+resume idle={}", idle.as_millis());
    let mut board = stage.board(cli, stage.node.address(), &rest)?;
    stage.wait_for(&mut board)?;
    read(&stage)?;
    blink(&stage)?;
    keep_budget(&stage, &mut board)?;
    cut(&stage, &mut board)?;
    board.wait(PATIENCE)?;
    let connected = board.said("connected: ");
    let resumed = |line: &String| line.starts_with("TLS resumed");
    check(
        connected.len() >= 2 && connected.iter().skip(1).all(resumed),
        || "TLS was not resumed by its ticket".into(),
    )?;
    let bound = |line: &String| line.ends_with("HELLO bound to the channel");
    check(connected.iter().all(bound), || {
        "a HELLO was not bound to its channel".into()
    })
}

/// The node asks the board for measurements.
fn read(stage: &Stage) -> Played {
    const COUNT: u32 = 20;
    let ask = format!("interval=50 count={COUNT}");
    say("node", "->", "INVOKE", &format!("sensor/read {ask}"));
    let mut operation = stage.node.invoke(&stage.did, "sensor", "read", ask)?;
    let mut came = 0;
    while let Some(frame) = operation.recv()? {
        let measurement: [u8; 12] = frame
            .try_into()
            .map_err(|_| "a measurement of another length")?;
        let number = u32::from_le_bytes([
            measurement[0],
            measurement[1],
            measurement[2],
            measurement[3],
        ]);
        let celsius = i16::from_le_bytes([measurement[8], measurement[9]]);
        let humidity = u16::from_le_bytes([measurement[10], measurement[11]]);
        check(number == came, || {
            format!("measurement {number} came for {came}")
        })?;
        check(
            (2000..2600).contains(&celsius) && (3500..5000).contains(&humidity),
            || format!("an unlikely measurement: {celsius}, {humidity}"),
        )?;
        if came % 10 == 0 {
            let (celsius, humidity) = (f64::from(celsius) / 100.0, f64::from(humidity) / 100.0);
            say(
                "node",
                "<-",
                "STREAM",
                &format!("{number}: {celsius:.2} °C, {humidity:.2} %"),
            );
        }
        came += 1;
    }
    say("node", "<-", "FIN", &format!("after {came} measurements"));
    check(came == COUNT, || format!("{came} measurements came"))
}

/// The node lets the board blink, and cancels that.
fn blink(stage: &Stage) -> Played {
    say("node", "->", "INVOKE", "sensor/blink interval=100");
    let mut operation = stage
        .node
        .invoke(&stage.did, "sensor", "blink", "interval=100")?;
    for nth in 0..6_u8 {
        let state = operation.recv()?;
        let expected = [u8::from(nth % 2 == 0)];
        check(state.as_deref() == Some(&expected), || {
            "it does not blink".into()
        })?;
    }
    say("node", "->", "CANCEL", "after 6 changes of the light");
    operation.cancel(CancelReason::UserCancelled, "lights out");
    let ended = loop {
        match operation.recv() {
            Ok(Some(_)) => {}
            Ok(None) => break Err("the cancel was not answered".into()),
            Err(failure) => break Ok(failure),
        }
    };
    let ended: Failure = ended.map_err(|error: Box<dyn Error>| error)?;
    say("node", "<-", "ERROR", &ended.to_string());
    let cancelled = matches!(&ended, Failure::Cancelled { .. })
        || matches!(&ended, Failure::Failed { code, .. } if *code == ErrorCode::Cancelled);
    check(cancelled, || format!("cancelled, but: {ended}"))
}

/// The board asks the node to write, for eight tokens in all.
fn keep_budget(stage: &Stage, board: &mut Board) -> Played {
    let ended = || stage.writer.ended().is_some();
    board.until(PATIENCE, "the budget was spent", ended)?;
    let (spent, failure) = stage.writer.ended().ok_or("it has ended")?;
    say(
        "node",
        "->",
        "ERROR",
        &format!("{failure}; {spent} tokens spent"),
    );
    let exceeded =
        matches!(&failure, Failure::Failed { code, .. } if *code == ErrorCode::BudgetExceeded);
    check(exceeded && spent == 8, || {
        format!("{spent} tokens: {failure}")
    })
}

/// The cable is pulled out in the middle of a long answer: once for a moment, and once until the
/// connection is lost at both ends.
fn cut(stage: &Stage, board: &mut Board) -> Played {
    let sent = |board: &mut Board, count| {
        board.until(PATIENCE, "the log was so far", || stage.log.sent() >= count)
    };
    sent(board, 100)?;
    say(
        "cable",
        "--",
        "CUT",
        "for 300 ms, with the log at entry 100",
    );
    board.plug(false)?;
    thread::sleep(Duration::from_millis(300));
    board.plug(true)?;
    sent(board, 200)?;
    let detached = stage.node.metrics().detached;
    check(detached == 0, || "a short cut cost the connection".into())?;
    say("cable", "--", "CUT", "with the log at entry 200");
    board.plug(false)?;
    let lost = || stage.node.metrics().detached > 0;
    board.until(PATIENCE, "the connection was lost", lost)?;
    let at = stage.log.sent();
    say(
        "node",
        "--",
        "LOST",
        &format!("the board is gone; the log goes on at entry {at}"),
    );
    // By then the board has noticed, too.
    thread::sleep(Duration::from_millis(700));
    say("cable", "--", "MEND", "");
    board.plug(true)?;
    let resumed = || stage.node.metrics().resumed > 0;
    board.until(PATIENCE, "a RESUME came", resumed)?;
    say("node", "<-", "RESUME", "and what was missed goes out");
    Ok(())
}

/// What a handshake takes, with the certificate and with a ticket: the board says so.
pub(crate) fn handshake(cli: &Cli) -> Played {
    let stage = Stage::new(Settings::default())?;
    let mut board = stage.board(cli, stage.node.address(), "served=1 do=reconnect icount=0")?;
    stage.wait_for(&mut board)?;
    read(&stage)?;
    board.wait(2 * PATIENCE)?;
    let counted = board.said("handshake: ");
    check(counted.len() == 2, || {
        "two handshakes were to be counted".into()
    })
}

/// Four operations at a time through 1 KiB each way, 10 % loss, 50 ms round trip.
pub(crate) fn weather(cli: &Cli) -> Played {
    let stage = Stage::new(Settings::default())?;
    let weather = Weather {
        lost: 100,
        delay: Duration::from_millis(25),
    };
    let relay = Relay::start(stage.node.address(), weather)?;
    let mut board = stage.board(cli, relay.address(), "serves=0 do=bulk")?;
    board.wait(3 * PATIENCE)?;
    let (passed, lost) = relay.counts();
    let share = lost * 100 / (passed + lost).max(1);
    say(
        "relay",
        "--",
        "LOST",
        &format!("{lost} datagrams, {share} %, and let {passed} pass"),
    );
    check((6..15).contains(&share), || {
        "the weather was another".into()
    })
}
