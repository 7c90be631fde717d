//! Which addresses are public: those of other people's servers, by the registries of special addresses of IANA.

use ip_network::{IpNetwork, Ipv4Network, Ipv6Network};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses of servers in IPv6 (RFC 4291, 2.4); what is elsewhere has a meaning of its own.
const GLOBAL_UNICAST: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What is special within them.
const SPECIAL: [(Ipv6Addr, u8); 4] = [
    // For protocols, Teredo among them, which leads to addresses of IPv4 (RFC 2928, RFC 4380).
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // For documents (RFC 3849, RFC 9637).
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    // 6to4, which leads to addresses of IPv4 (RFC 3056).
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
];

/// Addresses of IPv4, for networks that have only IPv6 (NAT64, RFC 6052, 2.1).
const NAT64: (Ipv6Addr, u8) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Relays of 6to4 (RFC 7526), which were global.
const RELAYS: (Ipv4Addr, u8) = (Ipv4Addr::new(192, 88, 99, 0), 24);

/// Whether `ip` is of a server on the internet: not loopback, link-local (where clouds have their metadata), private, shared,
/// multicast, reserved, or a form of IPv6 that leads to such an address of IPv4.
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) if contains(NAT64, ip) => {
            let [.., a, b, c, d] = ip.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(ip) => {
            contains(GLOBAL_UNICAST, ip) && !SPECIAL.iter().any(|network| contains(*network, ip))
        }
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let (relays, bits) = RELAYS;
    let is_relay = Ipv4Network::new(relays, bits).is_ok_and(|relays| relays.contains(ip));
    IpNetwork::from(IpAddr::V4(ip)).is_global() && !ip.is_multicast() && !is_relay
}

fn contains((start, bits): (Ipv6Addr, u8), ip: Ipv6Addr) -> bool {
    Ipv6Network::new(start, bits).is_ok_and(|network| network.contains(ip))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_not_public_in_any_form() {
        for ip in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "ff0e::1",
        ] {
            assert!(!is_public(ip.parse().unwrap()), "{ip}");
        }
    }

    #[test]
    fn others_are_public() {
        for ip in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "172.32.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(ip.parse().unwrap()), "{ip}");
        }
    }
}
