//! The server: what it knows, what it heard, what it sends.

use std::vec;
use std::vec::Vec;

use aes_gcm::aead::{AeadInOut, KeyInit};

use super::frames;
use super::parameters::Parameters;
use super::wire::{self, Wire};
use crate::coding::Reader;
use crate::crypto::{Keys, Pair, Secret, hkdf};
use crate::frame::Frame;
use crate::recovery::Space;
use crate::tls::support::{Server as Tls, counted};
use crate::tls::{Level, support};

/// A packet of the client's.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) space: Space,
    pub(crate) number: u64,
    pub(crate) phase: bool,
    pub(crate) destination: Vec<u8>,
    pub(crate) token: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    /// How long the datagram was that it came in.
    pub(crate) datagram_len: usize,
}

impl Heard {
    /// All frames but PADDING.
    pub(crate) fn frames(&self) -> Vec<Frame<'_>> {
        let mut reader = Reader::new(&self.payload);
        let mut all = vec![];
        while !reader.is_empty() {
            let frame = Frame::read(&mut reader, &mut 0).expect("a client's frames parse");
            if !matches!(frame, Frame::Padding) {
                all.push(frame);
            }
        }
        all
    }

    pub(crate) fn is_ack_eliciting(&self) -> bool {
        self.frames().iter().any(Frame::is_ack_eliciting)
    }
}

/// Keys of one level, the server's way round.
struct Ends {
    write: Keys,
    read: Keys,
}

/// A server with one client.
pub(crate) struct Server {
    pub(crate) tls: Tls,
    pub(crate) parameters: Parameters,
    /// The id that it gives itself.
    pub(crate) id: Vec<u8>,
    /// Retry's id, where it sent one: what the client's next Initial packets go to.
    pub(crate) retry_id: Option<Vec<u8>>,
    /// What the client's first packet went to.
    pub(crate) original: Vec<u8>,
    /// Where to send to: the client's first id.
    pub(crate) client_id: Vec<u8>,
    initial: Option<Ends>,
    handshake: Option<Ends>,
    /// Of each generation: the keys that seal, and those that open.
    application: Vec<Ends>,
    secrets: Option<(Secret, Secret)>,
    /// The generation that it seals with.
    pub(crate) generation: usize,
    pub(crate) next: [u64; 3],
    pub(crate) heard: Vec<Heard>,
    /// All ids of its own that it ever gave, the first in front.
    pub(crate) given: Vec<Vec<u8>>,
    /// The client's handshake bytes, at the Initial and at the Handshake level.
    crypto: [Vec<Option<u8>>; 2],
    /// Its own flight: level, offset, bytes.
    pub(crate) flight: Vec<(Space, u64, Vec<u8>)>,
    pub(crate) finished: bool,
}

impl Server {
    pub(crate) fn new() -> Self {
        let mut tls = Tls::new();
        tls.expected = None;
        Self {
            tls,
            parameters: Parameters::usual(),
            id: b"server-1".to_vec(),
            retry_id: None,
            original: vec![],
            client_id: vec![],
            initial: None,
            handshake: None,
            application: vec![],
            secrets: None,
            generation: 0,
            next: [0; 3],
            heard: vec![],
            given: vec![vec![]],
            crypto: [vec![], vec![]],
            flight: vec![],
            finished: false,
        }
    }

    /// Reads a client's datagram, and holds it to the rules that bind a client.
    pub(crate) fn hear(&mut self, datagram: &[u8]) {
        assert!(datagram.len() <= 1200);
        self.given[0].clone_from(&self.id);
        let packets = wire::split(datagram, &self.given);
        let initial = packets.iter().any(|packet| packet.space == Space::Initial);
        assert!(!initial || datagram.len() == 1200, "a short Initial");
        for packet in packets {
            if self.original.is_empty() && self.initial.is_none() {
                self.original = packet.destination().to_vec();
                self.client_id.clone_from(&packet.source);
                self.initial = Some(initial_ends(&self.original));
            }
            let keys: Vec<&Keys> = match packet.space {
                Space::Initial => self.initial.iter().map(|ends| &ends.read).collect(),
                Space::Handshake => self.handshake.iter().map(|ends| &ends.read).collect(),
                Space::Application => self.application.iter().map(|ends| &ends.read).collect(),
            };
            let opened = packet.open(&keys).expect("a client's packets open");
            assert!(!opened.payload.is_empty());
            let heard = Heard {
                space: packet.space,
                number: opened.number,
                phase: opened.phase,
                destination: opened.destination,
                token: packet.token,
                payload: opened.payload,
                datagram_len: datagram.len(),
            };
            // Only the client's first id is ever said in a long header.
            assert!(heard.space == Space::Application || packet.source == self.client_id);
            for frame in heard.frames() {
                assert!(heard.space == Space::Application || frame.may_come_in_the_handshake());
                if let Frame::Crypto { offset, data } = frame {
                    self.hear_crypto(heard.space, offset as usize, data);
                }
            }
            let fresh = self
                .heard
                .iter()
                .all(|other| (other.space, other.number) != (heard.space, heard.number));
            assert!(fresh, "a packet number was used twice");
            self.heard.push(heard);
        }
    }

    fn hear_crypto(&mut self, space: Space, offset: usize, data: &[u8]) {
        assert_ne!(
            space,
            Space::Application,
            "a client has nothing to say there"
        );
        let bytes = &mut self.crypto[usize::from(space == Space::Handshake)];
        bytes.resize(bytes.len().max(offset + data.len()), None);
        for (at, byte) in data.iter().enumerate() {
            let known = bytes[offset + at].get_or_insert(*byte);
            assert_eq!(known, byte, "handshake bytes changed");
        }
    }

    /// The client's handshake bytes without a gap.
    pub(crate) fn handshake_bytes(&self, space: Space) -> Vec<u8> {
        let bytes = &self.crypto[usize::from(space == Space::Handshake)];
        bytes.iter().map_while(|byte| *byte).collect()
    }

    /// The whole ClientHello behind the first `skipped` bytes.
    pub(crate) fn hello(&self, skipped: usize) -> Option<Vec<u8>> {
        let bytes = self.handshake_bytes(Space::Initial);
        let rest = bytes.get(skipped..)?;
        let [_, a, b, c] = *rest.first_chunk()?;
        let len = u32::from_be_bytes([0, a, b, c]) as usize + 4;
        rest.get(..len).map(<[u8]>::to_vec)
    }

    /// Fills in the connection ids' parameters, unless a test did.
    pub(crate) fn set_ids(&mut self) {
        let (original, id) = (self.original.clone(), self.id.clone());
        self.parameters.set(0x00, &original);
        self.parameters.set(0x0f, &id);
        if let Some(retry_id) = self.retry_id.clone() {
            self.parameters.set(0x10, &retry_id);
        }
    }

    /// Answers the hello behind the first `skipped` bytes: the flight is made, and the keys are
    /// there, when it is not a HelloRetryRequest.
    pub(crate) fn answer(&mut self, skipped: usize) {
        let hello = self.hello(skipped).expect("the hello is there");
        self.tls.parameters = self.parameters.encode();
        let mut offsets = [0; 2];
        for (space, offset, bytes) in &self.flight {
            offsets[usize::from(*space == Space::Handshake)] = offset + bytes.len() as u64;
        }
        for (level, message) in self.tls.answer(&hello) {
            let space = match level {
                Level::Initial => Space::Initial,
                _ => Space::Handshake,
            };
            let offset = &mut offsets[usize::from(space == Space::Handshake)];
            let len = message.len() as u64;
            self.flight.push((space, *offset, message));
            *offset += len;
        }
        if let Some(secrets) = self.tls.secrets() {
            let suite = self.tls.suite;
            let ends = |client: [u8; 32], server: [u8; 32]| Ends {
                write: Keys::new(suite, &Secret::new(server)),
                read: Keys::new(suite, &Secret::new(client)),
            };
            self.handshake = Some(ends(secrets.handshake.0, secrets.handshake.1));
            let (client, server) = secrets.application;
            self.application = vec![ends(client, server)];
            self.secrets = Some((Secret::new(client), Secret::new(server)));
            self.make_generation();
        }
    }

    /// The flight's bytes of one level.
    pub(crate) fn flight_of(&self, space: Space) -> Vec<u8> {
        let own = self.flight.iter().filter(|(other, ..)| *other == space);
        own.flat_map(|(_, _, bytes)| bytes.clone()).collect()
    }

    /// One generation more is at hand.
    fn make_generation(&mut self) {
        let (client, server) = self.secrets.take().unwrap();
        let next = |secret| hkdf::derive(&secret, b"quic ku", &[]);
        let (client, server) = (next(client), next(server));
        let suite = self.tls.suite;
        self.application.push(Ends {
            write: Keys::new(suite, &server),
            read: Keys::new(suite, &client),
        });
        self.secrets = Some((client, server));
    }

    /// Goes on to the next generation of keys, whether that is allowed or not.
    pub(crate) fn update_keys(&mut self) {
        self.generation += 1;
        self.make_generation();
    }

    /// Takes the client's Finished when it is there.
    pub(crate) fn finish(&mut self) -> bool {
        if !self.finished {
            let sent = self.handshake_bytes(Space::Handshake);
            let least = if self.tls.request { 44 } else { 36 };
            if self.tls.secrets().is_some() && sent.len() >= least {
                self.tls.finish(&sent);
                self.finished = true;
            }
        }
        self.finished
    }

    /// A packet as it should be, still to be spoiled.
    pub(crate) fn draft(&mut self, space: Space, payload: &[u8]) -> Wire {
        let mut reader = Reader::new(payload);
        while let Some(frame) = Frame::read(&mut reader, &mut 0) {
            if let Frame::NewConnectionId(new) = frame {
                self.given.push(new.id.to_vec());
            }
        }
        let next = &mut self.next[index(space)];
        let number = *next;
        *next += 1;
        let phase = space == Space::Application && self.generation % 2 == 1;
        Wire {
            space,
            bits: if phase { 0x04 } else { 0 },
            version: 1,
            destination: self.client_id.clone(),
            source: self.id.clone(),
            token: vec![],
            number,
            payload: payload.to_vec(),
        }
    }

    pub(crate) fn seal(&self, packet: &Wire) -> Vec<u8> {
        self.seal_as(packet, self.generation)
    }

    /// Seals with the keys of one generation.
    pub(crate) fn seal_as(&self, packet: &Wire, generation: usize) -> Vec<u8> {
        let (keys, header) = match packet.space {
            Space::Initial => (&self.initial, &self.initial),
            Space::Handshake => (&self.handshake, &self.handshake),
            Space::Application => {
                let (keys, header) = (&self.application[generation], &self.application[0]);
                return packet.seal(&keys.write, &header.write);
            }
        };
        let (keys, header) = (keys.as_ref().unwrap(), header.as_ref().unwrap());
        packet.seal(&keys.write, &header.write)
    }

    /// A good packet with `payload`.
    pub(crate) fn packet(&mut self, space: Space, payload: &[u8]) -> Vec<u8> {
        let packet = self.draft(space, payload);
        self.seal(&packet)
    }

    pub(crate) fn has_keys(&self, space: Space) -> bool {
        match space {
            Space::Initial => self.initial.is_some(),
            Space::Handshake => self.handshake.is_some(),
            Space::Application => !self.application.is_empty(),
        }
    }

    /// An ACK of all that was heard in `space`; nothing when nothing was.
    pub(crate) fn ack(&self, space: Space) -> Vec<u8> {
        let mut numbers: Vec<u64> = self
            .heard
            .iter()
            .filter(|heard| heard.space == space)
            .map(|heard| heard.number)
            .collect();
        numbers.sort_unstable();
        frames::ack(&numbers)
    }

    /// A Retry from `id`. The client's next Initial packets are expected there.
    pub(crate) fn retry(&mut self, id: &[u8], token: &[u8]) -> Vec<u8> {
        let packet = retry(&self.original, &self.client_id, id, token);
        self.retry_id = Some(id.to_vec());
        self.initial = Some(initial_ends(id));
        packet
    }

    /// A Version Negotiation packet.
    pub(crate) fn versions(&self, versions: &[u32]) -> Vec<u8> {
        let mut packet = vec![0x80, 0, 0, 0, 0];
        packet.extend(counted(1, &self.client_id));
        packet.extend(counted(1, &self.original));
        for version in versions {
            packet.extend(version.to_be_bytes());
        }
        packet
    }

    /// A NewSessionTicket message.
    pub(crate) fn ticket(&self, ticket: &[u8]) -> Vec<u8> {
        self.tls.ticket(ticket, 60).0
    }
}

/// A Retry packet with a true tag.
pub(crate) fn retry(original: &[u8], destination: &[u8], source: &[u8], token: &[u8]) -> Vec<u8> {
    let mut packet = vec![0xf0, 0, 0, 0, 1];
    packet.extend(counted(1, destination));
    packet.extend(counted(1, source));
    packet.extend(token);
    let mut covered = counted(1, original);
    covered.extend(&packet);
    // RFC 9001 §5.8.
    let key = support::hex("be0c690b9f66575a1d766b54e368c84e");
    let nonce: [u8; 12] = support::hex("461599d35d632bf2239825bb").try_into().unwrap();
    let tag = aes_gcm::Aes128Gcm::new_from_slice(&key)
        .unwrap()
        .encrypt_inout_detached(&nonce.into(), &covered, (&mut [][..]).into())
        .unwrap();
    packet.extend(tag);
    packet
}

fn initial_ends(destination: &[u8]) -> Ends {
    let Pair { write, read } = Pair::initial(destination);
    Ends {
        write: read,
        read: write,
    }
}

pub(crate) const fn index(space: Space) -> usize {
    match space {
        Space::Initial => 0,
        Space::Handshake => 1,
        Space::Application => 2,
    }
}
