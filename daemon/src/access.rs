//! Who may talk to the daemon: networks, newest first, and nothing else.
//!
//! Stock's rules (facts 7.3), except that its 3.4 is open to everyone when nothing is said; here the private networks
//! are the default. Knows nothing of sockets: it compares addresses.

mod rule;

use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;

use rule::{PRIVATE, parse_address};
pub(crate) use rule::{Rule, RuleError, parse};

/// Why a file of rules cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("could not read --allow-file {path}")]
    Read { path: String, source: io::Error },
    #[error("--allow-file {path}, line {line}")]
    Line {
        path: String,
        line: usize,
        source: RuleError,
    },
    #[error(transparent)]
    Outside(#[from] OutsideError),
}

/// The rules of a file: one a line, `#` begins a comment.
///
/// # Errors
/// It cannot be read, or a line is no rule: a list that is only partly understood is worse than none.
pub(crate) fn read_file(path: &Path) -> Result<Vec<Rule>, FileError> {
    let shown = || path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
        path: shown(),
        source,
    })?;
    let mut rules = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let word = line.split('#').next().unwrap_or_default().trim();
        if word.is_empty() {
            continue;
        }
        rules.extend(parse(word).map_err(|source| FileError::Line {
            path: shown(),
            line: n + 1,
            source,
        })?);
    }
    Ok(rules)
}

/// Why a daemon without keys does not listen.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutsideError {
    #[error(
        "{rule}, which is allowed, reaches beyond private networks, where anyone can read and change what is sent; give clients keys \
         (--keys FILE, made by distcc-launchd keygen), or say --insecure-network"
    )]
    Allow { rule: Rule },
    #[error(
        "--listen {address} is not in a private network, and anyone can read and change what is sent to it; give clients keys \
         (--keys FILE, made by distcc-launchd keygen), or say --insecure-network"
    )]
    Listen { address: IpAddr },
}

/// Looks whether all of `rules` stays in private networks: RFC 1918, RFC 4193, loopback, link-local. (Not 100.64.0.0/10: a
/// provider's other customers are there.)
///
/// # Errors
/// The first rule that reaches further.
pub(crate) fn stay_private(rules: &[Rule]) -> Result<(), OutsideError> {
    let outside = rules.iter().find(|rule| !rule.is_private());
    outside.map_or(Ok(()), |rule| Err(OutsideError::Allow { rule: *rule }))
}

/// Is `address` in a private network?
pub(crate) fn is_private(address: IpAddr) -> bool {
    Rule::single(address).is_private()
}

/// Looks whether the address to listen on, or of the socket that was `handed` over, is a private one. All addresses of the
/// machine together are fine, since the access list says who is served there.
///
/// # Errors
/// The address that is not.
pub(crate) fn listens_privately(
    listen: Option<&str>,
    handed: Option<&TcpListener>,
) -> Result<(), OutsideError> {
    let addresses = match (handed, listen) {
        (Some(socket), _) => socket.local_addr().map(|at| at.ip()).into_iter().collect(),
        (None, None) => Vec::new(),
        (None, Some(host)) => match parse_address(host) {
            Some(address) => vec![address],
            // What has no address is an error of another kind.
            None => crate::resolve::addresses(host).unwrap_or_default(),
        },
    };
    let outside = addresses
        .into_iter()
        .find(|address| !address.is_unspecified() && !Rule::single(*address).is_private());
    outside.map_or(Ok(()), |address| Err(OutsideError::Listen { address }))
}

/// Everyone who is served.
#[derive(Debug, Clone)]
pub(crate) struct AccessList {
    rules: Vec<Rule>,
}

impl AccessList {
    /// `allow` as typed, oldest first; the private networks as well when asked for or when nothing was said.
    pub(crate) fn new(allow: &[Rule], private: bool) -> Self {
        Self::listed(allow, private || allow.is_empty())
    }

    /// These networks and no others, even if there are none; the private ones when asked for.
    pub(crate) fn listed(allow: &[Rule], private: bool) -> Self {
        let mut rules: Vec<Rule> = allow.iter().rev().copied().collect();
        if private {
            rules.extend_from_slice(PRIVATE);
        }
        Self { rules }
    }

    /// Whether `peer` is served. IPv4 in IPv6 clothes is compared as IPv4.
    pub(crate) fn allows(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.rules.iter().any(|rule| rule.holds(peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(words: &[&str]) -> AccessList {
        let rules: Vec<Rule> = words.iter().flat_map(|word| parse(word).unwrap()).collect();
        AccessList::new(&rules, false)
    }

    fn allows(list: &AccessList, peer: &str) -> bool {
        list.allows(peer.parse().unwrap())
    }

    #[test]
    fn private_networks_are_the_default() {
        let list = list(&[]);
        for peer in [
            "192.168.7.1",
            "10.200.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "127.0.0.1",
            "::1",
            "fe80::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(allows(&list, peer), "{peer}");
        }
        for peer in [
            "8.8.8.8",
            "172.32.0.1",
            "192.169.0.1",
            "169.254.1.1",
            "2001:db8::1",
            "::2",
            "::ffff:8.8.8.8",
        ] {
            assert!(!allows(&list, peer), "{peer}");
        }
    }

    #[test]
    fn a_rule_replaces_the_default() {
        let list = list(&["192.0.2.0/25"]);
        assert!(allows(&list, "192.0.2.127"));
        assert!(!allows(&list, "192.0.2.128"));
        assert!(!allows(&list, "127.0.0.1"));
    }

    #[test]
    fn private_can_be_added() {
        let rules = parse("192.0.2.1").unwrap();
        let list = AccessList::new(&rules, true);
        assert!(allows(&list, "127.0.0.1") && allows(&list, "192.0.2.1"));
    }

    #[test]
    fn zero_bits_allow_everyone() {
        for word in ["0.0.0.0/0", "::/0"] {
            let list = list(&[word]);
            assert!(
                allows(&list, "8.8.8.8") && allows(&list, "2001:db8::1"),
                "{word}"
            );
        }
    }

    #[test]
    fn odd_bits_and_single_addresses() {
        assert!(allows(&list(&["10.1.2.3"]), "10.1.2.3"));
        assert!(!allows(&list(&["10.1.2.3"]), "10.1.2.2"));
        assert!(allows(&list(&["10.1.2.3/31"]), "10.1.2.2"));
        assert!(allows(&list(&["[2001:db8::]/33"]), "2001:db8:7fff::1"));
        assert!(!allows(&list(&["2001:db8::/33"]), "2001:db8:8000::1"));
        assert!(allows(&list(&["128.0.0.0/1"]), "255.1.1.1"));
    }

    #[test]
    fn what_reaches_beyond_private_networks_is_told() {
        let check = |listen: Option<&str>, allow: &[&str]| {
            let rules: Vec<Rule> = allow.iter().flat_map(|word| parse(word).unwrap()).collect();
            listens_privately(listen, None).and_then(|()| stay_private(&rules))
        };
        for allow in [
            "10.0.0.0/8",
            "10.1.2.3",
            "192.168.0.0/16",
            "192.168.4.0/22",
            "172.16.0.0/12",
            "127.0.0.1",
            "169.254.0.0/16",
            "::1",
            "fe80::/10",
            "fd00::/8",
            "fc00::/7",
            "::ffff:10.0.0.1",
            "::ffff:192.168.0.0/112",
        ] {
            assert_eq!(check(None, &[allow]), Ok(()), "{allow}");
        }
        for allow in [
            "0.0.0.0/0",
            "::/0",
            "10.0.0.0/7",
            "192.168.0.0/15",
            "172.16.0.0/11",
            "127.0.0.0/7",
            "8.8.8.8",
            "100.64.0.1",
            "192.0.2.0/24",
            "::/127",
            "fc00::/6",
            "2001:db8::/32",
            "::ffff:8.8.8.8",
            "::ffff:0.0.0.0/96",
            "::ffff:0.0.0.0/90",
        ] {
            let error = check(None, &["10.0.0.1", allow]).unwrap_err().to_string();
            assert!(
                error.contains(", which is allowed, ") && error.contains("--insecure-network"),
                "{error}"
            );
            assert!(error.contains("keygen"), "{error}");
        }
        for listen in [
            None,
            Some("127.0.0.1"),
            Some("10.0.0.7"),
            Some("0.0.0.0"),
            Some("::"),
            Some("fe80::1"),
            Some("no such host"),
        ] {
            assert_eq!(check(listen, &[]), Ok(()), "{listen:?}");
        }
        for listen in ["8.8.8.8", "2001:db8::1", "172.32.0.1"] {
            let error = check(Some(listen), &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--listen {listen} ")), "{error}");
        }
    }

    #[test]
    fn bad_rules_say_what_is_wrong() {
        assert!(matches!(parse("10.0.0.0/33"), Err(RuleError::BadBits(..))));
        assert!(matches!(parse("10.0.0.0/-1"), Err(RuleError::BadBits(..))));
        assert!(matches!(parse("10.0.0.0/+1"), Err(RuleError::BadBits(..))));
        assert!(matches!(parse("10.0.0.0/"), Err(RuleError::BadBits(..))));
        assert!(matches!(parse("::1/129"), Err(RuleError::BadBits(..))));
        assert!(matches!(parse("300.1.1.1"), Err(RuleError::NoAddress(_))));
        assert!(matches!(parse(""), Err(RuleError::NoAddress(_))));
    }

    #[test]
    fn a_file_has_a_rule_a_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("allow");
        std::fs::write(&path, "# ours\n10.1.0.0/16\n\n ::1 # here\n").unwrap();
        let rules = read_file(&path).unwrap();
        let list = AccessList::new(&rules, false);
        assert!(allows(&list, "10.1.2.3") && allows(&list, "::1"));
        assert!(!allows(&list, "10.2.0.1"));
        std::fs::write(&path, "10.1.0.0/16\nten\n10.0.0.0/99").unwrap();
        let error = read_file(&path).unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
        assert!(matches!(
            read_file(&folder.path().join("none")),
            Err(FileError::Read { .. })
        ));
    }
}
