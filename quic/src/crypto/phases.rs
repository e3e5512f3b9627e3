//! The keys of 1-RTT packets: they are renewed while the connection lives, by either end, and the
//! phase bit of a packet tells one generation from the next (RFC 9001 §6).
//!
//! Of what is read, three generations are at hand: the current, the next (made ahead, so that a
//! packet of the next takes no longer to judge than any other), and for a while the previous. What
//! is written uses one, which is the current or, when this end began an update that the peer has not
//! followed yet, the next.

use super::keys::{HeaderKey, PacketKey, SAMPLE_LEN};
use super::{Secret, hkdf};
use crate::config::Suite;
use crate::error::{Code, Fault, fault};
use crate::time::{Instant, Micros};

/// What may become of keys before they must not be used any more (RFC 9001 §6.6).
struct Limits {
    /// So many packets are sealed with one key.
    sealed: u64,
    /// So many packets fail to open, with all keys together.
    forged: u64,
}

impl Limits {
    const fn of(suite: Suite) -> Self {
        match suite {
            Suite::Aes128Gcm => Self {
                sealed: 1 << 23,
                forged: 1 << 52,
            },
            // As many packets as there are numbers.
            #[cfg(feature = "chacha20")]
            Suite::ChaCha20Poly1305 => Self {
                sealed: 1 << 62,
                forged: 1 << 36,
            },
        }
    }
}

struct Previous {
    key: PacketKey,
    until: Instant,
    /// The largest number that was opened with this key.
    largest: u64,
}

/// What opens packets.
struct Reading {
    header: HeaderKey,
    previous: Option<Previous>,
    current: PacketKey,
    next: PacketKey,
    /// What `next` was made of.
    next_secret: Secret,
    /// The current generation's bit.
    phase: bool,
    /// The smallest and the largest number that were opened with the current key.
    numbers: Option<(u64, u64)>,
}

/// What seals packets.
struct Writing {
    header: HeaderKey,
    key: PacketKey,
    secret: Secret,
    phase: bool,
    /// How many packets the key has sealed, and the first one's number.
    sealed: u64,
    first: Option<u64>,
    /// Whether the peer acknowledged one of them.
    acknowledged: bool,
}

/// A packet that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// How long its plaintext is.
    pub(crate) len: usize,
    /// Whether it was sealed with an older generation than what is written uses now: such a packet
    /// cannot acknowledge what the newer one sealed.
    pub(crate) behind: bool,
}

/// The keys of 1-RTT packets, both ways.
pub(crate) struct OneRtt {
    suite: Suite,
    read: Reading,
    write: Writing,
    /// Whether any update has happened.
    updated: bool,
    /// How many packets failed to open.
    forged: u64,
}

/// Which of the read keys a packet is tried with.
enum Which {
    Previous,
    Current,
    Next,
}

impl OneRtt {
    pub(crate) fn new(suite: Suite, client: &Secret, server: &Secret) -> Self {
        let next_secret = following(server);
        Self {
            suite,
            read: Reading {
                header: HeaderKey::new(suite, server),
                previous: None,
                current: PacketKey::new(suite, server),
                next: PacketKey::new(suite, &next_secret),
                next_secret,
                phase: false,
                numbers: None,
            },
            write: Writing {
                header: HeaderKey::new(suite, client),
                key: PacketKey::new(suite, client),
                secret: client.clone(),
                phase: false,
                sealed: 0,
                first: None,
                acknowledged: false,
            },
            updated: false,
            forged: 0,
        }
    }

    /// The mask of a packet that is written.
    pub(crate) fn write_mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.write.header.mask(self.suite, sample)
    }

    /// The mask of a packet that is read.
    pub(crate) fn read_mask(&self, sample: &[u8; SAMPLE_LEN]) -> [u8; 5] {
        self.read.header.mask(self.suite, sample)
    }

    /// The phase bit of a packet that is sealed now.
    pub(crate) const fn phase(&self) -> bool {
        self.write.phase
    }

    /// Seals `body`, whose last 16 bytes are free, as packet `number`.
    ///
    /// # Errors
    /// `AEAD_LIMIT_REACHED` when the key has sealed as many as it may. `INTERNAL_ERROR` when `body`
    /// has no room.
    pub(crate) fn seal(
        &mut self,
        number: u64,
        header: &[u8],
        body: &mut [u8],
    ) -> Result<(), Fault> {
        if self.write.sealed >= Limits::of(self.suite).sealed {
            return Err(fault!(
                Code::AEAD_LIMIT_REACHED,
                "the key has sealed as many packets as it may"
            ));
        }
        self.write
            .key
            .seal(self.suite, number, header, body)
            .ok_or(fault!(Code::INTERNAL_ERROR, "no room for a tag"))?;
        self.write.sealed = self.write.sealed.saturating_add(1);
        self.write.first.get_or_insert(number);
        Ok(())
    }

    /// Opens `body` of packet `number` with the generation that its `phase` bit and its number tell.
    /// `None` when it is not authentic; `body` is as it was then. `pto` is the peer's probe timeout
    /// by now: keys that an update made old are kept for three of it.
    ///
    /// # Errors
    /// `KEY_UPDATE_ERROR` when the peer updates too early or goes back. `AEAD_LIMIT_REACHED` when
    /// more packets failed to open than may.
    pub(crate) fn open(
        &mut self,
        number: u64,
        phase: bool,
        header: &[u8],
        body: &mut [u8],
        now: Instant,
        pto: Micros,
    ) -> Result<Option<Read>, Fault> {
        self.forget_previous(now);
        let which = self.which(number, phase);
        let key = match (&which, &self.read.previous) {
            (Which::Previous, Some(previous)) => &previous.key,
            // The old key is gone. With this one the packet fails, and takes as long as any other.
            (Which::Previous | Which::Current, _) => &self.read.current,
            (Which::Next, _) => &self.read.next,
        };
        let Some(len) = key.open(self.suite, number, header, body) else {
            return self.count_forged();
        };
        match which {
            Which::Previous => self.opened_previous(number),
            Which::Current => self.opened_current(number)?,
            Which::Next => self.opened_next(number, now.after(pto.times(3)))?,
        }
        let behind = matches!(which, Which::Previous) || self.read.phase != self.write.phase;
        Ok(Some(Read { len, behind }))
    }

    /// Takes note that the peer acknowledged `largest`, in a packet that was `behind` or not.
    ///
    /// # Errors
    /// `KEY_UPDATE_ERROR` when the peer has a packet of the newer generation, but did not follow.
    pub(crate) fn on_acked(&mut self, largest: u64, behind: bool) -> Result<(), Fault> {
        if self.write.first.is_none_or(|first| largest < first) {
            return Ok(());
        }
        if behind {
            return Err(fault!(
                Code::KEY_UPDATE_ERROR,
                "an acknowledgment is sealed with older keys"
            ));
        }
        self.write.acknowledged = true;
        Ok(())
    }

    /// Whether the write key is worn to half of what it may seal: time to [`Self::initiate`].
    pub(crate) const fn wants_update(&self) -> bool {
        self.write.sealed >= Limits::of(self.suite).sealed >> 1
    }

    /// Begins an update; the caller has seen to it that the handshake is confirmed. `false` while it
    /// is too early: the peer has acknowledged nothing of this phase, or packets of the phase before
    /// may still be on their way.
    pub(crate) fn initiate(&mut self, now: Instant) -> bool {
        self.forget_previous(now);
        let allowed = self.write.acknowledged
            && self.read.previous.is_none()
            && self.write.phase == self.read.phase;
        if allowed {
            self.update_write();
        }
        allowed
    }

    /// As if so many packets had been sealed.
    #[cfg(test)]
    pub(crate) const fn wear(&mut self, sealed: u64) {
        self.write.sealed = sealed;
    }

    fn forget_previous(&mut self, now: Instant) {
        if self
            .read
            .previous
            .as_ref()
            .is_some_and(|previous| now > previous.until)
        {
            self.read.previous = None;
        }
    }

    fn which(&self, number: u64, phase: bool) -> Which {
        if phase == self.read.phase {
            return Which::Current;
        }
        match self.read.numbers {
            // Without an update, there is no generation before.
            Some((smallest, _)) if self.updated && number < smallest => Which::Previous,
            _ => Which::Next,
        }
    }

    fn count_forged(&mut self) -> Result<Option<Read>, Fault> {
        self.forged = self.forged.saturating_add(1);
        if self.forged >= Limits::of(self.suite).forged {
            return Err(fault!(
                Code::AEAD_LIMIT_REACHED,
                "too many packets failed to open"
            ));
        }
        Ok(None)
    }

    fn opened_previous(&mut self, number: u64) {
        if let Some(previous) = &mut self.read.previous {
            previous.largest = previous.largest.max(number);
        }
    }

    fn opened_current(&mut self, number: u64) -> Result<(), Fault> {
        if let Some(previous) = &self.read.previous
            && number < previous.largest
        {
            return Err(fault!(
                Code::KEY_UPDATE_ERROR,
                "a packet is sealed with newer keys than a later one"
            ));
        }
        let (smallest, largest) = self.read.numbers.unwrap_or((number, number));
        self.read.numbers = Some((smallest.min(number), largest.max(number)));
        Ok(())
    }

    /// The peer went on to the next generation, and so does all that this end writes.
    fn opened_next(&mut self, number: u64, until: Instant) -> Result<(), Fault> {
        let largest = self.read.numbers.map_or(0, |(_, largest)| largest);
        if number < largest {
            return Err(fault!(
                Code::KEY_UPDATE_ERROR,
                "a packet is sealed with newer keys than a later one"
            ));
        }
        if self.write.phase == self.read.phase {
            // Only a packet of this phase can have told the peer that its last update was followed.
            if self.updated && self.write.first.is_none() {
                return Err(fault!(
                    Code::KEY_UPDATE_ERROR,
                    "keys are updated again before the last update was followed"
                ));
            }
            self.update_write();
        }
        let read = &mut self.read;
        let secret = following(&read.next_secret);
        let next = PacketKey::new(self.suite, &secret);
        let current = core::mem::replace(&mut read.next, next);
        let key = core::mem::replace(&mut read.current, current);
        read.next_secret = secret;
        read.previous = Some(Previous {
            key,
            until,
            largest,
        });
        read.phase = !read.phase;
        read.numbers = Some((number, number));
        self.updated = true;
        Ok(())
    }

    fn update_write(&mut self) {
        let write = &mut self.write;
        write.secret = following(&write.secret);
        write.key = PacketKey::new(self.suite, &write.secret);
        write.phase = !write.phase;
        write.sealed = 0;
        write.first = None;
        write.acknowledged = false;
    }
}

/// The secret of the generation after `secret`'s (RFC 9001 §6.1).
fn following(secret: &Secret) -> Secret {
    hkdf::derive(secret, b"quic ku", &[])
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::packet::rfc9001::hex;

    const PTO: Micros = Micros::from_millis(100);
    const START: Instant = Instant::from_micros(1_000_000);

    fn millis(millis: u64) -> Instant {
        START.after(Micros::from_millis(millis))
    }

    /// A client's and a server's keys.
    fn ends() -> (OneRtt, OneRtt) {
        let (client, server) = (Secret::new([1; 32]), Secret::new([2; 32]));
        (
            OneRtt::new(Suite::Aes128Gcm, &client, &server),
            OneRtt::new(Suite::Aes128Gcm, &server, &client),
        )
    }

    struct Packet {
        number: u64,
        phase: bool,
        body: Vec<u8>,
    }

    fn seal(keys: &mut OneRtt, number: u64) -> Packet {
        let mut body = std::vec![number as u8; 20];
        keys.seal(number, b"header", &mut body).unwrap();
        Packet {
            number,
            phase: keys.phase(),
            body,
        }
    }

    fn open(keys: &mut OneRtt, packet: &Packet, now: Instant) -> Result<Option<Read>, Fault> {
        let mut body = packet.body.clone();
        keys.open(packet.number, packet.phase, b"header", &mut body, now, PTO)
    }

    fn is_update_error<T: core::fmt::Debug>(result: Result<T, Fault>) -> bool {
        result.unwrap_err().code == Code::KEY_UPDATE_ERROR
    }

    const CURRENT: Result<Option<Read>, Fault> = Ok(Some(Read {
        len: 4,
        behind: false,
    }));
    const BEHIND: Result<Option<Read>, Fault> = Ok(Some(Read {
        len: 4,
        behind: true,
    }));

    /// Has `from` update, and `to` see it in packet `number` and acknowledge it in packet `number`.
    fn update(from: &mut OneRtt, to: &mut OneRtt, number: u64, now: Instant) {
        assert!(from.initiate(now));
        let packet = seal(from, number);
        assert_eq!(open(to, &packet, now), CURRENT);
        let answer = seal(to, number);
        let read = open(from, &answer, now).unwrap().unwrap();
        from.on_acked(number, read.behind).unwrap();
    }

    /// Both ends, with one packet each way, acknowledged.
    fn confirmed() -> (OneRtt, OneRtt) {
        let (mut client, mut server) = ends();
        let (ping, pong) = (seal(&mut client, 0), seal(&mut server, 0));
        assert_eq!(open(&mut server, &ping, START), CURRENT);
        assert_eq!(open(&mut client, &pong, START), CURRENT);
        client.on_acked(0, false).unwrap();
        server.on_acked(0, false).unwrap();
        (client, server)
    }

    #[test]
    fn the_next_secret_is_that_of_rfc_9001_appendix_a_5() {
        let secret = hex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b");
        assert_eq!(
            following(&Secret::new(secret.try_into().unwrap())).bytes()[..],
            hex("1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9")
        );
    }

    #[test]
    fn either_end_updates_and_the_other_follows() {
        let (mut client, mut server) = confirmed();
        let phases = |client: &OneRtt, server: &OneRtt| (client.phase(), server.phase());
        update(&mut client, &mut server, 1, START);
        assert_eq!(phases(&client, &server), (true, true));
        server.on_acked(1, false).unwrap();
        update(&mut server, &mut client, 2, millis(301));
        assert_eq!(phases(&client, &server), (false, false));
        client.on_acked(2, false).unwrap();
        update(&mut client, &mut server, 3, millis(602));
        assert_eq!(phases(&client, &server), (true, true));
    }

    #[test]
    fn both_ends_may_update_at_once() {
        let (mut client, mut server) = confirmed();
        assert!(client.initiate(START) && server.initiate(START));
        let (ping, pong) = (seal(&mut client, 1), seal(&mut server, 1));
        assert_eq!(open(&mut server, &ping, START), CURRENT);
        assert_eq!(open(&mut client, &pong, START), CURRENT);
        assert!(client.phase() && server.phase());
        let packet = seal(&mut client, 2);
        assert_eq!(open(&mut server, &packet, START), CURRENT);
    }

    #[test]
    fn an_update_waits_for_an_acknowledgment_of_the_current_phase() {
        let (mut client, mut server) = ends();
        assert!(!client.initiate(START));
        seal(&mut client, 5);
        assert!(!client.initiate(START));
        client.on_acked(4, false).unwrap();
        assert!(!client.initiate(START));
        client.on_acked(5, false).unwrap();
        update(&mut client, &mut server, 6, START);
        // The server's packets of the phase before may still come.
        assert!(!client.initiate(millis(300)));
        assert!(client.initiate(millis(301)));
    }

    #[test]
    fn old_packets_open_for_three_probe_timeouts() {
        let (mut client, mut server) = confirmed();
        let late: Vec<Packet> = (1..4).map(|number| seal(&mut server, number)).collect();
        update(&mut server, &mut client, 4, START);
        assert_eq!(open(&mut client, &late[0], START), BEHIND);
        assert_eq!(open(&mut client, &late[1], millis(300)), BEHIND);
        assert_eq!(open(&mut client, &late[2], millis(301)), Ok(None));
    }

    #[test]
    fn packets_of_an_update_open_in_any_order() {
        let (mut client, mut server) = confirmed();
        let old: Vec<Packet> = (1..4).map(|number| seal(&mut server, number)).collect();
        assert!(server.initiate(START));
        let new: Vec<Packet> = (4..8).map(|number| seal(&mut server, number)).collect();
        for (packet, expected) in [
            (&old[1], CURRENT),
            (&new[2], CURRENT),
            (&old[0], BEHIND),
            (&new[0], CURRENT),
            (&old[2], BEHIND),
            (&new[3], CURRENT),
            (&new[1], CURRENT),
        ] {
            assert_eq!(
                open(&mut client, packet, START),
                expected,
                "{}",
                packet.number
            );
        }
    }

    #[test]
    fn a_packet_is_behind_until_the_peer_follows_our_update() {
        let (mut client, mut server) = confirmed();
        let before = seal(&mut server, 1);
        assert!(client.initiate(START));
        let packet = seal(&mut client, 1);
        assert_eq!(open(&mut client, &before, START), BEHIND);
        assert!(client.on_acked(0, true).is_ok());
        assert!(is_update_error(client.on_acked(1, true)));
        open(&mut server, &packet, START).unwrap().unwrap();
        let answer = seal(&mut server, 2);
        assert_eq!(open(&mut client, &answer, START), CURRENT);
        assert!(client.on_acked(1, false).is_ok());
    }

    #[test]
    fn two_updates_without_one_of_our_packets_between_are_an_error() {
        let (mut client, mut server) = confirmed();
        assert!(server.initiate(START));
        let packet = seal(&mut server, 1);
        assert_eq!(open(&mut client, &packet, START), CURRENT);
        server.update_write();
        // A server that follows the rules keeps the previous phase's bit apart by numbers alone.
        let packet = seal(&mut server, 2);
        assert!(is_update_error(open(&mut client, &packet, START)));
    }

    #[test]
    fn newer_keys_under_an_older_number_are_an_error() {
        let (mut client, mut server) = confirmed();
        let later = seal(&mut server, 9);
        assert_eq!(open(&mut client, &later, START), CURRENT);
        assert!(server.initiate(START));
        let packet = seal(&mut server, 8);
        assert!(is_update_error(open(&mut client, &packet, START)));

        let (mut client, mut server) = confirmed();
        let old = seal(&mut server, 5);
        assert!(server.initiate(START));
        let (new, wrong) = (seal(&mut server, 6), seal(&mut server, 4));
        assert_eq!(open(&mut client, &new, START), CURRENT);
        assert_eq!(open(&mut client, &old, START), BEHIND);
        assert!(is_update_error(open(&mut client, &wrong, START)));
    }

    #[test]
    fn a_forged_phase_bit_changes_nothing() {
        let (mut client, mut server) = confirmed();
        let mut packet = seal(&mut server, 1);
        packet.phase = true;
        assert_eq!(open(&mut client, &packet, START), Ok(None));
        assert!(!client.phase());
        packet.phase = false;
        assert_eq!(open(&mut client, &packet, START), CURRENT);
    }

    #[test]
    fn a_key_seals_so_many_packets_and_an_update_begins_to_count_anew() {
        let (mut client, mut server) = confirmed();
        client.write.sealed = (1 << 22) - 1;
        assert!(!client.wants_update());
        seal(&mut client, 1);
        assert!(client.wants_update());
        client.write.sealed = (1 << 23) - 1;
        seal(&mut client, 2);
        let refused = client.seal(3, b"header", &mut [0; 20]);
        assert_eq!(refused.unwrap_err().code, Code::AEAD_LIMIT_REACHED);
        update(&mut client, &mut server, 3, START);
        assert!(!client.wants_update());
        seal(&mut client, 4);
    }

    #[test]
    fn so_many_forgeries_end_the_connection() {
        let (mut client, mut server) = confirmed();
        let mut packet = seal(&mut server, 1);
        packet.body[0] ^= 1;
        client.forged = (1 << 52) - 2;
        assert_eq!(open(&mut client, &packet, START), Ok(None));
        let refused = open(&mut client, &packet, START);
        assert_eq!(refused.unwrap_err().code, Code::AEAD_LIMIT_REACHED);
    }
}
