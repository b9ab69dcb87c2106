//! Networks in rules: `10.0.0.0/8`, `2001:db8::/32`, single addresses.
//!
//! Enters: a text. Leaves: the network, and whether the address had nothing behind its prefix.

use std::net::IpAddr;

use crate::ir::Network;

/// The network that a text names; an IPv4 address mapped into IPv6 is IPv4.
pub(crate) fn parse(text: &str) -> Option<(Network, bool)> {
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, rest)| (address, Some(rest)));
    match address.parse().ok()? {
        IpAddr::V4(address) => {
            let length = length.map_or(Some(32), |length| prefix(length, 32))?;
            Some(v4(address.to_bits(), length))
        }
        IpAddr::V6(address) => {
            let length = length.map_or(Some(128), |length| prefix(length, 128))?;
            match address.to_ipv4_mapped() {
                Some(mapped) if length >= 96 => Some(v4(mapped.to_bits(), length - 96)),
                _ => {
                    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                    let bits = address.to_bits();
                    Some((Network::V6(bits & mask, mask), bits & mask == bits))
                }
            }
        }
    }
}

fn v4(bits: u32, length: u32) -> (Network, bool) {
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    (Network::V4(bits & mask, mask), bits & mask == bits)
}

/// A prefix length, or for IPv4 a mask without holes.
fn prefix(text: &str, most: u32) -> Option<u32> {
    if most == 32
        && let Ok(mask) = text.parse::<std::net::Ipv4Addr>()
    {
        let mask = mask.to_bits();
        return (mask.leading_ones() == mask.count_ones()).then(|| mask.leading_ones());
    }
    let is_number = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|length| is_number && *length <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses() {
        let v4 = |bits: u32, length: u32| Network::V4(bits, u32::MAX.checked_shl(32 - length).unwrap_or(0));
        for (text, expected) in [
            ("10.0.0.0/8", Some((v4(10 << 24, 8), true))),
            ("10.1.2.3/8", Some((v4(10 << 24, 8), false))),
            ("10.1.2.3", Some((v4(0x0a01_0203, 32), true))),
            ("10.1.0.0/255.255.0.0", Some((v4(0x0a01_0000, 16), true))),
            ("0.0.0.0/0", Some((v4(0, 0), true))),
            ("::ffff:10.1.2.3", Some((v4(0x0a01_0203, 32), true))),
            ("::ffff:10.0.0.0/104", Some((v4(10 << 24, 8), true))),
            ("2001:db8::/32", Some((Network::V6(0x2001_0db8 << 96, u128::MAX << 96), true))),
            ("2001:db8::1/32", Some((Network::V6(0x2001_0db8 << 96, u128::MAX << 96), false))),
            ("fe80::1", Some((Network::V6(0xfe80 << 112 | 1, u128::MAX), true))),
            ("::/0", Some((Network::V6(0, 0), true))),
            ("10.0.0.0/33", None),
            ("10.0.0.0/", None),
            ("10.0.0.0/+8", None),
            ("10.0.0.0/255.0.255.0", None),
            ("10.0.0/8", None),
            ("any", None),
            ("", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
