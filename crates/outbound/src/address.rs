//! Which addresses a server may be asked at by a URL that somebody else wrote.
//!
//! IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890, RFC 8190). For IPv6 the list says what is allowed: global unicast, less
//! what is carved out of it. IPv4 addresses inside IPv6 ones (mapped, NAT64, 6to4, Teredo) are all outside, whatever they hold.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: its first address and the length of its prefix.
struct Network<T>(T, u32);

/// IPv4 networks that are not public.
const CLOSED_V4: &[Network<Ipv4Addr>] = &[
    Network(Ipv4Addr::new(0, 0, 0, 0), 8),       // this network
    Network(Ipv4Addr::new(10, 0, 0, 0), 8),      // private
    Network(Ipv4Addr::new(100, 64, 0, 0), 10),   // shared by carriers
    Network(Ipv4Addr::new(127, 0, 0, 0), 8),     // loopback
    Network(Ipv4Addr::new(169, 254, 0, 0), 16),  // link-local, and the metadata services of clouds
    Network(Ipv4Addr::new(172, 16, 0, 0), 12),   // private
    Network(Ipv4Addr::new(192, 0, 0, 0), 24),    // protocol assignments
    Network(Ipv4Addr::new(192, 0, 2, 0), 24),    // documentation
    Network(Ipv4Addr::new(192, 88, 99, 0), 24),  // 6to4 relays
    Network(Ipv4Addr::new(192, 168, 0, 0), 16),  // private
    Network(Ipv4Addr::new(198, 18, 0, 0), 15),   // benchmarks
    Network(Ipv4Addr::new(198, 51, 100, 0), 24), // documentation
    Network(Ipv4Addr::new(203, 0, 113, 0), 24),  // documentation
    Network(Ipv4Addr::new(224, 0, 0, 0), 4),     // multicast
    Network(Ipv4Addr::new(240, 0, 0, 0), 4),     // reserved, and broadcast
];

/// Global unicast.
const OPEN_V6: Network<Ipv6Addr> = Network(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is carved out of it.
const CLOSED_V6: &[Network<Ipv6Addr>] = &[
    Network(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23), // protocol assignments: Teredo, benchmarks, ORCHID
    Network(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32), // documentation
    Network(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16), // 6to4
    Network(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20), // documentation
];

/// Whether an address is one that anybody on the internet could ask.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !CLOSED_V4.iter().any(|network| holds_v4(network, address)),
        IpAddr::V6(address) => holds_v6(&OPEN_V6, address) && !CLOSED_V6.iter().any(|network| holds_v6(network, address)),
    }
}

fn holds_v4(Network(first, length): &Network<Ipv4Addr>, address: Ipv4Addr) -> bool {
    (first.to_bits() ^ address.to_bits()).leading_zeros() >= *length
}

fn holds_v6(Network(first, length): &Network<Ipv6Addr>, address: Ipv6Addr) -> bool {
    (first.to_bits() ^ address.to_bits()).leading_zeros() >= *length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_and_special_addresses_are_not_public() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::8.8.8.8",
            "64:ff9b::7f00:1",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.1",
            "192.169.0.1",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2001:200::1",
            "2606:4700::1111",
            "2a00:1450::1",
            "2003::1",
            "3ffe::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
