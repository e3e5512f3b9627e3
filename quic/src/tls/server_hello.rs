//! ServerHello and HelloRetryRequest (RFC 8446 §4.1.3, §4.1.4): one message, two meanings.

use super::codes::{self, ILLEGAL, alert, extension, malformed};
use super::extensions::{Extensions, misplaced};
use crate::coding::Reader;
use crate::error::{Code, Fault, fault};

/// The random number that says that the message is a HelloRetryRequest: SHA-256 of
/// "HelloRetryRequest".
pub(super) const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// What a server answered.
#[derive(Debug)]
pub(super) struct ServerHello<'a> {
    /// The cipher suite that it chose.
    pub(super) suite: u16,
    pub(super) answer: Answer<'a>,
}

#[derive(Debug)]
pub(super) enum Answer<'a> {
    /// HelloRetryRequest: say hello again, with a share of `group` and with `cookie`.
    Retry {
        group: Option<u16>,
        /// Empty when there is none.
        cookie: &'a [u8],
    },
    Accept {
        /// The key share's group and public key.
        share: Option<(u16, &'a [u8])>,
        /// Which of the pre-shared keys was chosen.
        psk: Option<u16>,
    },
}

impl<'a> ServerHello<'a> {
    /// Parses the message behind its header and checks what needs no knowledge of the ClientHello.
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Fault> {
        let mut body = Reader::new(body);
        let version = body.u16().ok_or(malformed())?;
        let random: [u8; 32] = body.array().ok_or(malformed())?;
        let session = body.u8_bytes().ok_or(malformed())?;
        let suite = body.u16().ok_or(malformed())?;
        let compression = body.u8().ok_or(malformed())?;
        let mut parser = Parser {
            retry: random == RETRY,
            ..Parser::default()
        };
        for (kind, content) in Extensions::read(&mut body)? {
            parser.extension(kind, content)?;
        }
        if !body.is_empty() {
            return Err(malformed());
        }
        if !parser.is_tls_1_3 {
            return Err(fault!(Code::crypto(alert::PROTOCOL_VERSION), "not TLS 1.3"));
        }
        if version != codes::LEGACY_VERSION || compression != 0 || !session.is_empty() {
            return Err(fault!(
                ILLEGAL,
                "ServerHello is not that of TLS 1.3 in QUIC"
            ));
        }
        Ok(Self {
            suite,
            answer: parser.answer(),
        })
    }
}

#[derive(Default)]
struct Parser<'a> {
    retry: bool,
    is_tls_1_3: bool,
    group: Option<u16>,
    cookie: &'a [u8],
    share: Option<(u16, &'a [u8])>,
    psk: Option<u16>,
}

impl<'a> Parser<'a> {
    fn extension(&mut self, kind: u16, content: &'a [u8]) -> Result<(), Fault> {
        let mut content = Reader::new(content);
        match kind {
            extension::SUPPORTED_VERSIONS => {
                if content.u16().ok_or(malformed())? != codes::TLS_1_3 {
                    return Err(fault!(ILLEGAL, "the server chose another TLS version"));
                }
                self.is_tls_1_3 = true;
            }
            extension::KEY_SHARE if self.retry => {
                self.group = Some(content.u16().ok_or(malformed())?);
            }
            extension::KEY_SHARE => {
                let group = content.u16().ok_or(malformed())?;
                self.share = Some((group, content.u16_bytes().ok_or(malformed())?));
            }
            extension::COOKIE if self.retry => {
                self.cookie = content.u16_bytes().ok_or(malformed())?;
                if self.cookie.is_empty() {
                    return Err(malformed());
                }
            }
            extension::PRE_SHARED_KEY if !self.retry => {
                self.psk = Some(content.u16().ok_or(malformed())?);
            }
            other => return Err(misplaced(other)),
        }
        if content.is_empty() {
            Ok(())
        } else {
            Err(malformed())
        }
    }

    fn answer(self) -> Answer<'a> {
        if self.retry {
            Answer::Retry {
                group: self.group,
                cookie: self.cookie,
            }
        } else {
            Answer::Accept {
                share: self.share,
                psk: self.psk,
            }
        }
    }
}
