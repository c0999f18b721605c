//! Networks that a person named: addresses in front of a slash and a number of bits.

use std::net::IpAddr;

/// Some networks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nets(Vec<Net>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Net {
    address: IpAddr,
    bits: u32,
}

impl Nets {
    /// The networks that `text` names, and the words of it that name none.  Between words are commas or blanks.
    pub fn read(text: &str) -> (Nets, Vec<&str>) {
        let mut nets = Nets::default();
        let mut wrong = Vec::new();
        let words = text.split(|char: char| char == ',' || char.is_ascii_whitespace());
        for word in words.filter(|word| !word.is_empty()) {
            match Net::read(word) {
                Some(net) => nets.0.push(net),
                None => wrong.push(word),
            }
        }
        (nets, wrong)
    }

    pub fn contain(&self, address: IpAddr) -> bool {
        self.0.iter().any(|net| net.contains(address))
    }

    pub fn are_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl Net {
    /// `10.0.0.0/8`, or one address.
    fn read(word: &str) -> Option<Net> {
        let (address, bits) = match word.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (word, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|number| {
                *number <= most && bits.bytes().all(|byte| byte.is_ascii_digit())
            })?,
        };
        Some(Net { address, bits })
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(one)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (net.to_bits() ^ one.to_bits()) & mask == 0
            }
            (IpAddr::V6(net), IpAddr::V6(one)) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (net.to_bits() ^ one.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_in() {
        let (nets, wrong) = Nets::read("10.7.0.0/16, 192.168.1.9\tfd00::/8,2001:db8::7/128");
        assert_eq!(wrong, Vec::<&str>::new());
        for address in [
            "10.7.0.1",
            "10.7.255.255",
            "192.168.1.9",
            "fd12::1",
            "2001:db8::7",
            "::ffff:10.7.3.4",
        ] {
            assert!(nets.contain(address.parse().unwrap()), "{address}");
        }
        for address in [
            "10.8.0.1",
            "192.168.1.8",
            "127.0.0.1",
            "fe80::1",
            "2001:db8::8",
            "::ffff:10.8.0.1",
        ] {
            assert!(!nets.contain(address.parse().unwrap()), "{address}");
        }
        let (all, _) = Nets::read("0.0.0.0/0");
        assert!(all.contain("203.0.113.1".parse().unwrap()));
        assert!(!all.contain("::1".parse().unwrap()), "another family");
    }

    #[test]
    fn words_that_are_no_network_allow_nothing() {
        let (nets, wrong) = Nets::read("10/8 10.0.0.0/33 fd00::/129 10.0.0.0/ 10.0.0.0/+8 farm ,,");
        assert!(nets.are_none());
        assert_eq!(
            wrong,
            [
                "10/8",
                "10.0.0.0/33",
                "fd00::/129",
                "10.0.0.0/",
                "10.0.0.0/+8",
                "farm"
            ]
        );
        assert!(Nets::read(" , ").0.are_none());
    }
}
