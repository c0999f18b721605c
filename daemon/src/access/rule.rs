//! One network as it is written in `--allow`, and what is in it. Knows nothing of lists, files and sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One network whose members are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    address: IpAddr,
    bits: u8,
}

/// Why a rule cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RuleError {
    #[error("{0:?} is neither an address nor a name that resolves; write IP or IP/BITS")]
    NoAddress(String),
    #[error("/{0:?} is not 0 to {1}")]
    BadBits(String, u8),
}

/// The networks of one `--allow` word; a name stands for every address it has.
///
/// # Errors
/// Neither an address nor a name with one, or more bits than the address has.
pub(crate) fn parse(word: &str) -> Result<Vec<Rule>, RuleError> {
    let (host, bits) = match word.rsplit_once('/') {
        Some((host, bits)) => (host, Some(bits)),
        None => (word, None),
    };
    let addresses = match parse_address(host) {
        Some(address) => vec![address],
        None => crate::resolve::addresses(host).unwrap_or_default(),
    };
    if addresses.is_empty() {
        return Err(RuleError::NoAddress(host.to_owned()));
    }
    addresses
        .into_iter()
        .map(|address| Rule::new(address, bits))
        .collect()
}

pub(super) fn parse_address(host: &str) -> Option<IpAddr> {
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host);
    IpAddr::from_str(bare).ok()
}

impl std::fmt::Display for Rule {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

impl Rule {
    fn new(address: IpAddr, bits: Option<&str>) -> Result<Self, RuleError> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(text) => match text.parse::<u8>() {
                Ok(bits) if bits <= most && text.bytes().all(|byte| byte.is_ascii_digit()) => bits,
                _ => return Err(RuleError::BadBits(text.to_owned(), most)),
            },
        };
        Ok(Self { address, bits })
    }

    const fn v4(a: u8, b: u8, bits: u8) -> Self {
        Self {
            address: IpAddr::V4(Ipv4Addr::new(a, b, 0, 0)),
            bits,
        }
    }

    const fn v6(first: u16, last: u16, bits: u8) -> Self {
        Self {
            address: IpAddr::V6(Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, last)),
            bits,
        }
    }

    pub(super) fn single(address: IpAddr) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { address, bits }
    }

    /// Is all of it in networks that no router on the Internet carries?
    pub(super) fn is_private(&self) -> bool {
        let canonical = match (self.address, self.address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(v4)) if self.bits >= 96 => Self {
                address: IpAddr::V4(v4),
                bits: self.bits - 96,
            },
            _ => *self,
        };
        let inside = |private: &Rule| {
            canonical.address.is_ipv4() == private.address.is_ipv4()
                && canonical.bits >= private.bits
                && private.holds(canonical.address)
        };
        PRIVATE.iter().chain([&LINK_LOCAL]).any(inside)
    }

    pub(super) fn holds(&self, peer: IpAddr) -> bool {
        match (self.address, peer) {
            // Everyone is everyone, of both families.
            _ if self.bits == 0 => true,
            (IpAddr::V4(rule), IpAddr::V4(peer)) => {
                let off = 32 - u32::from(self.bits);
                (rule.to_bits() ^ peer.to_bits()) >> off == 0
            }
            (IpAddr::V6(rule), IpAddr::V6(peer)) => {
                let off = 128 - u32::from(self.bits);
                (rule.to_bits() ^ peer.to_bits()) >> off == 0
            }
            _ => false,
        }
    }
}

/// The networks that no router on the Internet carries (RFC 1918, RFC 4193, loopback and link-local IPv6).
pub(super) const PRIVATE: &[Rule] = &[
    Rule::v4(192, 168, 16),
    Rule::v4(10, 0, 8),
    Rule::v4(172, 16, 12),
    Rule::v4(127, 0, 8),
    Rule::v6(0xfe80, 0, 10),
    Rule::v6(0xfc00, 0, 7),
    Rule::v6(0, 1, 128),
];

/// IPv4's own (RFC 3927). Stock's list of private networks has it not.
const LINK_LOCAL: Rule = Rule::v4(169, 254, 16);
