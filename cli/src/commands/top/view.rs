//! What is shown of a status: lines and tables, whoever draws them.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;

use super::status::{Connection, Operation, Status};
use crate::common::present::{Size, Took, one_line};

/// What connections are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Sort {
    /// The oldest first.
    #[default]
    Age,
    /// Those with the most operations first.
    Operations,
    /// Those that send most to the node first.
    In,
    /// Those that are sent most first.
    Out,
    /// The farthest first.
    Rtt,
    /// By the peer's DID.
    Peer,
}

impl Sort {
    /// All of them, in the order of the keys.
    const ALL: [Self; 6] = [
        Self::Age,
        Self::Operations,
        Self::In,
        Self::Out,
        Self::Rtt,
        Self::Peer,
    ];

    /// So many further on.
    pub(super) fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|sort| *sort == self).unwrap_or(0);
        let all = Self::ALL.iter().cycle();
        all.skip(at).nth(by).copied().unwrap_or_default()
    }

    /// The one before.
    pub(super) fn back(self) -> Self {
        self.step(Self::ALL.len().saturating_sub(1))
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Operations => "operations",
            Self::In => "in",
            Self::Out => "out",
            Self::Rtt => "rtt",
            Self::Peer => "peer",
        }
    }
}

/// All that is shown.
pub(super) struct View {
    pub(super) head: Vec<String>,
    pub(super) connections: Table,
    pub(super) operations: Table,
}

/// A table of text.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) names: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// An earlier status, and how long ago it was: what rates are reckoned from.
pub(super) struct Before<'a> {
    pub(super) status: &'a Status,
    pub(super) ago: Duration,
}

/// Bytes in a second, to the node and from it.
#[derive(Clone, Copy, Default)]
struct Rates {
    received: u64,
    sent: u64,
}

impl View {
    pub(super) fn new(
        status: &Status,
        before: Option<&Before<'_>>,
        sort: Sort,
        reverse: bool,
    ) -> Self {
        let mut rated = rated(status, before);
        order(&mut rated, sort);
        if reverse {
            rated.reverse();
        }
        Self {
            head: head(status, &rated, before.is_some()),
            connections: connections(status, &rated, sort, before.is_some()),
            operations: operations(&rated),
        }
    }
}

type Rated<'a> = Vec<(&'a Connection, Rates)>;

fn rated<'a>(status: &'a Status, before: Option<&Before<'_>>) -> Rated<'a> {
    let key = |connection: &Connection| (connection.node.clone(), connection.id);
    let known: HashMap<_, _> = before
        .iter()
        .flat_map(|before| &before.status.connections)
        .map(|connection| (key(connection), connection))
        .collect();
    let seconds = before.map_or(0.0, |before| before.ago.as_secs_f64());
    let rates = |connection: &Connection| {
        // One that is new has sent all that it has in this time.
        let (received, sent) = known
            .get(&key(connection))
            .map_or((0, 0), |known| (known.bytes_received, known.bytes_sent));
        let rate = |now: u64, then: u64| match seconds > 0.0 {
            true => (now.saturating_sub(then) as f64 / seconds) as u64,
            false => 0,
        };
        Rates {
            received: rate(connection.bytes_received, received),
            sent: rate(connection.bytes_sent, sent),
        }
    };
    let all = status.connections.iter();
    all.map(|connection| (connection, rates(connection)))
        .collect()
}

fn order(rated: &mut Rated<'_>, sort: Sort) {
    match sort {
        Sort::Age => rated.sort_by(|(a, _), (b, _)| a.since.cmp(&b.since)),
        Sort::Operations => rated.sort_by_key(|(it, _)| Reverse(it.live_operations)),
        Sort::In => rated.sort_by_key(|(it, rates)| Reverse((rates.received, it.bytes_received))),
        Sort::Out => rated.sort_by_key(|(it, rates)| Reverse((rates.sent, it.bytes_sent))),
        Sort::Rtt => rated.sort_by_key(|(it, _)| Reverse(it.rtt_us)),
        Sort::Peer => rated.sort_by(|(a, _), (b, _)| a.peer.cmp(&b.peer)),
    }
}

fn head(status: &Status, rated: &Rated<'_>, with_rates: bool) -> Vec<String> {
    let metric = |name: &str| status.metrics.get(name).copied().unwrap_or(0.0) as u64;
    // A metric with labels is told apart by them.
    let sum = |name: &str| {
        let labelled = format!("{name}{{");
        let all = status.metrics.iter();
        let of = all.filter(|(key, _)| *key == name || key.starts_with(&labelled));
        of.map(|(_, value)| *value).sum::<f64>() as u64
    };
    let addresses = match status.addresses.is_empty() {
        true => status.address.clone(),
        false => status.addresses.join(" "),
    };
    let failed = metric("aire_operations_ended_total{outcome=\"failed\"}");
    let live: u64 = rated.iter().map(|(it, _)| it.live_operations).sum();
    let mut traffic = format!(
        "in {}, out {}",
        Size(metric("aire_udp_bytes_total{direction=\"received\"}")),
        Size(metric("aire_udp_bytes_total{direction=\"sent\"}")),
    );
    if with_rates {
        let total = |rate: fn(&Rates) -> u64| Size(rated.iter().map(|(_, it)| rate(it)).sum());
        let (received, sent) = (total(|it| it.received), total(|it| it.sent));
        traffic.push_str(&format!("; now {received}/s in, {sent}/s out"));
    }
    vec![
        format!("{} {}", one_line(&status.did), one_line(&status.state)),
        format!(
            "aire {} at {}, up {}",
            one_line(&status.version),
            one_line(&addresses),
            span(status.uptime_s)
        ),
        format!(
            "connections: {} now, {} in all, {} handshakes failed",
            rated.len(),
            sum("aire_connections_opened_total"),
            sum("aire_handshakes_failed_total")
        ),
        format!(
            "operations: {live} now, {} served, {failed} failed",
            metric("aire_operations_served_total")
        ),
        format!("traffic: {traffic}"),
    ]
}

fn connections(status: &Status, rated: &Rated<'_>, sort: Sort, with_rates: bool) -> Table {
    let mut names = vec!["PEER", "ADDRESS", "AGE", "RTT", "OPS", "IN", "OUT"];
    if with_rates {
        names.extend(["IN/S", "OUT/S"]);
    }
    names.push("LOST");
    let row = |(it, rates): &(&Connection, Rates)| {
        let arrow = if it.dialled { "> " } else { "" };
        let mut row = vec![
            short(&it.peer),
            format!("{arrow}{}", one_line(&it.address)),
            age(&it.since),
            Took(Duration::from_micros(it.rtt_us)).to_string(),
            it.live_operations.to_string(),
            Size(it.bytes_received).to_string(),
            Size(it.bytes_sent).to_string(),
        ];
        if with_rates {
            row.extend([
                Size(rates.received).to_string(),
                Size(rates.sent).to_string(),
            ]);
        }
        row.push(it.packets_lost.to_string());
        row
    };
    Table {
        title: format!(
            "{} connections, by {}",
            status.connections.len(),
            sort.name()
        ),
        names: owned(names),
        rows: rated.iter().map(row).collect(),
    }
}

fn operations(rated: &Rated<'_>) -> Table {
    let all = rated
        .iter()
        .flat_map(|(connection, _)| connection.operations.iter().map(|it| (*connection, it)));
    let row = |(connection, it): (&Connection, &Operation)| {
        let (served, agent) = (if it.served { "" } else { "> " }, one_line(&it.agent));
        vec![
            format!("{served}{agent}/{}", one_line(&it.operation)),
            short(&connection.peer),
            it.stream.to_string(),
            age(&it.since),
            Size(it.received).to_string(),
            Size(it.sent).to_string(),
            spent(it),
            left(it),
        ]
    };
    let rows: Vec<_> = all.map(row).collect();
    Table {
        title: format!("{} operations", rows.len()),
        names: owned(vec![
            "OPERATION",
            "PEER",
            "STREAM",
            "AGE",
            "IN",
            "OUT",
            "SPENT",
            "LEFT",
        ]),
        rows,
    }
}

impl Table {
    /// How wide each column has to be, in characters.
    pub(super) fn widths(&self) -> Vec<usize> {
        let rows = || std::iter::once(&self.names).chain(&self.rows);
        let width = |nth: usize| {
            let cells = rows().filter_map(|row| row.get(nth));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        (0..self.names.len()).map(width).collect()
    }
}

fn owned(names: Vec<&str>) -> Vec<String> {
    names.into_iter().map(Into::into).collect()
}

/// A DID that does not fill the screen: its end tells keys apart.
fn short(did: &str) -> String {
    let did = one_line(did);
    let len = did.chars().count();
    if len == 0 {
        return "-".into();
    }
    if len <= MOST_DID {
        return did;
    }
    let front: String = did.chars().take(MOST_DID / 2).collect();
    let back: String = did.chars().skip(len - MOST_DID / 2 + 2).collect();
    format!("{front}..{back}")
}

/// For how long something has been there.
fn age(since: &str) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        return "-".into();
    };
    let seconds = Timestamp::now()
        .as_second()
        .saturating_sub(since.as_second());
    span(u64::try_from(seconds).unwrap_or(0))
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest}s"),
        (0, 0, _) => format!("{minutes}m{rest:02}s"),
        (0, ..) => format!("{hours}h{minutes:02}m"),
        _ => format!("{days}d{hours:02}h"),
    }
}

fn money(microunits: u64, currency: Option<&String>) -> String {
    let currency = currency.map_or_else(|| "USD".into(), |it| one_line(it));
    format!("{:.4} {currency}", microunits as f64 / 1e6)
}

fn spent(operation: &Operation) -> String {
    let spent = &operation.spent;
    let tokens = (spent.tokens > 0).then(|| format!("{} tokens", spent.tokens));
    let cost =
        (spent.cost_microunits > 0).then(|| money(spent.cost_microunits, spent.currency.as_ref()));
    listed(tokens.into_iter().chain(cost))
}

fn left(operation: &Operation) -> String {
    let budget = &operation.budget;
    let tokens = budget.tokens.map(|tokens| format!("{tokens} tokens"));
    let cost = budget.cost_microunits;
    let cost = cost.map(|cost| money(cost, budget.currency.as_ref()));
    let deadline = budget.deadline_ms.map(|deadline| {
        let left = deadline.saturating_sub(Timestamp::now().as_millisecond());
        span(u64::try_from(left / 1000).unwrap_or(0))
    });
    listed(tokens.into_iter().chain(cost).chain(deadline))
}

fn listed(words: impl Iterator<Item = String>) -> String {
    let words: Vec<_> = words.collect();
    match words.is_empty() {
        true => "-".into(),
        false => words.join(", "),
    }
}

/// The most characters of a DID.
const MOST_DID: usize = 32;

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn status() -> Status {
        let connection = |id: u64, peer: &str, received: u64| {
            serde_json::json!({
                "node": "127.0.0.1:4433", "id": id, "peer": peer, "address": "127.0.0.1:9",
                "since": format!("2026-01-01T00:00:0{id}.000Z"), "rtt_us": 1500 - id,
                "bytes_received": received, "bytes_sent": 10, "live_operations": 1,
                "operations": [{
                    "stream": 4, "agent": "chat", "operation": "talk", "served": true,
                    "budget": {"tokens": 90, "cost_microunits": 250_000, "currency": "EUR"},
                    "spent": {"tokens": 10},
                }],
            })
        };
        let status = serde_json::json!({
            "did": "did:key:z6MkNode", "address": "127.0.0.1:4433", "uptime_s": 3700,
            "state": "serving", "version": "9.9",
            "metrics": {
                "aire_operations_served_total": 17,
                "aire_connections_opened_total{side=\"peer\"}": 5,
                "aire_connections_opened_total{side=\"local\"}": 2,
            },
            "connections": [
                connection(1, "did:key:z6MkFirst", 1_000),
                connection(2, "did:key:z6MkAnother", 500_000),
            ],
        });
        serde_json::from_value(status).expect("a status")
    }

    fn peers(view: &View) -> Vec<&str> {
        let rows = view.connections.rows.iter();
        rows.map(|row| row[0].rsplit(':').next().unwrap_or_default())
            .collect()
    }

    #[test]
    fn connections_are_sorted_by_what_is_asked_for() {
        let status = status();
        let sorted = |sort, reverse| View::new(&status, None, sort, reverse);
        assert_eq!(
            peers(&sorted(Sort::Age, false)),
            ["z6MkFirst", "z6MkAnother"]
        );
        assert_eq!(
            peers(&sorted(Sort::Age, true)),
            ["z6MkAnother", "z6MkFirst"]
        );
        assert_eq!(
            peers(&sorted(Sort::In, false)),
            ["z6MkAnother", "z6MkFirst"]
        );
        assert_eq!(
            peers(&sorted(Sort::Peer, false)),
            ["z6MkAnother", "z6MkFirst"]
        );
        assert_eq!(
            peers(&sorted(Sort::Rtt, false)),
            ["z6MkFirst", "z6MkAnother"]
        );
        for sort in Sort::ALL {
            assert_eq!(sort.step(1).back(), sort);
        }
    }

    #[test]
    fn rates_are_what_came_since_the_last_look() {
        let mut before = status();
        before.connections[1].bytes_received = 100_000;
        let ago = Duration::from_secs(2);
        let before = Before {
            status: &before,
            ago,
        };
        let view = View::new(&status(), Some(&before), Sort::Age, false);
        let names = &view.connections.names;
        let at = names.iter().position(|name| name == "IN/S").expect("rates");
        assert_eq!(view.connections.rows[0][at], "0 B");
        assert_eq!(view.connections.rows[1][at], "200.0 kB");
        assert!(view.head[4].contains("200.0 kB/s in"), "{:?}", view.head);
    }

    #[test]
    fn budgets_and_totals_are_told() {
        let view = View::new(&status(), None, Sort::Age, false);
        let row = &view.operations.rows[0];
        assert_eq!(row[0], "chat/talk");
        assert_eq!(row[6..], ["10 tokens", "90 tokens, 0.2500 EUR"]);
        assert!(view.head[1].contains("up 1h01m"), "{:?}", view.head);
        assert!(view.head[2].contains("7 in all"), "{:?}", view.head);
        assert!(view.head[3].contains("17 served"), "{:?}", view.head);
    }

    #[test]
    fn a_long_did_is_cut_in_its_middle() {
        let did = "did:key:z6MkqWxM23zvnFMz6oZnWnPGF9jdp4g3JLK2TcJzPGevVDBY";
        let short = short(did);
        assert_eq!(short.len(), MOST_DID);
        assert!(
            short.starts_with("did:key:z6Mk") && short.ends_with("GevVDBY"),
            "{short}"
        );
    }
}
