//! `+zeroconf`: where in a list the hosts go that announce themselves, and which of them.
//!
//! Anybody on the network can announce anything.  A host is used only with a key, or in a network that the user named; with both, only
//! where both hold.

use std::net::IpAddr;

use super::{Host, HostList, KeyFile, Transport};
use crate::found::{Found, Kind};
use crate::nets::Nets;

/// The word `+zeroconf` with its options, which are those of each host that it finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zeroconf {
    /// The word of the list, verbatim.
    pub token: String,
    /// How many hosts of the list come before those that are found.
    pub at: usize,
    pub lzo: bool,
    pub cpp: bool,
    pub down: bool,
    pub key: Option<KeyFile>,
}

/// Why a host that announced itself gets no job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ignored {
    /// It is this machine.
    Ourselves,
    /// Its compilers make objects for another machine.
    OtherMachine,
    /// Stock's daemon, with another version of gcc.
    OtherVersion,
    /// It serves only who has a key, and the list has none.
    NeedsKey,
    /// The list wants a key, and it serves anybody: stock's daemons know none.
    KnowsNoKeys,
    /// Only an address that means nothing without the name of an interface.
    NoAddress,
    /// The user named networks, and it is in none of them.
    OtherNet,
    /// A host of the list has this address and port.
    Listed,
}

impl Ignored {
    pub fn sentence(self) -> &'static str {
        match self {
            Ignored::Ourselves => "it is this machine, which needs no daemon",
            Ignored::OtherMachine => "it compiles for another kind of machine",
            Ignored::OtherVersion => "it has another version of gcc",
            Ignored::NeedsKey => "it serves only who has a key (+zeroconf,key)",
            Ignored::KnowsNoKeys => "it knows no keys, and the list says ,key",
            Ignored::NoAddress => "it has no address but a link-local one",
            Ignored::OtherNet => "it is in no network of DISTCC_LAUNCH_ZEROCONF_NETS",
            Ignored::Listed => "the list names it already",
        }
    }
}

impl Zeroconf {
    /// May any host be used at all, where the user named these networks?
    pub fn may_use_any(&self, nets: Option<&Nets>) -> bool {
        match nets {
            Some(nets) => !nets.are_none(),
            None => self.key.is_some(),
        }
    }

    /// The host to be used for `found`, or why it is none.  `nets` are the networks that the user named, if any were.
    pub fn judge(&self, found: &Found, nets: Option<&Nets>) -> Result<Host, Ignored> {
        match found.kind {
            Kind::Fits => {}
            Kind::Ourselves => return Err(Ignored::Ourselves),
            Kind::OtherMachine => return Err(Ignored::OtherMachine),
            Kind::OtherVersion => return Err(Ignored::OtherVersion),
        }
        match (found.keyed, &self.key) {
            (true, None) => return Err(Ignored::NeedsKey),
            (false, Some(_)) => return Err(Ignored::KnowsNoKeys),
            _ => {}
        }
        let mut reachable = found.addresses.iter().filter(|one| has_meaning(**one));
        let Some(first) = reachable.clone().next() else {
            return Err(Ignored::NoAddress);
        };
        let address = match nets {
            Some(nets) => reachable.find(|address| nets.contain(**address)),
            None => self.key.is_some().then_some(first),
        };
        let address = *address.ok_or(Ignored::OtherNet)?;
        Ok(self.host(found, address))
    }

    fn host(&self, found: &Found, address: IpAddr) -> Host {
        let place = match address {
            IpAddr::V4(address) => format!("{address}:{}", found.port),
            IpAddr::V6(address) => format!("[{address}]:{}", found.port),
        };
        let mut token = format!("{place}/{}", found.slots);
        token.push_str(self.token.strip_prefix("+zeroconf").unwrap_or_default());
        Host {
            token,
            transport: Transport::Tcp {
                host: address.to_string(),
                port: found.port,
            },
            slots: found.slots,
            lzo: self.lzo,
            cpp: self.cpp,
            down: self.down,
            key: self.key.clone(),
        }
    }
}

/// Can one connect to it without saying by which interface?
fn has_meaning(address: IpAddr) -> bool {
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    !(link_local || address.is_unspecified() || address.is_multicast())
}

impl HostList {
    /// Puts those of `found` that may be used where the list says `+zeroconf`; gives what became of each.
    pub fn add_found<'f>(
        &mut self,
        found: &'f [Found],
        nets: Option<&Nets>,
    ) -> Vec<(&'f Found, Result<String, Ignored>)> {
        let Some(zeroconf) = self.zeroconf.clone() else {
            return Vec::new();
        };
        let mut at = zeroconf.at.min(self.hosts.len());
        let mut told = Vec::with_capacity(found.len());
        for one in found {
            let mut judged = zeroconf.judge(one, nets);
            if let Ok(host) = &judged
                && self
                    .hosts
                    .iter()
                    .any(|listed| listed.lock_name() == host.lock_name())
            {
                judged = Err(Ignored::Listed);
            }
            let name = judged.map(|host| {
                let name = host.name();
                self.hosts.insert(at, host);
                at += 1;
                name
            });
            told.push((one, name));
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::parse;

    fn found(kind: Kind, slots: u32, addresses: &[&str]) -> Found {
        Found {
            kind,
            keyed: false,
            port: 3632,
            slots,
            name: "distcc@farm".to_owned(),
            addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        }
    }

    fn nets(text: &str) -> Option<Nets> {
        (!text.is_empty()).then(|| Nets::read(text).0)
    }

    fn judged(list: &str, allowed: &str, found: &Found) -> Result<String, Ignored> {
        let zeroconf = parse(list).unwrap().zeroconf.unwrap();
        let host = zeroconf.judge(found, nets(allowed).as_ref());
        host.map(|host| host.token)
    }

    #[test]
    fn only_with_a_key_or_in_a_named_network() {
        let one = found(Kind::Fits, 8, &["10.7.0.2", "fd00::2"]);
        assert_eq!(judged("+zeroconf", "", &one), Err(Ignored::OtherNet));
        assert_eq!(
            judged("+zeroconf", "10.8.0.0/16", &one),
            Err(Ignored::OtherNet)
        );
        assert_eq!(
            judged("+zeroconf", "10.7.0.0/16", &one),
            Ok("10.7.0.2:3632/8".to_owned())
        );
        assert_eq!(
            judged("+zeroconf,lzo", "fd00::/8", &one),
            Ok("[fd00::2]:3632/8,lzo".to_owned())
        );
        let one = Found { keyed: true, ..one };
        assert_eq!(
            judged("+zeroconf,key", "", &one),
            Ok("10.7.0.2:3632/8,key".to_owned())
        );
        assert_eq!(
            judged("+zeroconf,key", "10.8.0.0/16", &one),
            Err(Ignored::OtherNet),
            "a key does not widen the networks"
        );
        assert_eq!(
            judged("+zeroconf,key", "10.7/16", &one),
            Err(Ignored::OtherNet),
            "nor does a mistake in them"
        );
        let zeroconf = |list: &str| parse(list).unwrap().zeroconf.unwrap();
        let any = |list: &str, allowed: &str| zeroconf(list).may_use_any(nets(allowed).as_ref());
        assert!(!any("+zeroconf", "") && !any("+zeroconf,key", "10/8"));
        assert!(any("+zeroconf,key", "") && any("+zeroconf", "10.0.0.0/8"));
    }

    #[test]
    fn those_that_are_of_no_use() {
        let all = "0.0.0.0/0,::/0";
        for (kind, why) in [
            (Kind::Ourselves, Ignored::Ourselves),
            (Kind::OtherMachine, Ignored::OtherMachine),
            (Kind::OtherVersion, Ignored::OtherVersion),
        ] {
            let one = found(kind, 8, &["10.7.0.2"]);
            assert_eq!(judged("+zeroconf", all, &one), Err(why));
        }
        let open = found(Kind::Fits, 8, &["10.7.0.2"]);
        assert_eq!(
            judged("+zeroconf,key", all, &open),
            Err(Ignored::KnowsNoKeys)
        );
        let keyed = Found {
            keyed: true,
            ..open
        };
        assert_eq!(judged("+zeroconf", all, &keyed), Err(Ignored::NeedsKey));
        for addresses in [
            &["fe80::7"][..],
            &[],
            &["0.0.0.0"],
            &["224.0.0.251"],
            &["::"],
        ] {
            let one = found(Kind::Fits, 8, addresses);
            assert_eq!(judged("+zeroconf", all, &one), Err(Ignored::NoAddress));
        }
        let one = found(Kind::Fits, 8, &["fe80::7", "10.7.0.2"]);
        assert_eq!(
            judged("+zeroconf", all, &one),
            Ok("10.7.0.2:3632/8".to_owned())
        );
    }

    #[test]
    fn they_stand_where_the_word_stands_and_once() {
        let mut list = parse("first 10.7.0.3/2,lzo +zeroconf last").unwrap();
        let there = [
            found(Kind::Fits, 8, &["10.7.0.2"]),
            found(Kind::Fits, 4, &["10.7.0.3"]),
            found(Kind::Fits, 4, &["10.7.0.2"]),
            found(Kind::Fits, 6, &["10.7.0.4"]),
        ];
        let told = list.add_found(&there, nets("10.7.0.0/24").as_ref());
        let told: Vec<_> = told.into_iter().map(|(_, told)| told).collect();
        assert_eq!(
            told,
            [
                Ok("10.7.0.2:3632".to_owned()),
                Err(Ignored::Listed),
                Err(Ignored::Listed),
                Ok("10.7.0.4:3632".to_owned())
            ]
        );
        let tokens: Vec<_> = list.hosts.iter().map(|host| host.token.as_str()).collect();
        assert_eq!(
            tokens,
            [
                "first",
                "10.7.0.3/2,lzo",
                "10.7.0.2:3632/8",
                "10.7.0.4:3632/6",
                "last"
            ]
        );
        for host in &list.hosts {
            assert_eq!(
                parse(&host.token).unwrap().hosts,
                std::slice::from_ref(host)
            );
        }
    }
}
