//! The server: `echo` answers its arguments, `stream` counts tokens.

use std::io::Write;
use std::time::Duration;

use aire_examples::line;
use aire_mio::{Certificate, Error, Failure, Identity, Node, Operation, Resumable};
use aire_proto::budget::Charge;

use crate::ServerArgs;

/// How long an operation that is out of budget waits for a top-up.
const TOP_UP_PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn run(args: &ServerArgs) -> Result<(), Error> {
    let identity = match &args.key {
        Some(path) => Identity::from_pem_file(path)?,
        None => Identity::generate()?,
    };
    let certificate = match (&args.cert, &args.cert_key) {
        (Some(chain), Some(key)) => Certificate::from_pem_files(chain, key)?,
        _ => Certificate::self_signed(&[])?,
    };
    let pin = certificate.pin();
    let node = Node::builder(identity, certificate)
        .agent("echo", |operation: &mut Operation| told(operation, echo))?
        // Whoever loses its connection has a minute to come back (RESUME) and misses nothing.
        .resumable_agent(
            "stream",
            |operation: &mut Operation| told(operation, stream),
            Resumable::for_ttl(Duration::from_secs(60)),
        )?
        .listen(args.listen)?;
    println!(
        "listening aire://{} did {} pin {pin}",
        node.address(),
        node.did()
    );
    // Whoever reads this through a pipe waits for it.
    std::io::stdout().flush()?;
    node.run_until_signal()?;
    say("--", "GOODBYE", None, "stopped");
    Ok(())
}

fn say(direction: &str, frame: &str, op: Option<u64>, rest: &str) {
    eprintln!("{}", line("server", direction, frame, op, rest));
}

/// Serves an operation with `agent`, and tells its beginning and end.
fn told(
    operation: &mut Operation,
    agent: fn(&mut Operation) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let op = Some(operation.id().get());
    let asked = format!(
        "{}/{} from {}",
        operation.agent(),
        operation.operation(),
        operation.peer()
    );
    say("<-", "INVOKE", op, &asked);
    let done = agent(operation);
    match &done {
        Ok(()) => say("->", "FIN", op, "complete"),
        Err(Failure::Cancelled { reason, detail }) => {
            say("<-", "CANCEL", op, &format!("{reason} {detail:?}"));
            say("->", "ERROR", op, "CANCELLED");
        }
        Err(failure) => say("->", "ERROR", op, &failure.to_string()),
    }
    done
}

fn echo(operation: &mut Operation) -> Result<(), Failure> {
    let args = operation.args().to_vec();
    operation.send(args)
}

/// Operation `tokens`: the count in decimal, then optionally a space and the milliseconds between
/// two tokens. Each is paid for before it is sent.
fn stream(operation: &mut Operation) -> Result<(), Failure> {
    if operation.operation() != "tokens" {
        return Err(Failure::application("the operation is `tokens`"));
    }
    let (count, pause) = parse(operation.args()).ok_or_else(|| {
        Failure::application("the arguments are a count, and optionally milliseconds: `20 50`")
    })?;
    operation.set_budget_patience(TOP_UP_PATIENCE);
    for n in 1..=count {
        if n > 1 {
            operation.sleep(pause)?;
        }
        pay(operation)?;
        let token = format!("token-{n}");
        say("->", "STREAM", Some(operation.id().get()), &token);
        operation.send(token)?;
    }
    Ok(())
}

/// Spends one token of the operation's budget, if it has one. Without one left the client is told
/// (BUDGET, a report), and may send a top-up; else the operation ends with BUDGET_EXCEEDED.
fn pay(operation: &mut Operation) -> Result<(), Failure> {
    let token = Charge::tokens(1);
    let Err(refused) = operation.try_charge(&token) else {
        return Ok(());
    };
    let op = Some(operation.id().get());
    say("->", "BUDGET", op, &format!("{refused}"));
    operation.charge(&token)?;
    say("<-", "BUDGET", op, "a top-up: goes on");
    Ok(())
}

fn parse(args: &[u8]) -> Option<(u32, Duration)> {
    let text = std::str::from_utf8(args).ok()?;
    let (count, pause) = text.split_once(' ').unwrap_or((text, "0"));
    Some((
        count.parse().ok()?,
        Duration::from_millis(pause.parse().ok()?),
    ))
}
