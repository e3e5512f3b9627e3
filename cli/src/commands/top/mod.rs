//! `aire top`: a running node, live.

mod screen;
mod status;
mod view;

use std::time::{Duration, Instant};

use self::status::Source;
use self::view::{Sort, View};
use crate::common::interrupt::Interrupts;
use crate::common::output::style;
use crate::common::units::time;
use crate::{Error, Output};

/// Arguments of `aire top`.
#[derive(Debug, clap::Args)]
#[command(after_help = KEYS)]
pub struct Args {
    /// Where the node tells its status: the address of `[http] listen` in its configuration.
    #[arg(value_name = "URL", default_value = "http://127.0.0.1:9433")]
    pub url: String,
    /// How often to look.
    #[arg(short, long, value_name = "TIME", value_parser = time, default_value = "1s")]
    pub interval: Duration,
    /// What the connections are sorted by.
    #[arg(long, value_name = "COLUMN", value_enum, default_value_t)]
    pub sort: Sort,
    /// Look once, and print it.
    #[arg(long)]
    pub once: bool,
}

const KEYS: &str = "\
Keys: q quits; s sorts by the next column, S by the one before, r turns the order round; Tab goes
from connections to operations and back; the arrows, Page Up and Page Down scroll; Space stops and
goes on.

With --json, prints the node's own status, one line for each look; with --once too, a document.";

/// Shows it until `q` or Ctrl-C.
///
/// # Errors
/// [`Error::Unreachable`] when nobody tells the status there; [`Error::Failed`] when what is told
/// is something else.
pub fn run(args: &Args, out: &mut Output) -> Result<(), Error> {
    let source = Source::new(&args.url)?;
    if args.once {
        let (raw, status) = source.look()?;
        return out.present(&raw, |out| {
            let view = View::new(&status, None, args.sort, false);
            print(&view, out)
        });
    }
    if out.is_json() {
        return lines(&source, args.interval, out);
    }
    if !out.is_terminal() {
        return Err(Error::Usage(
            "stdout is no terminal: --once prints one table, --json goes on in lines".into(),
        ));
    }
    screen::run(source, args)
}

/// A line for each look, until Ctrl-C.
fn lines(source: &Source, interval: Duration, out: &mut Output) -> Result<(), Error> {
    let interrupts = Interrupts::watch()?;
    interrupts.listen();
    loop {
        let next = Instant::now().checked_add(interval);
        let (raw, _) = source.look()?;
        out.record(&raw)?;
        interrupts.bell().wait(next);
        if interrupts.came_yet() {
            return Ok(());
        }
    }
}

/// The view as plain text.
fn print(view: &View, out: &mut Output) -> Result<(), Error> {
    for line in &view.head {
        out.line(line)?;
    }
    for table in [&view.connections, &view.operations] {
        out.line("")?;
        let title = out.styled(style::STRONG, &table.title).to_string();
        out.line(title)?;
        let widths = table.widths();
        for (nth, row) in std::iter::once(&table.names).chain(&table.rows).enumerate() {
            let cells = row.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            let line = cells.join("  ");
            let line = line.trim_end();
            match nth {
                0 => {
                    let names = out.styled(style::DIM, line).to_string();
                    out.line(names)?;
                }
                _ => out.line(line)?,
            }
        }
    }
    Ok(())
}
