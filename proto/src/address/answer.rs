//! What a handle's lookups answer with, both ways (`DISC-4`, `DISC-5`).

use core::fmt;

use crate::identity::{Did, MAX_DID_LEN};

/// The longest body of an answer over HTTPS, in bytes: the longest DID and its line feed.
pub const MAX_BODY_LEN: usize = MAX_DID_LEN + 1;

/// Why an answer names no DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum AnswerError {
    /// There is no TXT record.
    NoRecord,
    /// There is more than one TXT record.
    SeveralRecords,
    /// The TXT record is not exactly `did=` and a DID.
    TxtForm,
    /// The body is not exactly a DID and one line feed.
    BodyForm,
    /// The DID is over 256 bytes long.
    TooLong,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoRecord => "there is no TXT record of that name",
            Self::SeveralRecords => {
                "there are several TXT records of that name, where exactly one may be"
            }
            Self::TxtForm => "the TXT record must be did= and the DID, and nothing else",
            Self::BodyForm => "the body must be the DID and one line feed, and nothing else",
            Self::TooLong => "the DID is over 256 bytes long",
        })
    }
}

impl core::error::Error for AnswerError {}

/// The content of a handle's TXT record (`DISC-4`). Printed as `did=<DID>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct TxtRecord<'a>(pub Did<'a>);

impl<'a> TxtRecord<'a> {
    /// Reads a record's content: its character strings, joined.
    ///
    /// # Errors
    /// [`AnswerError::TxtForm`] or [`AnswerError::TooLong`].
    pub fn parse(content: &'a [u8]) -> Result<Self, AnswerError> {
        let did = content.strip_prefix(b"did=").ok_or(AnswerError::TxtForm)?;
        did_of(did, AnswerError::TxtForm).map(Self)
    }

    /// Reads the only record among all that the name has.
    ///
    /// # Errors
    /// Also [`AnswerError::NoRecord`], and [`AnswerError::SeveralRecords`] whatever is in them.
    pub fn only(records: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, AnswerError> {
        let mut records = records.into_iter();
        let content = records.next().ok_or(AnswerError::NoRecord)?;
        match records.next() {
            Some(_) => Err(AnswerError::SeveralRecords),
            None => Self::parse(content),
        }
    }
}

impl fmt::Display for TxtRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did={}", self.0)
    }
}

/// The body of an answer over HTTPS (`DISC-5`). Printed with its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct HttpsBody<'a>(pub Did<'a>);

impl<'a> HttpsBody<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// [`AnswerError::BodyForm`] or [`AnswerError::TooLong`].
    pub fn parse(body: &'a [u8]) -> Result<Self, AnswerError> {
        let did = body.strip_suffix(b"\n").ok_or(AnswerError::BodyForm)?;
        did_of(did, AnswerError::BodyForm).map(Self)
    }
}

impl fmt::Display for HttpsBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.0)
    }
}

fn did_of(bytes: &[u8], form: AnswerError) -> Result<Did<'_>, AnswerError> {
    if bytes.len() > MAX_DID_LEN {
        return Err(AnswerError::TooLong);
    }
    let text = core::str::from_utf8(bytes).map_err(|_| form)?;
    Did::parse(text).map_err(|_| form)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    const DID: &str = "did:web:example.com:alice";

    #[test]
    fn disc_4_a_txt_record_is_exactly_did_equals_and_the_did() {
        let record = TxtRecord::parse(b"did=did:web:example.com:alice").unwrap();
        assert_eq!(record.0.as_str(), DID);
        assert_eq!(record.to_string(), format!("did={DID}"));
        for bad in [
            "",
            "did=",
            DID,
            "DID=did:web:a",
            " did=did:web:a",
            "did=did:web:a ",
            "did=did:web:a\n",
            "did= did:web:a",
            "did=did:web:a;x=y",
            "did=did:web:a#key",
            "did=\"did:web:a\"",
        ] {
            let parsed = TxtRecord::parse(bad.as_bytes());
            assert_eq!(parsed, Err(AnswerError::TxtForm), "{bad}");
        }
        assert_eq!(
            TxtRecord::parse(b"did=did:web:\xff"),
            Err(AnswerError::TxtForm)
        );
    }

    #[test]
    fn disc_4_more_than_one_record_fails() {
        let (good, other): (&[u8], &[u8]) = (b"did=did:web:a", b"v=spf1");
        assert!(TxtRecord::only([good]).is_ok());
        assert_eq!(TxtRecord::only([]), Err(AnswerError::NoRecord));
        for records in [[good, good], [good, other], [other, good]] {
            assert_eq!(TxtRecord::only(records), Err(AnswerError::SeveralRecords));
        }
    }

    #[test]
    fn disc_5_a_body_is_exactly_the_did_and_one_line_feed() {
        let body = HttpsBody::parse(b"did:web:example.com:alice\n").unwrap();
        assert_eq!(body.0.as_str(), DID);
        assert_eq!(body.to_string(), format!("{DID}\n"));
        for bad in [
            "",
            "\n",
            DID,
            "did:web:a\n\n",
            "did:web:a\r\n",
            "\ndid:web:a\n",
            "did:web:a \n",
            "did=did:web:a\n",
            "\u{feff}did:web:a\n",
            "did:web:a\ndid:web:b\n",
        ] {
            let parsed = HttpsBody::parse(bad.as_bytes());
            assert_eq!(parsed, Err(AnswerError::BodyForm), "{bad:?}");
        }
        assert_eq!(
            HttpsBody::parse(b"did:web:\xff\n"),
            Err(AnswerError::BodyForm)
        );
    }

    #[test]
    fn a_did_in_an_answer_has_256_bytes_at_most() {
        let did = format!("did:web:{}", "a".repeat(MAX_DID_LEN - "did:web:".len()));
        let body = format!("{did}\n");
        assert_eq!(body.len(), MAX_BODY_LEN);
        assert!(HttpsBody::parse(body.as_bytes()).is_ok());
        assert!(TxtRecord::parse(format!("did={did}").as_bytes()).is_ok());
        assert_eq!(
            HttpsBody::parse(format!("{did}a\n").as_bytes()),
            Err(AnswerError::TooLong)
        );
        assert_eq!(
            TxtRecord::parse(format!("did={did}a").as_bytes()),
            Err(AnswerError::TooLong)
        );
    }
}
