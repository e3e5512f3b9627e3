//! The board at a node of another implementation, over another QUIC: quic-go.

use std::io::{BufRead, BufReader, Lines};
use std::process::{ChildStdout, Command, Stdio};

use aire_examples::Leashed;
use aire_mio::{Certificate, Pin};

use crate::emulator::{Board, Setup};
use crate::scenes::{HOST, PATIENCE, Played, check};
use crate::{Cli, clock, say};

/// What the node asks for.
const COUNT: u32 = 10;

/// The board connects, both HELLOs are good, the node reads measurements, and the board asks for
/// tokens.
pub(crate) fn play(cli: &Cli) -> Played {
    let program = cli.peer.as_ref().ok_or("--peer names the program")?;
    let mut node = Command::new(program)
        .args([
            "node",
            "--listen",
            "127.0.0.1:0",
            "--minor",
            "4",
            "--caps",
            "binding",
        ])
        .args(["--ask", "sensor/read", "--ask-args"])
        .arg(format!("interval=20 count={COUNT}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map(Leashed)?;
    let output = node.0.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let first = lines.next().ok_or("the node does not start")??;
    say("node", "--", "LISTENS", &first);
    let words: Vec<&str> = first.split(' ').collect();
    let ["listening", address, "did", _, "pin", pin] = words[..] else {
        return Err("the node says something else".into());
    };
    let (_, port) = address.rsplit_once(':').ok_or("no port")?;
    let time = clock::start()?.port();
    let mut board = Board::start(&Setup {
        image: &cli.image,
        command: &cli.command,
        arguments: &format!("peer={HOST}:{port} time={HOST}:{time} served=1 do=tokens"),
        key: Certificate::self_signed(&[])?.pin().0,
        pin: Pin::from_hex(pin).ok_or("no pin")?.0,
    })?;
    board.wait(PATIENCE)?;
    drop(node);
    read(lines)?;
    check(board.said("tokens: 20 frames in order").len() == 1, || {
        "the board's own operation is missing".into()
    })
}

/// What the node printed of its operation.
fn read(lines: Lines<BufReader<ChildStdout>>) -> Played {
    let (mut came, mut ended) = (0, false);
    for line in lines {
        let line = line?;
        let told = line.split(' ').collect::<Vec<_>>();
        match told[..] {
            ["op", _, "stream", payload] => {
                // Its number comes first, in little endian.
                let number = payload.get(..8).ok_or("a short measurement")?;
                let number = u32::from_str_radix(number, 16)?.swap_bytes();
                check(number == came && payload.len() == 24, || {
                    format!("out of turn: {line}")
                })?;
                came += 1;
            }
            ["op", _, "end"] => ended = true,
            _ => say("node", "--", "SAYS", &line),
        }
    }
    say(
        "node",
        "<-",
        "STREAM",
        &format!("{came} measurements of sensor/read, in order"),
    );
    check(ended && came == COUNT, || {
        format!("{came} measurements, ended: {ended}")
    })
}
