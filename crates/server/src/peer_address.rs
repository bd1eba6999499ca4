//! The address from which a request comes, for whatever its task does: rules of the operator ask for it also on pages, where nothing else does.
//!
//! It is that of the peer. Behind a proxy that the operator trusts (`[policy] trusted_proxies`) it is what that proxy says in `X-Forwarded-For`: the last address of the
//! list that is not itself a trusted proxy, since what stands before it anybody could have written. A trusted proxy that says nothing, or nothing that can be read,
//! makes it unknown: rules about networks then decide against whoever asks. What is counted and shown to people by address is then that of the proxy. Records keep the peer.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use portcullis_policy::operator_rules::Network;
use portcullis_store::BoxFuture;

use crate::resource_server::Exchange;

/// What proxies write.
const FORWARDED_FOR: &str = "x-forwarded-for";
/// The most addresses of the list that are looked at.
const MAXIMUM_HOPS: usize = 16;

tokio::task_local! {
    static ADDRESS: Option<IpAddr>;
}

/// Does the work of a request that came from this address; `None`: nobody knows from where.
pub fn during<T: 'static>(address: Option<IpAddr>, work: BoxFuture<'static, T>) -> impl Future<Output = T> + Send {
    ADDRESS.scope(address, work)
}

/// The address, where this is the work of a request and somebody knows it.
pub fn current() -> Option<IpAddr> {
    ADDRESS.try_with(|address| *address).ok().flatten()
}

/// The same for what is counted and shown by address: where a trusted proxy does not say who it was, it is the proxy itself.
pub fn or_peer(exchange: &Exchange) -> IpAddr {
    current().unwrap_or_else(|| exchange.peer.address.ip())
}

/// What counts as one place: an IPv4 address, or the /64 of an IPv6 address, which one machine has to itself.
pub fn place(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:016x}", address.to_bits() >> 64),
    }
}

/// What counts as one network where many may be of one: an IPv4 address, or the /48 of an IPv6 address, which one customer of a provider may have.
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{:012x}", address.to_bits() >> 80),
    }
}

/// From where a request comes that this peer has sent.
pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[Network]) -> Option<IpAddr> {
    let is_trusted = |address: IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(peer) {
        return Some(peer);
    }
    // From the last on: what stands before the proxy's own word may be anything.
    let lines: Vec<&HeaderValue> = headers.get_all(FORWARDED_FOR).iter().collect();
    for hop in lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).take(MAXIMUM_HOPS) {
        let address = address(std::str::from_utf8(hop).ok()?.trim())?;
        if !is_trusted(address) {
            return Some(address);
        }
    }
    None
}

/// An address, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(peer: &str, lines: &[&str], trusted: &[&str]) -> Option<String> {
        let trusted: Vec<Network> = trusted.iter().map(|text| Network::parse(text).unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        of(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn nobody_but_a_trusted_proxy_says_from_where_a_request_comes() {
        const PROXIES: &[&str] = &["10.0.0.0/8", "2001:db8::/32"];
        for (peer, lines, expected) in [
            ("203.0.113.9", vec![], Some("203.0.113.9")),
            ("203.0.113.9", vec!["10.20.0.7"], Some("203.0.113.9")),
            ("10.0.0.1", vec!["198.51.100.4"], Some("198.51.100.4")),
            ("2001:db8::1", vec!["2001:db9::4"], Some("2001:db9::4")),
            ("10.0.0.1", vec!["10.20.0.7, 198.51.100.4"], Some("198.51.100.4")),
            ("10.0.0.1", vec!["192.168.1.1, 198.51.100.4, 10.0.0.2"], Some("198.51.100.4")),
            ("10.0.0.1", vec!["192.168.1.1", "198.51.100.4"], Some("198.51.100.4")),
            ("10.0.0.1", vec!["198.51.100.4:5000"], Some("198.51.100.4")),
            ("10.0.0.1", vec!["[2001:db9::4]:443"], Some("2001:db9::4")),
            ("10.0.0.1", vec!["[2001:db9::4]"], Some("2001:db9::4")),
            ("::ffff:10.0.0.1", vec!["198.51.100.4"], Some("198.51.100.4")),
            // Unknown, and never the proxy's own: that would be inside.
            ("10.0.0.1", vec![], None),
            ("10.0.0.1", vec![""], None),
            ("10.0.0.1", vec!["10.0.0.2"], None),
            ("10.0.0.1", vec!["unknown"], None),
            ("10.0.0.1", vec!["198.51.100.4, somebody"], None),
            ("10.0.0.1", vec!["198.51.100.4", "\u{e9}"], None),
        ] {
            assert_eq!(came(peer, &lines, PROXIES).as_deref(), expected, "{peer} {lines:?}");
        }
        assert_eq!(came("10.0.0.1", &["198.51.100.4"], &[]).as_deref(), Some("10.0.0.1"), "nobody is trusted by default");
        // What stands before the proxy's own word may be anything.
        for before in ["\u{e9}", "somebody", "", ",,", "[", "10.0.0.2:99999"] {
            for lines in [vec![before, "198.51.100.4"], vec![&*format!("{before}, 198.51.100.4, 10.0.0.2")]] {
                assert_eq!(came("10.0.0.1", &lines, PROXIES).as_deref(), Some("198.51.100.4"), "{lines:?}");
            }
        }
        let many = "10.0.0.2,".repeat(40);
        assert_eq!(came("10.0.0.1", &[&format!("198.51.100.4,{}", many.trim_end_matches(','))], PROXIES), None);
    }

    #[test]
    fn one_customer_of_a_provider_is_one_network() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::9"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
