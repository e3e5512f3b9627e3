//! The metrics one by one, each with its name, its labels, and what it means: what every way to
//! show them is made from.

use super::Metrics;

/// What may happen to a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// One number, and what it is of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The metric: letters, digits and `_`, with its unit. Samples of one name stand together.
    pub name: &'static str,
    /// What the metric counts.
    pub help: &'static str,
    /// What may happen to it.
    pub kind: Kind,
    /// Which of the metric's numbers this is: names and values.
    pub labels: Vec<(&'static str, &'static str)>,
    /// In the unit of the metric: bytes, seconds, or a count.
    pub value: f64,
}

impl Metrics {
    /// All metrics one by one, those of one name together.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        let mut list = List(Vec::new());
        self.connections(&mut list);
        self.operations(&mut list);
        self.bytes_and_frames(&mut list);
        self.stalls(&mut list);
        list.0
    }

    fn connections(&self, list: &mut List) {
        let sides = [
            ("peer", self.connections_accepted),
            ("local", self.connections_dialled),
        ];
        list.labelled(
            "aire_connections_opened_total",
            "Connections that were begun, by the side that began them.",
            "side",
            sides,
        );
        list.gauge(
            "aire_connections_open",
            "Connections now, those among them whose handshake goes on.",
            self.connections_open,
        );
        list.labelled(
            "aire_handshakes_failed_total",
            "Connections that ended before both HELLOs were good, by the reason.",
            "reason",
            self.handshakes_failed.each(),
        );
        list.counter(
            "aire_replays_rejected_total",
            "HELLOs whose nonce was heard before, or could not be remembered.",
            self.handshakes_failed.replayed_nonce,
        );
        list.counter(
            "aire_connections_rate_limited_total",
            "Packets that would have begun a connection, from sources that begin too many.",
            self.rate_limited,
        );
    }

    fn operations(&self, list: &mut List) {
        list.counter(
            "aire_operations_served_total",
            "Operations that peers opened.",
            self.served,
        );
        list.gauge(
            "aire_operations_live",
            "Operations now, of either side.",
            self.operations_live,
        );
        list.labelled(
            "aire_operations_ended_total",
            "Operations of peers that ended, by how.",
            "outcome",
            self.operations_ended.each(),
        );
        let counters = [
            (
                "aire_operations_detached_total",
                "Operations that went on without their connection.",
                self.detached,
            ),
            (
                "aire_operations_resumed_total",
                "Operations that were resumed.",
                self.resumed,
            ),
            (
                "aire_resumes_refused_total",
                "RESUME frames that were refused.",
                self.resumes_refused,
            ),
            (
                "aire_resume_store_failures_total",
                "Operations that cannot be resumed because their store failed.",
                self.store_failures,
            ),
            (
                "aire_operations_delegated_total",
                "Operations handed on to other nodes.",
                self.delegated,
            ),
            (
                "aire_delegation_circles_refused_total",
                "Operations refused because they came in a circle, or from too far.",
                self.circles_refused,
            ),
        ];
        for (name, help, value) in counters {
            list.counter(name, help, value);
        }
    }

    fn bytes_and_frames(&self, list: &mut List) {
        let traffic = &self.traffic;
        list.labelled(
            "aire_udp_bytes_total",
            "Bytes of UDP payload.",
            "direction",
            directions(traffic.bytes_received, traffic.bytes_sent),
        );
        list.labelled(
            "aire_udp_datagrams_total",
            "UDP datagrams.",
            "direction",
            directions(traffic.datagrams_received, traffic.datagrams_sent),
        );
        list.labelled(
            "aire_stream_payload_bytes_total",
            "Bytes of payload in STREAM frames.",
            "direction",
            directions(traffic.stream_bytes_received, traffic.stream_bytes_sent),
        );
        let received = self.frames_received.each();
        let sent = self.frames_sent.each();
        let all = received
            .map(|frame| ("received", frame))
            .chain(sent.map(|frame| ("sent", frame)));
        for (direction, (frame, value)) in all {
            list.0.push(Sample {
                name: "aire_frames_total",
                help: "AIRE frames, by their type.",
                kind: Kind::Counter,
                labels: vec![("direction", direction), ("type", frame)],
                value: number(value),
            });
        }
    }

    fn stalls(&self, list: &mut List) {
        list.labelled(
            "aire_stalls_total",
            "How often a producer waited, by what it waited for.",
            "layer",
            [
                ("budget", self.budget_stalls),
                ("transport", self.transport_stalls),
            ],
        );
        let stalled = [
            ("budget", self.budget_stalled),
            ("transport", self.transport_stalled),
        ];
        for (layer, time) in stalled {
            list.0.push(Sample {
                name: "aire_stalled_seconds_total",
                help: "For how long producers waited, by what they waited for.",
                kind: Kind::Counter,
                labels: vec![("layer", layer)],
                value: time.as_secs_f64(),
            });
        }
    }
}

struct List(Vec<Sample>);

impl List {
    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.push(name, help, Kind::Counter, Vec::new(), value);
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.push(name, help, Kind::Gauge, Vec::new(), value);
    }

    fn labelled(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        counts: impl IntoIterator<Item = (&'static str, u64)>,
    ) {
        for (of, value) in counts {
            self.push(name, help, Kind::Counter, vec![(label, of)], value);
        }
    }

    fn push(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: Kind,
        labels: Vec<(&'static str, &'static str)>,
        value: u64,
    ) {
        self.0.push(Sample {
            name,
            help,
            kind,
            labels,
            value: number(value),
        });
    }
}

const fn directions(received: u64, sent: u64) -> [(&'static str, u64); 2] {
    [("received", received), ("sent", sent)]
}

/// Past 2^53 the last digits are rounded, as whoever reads metrics rounds them too.
#[allow(clippy::cast_precision_loss)]
const fn number(count: u64) -> f64 {
    count as f64
}
