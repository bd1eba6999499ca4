//! Where a call goes: an https URL with a host and a port, and what the operator exempts.

use std::net::IpAddr;

use url::{Host, Url};

use crate::address::is_public;

/// Why a URL is not fetched, whatever its name resolves to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenUrl {
    /// Not an absolute https URL with a host and without user information.
    #[error("not an https URL")]
    NotHttps,
    /// The host is an address, or a name for one, that is not public.
    #[error("the host is not a public one")]
    NotPublic,
}

/// A host and port that the operator exempts from the check of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExemptHost {
    host: Box<str>,
    port: u16,
}

impl ExemptHost {
    /// Reads `host:port`; both are needed, and the host is compared as URLs spell it.
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(&format!("https://{text}/")).ok()?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        let named = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if !bare || !named || url.password().is_some() {
            return None;
        }
        Some(Self { host: url.host_str()?.into(), port: url.port_or_known_default()? })
    }
}

/// A URL that may be tried.
#[derive(Clone, Debug)]
pub struct Target {
    url: Url,
    host: Box<str>,
    port: u16,
    exempt: bool,
}

impl Target {
    /// Checks a URL as far as that is possible without asking for the addresses of its name.
    pub fn parse(text: &str, exempt: &[ExemptHost]) -> Result<Self, ForbiddenUrl> {
        let url = Url::parse(text).map_err(|_| ForbiddenUrl::NotHttps)?;
        let plain = url.username().is_empty() && url.password().is_none();
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err(ForbiddenUrl::NotHttps) };
        if url.scheme() != "https" || !plain || port == 0 {
            return Err(ForbiddenUrl::NotHttps);
        }
        let host: Box<str> = host.into();
        let exempt = exempt.contains(&ExemptHost { host: host.clone(), port });
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        let local_name = host.trim_end_matches('.') == "localhost" || host.trim_end_matches('.').ends_with(".localhost");
        if !exempt && (local_name || literal.is_some_and(|address| !is_public(address))) {
            return Err(ForbiddenUrl::NotPublic);
        }
        Ok(Self { url, host, port, exempt })
    }

    /// Whether an address that the name resolved to may be connected to.
    pub(crate) fn permits(&self, address: IpAddr) -> bool {
        self.exempt || is_public(address)
    }

    /// The host for name resolution and for the certificate: an IPv6 address without brackets.
    pub(crate) fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` header.
    pub(crate) fn authority(&self) -> String {
        match self.url.port() {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.to_string(),
        }
    }

    /// Path and query.
    pub(crate) fn path_and_query(&self) -> &str {
        self.url
            .as_str()
            .get(self.url[..url::Position::BeforePath].len()..self.url[..url::Position::AfterQuery].len())
            .unwrap_or("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> ForbiddenUrl {
        Target::parse(text, &[]).unwrap_err()
    }

    #[test]
    fn only_https_urls_with_a_host_are_tried() {
        for text in [
            "http://keys.example/",
            "ftp://keys.example/",
            "file:///etc/passwd",
            "keys.example",
            "",
            "https://",
            "https://user@keys.example/",
            "https://user:pw@keys.example/",
            "https://keys.example:0/",
            "data:,x",
            "//keys.example/",
        ] {
            assert_eq!(refusal(text), ForbiddenUrl::NotHttps, "{text}");
        }
    }

    #[test]
    fn every_spelling_of_a_neighbour_is_refused() {
        for host in [
            "127.0.0.1",
            "127.1",
            "0x7f.1",
            "2130706433",
            "017700000001",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "x.localhost",
            "169.254.169.254",
            "10.0.0.1",
            "[fd00::1]",
            "[fe80::1]",
            "0",
            "0.0.0.0",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "１２７.0.0.1",
        ] {
            for port in ["", ":8443"] {
                assert_eq!(refusal(&format!("https://{host}{port}/jwks")), ForbiddenUrl::NotPublic, "{host}{port}");
            }
        }
    }

    #[test]
    fn an_exemption_is_for_one_host_and_one_port() {
        let exempt = [ExemptHost::parse("localhost:8443").unwrap(), ExemptHost::parse("[::1]:443").unwrap()];
        assert!(Target::parse("https://localhost:8443/jwks", &exempt).is_ok());
        assert!(Target::parse("https://LOCALHOST:8443/jwks", &exempt).is_ok());
        assert!(Target::parse("https://[::1]/jwks", &exempt).is_ok());
        for text in
            ["https://localhost/jwks", "https://localhost:8444/jwks", "https://127.0.0.1:8443/jwks", "https://[::1]:8443/"]
        {
            assert_eq!(Target::parse(text, &exempt).unwrap_err(), ForbiddenUrl::NotPublic, "{text}");
        }
        assert_eq!(Target::parse("http://localhost:8443/", &exempt).unwrap_err(), ForbiddenUrl::NotHttps);
        for text in
            ["localhost", "localhost:", "localhost:x", "https://localhost:1", "localhost:1/x", "a@localhost:1", "", ":1", "*:443"]
        {
            assert!(ExemptHost::parse(text).is_none_or(|exempt| exempt.host.contains('*')), "{text}");
        }
    }

    #[test]
    fn a_public_target_knows_its_parts() {
        let target = Target::parse("https://keys.example:8443/a/b?v=1#x", &[]).unwrap();
        assert_eq!((target.host(), target.port(), target.path_and_query()), ("keys.example", 8443, "/a/b?v=1"));
        assert_eq!(target.authority(), "keys.example:8443");
        assert_eq!(Target::parse("https://keys.example", &[]).unwrap().path_and_query(), "/");
        let address = Target::parse("https://[2606:4700::1111]/", &[]).unwrap();
        assert_eq!((address.host(), address.authority().as_str()), ("2606:4700::1111", "[2606:4700::1111]"));
        assert!(!address.permits("127.0.0.1".parse().unwrap()));
    }
}
