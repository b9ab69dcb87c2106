//! Addresses in networks.
//!
//! Enters: networks and, later, the text of an address. Leaves: whether one of them holds it. Families never match each
//! other, but an IPv4 address mapped into IPv6 is IPv4. Text that is no address is in no network.

use std::net::{IpAddr, Ipv6Addr};

use crate::ir::Network;

/// A set of networks.
#[derive(Debug)]
pub struct Networks {
    networks: Box<[Network]>,
}

impl Networks {
    /// A set of these.
    #[must_use]
    pub fn new(networks: &[Network]) -> Self {
        Self { networks: networks.into() }
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
        self.networks.iter().any(|network| match (network, address) {
            (Network::Any, _) => true,
            (Network::V4(base, mask), IpAddr::V4(address)) => address.to_bits() & mask == *base,
            (Network::V6(base, mask), IpAddr::V6(address)) => address.to_bits() & mask == *base,
            _ => false,
        })
    }
}

fn unmapped(address: Ipv6Addr) -> IpAddr {
    address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)
}
