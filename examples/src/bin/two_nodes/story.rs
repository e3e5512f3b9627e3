//! What the client does in the demo, frame by frame.

use std::thread;
use std::time::Duration;

use aire_examples::line;
use aire_mio::{CancelReason, Client, Error, Failure, Operation, Received};
use aire_proto::wire::Budget;

/// The first minor version that knows BUDGET.
const KNOWS_BUDGETS: u64 = 3;

pub(crate) fn tell(client: &Client, did: &str) -> Result<(), Error> {
    say("->", "HELLO", None, did);
    let peer = client.peer().unwrap_or_default();
    let minor = client.minor().unwrap_or_default();
    say("<-", "HELLO", None, &format!("{peer}, version 0.{minor}"));
    two_streams(client)?;
    if minor >= KNOWS_BUDGETS {
        spending(client)?;
    }
    Ok(())
}

fn say(direction: &str, frame: &str, op: Option<u64>, rest: &str) {
    println!("{}", line("client", direction, frame, op, rest));
}

/// What makes an operation worth telling.
#[derive(Clone, Copy)]
enum Twist {
    Nothing,
    /// It is cancelled after so many tokens.
    CancelAfter(usize),
    /// When its budget has run out, it gets so many tokens more.
    TopUp(u64),
}

/// Two streams at once: one is cancelled in the middle, the other completes.
fn two_streams(client: &Client) -> Result<(), Error> {
    let doomed = begin(client, "40 30")?;
    let lasting = begin(client, "20 30")?;
    let doomed = thread::spawn(move || follow(doomed, Twist::CancelAfter(8)));
    let lasting = thread::spawn(move || follow(lasting, Twist::Nothing));
    let ends = [doomed.join(), lasting.join()];
    for end in ends.into_iter().flatten() {
        println!("{end}");
    }
    Ok(())
}

/// A stream of twelve tokens with a budget of five, and then of ten more.
fn spending(client: &Client) -> Result<(), Error> {
    let mut operation = begin(client, "12 30")?;
    allow(&mut operation, 5);
    println!("{}", follow(operation, Twist::TopUp(10)));
    Ok(())
}

fn begin(client: &Client, args: &str) -> Result<Operation, Error> {
    let operation = client.invoke("stream", "tokens", args)?;
    let to = format!("stream/tokens {args:?} to {}", operation.peer());
    say("->", "INVOKE", Some(operation.id().get()), &to);
    Ok(operation)
}

/// BUDGET says what remains from the moment when it arrives: the latest one counts, and nothing is
/// added to what was left.
fn allow(operation: &mut Operation, tokens: u64) {
    let op = Some(operation.id().get());
    say("->", "BUDGET", op, &format!("{tokens} tokens from now on"));
    operation.send_budget(Budget {
        tokens: Some(tokens),
        ..Budget::default()
    });
}

/// Takes the tokens of one operation, to its end.
fn follow(mut operation: Operation, twist: Twist) -> String {
    let op = Some(operation.id().get());
    let mut tokens = 0;
    let end = loop {
        match operation.recv_frame() {
            Ok(Some(Received::Stream(token))) => {
                tokens += 1;
                say("<-", "STREAM", op, &String::from_utf8_lossy(&token));
                if let Twist::CancelAfter(most) = twist
                    && tokens == most
                {
                    say("->", "CANCEL", op, "USER_CANCELLED \"enough\"");
                    operation.cancel(CancelReason::UserCancelled, "enough");
                }
            }
            Ok(Some(Received::Budget(report))) => {
                let spent = report.tokens_spent.unwrap_or_default();
                let left = report.tokens.unwrap_or_default();
                say("<-", "BUDGET", op, &format!("{spent} spent, {left} left"));
                if let Twist::TopUp(more) = twist {
                    // Long enough to see that nothing comes.
                    thread::sleep(Duration::from_millis(300));
                    allow(&mut operation, more);
                }
            }
            Ok(Some(_)) => {}
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
    let end = format!("{tokens} tokens, {end}");
    line("client", "--", "END", op, &end)
}
