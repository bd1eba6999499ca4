//! Networks as operators write them: an address, or a prefix with its length (RFC 4632, RFC 4291 section 2.3).

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network: all addresses with the same first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address; else what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let unreadable = || format!("'{text}' is no network: write an address such as 10.1.2.3, or a prefix such as 10.0.0.0/8");
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| unreadable())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let plain = |bits: &str| bits.bytes().all(|byte| byte.is_ascii_digit()) && !(bits.len() > 1 && bits.starts_with('0'));
        let bits: u8 = match bits {
            None => most,
            Some(bits) if plain(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(unreadable)?,
            Some(_) => return Err(unreadable()),
        };
        // What came over IPv6 from an IPv4 address is compared as IPv4: such a prefix would never hold.
        if matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some()) {
            return Err(format!("'{text}' is an IPv4 network: write it as one, such as 10.0.0.0/8"));
        }
        let first = masked(address, bits);
        if first != address {
            return Err(format!("'{text}' has bits behind the prefix: write {first}/{bits}"));
        }
        Ok(Self { first, bits })
    }

    /// Whether the address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && masked(address, self.bits) == self.first
    }

    /// Whether all addresses of the other are in it.
    pub fn includes(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.first)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.first, self.bits)
    }
}

/// The address with nothing but its first bits.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inside(network: &str, address: &str) -> bool {
        Network::parse(network).unwrap().contains(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_in_the_network_whose_prefix_it_has() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3/32", "10.1.2.4", false),
            ("192.168.4.0/22", "192.168.7.255", true),
            ("192.168.4.0/22", "192.168.8.0", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "::1", true),
            ("::/0", "10.0.0.1", false),
            ("::1", "::1", true),
        ] {
            assert_eq!(inside(network, address), expected, "{network} {address}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        for (text, advice) in [
            ("10.0.0.1/8", "write 10.0.0.0/8"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
            ("10.0.0.0/33", "such as"),
            ("10.0.0.0/", "such as"),
            ("10.0.0.0/+8", "such as"),
            ("10.0.0.0/08", "such as"),
            ("10.0.0/8", "such as"),
            ("::ffff:10.0.0.0/104", "an IPv4 network"),
            ("clinic.example", "such as"),
            ("", "such as"),
        ] {
            let problem = Network::parse(text).unwrap_err();
            assert!(problem.contains(advice), "{text}: {problem}");
        }
    }

    #[test]
    fn a_network_includes_its_parts() {
        let network = |text| Network::parse(text).unwrap();
        assert!(network("10.0.0.0/8").includes(&network("10.1.0.0/16")));
        assert!(!network("10.1.0.0/16").includes(&network("10.0.0.0/8")));
        assert!(!network("0.0.0.0/0").includes(&network("::/0")));
    }
}
