//! The client: takes every token of one operation, over as many connections and in as many
//! processes as it takes.

use std::error::Error;
use std::io::Write;
use std::time::Duration;

use aire_mio::{Client, Failure, Pin, Received, Reconnect, Trust};

use crate::files::Files;
use crate::{ClientArgs, impatient, say};

pub(crate) fn run(args: &ClientArgs) -> Result<(), Box<dyn Error>> {
    let files = Files::new(&args.dir);
    let pin = Pin::from_hex(&args.pin).ok_or("--pin takes 64 hexadecimal digits")?;
    let client = Client::builder(files.identity()?, Trust::pinned(pin))
        .settings(impatient())
        // It connects again by itself, and resumes what was going on.
        .reconnect(Reconnect {
            most: Duration::from_millis(500),
            ..Reconnect::default()
        })
        .connect(&args.connect)?;

    // An operation that an earlier process began, or a new one.
    let ticket = files.ticket()?;
    let mut output = files.open_output(ticket.as_deref())?;
    let mut operation = match &ticket {
        Some(ticket) => client.resume(ticket)?,
        None => client.invoke("writer", "tokens", "")?,
    };
    let how = if ticket.is_some() { "RESUME" } else { "INVOKE" };
    say(
        "client",
        "->",
        how,
        &format!("process {}", std::process::id()),
    );

    let mut lost = false;
    loop {
        let token = match operation.recv_frame_within(Duration::from_millis(100)) {
            Ok(Some(Received::Stream(token))) => token,
            Ok(Some(_)) => continue,
            Ok(None) => break,
            // Looks around: the operation waits without a connection, too.
            Err(Failure::TimedOut) => {
                if !lost && client.peer().is_none() {
                    lost = true;
                    say(
                        "client",
                        "--",
                        "LOST",
                        "no connection: tries to get another one",
                    );
                }
                continue;
            }
            Err(failure) => return Err(failure.into()),
        };
        if std::mem::take(&mut lost) {
            let token = String::from_utf8_lossy(&token);
            say("client", "->", "RESUME", &format!("goes on with {token}"));
        }

        // First the output, then the ticket that counts it: see `files`.
        output.write_all(&[&token[..], b"\n"].concat())?;
        if let Some(ticket) = operation.ticket() {
            files.keep_ticket(&ticket)?;
        }
        if token.ends_with(b"00") {
            say("client", "<-", "STREAM", &String::from_utf8_lossy(&token));
        }
    }
    say("client", "<-", "FIN", "complete");
    files.drop_ticket()?;
    client.close();
    Ok(())
}
