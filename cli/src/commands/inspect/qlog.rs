//! What a qlog tells of a connection's streams, and the AIRE frames in them where it has their
//! bytes. quiche writes lengths, and leaves the bytes out.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Found, print};
use crate::common::output::style;
use crate::common::present::{Size, one_line};
use crate::{Error, Output};

/// A qlog, as far as it is about streams.
#[derive(Debug, Serialize)]
pub(super) struct Log {
    title: Option<String>,
    /// Whose view it is: client, server or network.
    vantage: Option<String>,
    events: usize,
    /// What happened on streams, in order.
    moved: Vec<Moved>,
    streams: Vec<Side>,
    /// What cannot be shown, and why.
    missing: Option<&'static str>,
}

/// A piece of a stream that went over the network.
#[derive(Debug, Serialize)]
struct Moved {
    time_ms: f64,
    direction: Direction,
    stream: u64,
    offset: u64,
    len: u64,
    fin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Sent,
    Received,
}

/// One direction of one stream.
#[derive(Debug, Serialize)]
struct Side {
    stream: u64,
    direction: Direction,
    /// How far it got.
    bytes: u64,
    pieces: usize,
    fin: bool,
    /// Where the log has all bytes up to some point.
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
    #[serde(skip)]
    data: Vec<u8>,
}

impl Log {
    /// Reads JSON-SEQ, lines of JSON, or one JSON document with traces.
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let mut log = Self {
            title: None,
            vantage: None,
            events: 0,
            moved: Vec::new(),
            streams: Vec::new(),
            missing: None,
        };
        let mut sides = BTreeMap::new();
        let records = match serde_json::from_str::<Value>(text) {
            Ok(whole) => vec![whole],
            Err(_) => records(text)?,
        };
        for record in &records {
            log.record(record, &mut sides);
        }
        if log.events == 0 {
            return Err(Error::Failed("there is no event in this qlog".into()));
        }
        log.streams = sides.into_iter().map(Gathered::into_side).collect();
        let has_all = |side: &Side| side.data.len() as u64 >= side.bytes;
        if !log.streams.iter().all(has_all) {
            log.missing = Some(MISSING);
        }
        Ok(log)
    }

    fn record(&mut self, record: &Value, sides: &mut Sides) {
        if self.title.is_none() {
            self.title = text(
                record
                    .get("title")
                    .or_else(|| record.pointer("/trace/title")),
            );
        }
        let vantage = record
            .pointer("/trace/vantage_point/type")
            .or_else(|| record.pointer("/vantage_point/type"));
        if self.vantage.is_none() {
            self.vantage = text(vantage);
        }
        if let Some(traces) = record.get("traces").and_then(Value::as_array) {
            traces.iter().for_each(|trace| self.record(trace, sides));
        }
        if let Some(events) = record.get("events").and_then(Value::as_array) {
            events.iter().for_each(|event| self.event(event, sides));
        }
        if record.get("name").is_some() {
            self.event(record, sides);
        }
    }

    fn event(&mut self, event: &Value, sides: &mut Sides) {
        self.events = self.events.saturating_add(1);
        let name = event
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let direction = match name.rsplit(':').next() {
            Some("packet_sent") => Direction::Sent,
            Some("packet_received") => Direction::Received,
            _ => return,
        };
        let time_ms = event.get("time").and_then(Value::as_f64).unwrap_or(0.0);
        let frames = event.pointer("/data/frames").and_then(Value::as_array);
        for frame in frames.into_iter().flatten() {
            let Ok(frame) = StreamFrame::deserialize(frame) else {
                continue;
            };
            if frame.frame_type != "stream" {
                continue;
            }
            let moved = Moved {
                time_ms,
                direction,
                stream: frame.stream_id,
                offset: frame.offset.unwrap_or(0),
                len: frame.len(),
                fin: frame.fin.unwrap_or(false),
            };
            let side = sides.entry((moved.stream, direction)).or_default();
            side.take(&moved, frame.data());
            self.moved.push(moved);
        }
    }

    pub(super) fn print(&self, out: &mut Output) -> Result<(), Error> {
        let unknown = || "?".to_owned();
        let vantage = self
            .vantage
            .clone()
            .map_or_else(unknown, |it| one_line(&it));
        out.line(format_args!(
            "a qlog of the {vantage}, with {} events",
            self.events
        ))?;
        for moved in &self.moved {
            let fin = if moved.fin { ", FIN" } else { "" };
            let direction = moved.direction.name();
            out.line(format_args!(
                "  {:>12.3} ms  {direction:8}  stream {:<4}  at {:<8}  {} bytes{fin}",
                moved.time_ms, moved.stream, moved.offset, moved.len
            ))?;
        }
        for side in &self.streams {
            side.print(out)?;
        }
        match self.missing {
            Some(words) => {
                let words = out.styled(style::WARNING, words).to_string();
                out.line(words)
            }
            None => Ok(()),
        }
    }

    /// Whether all frames that could be seen are good.
    pub(super) fn verdict(&self) -> Result<(), Error> {
        let mut found = self.streams.iter().filter_map(|side| side.found.as_ref());
        found.try_for_each(Found::verdict)
    }
}

impl Direction {
    const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Received => "received",
        }
    }
}

impl Side {
    fn print(&self, out: &mut Output) -> Result<(), Error> {
        let what = match self.stream {
            0 => "the control stream".into(),
            id if id & 1 == 0 => format!("stream {id}, an operation that the client began"),
            id => format!("stream {id}, an operation that the server began"),
        };
        let name = out.styled(style::STRONG, what).to_string();
        let fin = if self.fin { ", to the FIN" } else { "" };
        let direction = self.direction.name();
        let (size, pieces) = (Size(self.bytes), self.pieces);
        out.line(format_args!(
            "{name}: {size} {direction} in {pieces} pieces{fin}"
        ))?;
        match &self.found {
            Some(found) => print::frames(found, &self.data, out),
            None => Ok(()),
        }
    }
}

/// A STREAM frame of QUIC, as qlog has it.
#[derive(Deserialize)]
struct StreamFrame {
    frame_type: String,
    stream_id: u64,
    offset: Option<u64>,
    length: Option<u64>,
    fin: Option<bool>,
    raw: Option<Raw>,
}

#[derive(Deserialize)]
struct Raw {
    payload_length: Option<u64>,
    length: Option<u64>,
    data: Option<String>,
}

impl StreamFrame {
    fn len(&self) -> u64 {
        let raw = self.raw.as_ref();
        let told = raw.and_then(|raw| raw.payload_length.or(raw.length));
        self.length.or(told).unwrap_or(0)
    }

    fn data(&self) -> Option<Vec<u8>> {
        let hex = self.raw.as_ref()?.data.as_ref()?;
        HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()
    }
}

type Sides = BTreeMap<(u64, Direction), Gathered>;

/// What is gathered of one direction of one stream.
#[derive(Default)]
struct Gathered {
    bytes: u64,
    pieces: usize,
    fin: bool,
    /// By offset.
    data: BTreeMap<u64, Vec<u8>>,
}

impl Gathered {
    fn take(&mut self, moved: &Moved, data: Option<Vec<u8>>) {
        self.bytes = self.bytes.max(moved.offset.saturating_add(moved.len));
        self.pieces = self.pieces.saturating_add(1);
        self.fin |= moved.fin;
        if let Some(data) = data {
            let place = self.data.entry(moved.offset).or_default();
            if data.len() > place.len() {
                *place = data;
            }
        }
    }

    /// Joins the pieces, up to the first that is missing.
    fn into_side(((stream, direction), gathered): ((u64, Direction), Self)) -> Side {
        let mut data = Vec::new();
        for (offset, piece) in &gathered.data {
            let have = data.len() as u64;
            // Pieces that were sent again overlap.
            match have.checked_sub(*offset).map(usize::try_from) {
                Some(Ok(known)) => data.extend_from_slice(piece.get(known..).unwrap_or_default()),
                _ => break,
            }
        }
        Side {
            stream,
            direction,
            bytes: gathered.bytes,
            pieces: gathered.pieces,
            fin: gathered.fin,
            found: (!data.is_empty()).then(|| Found::of(&data)),
            data,
        }
    }
}

fn records(text: &str) -> Result<Vec<Value>, Error> {
    let mut records = Vec::new();
    let mut pieces = text.split(['\x1e', '\n']).enumerate().peekable();
    while let Some((line, record)) = pieces.next() {
        if record.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(record) {
            Ok(record) => records.push(record),
            // A connection that still runs, or was killed, leaves half a record.
            Err(_) if pieces.peek().is_none() && !records.is_empty() => break,
            Err(error) => {
                let words = format!("record {} of the qlog is no JSON: {error}", line / 2 + 1);
                return Err(Error::Failed(words));
            }
        }
    }
    Ok(records)
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::as_str).map(Into::into)
}

const MISSING: &str = "\
This qlog has the lengths of what was on the streams, but not the bytes: the AIRE frames in them
cannot be shown. A capture of the packets, and the key log of the settings, have them.";
