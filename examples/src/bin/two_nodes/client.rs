//! The client: the story of the demo, or one operation for a script.

use std::process::ExitCode;
use std::thread;

use aire_mio::{CancelReason, Client, Closed, Error, Failure, Identity, Operation, Pin, Trust};
use aire_proto::connection::CloseReason;

use crate::ClientArgs;
use crate::timeline::line;

/// An operation ended with an ERROR.
const FAILED: u8 = 3;
/// One side refused the other's HELLO.
const REFUSED: u8 = 4;

pub(crate) fn run(args: &ClientArgs) -> ExitCode {
    match call(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("two-nodes: {error}");
            let refused = match &error {
                Error::Closed(Closed::Protocol(reason)) => matches!(
                    reason,
                    CloseReason::Handshake(_)
                        | CloseReason::HandshakeTimeout
                        | CloseReason::Violation { .. }
                        | CloseReason::Peer(_)
                ),
                _ => false,
            };
            ExitCode::from(if refused { REFUSED } else { 1 })
        }
    }
}

fn call(args: &ClientArgs) -> Result<ExitCode, Error> {
    let identity = match &args.key {
        Some(path) => Identity::from_pem_file(path)?,
        None => Identity::generate()?,
    };
    let trust = trust(args)?;
    let did = identity.did().to_owned();
    let client = Client::builder(identity, trust).connect(&args.connect)?;
    let code = match &args.invoke {
        Some(what) => invoke(&client, what, args)?,
        None => {
            say("->", "HELLO", None, &did);
            let peer = client.peer().unwrap_or_default();
            let minor = client.minor().unwrap_or_default();
            say("<-", "HELLO", None, &format!("{peer}, version 0.{minor}"));
            two_streams(&client)?;
            ExitCode::SUCCESS
        }
    };
    client.close();
    Ok(code)
}

fn trust(args: &ClientArgs) -> Result<Trust, Error> {
    if let Some(pin) = &args.pin {
        let pin =
            Pin::from_hex(pin).ok_or(Error::Tls("--pin takes 64 hexadecimal digits".into()))?;
        return Ok(Trust::pinned(pin));
    }
    Ok(match &args.ca {
        Some(path) => Trust::ca_file(path),
        None if args.danger_accept_any_certificate => Trust::danger_accept_any_certificate(),
        None => Trust::system_roots(),
    })
}

fn say(direction: &str, frame: &str, op: Option<u64>, rest: &str) {
    println!("{}", line("client", direction, frame, op, rest));
}

/// Two streams at once: one is cancelled in the middle, the other completes.
fn two_streams(client: &Client) -> Result<(), Error> {
    let doomed = begin(client, "40 30")?;
    let lasting = begin(client, "20 30")?;
    let doomed = thread::spawn(move || follow(doomed, Some(8)));
    let lasting = thread::spawn(move || follow(lasting, None));
    let ends = [doomed.join(), lasting.join()];
    for end in ends.into_iter().flatten() {
        println!("{end}");
    }
    Ok(())
}

fn begin(client: &Client, args: &str) -> Result<Operation, Error> {
    let operation = client.invoke("stream", "tokens", args)?;
    let to = format!("stream/tokens {args:?} to {}", operation.peer());
    say("->", "INVOKE", Some(operation.id().get()), &to);
    Ok(operation)
}

/// Takes the tokens of one operation; cancels it after so many, when told to.
fn follow(mut operation: Operation, cancel_after: Option<usize>) -> String {
    let op = Some(operation.id().get());
    let mut tokens = 0;
    let end = loop {
        match operation.recv() {
            Ok(Some(token)) => {
                tokens += 1;
                say("<-", "STREAM", op, &String::from_utf8_lossy(&token));
                if cancel_after == Some(tokens) {
                    say("->", "CANCEL", op, "USER_CANCELLED \"enough\"");
                    operation.cancel(CancelReason::UserCancelled, "enough");
                }
            }
            Ok(None) => {
                say("<-", "FIN", op, "complete");
                break "complete".to_owned();
            }
            Err(failure) => {
                if let Failure::Failed { code, .. } = &failure {
                    say("<-", "ERROR", op, code.name());
                }
                break failure.to_string();
            }
        }
    };
    line(
        "client",
        "--",
        "END",
        op,
        &format!("{tokens} tokens, {end}"),
    )
}

/// Invokes what the command line says, and prints what comes, a line each.
fn invoke(client: &Client, what: &str, args: &ClientArgs) -> Result<ExitCode, Error> {
    let (agent, name) = what.split_once('/').unwrap_or((what, ""));
    // Each on a thread of its own, since where the peer allows no further stream, one waits until
    // another ends.
    let ends: Vec<Result<Result<(), Failure>, Error>> = thread::scope(|scope| {
        let call = || {
            let mut operation = client.invoke(agent, name, args.args.as_bytes())?;
            // No more input: what the reference's client says too.
            operation.finish();
            Ok(print(operation))
        };
        let threads: Vec<_> = (0..args.parallel).map(|_| scope.spawn(call)).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    let mut failures = Vec::new();
    for end in ends {
        failures.extend(end?.err());
    }
    if failures.contains(&Failure::Lost)
        && let Some(closed) = client.closed()
    {
        return Err(Error::Closed(closed));
    }
    Ok(if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn print(mut operation: Operation) -> Result<(), Failure> {
    let op = operation.id();
    loop {
        match operation.recv() {
            Ok(Some(payload)) => println!("op {op} stream {}", String::from_utf8_lossy(&payload)),
            Ok(None) => {
                println!("op {op} end");
                return Ok(());
            }
            Err(failure) => {
                match &failure {
                    Failure::Failed { code, detail, .. } => {
                        println!("op {op} error {code} {detail}")
                    }
                    other => println!("op {op} lost {other}"),
                }
                return Err(failure);
            }
        }
    }
}
