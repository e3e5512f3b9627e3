//! Values that are written as text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use axum::http::HeaderValue;
use ipnet::IpNet;
use serde::Deserialize;

/// A time: "250ms", "10s", "2m", "1h", "30d".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

impl Time {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole seconds, a part of one counted as one.
    #[must_use]
    pub fn as_seconds(self) -> u64 {
        self.0
            .as_secs()
            .saturating_add(u64::from(self.0.subsec_nanos() > 0))
    }
}

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no time: 250ms, 10s, 2m, 1h and 30d are");
        let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let millis: u64 = match text.strip_prefix(digits) {
            Some("ms") => 1,
            Some("s") => 1_000,
            Some("m") => 60_000,
            Some("h") => 3_600_000,
            Some("d") => 86_400_000,
            _ => return Err(wrong()),
        };
        if digits.starts_with('+') {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        let total = number.checked_mul(millis).filter(|total| *total <= LONGEST);
        let total = total.ok_or_else(|| format!("{text:?} is over a hundred years"))?;
        Ok(Self(Duration::from_millis(total)))
    }
}

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A hundred years, in milliseconds: so that no sum of times overflows.
const LONGEST: u64 = 100 * 366 * 86_400_000;

/// Where a registry is reached: a host in lower case, with `:port` unless it is the usual one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(String);

impl Domain {
    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no domain: example.org and localhost:4480 are");
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .bytes()
                    .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
        };
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(wrong());
        }
        let good = |port: &str| {
            !port.starts_with(['+', '0']) && port.parse::<u16>().is_ok_and(|port| port != 0)
        };
        match port {
            Some(port) if !good(port) => Err(wrong()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// A network, "10.0.0.0/8", or one address of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Network(pub IpNet);

impl Network {
    /// Whether `address` belongs to it. An IPv4 address is one however it is written.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text
            .parse()
            .map(|address: IpAddr| address.to_canonical().into());
        let network = address.or_else(|_| text.parse());
        network
            .map(Self)
            .map_err(|_| format!("{text:?} is no address or network: 127.0.0.1 and 10.0.0.0/8 are"))
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// Who may read answers in a browser: `*`, or an origin such as `https://example.org`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Origin(String);

impl Origin {
    /// Anybody.
    #[must_use]
    pub fn any() -> Self {
        Self("*".into())
    }

    /// Whether it is anybody.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }

    /// The origin as a header has it; none if it is anybody.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        if self.is_any() {
            return None;
        }
        HeaderValue::from_str(&self.0).ok()
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"));
        let good = rest.is_some_and(|host| {
            !host.is_empty()
                && host.bytes().all(|byte| {
                    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':' | b'[' | b']')
                })
        });
        if text == "*" || good {
            Ok(Self(text))
        } else {
            Err(format!(
                "{text:?} is no origin: \"*\" and \"https://example.org\" are, without a path"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [
            ("250ms", 250),
            ("0s", 0),
            ("2m", 120_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Time(Duration::from_millis(millis))));
        }
        for bad in ["", "5", "s", "-1s", "+1s", "1.5s", "1w", "99999999999d"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
        assert_eq!(Time(Duration::from_millis(1_001)).as_seconds(), 2);
    }

    #[test]
    fn a_domain_is_a_host_and_perhaps_a_port() {
        for good in ["example.org", "localhost", "localhost:4480", "a.b-c.d:1"] {
            assert_eq!(
                good.parse::<Domain>().map(|domain| domain.0),
                Ok(good.into())
            );
        }
        for bad in [
            "",
            "Example.org",
            "a..b",
            "-a.b",
            "a/b",
            "a:0",
            "a:",
            "a:70000",
            "a:b",
            "a@b",
            "[::1]",
        ] {
            assert!(bad.parse::<Domain>().is_err(), "{bad}");
        }
    }

    #[test]
    fn an_ipv4_address_is_one_however_it_is_written() {
        let network: Network = "127.0.0.0/8".parse().unwrap();
        assert!(network.contains("::ffff:127.0.0.1".parse().unwrap()));
        assert!(!network.contains("::1".parse().unwrap()));
        let one: Network = "::ffff:10.0.0.1".parse().unwrap();
        assert!(one.contains("10.0.0.1".parse().unwrap()));
        assert!(!one.contains("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn an_origin_has_no_path() {
        for good in ["*", "https://example.org", "http://localhost:3000"] {
            assert!(Origin::try_from(good.to_owned()).is_ok(), "{good}");
        }
        for bad in ["", "example.org", "https://", "https://a/b", "https://a b"] {
            assert!(Origin::try_from(bad.to_owned()).is_err(), "{bad}");
        }
    }
}
