//! Networks as patterns over the text of an address.
//!
//! IPv4 networks are exact, for addresses mapped into IPv6 in the usual form, too. Of IPv6 networks those can be written whose prefix lies in groups
//! of four digits, which have one form only, and single addresses in their shortest and longest form.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::ir::Network;

const OCTET: &str = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";

/// The pattern for addresses in one of the networks.
pub(super) fn pattern(networks: &[Network]) -> Result<String, String> {
    let mut four = Vec::new();
    let mut six = Vec::new();
    for network in networks {
        match *network {
            Network::Any => {
                return Err("it takes any address, which a pattern cannot tell from other texts".to_owned());
            }
            Network::V4(base, mask) if mask.leading_ones() == mask.count_ones() => {
                four.push(v4(base, mask.leading_ones()));
            }
            Network::V6(base, mask) if mask.leading_ones() == mask.count_ones() => {
                six.push(v6(base, mask.leading_ones())?);
            }
            _ => return Err("a mask with holes cannot be written as a pattern".to_owned()),
        }
    }
    let mut alternatives = Vec::new();
    if !four.is_empty() {
        alternatives.push(format!(r"^(?:::ffff:)?(?:{})\z", four.join("|")));
    }
    alternatives.extend(six);
    Ok(format!("(?i){}", alternatives.join("|")))
}

/// Whether a pattern says less of the text than the test: it may be no address behind the prefix.
pub(super) fn is_loose(networks: &[Network]) -> bool {
    networks.iter().any(|network| matches!(network, Network::V6(..)))
}

fn v4(base: u32, length: u32) -> String {
    let mut left = length;
    let octets = Ipv4Addr::from_bits(base).octets().map(|octet| {
        let own = left.min(8);
        left -= own;
        match own {
            8 => octet.to_string(),
            0 => OCTET.to_owned(),
            _ => {
                let last = octet | (0xff >> own);
                let numbers: Vec<String> = (octet..=last).map(|number| number.to_string()).collect();
                format!("(?:{})", numbers.join("|"))
            }
        }
    });
    octets.join(r"\.")
}

fn v6(base: u128, length: u32) -> Result<String, String> {
    let address = Ipv6Addr::from_bits(base);
    if length == 128 {
        let long: Vec<String> = address.segments().iter().map(|group| format!("0{{0,3}}{group:x}")).collect();
        return Ok(format!(r"^(?:{address}|{})\z", long.join(":")));
    }
    let mut left = length;
    let mut out = String::from("^");
    for group in address.segments() {
        if left == 0 {
            break;
        }
        if group < 0x1000 {
            return Err(format!(
                "the network {address}/{length} cannot be written as a pattern, because its addresses have many forms"
            ));
        }
        let digits = format!("{group:04x}");
        for digit in digits.chars() {
            let own = left.min(4);
            left -= own;
            match own {
                4 => out.push(digit),
                0 => out.push_str("[0-9a-f]"),
                _ => {
                    let first = digit.to_digit(16).unwrap_or_default();
                    let last = first | (0xf >> own);
                    let set: String =
                        (first..=last).filter_map(|digit| char::from_digit(digit, 16)).collect();
                    out.push_str(&format!("[{set}]"));
                }
            }
        }
        out.push(':');
    }
    out.push_str(r"[0-9a-f:.]*\z");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Networks, Pcre2};

    fn network(text: &str) -> Network {
        crate::sigma::network::parse(text).unwrap().0
    }

    #[test]
    fn patterns_take_the_addresses_of_their_networks() {
        let addresses = [
            "10.0.0.0",
            "10.255.255.255",
            "11.0.0.0",
            "9.255.255.255",
            "172.15.255.255",
            "172.16.0.0",
            "172.31.9.9",
            "172.32.0.0",
            "192.168.1.127",
            "192.168.1.128",
            "192.168.1.255",
            "192.168.2.0",
            "::ffff:10.1.1.1",
            "1.2.3.4",
            "1.2.3.5",
            "fe80::1",
            "FE80::1",
            "febf:1::",
            "fec0::1",
            "fd00:1::2",
            "fbff::1",
            "2001:db8::1",
            "2001:dead::1",
            "2001:dead:beef:1::1",
            "::1",
            "0:0:0:0:0:0:0:1",
            "::2",
            "10.1.2",
            "x10.1.2.3",
            "10.1.2.3x",
            "10.01.2.3",
            "256.1.1.1",
            "",
        ];
        for list in [
            vec!["10.0.0.0/8"],
            vec!["172.16.0.0/12"],
            vec!["192.168.1.128/25"],
            vec!["1.2.3.4"],
            vec!["0.0.0.0/0"],
            vec!["fe80::/10"],
            vec!["fc00::/7"],
            vec!["::1"],
            vec!["2001:dead::/32"],
            vec!["2001:dead:beef::/48"],
            vec!["10.0.0.0/8", "192.168.0.0/16", "::1", "fe80::/10"],
        ] {
            let networks: Vec<Network> = list.iter().map(|text| network(text)).collect();
            let pattern = pattern(&networks).unwrap();
            let (pattern, exact) = (Pcre2::new(&pattern).unwrap(), Networks::new(&networks));
            for address in addresses {
                assert_eq!(
                    pattern.is_match(address.as_bytes()),
                    exact.contains(address.as_bytes()),
                    "{list:?} {address}"
                );
            }
        }
    }

    #[test]
    fn what_has_many_forms_is_refused() {
        for text in ["2001:db8::/32", "::/8"] {
            assert!(pattern(&[network(text)]).is_err(), "{text}");
        }
        assert!(pattern(&[Network::V4(1, 0xff00_ff00)]).is_err() && pattern(&[Network::Any]).is_err());
    }
}
