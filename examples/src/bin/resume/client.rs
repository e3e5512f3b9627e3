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
            give_up: Duration::from_secs(20),
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

    let mut kept = ticket;
    let mut lost = false;
    loop {
        match operation.recv_frame_within(Duration::from_millis(100)) {
            Ok(Some(Received::Stream(token))) => {
                let text = String::from_utf8_lossy(&token);
                if std::mem::take(&mut lost) {
                    say("client", "->", "RESUME", &format!("goes on with {text}"));
                }
                if token.ends_with(b"00") {
                    say("client", "<-", "STREAM", &text);
                }
                output.write_all(&[&token[..], b"\n"].concat())?;
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            // The operation waits for another connection, too, so this is all that is seen of it.
            Err(Failure::TimedOut) => {
                if !lost && client.peer().is_none() {
                    lost = true;
                    say("client", "--", "LOST", "tries to get another connection");
                }
            }
            Err(failure) => return Err(failure.into()),
        }
        // After the output: see `files`. Also when no token came, since the node changes the ticket
        // from time to time.
        let ticket = operation.ticket();
        if let Some(ticket) = ticket.filter(|it| kept.as_ref() != Some(it)) {
            files.keep_ticket(&ticket)?;
            kept = Some(ticket);
        }
    }
    say("client", "<-", "FIN", "complete");
    files.drop_ticket()?;
    client.close();
    Ok(())
}
