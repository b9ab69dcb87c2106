//! `<srcip>` and `<dstip>` (SEMANTICS 7.4): an address or a network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::source::Faults;
use super::super::syntax::Addresses;
use super::super::xml::Element;
use super::texts::{is_negated, no_attributes, text_of};
use crate::ir::Network;

/// Adds the address in `element` to those before it. Whether the last element is negated counts for all of them.
pub(super) fn read(to: &mut Option<Addresses>, element: &Element<'_>, faults: &mut Faults<'_>) {
    no_attributes(faults, element, &["negate"]);
    let mut negate = is_negated(faults, element);
    let text = text_of(element);
    let (origin, value) = (text.origin(0), text.value.as_str());
    let address = value.strip_prefix('!').unwrap_or(value);
    if address != value {
        // The reference accepts it and ignores it, which turns the rule into its opposite.
        negate = true;
        let message = "the address begins with !, which negates it here; the reference ignores the !";
        faults.warning(origin, value, message, "write negate=\"yes\" instead: it means the same everywhere");
    }
    let Some(network) = network(address) else {
        let message = format!("{address} is no address and no network");
        let help = "write 10.0.0.1, 10.0.0.0/8, 10.0.0.0/255.0.0.0, an IPv6 address or network, or any, without blanks";
        faults.error(origin, value, message, help);
        return;
    };
    let addresses = to.get_or_insert_with(|| Addresses { networks: Vec::new(), negate });
    if addresses.negate != negate {
        let message =
            format!("some <{}> are negated and some not: the last one counts for all", element.name);
        faults.warning(element.at, value, message, "negate all of them, or write two rules");
    }
    addresses.negate = negate;
    if !addresses.networks.contains(&network) {
        addresses.networks.push(network);
    }
}

fn network(text: &str) -> Option<Network> {
    if text.eq_ignore_ascii_case("any") {
        return Some(Network::Any);
    }
    let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
    match address.parse().ok()? {
        IpAddr::V4(address) => v4(address, mask),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => v4(mapped, mask),
            None => v6(address, mask),
        },
    }
}

fn v4(address: Ipv4Addr, mask: Option<&str>) -> Option<Network> {
    let mask = match mask {
        None => u32::MAX,
        Some(mask) if mask.contains('.') => mask.parse::<Ipv4Addr>().ok()?.to_bits(),
        Some(length) => u32::MAX.checked_shl(32 - bits(length, 32)?).unwrap_or(0),
    };
    Some(Network::V4(address.to_bits() & mask, mask))
}

fn v6(address: Ipv6Addr, mask: Option<&str>) -> Option<Network> {
    let mask = match mask {
        None => u128::MAX,
        Some(length) => u128::MAX.checked_shl(128 - bits(length, 128)?).unwrap_or(0),
    };
    Some(Network::V6(address.to_bits() & mask, mask))
}

fn bits(length: &str, most: u32) -> Option<u32> {
    let is_number = (1..=3).contains(&length.len()) && length.bytes().all(|byte| byte.is_ascii_digit());
    length.parse().ok().filter(|bits| is_number && *bits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_networks() {
        let v4 = |address: u32, bits: u32| {
            Some(Network::V4(address, u32::MAX.checked_shl(32 - bits).unwrap_or(0)))
        };
        for (text, expected) in [
            ("10.1.2.3", v4(0x0a01_0203, 32)),
            ("10.1.2.3/8", v4(0x0a00_0000, 8)),
            ("10.1.2.3/255.255.0.0", v4(0x0a01_0000, 16)),
            ("1.2.3.4/0", v4(0, 0)),
            ("::ffff:10.1.2.3", v4(0x0a01_0203, 32)),
            ("::FFFF:10.1.2.3/24", v4(0x0a01_0200, 24)),
            ("any", Some(Network::Any)),
            ("2001:db8::1", Some(Network::V6(0x2001_0db8 << 96 | 1, u128::MAX))),
            ("2001:db8::1/32", Some(Network::V6(0x2001_0db8 << 96, u128::MAX << 96))),
            ("::/0", Some(Network::V6(0, 0))),
        ] {
            assert_eq!(network(text), expected, "{text}");
        }
        for text in [
            "",
            "10.1.2",
            "10.1.2.",
            "10.1.2.256",
            "10.1.2.3/33",
            "10.1.2.3/",
            " 10.1.2.3",
            "::1/129",
            "x",
            "10.0.0.0/+8",
        ] {
            assert_eq!(network(text), None, "{text}");
        }
    }
}
