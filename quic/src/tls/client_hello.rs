//! ClientHello: what is offered (RFC 8446 §4.1.2, RFC 9001 §8).

use super::codes::{self, extension, message};
use super::exchange::PrivateKeys;
use super::schedule::{self, Transcript};
use super::ticket::Offer;
use crate::coding::Writer;
use crate::config::{Config, Group};

/// The binders' part of the message: two lengths and one binder. The binder's own hash ends in
/// front of it (§4.2.11.2).
const BINDERS: usize = 2 + 1 + 32;

/// What a ClientHello says beside the configuration.
pub(super) struct Hello<'a> {
    pub(super) random: &'a [u8; 32],
    pub(super) keys: &'a PrivateKeys,
    /// The group of the key share.
    pub(super) group: Group,
    /// QUIC's transport parameters, encoded.
    pub(super) parameters: &'a [u8],
    /// HelloRetryRequest's cookie; empty when there was none.
    pub(super) cookie: &'a [u8],
}

impl Hello<'_> {
    /// Writes the message and adds it to `transcript`. `None` when it does not fit, or the
    /// configuration has nothing to offer.
    pub(super) fn write(
        &self,
        config: &Config<'_>,
        transcript: &mut Transcript,
        out: &mut Writer<'_>,
    ) -> Option<()> {
        if config.suites.is_empty() || config.alpn.is_empty() {
            return None;
        }
        let start = out.len();
        out.u8(message::CLIENT_HELLO)?;
        let body = Length::open(3, out)?;
        out.u16(codes::LEGACY_VERSION)?;
        out.bytes(self.random)?;
        // No session id: QUIC has no use for one (RFC 9001 §8.4).
        out.u8(0)?;
        let suites = Length::open(2, out)?;
        for suite in config.suites {
            out.u16(codes::suite(*suite))?;
        }
        suites.close(out)?;
        // One compression method: none.
        out.bytes(&[1, 0])?;
        let offer = Offer::of(config);
        let extensions = Length::open(2, out)?;
        self.write_extensions(config, out)?;
        if let Some(offer) = &offer {
            write_pre_shared_key(offer, out)?;
        }
        extensions.close(out)?;
        body.close(out)?;
        if let Some(offer) = &offer {
            bind(offer, start, transcript, out)?;
        }
        transcript.add(out.written().get(start..)?);
        Some(())
    }

    fn write_extensions(&self, config: &Config<'_>, out: &mut Writer<'_>) -> Option<()> {
        if let Some(name) = dns_name(config.server_name) {
            let name = name.as_bytes();
            // A list of one name of the type host_name, 0.
            let list = len(name.len().saturating_add(3))?;
            let parts = [&list, &[0][..], &len(name.len())?, name];
            write_extension(extension::SERVER_NAME, &parts, out)?;
        }
        write_numbers(
            extension::SUPPORTED_GROUPS,
            config.groups.iter().map(|group| codes::group(*group)),
            out,
        )?;
        write_numbers(
            extension::SIGNATURE_ALGORITHMS,
            codes::SCHEMES.iter().copied(),
            out,
        )?;
        let name_len = u8::try_from(config.alpn.len()).ok()?;
        let list = len(config.alpn.len().saturating_add(1))?;
        let parts = [&list, &[name_len][..], config.alpn];
        write_extension(extension::ALPN, &parts, out)?;
        let [high, low] = codes::TLS_1_3.to_be_bytes();
        write_extension(extension::SUPPORTED_VERSIONS, &[&[2, high, low]], out)?;
        self.write_key_share(out)?;
        // Who does not know the time cannot keep a ticket, and asks for none.
        if config.unix_time.is_some() {
            let parts = [&[1, codes::PSK_DHE_KE][..]];
            write_extension(extension::PSK_KEY_EXCHANGE_MODES, &parts, out)?;
        }
        if !self.cookie.is_empty() {
            let parts = [&len(self.cookie.len())?, self.cookie];
            write_extension(extension::COOKIE, &parts, out)?;
        }
        write_extension(
            extension::QUIC_TRANSPORT_PARAMETERS,
            &[self.parameters],
            out,
        )
    }

    fn write_key_share(&self, out: &mut Writer<'_>) -> Option<()> {
        let content = open_extension(extension::KEY_SHARE, out)?;
        let list = Length::open(2, out)?;
        out.u16(codes::group(self.group))?;
        let share = Length::open(2, out)?;
        self.keys.write_public(self.group, out)?;
        share.close(out)?;
        list.close(out)?;
        content.close(out)
    }
}

/// A length in two bytes.
fn len(len: usize) -> Option<[u8; 2]> {
    Some(u16::try_from(len).ok()?.to_be_bytes())
}

/// Writes an extension of type `kind` whose content is `parts`, one behind the other.
fn write_extension(kind: u16, parts: &[&[u8]], out: &mut Writer<'_>) -> Option<()> {
    let content = open_extension(kind, out)?;
    for part in parts {
        out.bytes(part)?;
    }
    content.close(out)
}

/// Writes an extension of type `kind` that is a list of numbers.
fn write_numbers(
    kind: u16,
    numbers: impl Iterator<Item = u16>,
    out: &mut Writer<'_>,
) -> Option<()> {
    let content = open_extension(kind, out)?;
    let list = Length::open(2, out)?;
    for number in numbers {
        out.u16(number)?;
    }
    list.close(out)?;
    content.close(out)
}

/// Writes the extension with `offer`, which must be the last one, and leaves zeros for the binder.
fn write_pre_shared_key(offer: &Offer<'_>, out: &mut Writer<'_>) -> Option<()> {
    let content = open_extension(extension::PRE_SHARED_KEY, out)?;
    let identities = Length::open(2, out)?;
    let identity = Length::open(2, out)?;
    out.bytes(offer.ticket)?;
    identity.close(out)?;
    out.u32(offer.age)?;
    identities.close(out)?;
    let binders = Length::open(2, out)?;
    out.u8(32)?;
    out.bytes(&[0; 32])?;
    binders.close(out)?;
    content.close(out)
}

/// Fills in the binder at the end of the message that begins at `start`.
fn bind(
    offer: &Offer<'_>,
    start: usize,
    transcript: &Transcript,
    out: &mut Writer<'_>,
) -> Option<()> {
    let message = out.written_mut().get_mut(start..)?;
    let (bound, binders) = message.split_last_chunk_mut::<BINDERS>()?;
    let binder = schedule::binder(&offer.psk, &transcript.hash_with(bound));
    *binders.last_chunk_mut()? = binder;
    Some(())
}

/// The name to send as SNI: a DNS name without its final dot (RFC 6066 §3), not an address.
pub(super) fn dns_name(name: &str) -> Option<&str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut labels = name.as_bytes().rsplit(|&byte| byte == b'.');
    let is_address =
        name.bytes().any(|byte| byte == b':') || labels.next()?.iter().all(u8::is_ascii_digit);
    // An empty name has an empty last label, which is all digits.
    (!is_address).then_some(name)
}

fn open_extension(kind: u16, out: &mut Writer<'_>) -> Option<Length> {
    out.u16(kind)?;
    Length::open(2, out)
}

/// A length that is written once what it counts is there.
#[must_use]
struct Length {
    at: usize,
    width: usize,
}

impl Length {
    /// Leaves `width` bytes for it, 4 at the most.
    fn open(width: usize, out: &mut Writer<'_>) -> Option<Self> {
        let at = out.len();
        out.reserve(width)?;
        Some(Self { at, width })
    }

    /// `None` when there is more behind it than it can count.
    fn close(self, out: &mut Writer<'_>) -> Option<()> {
        let all = out.written_mut().get_mut(self.at..)?;
        let (field, counted) = all.split_at_mut_checked(self.width)?;
        let mut left = counted.len();
        for byte in field.iter_mut().rev() {
            *byte = left as u8;
            left >>= 8;
        }
        (left == 0).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dns_names_are_sent_as_sni() {
        assert_eq!(dns_name("a.example"), Some("a.example"));
        assert_eq!(dns_name("a.example."), Some("a.example"));
        assert_eq!(dns_name("localhost"), Some("localhost"));
        assert_eq!(dns_name("4.example"), Some("4.example"));
        for none in ["", ".", "192.0.2.1", "2001:db8::1", "::1", "10"] {
            assert_eq!(dns_name(none), None);
        }
    }

    #[test]
    fn a_length_that_cannot_count_its_content_is_none() {
        let mut out = [0; 300];
        let mut writer = Writer::new(&mut out);
        let length = Length::open(1, &mut writer);
        assert!(writer.reserve(256).is_some());
        assert!(length.is_some_and(|length| length.close(&mut writer).is_none()));
        writer.truncate(1);
        assert!(writer.reserve(255).is_some());
        let length = Length { at: 0, width: 1 };
        assert!(length.close(&mut writer).is_some());
        assert_eq!(writer.written().first(), Some(&255));
    }
}
