//! The live view: draws, and heeds keys. A thread of its own looks at the node, so that keys work
//! however slowly that answers.

use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Style, Stylize as _};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row, Table as Grid, TableState};

use super::Args;
use super::status::{Source, Status};
use super::view::{Before, Sort, Table, View};
use crate::Error;
use crate::common::interrupt::Interrupts;

/// Shows the node until a key or a signal ends it.
pub(super) fn run(source: Source, args: &Args) -> Result<(), Error> {
    let interrupts = Interrupts::watch()?;
    // An error before the first look is said where it can be read.
    let (_, first) = source.look()?;
    let (sender, looks) = mpsc::sync_channel(1);
    let interval = args.interval;
    thread::Builder::new()
        .name("aire-look".into())
        .spawn(move || keep_looking(&source, interval, &sender))
        .map_err(|error| Error::Failed(format!("cannot start a thread: {error}")))?;
    let mut terminal = ratatui::try_init().map_err(Error::Output)?;
    interrupts.at_the_end(ratatui::restore);
    interrupts.listen();
    let mut screen = Screen::new(first, args.sort);
    let shown = loop {
        if interrupts.came_yet() {
            break Ok(());
        }
        screen.take(&looks);
        if let Err(error) = terminal.draw(|frame| screen.draw(frame)) {
            break Err(Error::Output(error));
        }
        match next_key() {
            Ok(Some(key)) if !screen.press(key) => break Ok(()),
            Ok(_) => {}
            Err(error) => break Err(Error::Output(error)),
        }
    };
    ratatui::restore();
    shown
}

type Look = (Instant, Result<Status, String>);

fn keep_looking(source: &Source, interval: Duration, looks: &SyncSender<Look>) {
    loop {
        thread::sleep(interval);
        let found = source.look();
        let found = found.map(|(_, status)| status);
        let look = found.map_err(|error| error.to_string());
        match looks.try_send((Instant::now(), look)) {
            Ok(()) | Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return,
        }
    }
}

/// The next key, if one is pressed soon. Other events only wake it, to draw anew.
fn next_key() -> std::io::Result<Option<KeyEvent>> {
    if !event::poll(REDRAW)? {
        return Ok(None);
    }
    match event::read()? {
        Event::Key(key) if key.kind != KeyEventKind::Release => Ok(Some(key)),
        _ => Ok(None),
    }
}

/// What is on the screen.
struct Screen {
    status: Status,
    seen: Instant,
    before: Option<(Status, Instant)>,
    /// Why the last look found nothing.
    trouble: Option<String>,
    sort: Sort,
    reverse: bool,
    stopped: bool,
    /// Connections, and operations; which of them the arrows move.
    tables: [TableState; 2],
    focus: usize,
}

impl Screen {
    fn new(status: Status, sort: Sort) -> Self {
        Self {
            status,
            seen: Instant::now(),
            before: None,
            trouble: None,
            sort,
            reverse: false,
            stopped: false,
            tables: [TableState::default(), TableState::default()],
            focus: 0,
        }
    }

    fn take(&mut self, looks: &Receiver<Look>) {
        match looks.try_recv() {
            Ok(_) if self.stopped => {}
            Ok((at, Ok(status))) => {
                let before = std::mem::replace(&mut self.status, status);
                self.before = Some((before, self.seen));
                self.seen = at;
                self.trouble = None;
            }
            Ok((_, Err(trouble))) => self.trouble = Some(trouble),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                self.trouble = Some("nobody looks at the node any more".into());
            }
        }
    }

    /// Heeds a key. Whether to go on.
    fn press(&mut self, key: KeyEvent) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c' | 'd') if control => return false,
            KeyCode::Char('s') => self.sort = self.sort.step(1),
            KeyCode::Char('S') => self.sort = self.sort.back(),
            KeyCode::Char('r') => self.reverse = !self.reverse,
            KeyCode::Char(' ') => self.stopped = !self.stopped,
            KeyCode::Tab | KeyCode::BackTab => self.focus = 1 - self.focus,
            KeyCode::Down | KeyCode::Char('j') => self.scroll(|table| table.scroll_down_by(1)),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(|table| table.scroll_up_by(1)),
            KeyCode::PageDown => self.scroll(|table| table.scroll_down_by(PAGE)),
            KeyCode::PageUp => self.scroll(|table| table.scroll_up_by(PAGE)),
            KeyCode::Home => self.scroll(TableState::select_first),
            KeyCode::End => self.scroll(TableState::select_last),
            _ => {}
        }
        true
    }

    fn scroll(&mut self, how: impl FnOnce(&mut TableState)) {
        if let Some(table) = self.tables.get_mut(self.focus) {
            how(table);
        }
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let before = self.before.as_ref().map(|(status, at)| Before {
            status,
            ago: self.seen.saturating_duration_since(*at),
        });
        let view = View::new(&self.status, before.as_ref(), self.sort, self.reverse);
        let head = u16::try_from(view.head.len()).unwrap_or(u16::MAX);
        let areas = Layout::vertical([
            Constraint::Length(head.saturating_add(1)),
            Constraint::Fill(1),
            Constraint::Fill(1),
            Constraint::Length(1),
        ]);
        let [top, middle, bottom, foot] = areas.areas(frame.area());
        let lines: Vec<_> = view.head.into_iter().map(Line::from).collect();
        frame.render_widget(Paragraph::new(lines), top);
        let [connections, operations] = &mut self.tables;
        let focus = self.focus;
        grid(frame, middle, view.connections, connections, focus == 0);
        grid(frame, bottom, view.operations, operations, focus == 1);
        let foot_line = match (&self.trouble, self.stopped) {
            (Some(trouble), _) => Line::from(trouble.as_str()).red(),
            (None, true) => Line::from("stopped: Space goes on").yellow(),
            (None, false) => Line::from(HELP).dim(),
        };
        frame.render_widget(foot_line, foot);
    }
}

fn grid(frame: &mut Frame<'_>, area: Rect, table: Table, state: &mut TableState, focus: bool) {
    let width = |width: usize| Constraint::Length(u16::try_from(width).unwrap_or(u16::MAX));
    let widths: Vec<_> = table.widths().into_iter().map(width).collect();
    let title = Line::from(format!(" {} ", table.title));
    let block = Block::bordered().title(if focus { title.bold() } else { title });
    let cells = |row: Vec<String>| Row::new(row.into_iter().map(Cell::from));
    let selected = match focus {
        true => Style::new().reversed(),
        false => Style::new(),
    };
    let grid = Grid::new(table.rows.into_iter().map(cells), widths)
        .header(cells(table.names).dim())
        .column_spacing(2)
        .row_highlight_style(selected)
        .block(block);
    frame.render_stateful_widget(grid, area, state);
}

const HELP: &str = "q quit  s/S sort  r reverse  Tab other table  arrows scroll  Space stop";

/// How long the screen may be behind.
const REDRAW: Duration = Duration::from_millis(100);

/// Rows of a page.
const PAGE: u16 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::top::view::tests::status;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(screen: &mut Screen) -> String {
        let mut terminal = Terminal::new(TestBackend::new(140, 30)).expect("a terminal");
        terminal.draw(|frame| screen.draw(frame)).expect("it draws");
        terminal.backend().to_string()
    }

    fn press(screen: &mut Screen, key: KeyCode) -> bool {
        screen.press(KeyEvent::new(key, KeyModifiers::NONE))
    }

    #[test]
    fn the_node_is_on_the_screen() {
        let mut screen = Screen::new(status(), Sort::Age);
        let drawn = drawn(&mut screen);
        for word in [
            "did:key:z6MkNode serving",
            "2 connections, by age",
            "z6MkFirst",
            "2 operations",
            "chat/talk",
            "90 tokens, 0.2500 EUR",
            "q quit",
        ] {
            assert!(drawn.contains(word), "{word} is not on:\n{drawn}");
        }
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let mut screen = Screen::new(status(), Sort::Age);
        assert!(press(&mut screen, KeyCode::Char('s')));
        assert!(drawn(&mut screen).contains("by operations"));
        assert!(press(&mut screen, KeyCode::Char('S')));
        let order = |drawn: &str| drawn.find("z6MkFirst") < drawn.find("z6MkAnother");
        assert!(order(&drawn(&mut screen)));
        assert!(press(&mut screen, KeyCode::Char('r')));
        assert!(!order(&drawn(&mut screen)));
        for key in [KeyCode::Tab, KeyCode::Down, KeyCode::PageUp, KeyCode::End] {
            assert!(press(&mut screen, key));
            drawn(&mut screen);
        }
        assert!(press(&mut screen, KeyCode::Char(' ')));
        assert!(drawn(&mut screen).contains("stopped"));
        assert!(!press(&mut screen, KeyCode::Char('q')));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert!(!screen.press(control_c));
    }

    #[test]
    fn trouble_is_told_and_passes() {
        let (sender, looks) = mpsc::sync_channel(1);
        let mut screen = Screen::new(status(), Sort::Age);
        let trouble = Err("no status there".into());
        sender.send((Instant::now(), trouble)).expect("room");
        screen.take(&looks);
        assert!(drawn(&mut screen).contains("no status there"));
        sender.send((Instant::now(), Ok(status()))).expect("room");
        screen.take(&looks);
        let drawn = drawn(&mut screen);
        assert!(!drawn.contains("no status there"));
        assert!(drawn.contains("IN/S"), "{drawn}");
    }
}
