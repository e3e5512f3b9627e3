//! Where a registry is.

use std::net::IpAddr;

use ureq::http::Uri;
use ureq::http::uri::Scheme;

use crate::Error;

/// The address of a registry, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    /// `https://host:port`.
    origin: String,
    /// What comes before the paths of section 4: empty, or `/v0`.
    prefix: String,
    /// Whether it is on this very machine.
    local: bool,
}

/// The longest address, in bytes.
const MAX_LEN: usize = 2048;

impl Base {
    /// Reads an address. One in the clear has to be on this machine, unless that is allowed.
    pub(crate) fn parse(url: &str, danger_in_the_clear: bool) -> Result<Self, Error> {
        let wrong = |why| Error::Url {
            url: url.chars().take(MAX_LEN).collect(),
            why,
        };
        if url.len() > MAX_LEN {
            return Err(wrong("it is too long"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(wrong("it does not begin with https:// and a host"));
        };
        if *scheme != Scheme::HTTPS && *scheme != Scheme::HTTP {
            return Err(wrong("it does not begin with https://"));
        }
        if authority.as_str().contains('@') {
            return Err(wrong("it has a user in it"));
        }
        if uri.query().is_some() || url.contains('#') {
            return Err(wrong("it has a query or a fragment"));
        }
        let local = is_local(authority.host());
        if *scheme == Scheme::HTTP && !local && !danger_in_the_clear {
            return Err(Error::InTheClear { url: url.into() });
        }
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            prefix: uri.path().trim_end_matches('/').into(),
            local,
        })
    }

    /// The path with query as the request line has it.
    pub(crate) fn target(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.prefix)
    }

    /// The URL of a target.
    pub(crate) fn url(&self, target: &str) -> String {
        format!("{}{target}", self.origin)
    }

    /// The whole address, without a slash at its end.
    pub(crate) fn address(&self) -> String {
        format!("{}{}", self.origin, self.prefix)
    }

    pub(crate) fn is_local(&self) -> bool {
        self.local
    }
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = bare.parse().ok();
    host.eq_ignore_ascii_case("localhost") || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_with_or_without_a_path() {
        for (url, address, url_of_who) in [
            (
                "https://a.example",
                "https://a.example",
                "https://a.example/p?x=1",
            ),
            (
                "https://a.example/v0/",
                "https://a.example/v0",
                "https://a.example/v0/p?x=1",
            ),
            (
                "http://127.0.0.1:80/",
                "http://127.0.0.1:80",
                "http://127.0.0.1:80/p?x=1",
            ),
            (
                "http://[::1]:8080",
                "http://[::1]:8080",
                "http://[::1]:8080/p?x=1",
            ),
            (
                "http://localhost:1",
                "http://localhost:1",
                "http://localhost:1/p?x=1",
            ),
        ] {
            let base = Base::parse(url, false).expect(url);
            assert_eq!(base.address(), address);
            assert_eq!(base.url(&base.target("/p?x=1")), url_of_who);
        }
    }

    #[test]
    fn nobody_speaks_in_the_clear_over_a_network_without_wanting_to() {
        let url = "http://registry.example";
        assert!(matches!(
            Base::parse(url, false),
            Err(Error::InTheClear { .. })
        ));
        assert_eq!(Base::parse(url, true).expect("allowed").address(), url);
    }

    #[test]
    fn what_is_no_address_of_a_registry_is_refused() {
        let long = format!("https://{}", "a".repeat(MAX_LEN));
        for url in [
            "",
            "registry.example",
            "/v0",
            "ftp://registry.example",
            "https://",
            "https://user:word@registry.example",
            "https://registry.example/?a=b",
            "https://registry.example/#a",
            "https://registry example",
            &long,
        ] {
            assert!(
                matches!(Base::parse(url, true), Err(Error::Url { .. })),
                "{url}"
            );
        }
    }
}
