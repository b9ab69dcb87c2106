//! Addresses in networks.
//!
//! Enters: networks and, later, the text of an address. Leaves: whether one of them holds it. Families never match each
//! other, but an IPv4 address mapped into IPv6 is IPv4. Text that is no address is in no network. Networks given by a
//! prefix length are kept as sorted ranges without overlap, so that many cost hardly more than one; the rare masks with
//! holes are tried in turn.

use std::net::{IpAddr, Ipv6Addr};

use super::bytes::ByteSet;
use crate::ir::Network;

/// A set of networks.
#[derive(Debug)]
pub struct Networks {
    any: bool,
    v4: Ranges<u32>,
    v6: Ranges<u128>,
    /// Masks whose ones are not all at the front.
    holed: Box<[Network]>,
}

/// First and last address of each range, in order; neither overlapping nor touching.
#[derive(Debug)]
struct Ranges<T>(Box<[(T, T)]>);

impl Networks {
    /// A set of these.
    #[must_use]
    pub fn new(networks: &[Network]) -> Self {
        let (mut any, mut v4, mut v6, mut holed) = (false, Vec::new(), Vec::new(), Vec::new());
        for network in networks {
            match *network {
                Network::Any => any = true,
                Network::V4(base, mask) if mask.leading_ones() == mask.count_ones() => {
                    // A base with bits beyond its mask holds no address.
                    if base & mask == base {
                        v4.push((base, base | !mask));
                    }
                }
                Network::V6(base, mask) if mask.leading_ones() == mask.count_ones() => {
                    if base & mask == base {
                        v6.push((base, base | !mask));
                    }
                }
                Network::V4(..) | Network::V6(..) => holed.push(*network),
            }
        }
        Self { any, v4: Ranges::new(v4), v6: Ranges::new(v6), holed: holed.into() }
    }

    /// Whether the text is an address in one of them.
    #[must_use]
    pub fn contains(&self, text: &[u8]) -> bool {
        let Some(address) = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) else {
            return false;
        };
        let address = match address {
            IpAddr::V6(address) => unmapped(address),
            v4 @ IpAddr::V4(_) => v4,
        };
        if self.any {
            return true;
        }
        let listed = match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        };
        listed
            || self.holed.iter().any(|network| match (network, address) {
                (Network::V4(base, mask), IpAddr::V4(address)) => address.to_bits() & mask == *base,
                (Network::V6(base, mask), IpAddr::V6(address)) => address.to_bits() & mask == *base,
                _ => false,
            })
    }

    /// The bytes that an address can begin with.
    pub(super) fn first_bytes() -> ByteSet {
        ByteSet::of(|byte| byte.is_ascii_hexdigit() || byte == b':')
    }
}

impl<T: Copy + Ord> Ranges<T> {
    fn new(mut ranges: Vec<(T, T)>) -> Self {
        ranges.sort_unstable();
        let mut joined: Vec<(T, T)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match joined.last_mut() {
                Some((_, end)) if first <= *end => *end = last.max(*end),
                _ => joined.push((first, last)),
            }
        }
        Self(joined.into())
    }

    fn contains(&self, address: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= address);
        after.checked_sub(1).is_some_and(|at| address <= self.0[at].1)
    }
}

fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(networks: &[Network], text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else { return false };
        networks.iter().any(|network| match (network, address.to_canonical()) {
            (Network::Any, _) => true,
            (Network::V4(base, mask), IpAddr::V4(address)) => address.to_bits() & mask == *base,
            (Network::V6(base, mask), IpAddr::V6(address)) => address.to_bits() & mask == *base,
            _ => false,
        })
    }

    fn network() -> impl Strategy<Value = Network> {
        let v4 = (0_u32..4, 28_u32..=32).prop_map(|(low, length)| {
            let mask = u32::MAX << (32 - length);
            Network::V4((0x0a00_0000 | (low * 5)) & mask, mask)
        });
        let v6 = (0_u128..4, 124_u32..=128).prop_map(|(low, length)| {
            let mask = if length == 128 { u128::MAX } else { u128::MAX << (128 - length) };
            Network::V6(((0x2001 << 112) | (low * 5)) & mask, mask)
        });
        prop_oneof![4 => v4, 4 => v6, 1 => Just(Network::V4(0x0a00_0001, 0xff00_0003)), 1 => Just(Network::V4(0, 0))]
    }

    #[test]
    fn odd_texts_are_no_addresses() {
        let any = Networks::new(&[Network::Any]);
        for text in [
            "",
            " 1.2.3.4",
            "1.2.3.4 ",
            "01.2.3.4",
            "1.2.3",
            "1.2.3.4.5",
            "256.1.1.1",
            "1.2.3.4/8",
            "::1%eth0",
            "[::1]",
            "1.2.3.4\n",
            "\u{661}.2.3.4",
        ] {
            assert!(!any.contains(text.as_bytes()), "{text:?}");
        }
        for text in ["1.2.3.4", "::", "::ffff:1.2.3.4", "FE80::1", "2001:db8::"] {
            assert!(any.contains(text.as_bytes()), "{text:?}");
        }
        assert!(!any.contains(b"1.2.3.\xff"));
    }

    #[test]
    fn a_mapped_address_is_ipv4() {
        let networks = Networks::new(&[Network::V4(0x0102_0304, u32::MAX)]);
        assert!(networks.contains(b"::ffff:1.2.3.4") && networks.contains(b"::ffff:102:304"));
        assert!(!networks.contains(b"::1.2.3.4"));
    }

    proptest! {
        #[test]
        fn equals_trying_each_network(
            networks in proptest::collection::vec(network(), 0..12),
            low in 0_u32..24,
            form in 0_usize..4,
        ) {
            let text = match form {
                0 => format!("10.0.0.{low}"),
                1 => format!("2001::{low:x}"),
                2 => format!("::ffff:10.0.0.{low}"),
                _ => format!("10.4.0.{low}"),
            };
            prop_assert_eq!(Networks::new(&networks).contains(text.as_bytes()), plain(&networks, &text), "{}", text);
            if let Some(&byte) = text.as_bytes().first() {
                prop_assert!(Networks::first_bytes().contains(byte));
            }
        }
    }
}
