//! The client: the story of the demo, or one operation for a script.

use std::process::ExitCode;
use std::thread;

use aire_examples::unix_millis_after;
use aire_mio::{
    CancelReason, Client, Closed, Error, ErrorCode, Failure, Identity, Operation, Pin, Received,
    Trust,
};
use aire_proto::connection::CloseReason;
use aire_proto::wire::Budget;

use crate::{ClientArgs, story};

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
    let mut builder = Client::builder(identity, trust);
    if !args.resume {
        builder = builder.no_reconnect();
    }
    let client = builder.connect(&args.connect)?;
    let code = match &args.invoke {
        Some(what) => invoke(&client, what, args)?,
        None => {
            story::tell(&client, &did)?;
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

/// Invokes what the command line says, and prints what comes, a line each.
fn invoke(client: &Client, what: &str, args: &ClientArgs) -> Result<ExitCode, Error> {
    let (agent, name) = what.split_once('/').unwrap_or((what, ""));
    // Each on a thread of its own, since where the peer allows no further stream, one waits until
    // another ends.
    let ends: Vec<Result<Result<(), Failure>, Error>> = thread::scope(|scope| {
        let call = || {
            let mut operation = client.invoke(agent, name, args.args.as_bytes())?;
            if let Some(budget) = first_budget(args) {
                operation.send_budget(budget);
            }
            // No more input: what the reference's client says too. A top-up would be input.
            if args.top_up.is_none() {
                operation.finish();
            }
            Ok(print(operation, args.top_up))
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

/// What an operation begins with, if the command line limits it.
fn first_budget(args: &ClientArgs) -> Option<Budget> {
    let limited = args.budget.is_some() || args.deadline.is_some();
    limited.then(|| Budget {
        tokens: args.budget,
        deadline: args.deadline.map(unix_millis_after),
        ..Budget::default()
    })
}

fn print(mut operation: Operation, mut top_up: Option<u64>) -> Result<(), Failure> {
    let op = operation.id();
    loop {
        match operation.recv_frame() {
            Ok(Some(Received::Stream(payload))) => {
                println!("op {op} stream {}", String::from_utf8_lossy(&payload));
            }
            Ok(Some(Received::Budget(report))) if report.tokens == Some(0) => {
                if let Some(tokens) = top_up.take() {
                    operation.send_budget(Budget {
                        tokens: Some(tokens),
                        ..Budget::default()
                    });
                    operation.finish();
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                println!("op {op} end");
                return Ok(());
            }
            Err(failure) => {
                match &failure {
                    Failure::Failed { code, detail, .. } => {
                        println!("op {op} error {code} {detail}")
                    }
                    // This side noticed first that its own deadline had passed.
                    Failure::Cancelled {
                        reason: CancelReason::DeadlineExceeded,
                        detail,
                    } => println!("op {op} error {} {detail}", ErrorCode::DeadlineExceeded),
                    other => println!("op {op} lost {other}"),
                }
                return Err(failure);
            }
        }
    }
}
