//! How daemons announce themselves by multicast DNS: the service's name and the fields of its text, as stock distcc has them.
//!
//! What is read here came from anybody: fields have limits, and what makes no sense is as if it were not there.

/// The service, in the domain `local.`.
pub const SERVICE: &str = "_distcc._tcp";

/// Bytes of a field's value that are looked at.
const MAX_VALUE: usize = 64;

/// What a daemon says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// Processors.
    pub cpus: Option<u32>,
    /// Compiles at once.
    pub jobs: Option<u32>,
    /// The daemon's version, as stock counts them.
    pub distcc: Option<String>,
    /// What the daemon was built for.
    pub gnuhost: Option<String>,
    /// `gcc -dumpversion`.
    pub cc_version: Option<String>,
    /// `gcc -dumpmachine`.
    pub cc_machine: Option<String>,
    /// The version of distcc-launchd; none for stock's daemon.
    pub launch: Option<String>,
    /// Only who has a key is served.
    pub keys: bool,
}

impl Announced {
    /// The fields, each with its name.
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u32>| value.map(|value| value.to_string());
        let fields = [
            ("txtvers", Some("1".to_owned())),
            ("cpus", number(self.cpus)),
            ("jobs", number(self.jobs)),
            ("distcc", self.distcc.clone()),
            ("gnuhost", self.gnuhost.clone()),
            ("cc_version", self.cc_version.clone()),
            ("cc_machine", self.cc_machine.clone()),
            ("launch", self.launch.clone()),
            ("keys", self.keys.then(|| "1".to_owned())),
        ];
        let said = fields.into_iter();
        said.filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }

    /// From the fields of somebody's text; `get` gives a field's value.
    pub fn read<'v>(get: impl Fn(&str) -> Option<&'v [u8]>) -> Announced {
        let text = |name: &str| {
            let value = get(name).filter(|value| (1..=MAX_VALUE).contains(&value.len()))?;
            let plain = value.iter().all(u8::is_ascii_graphic);
            plain.then(|| String::from_utf8_lossy(value).into_owned())
        };
        let number = |name: &str| {
            let digits = text(name)?;
            let all = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| all && *number > 0)
        };
        Announced {
            cpus: number("cpus"),
            jobs: number("jobs"),
            distcc: text("distcc"),
            gnuhost: text("gnuhost"),
            cc_version: text("cc_version"),
            cc_machine: text("cc_machine"),
            launch: text("launch"),
            keys: text("keys").is_some_and(|value| value == "1"),
        }
    }

    /// The service's name among those with this compiler, by which alone stock's clients look: `_x86-64-linux-gnu--12._sub._distcc._tcp`.
    pub fn subtype(&self) -> Option<String> {
        let plain = |value: &str| -> String {
            let letter = |char: char| {
                if char.is_ascii_alphanumeric() {
                    char
                } else {
                    '-'
                }
            };
            value.chars().map(letter).collect()
        };
        let machine = plain(self.cc_machine.as_deref()?);
        let version = plain(self.cc_version.as_deref()?);
        let label = format!("_{machine}--{version}");
        // A label of DNS has at most 63 bytes.
        (label.len() <= 63).then(|| format!("{label}._sub.{SERVICE}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// As Debian's distccd 3.4 said it on a machine with gcc 12.
    const STOCK: [(&str, &[u8]); 7] = [
        ("cc_machine", b"x86_64-linux-gnu"),
        ("cc_version", b"12"),
        ("gnuhost", b"x86_64-pc-linux-gnu"),
        ("distcc", b"3.4"),
        ("jobs", b"5"),
        ("cpus", b"2"),
        ("txtvers", b"1"),
    ];

    fn read(fields: &[(&str, &[u8])]) -> Announced {
        let fields: BTreeMap<_, _> = fields.iter().copied().collect();
        Announced::read(|name| fields.get(name).copied())
    }

    #[test]
    fn stocks_text_is_understood_and_said_again() {
        let said = read(&STOCK);
        assert_eq!((said.cpus, said.jobs), (Some(2), Some(5)));
        assert_eq!((said.launch.as_deref(), said.keys), (None, false));
        // As stock spells it, by its system calls.
        assert_eq!(
            said.subtype().as_deref(),
            Some("_x86-64-linux-gnu--12._sub._distcc._tcp")
        );
        let again: BTreeMap<_, _> = said.fields().into_iter().collect();
        for (name, value) in STOCK {
            assert_eq!(again[name].as_bytes(), value, "{name}");
        }
        assert_eq!(again.len(), STOCK.len());
    }

    #[test]
    fn what_is_said_is_read_back() {
        let said = Announced {
            launch: Some("0.1.0".to_owned()),
            keys: true,
            ..read(&STOCK)
        };
        let fields = said.fields();
        let pairs: Vec<(&str, &[u8])> = fields
            .iter()
            .map(|(name, value)| (*name, value.as_bytes()))
            .collect();
        assert_eq!(read(&pairs), said);
    }

    proptest! {
        #[test]
        fn any_text_is_read(fields in proptest::collection::vec((0usize..9, proptest::collection::vec(any::<u8>(), 0..80)), 0..12)) {
            let names = ["cpus", "jobs", "distcc", "gnuhost", "cc_version", "cc_machine", "launch", "keys", "x"];
            let pairs: Vec<(&str, &[u8])> = fields
                .iter()
                .map(|(at, value)| (names[*at], value.as_slice()))
                .collect();
            let said = read(&pairs);
            let fields = said.fields();
            let again: Vec<(&str, &[u8])> = fields
                .iter()
                .map(|(name, value)| (*name, value.as_bytes()))
                .collect();
            prop_assert_eq!(read(&again), said.clone());
            for (_, value) in fields {
                prop_assert!(value.len() <= MAX_VALUE && value.bytes().all(|byte| byte.is_ascii_graphic()));
            }
            prop_assert!(said.subtype().is_none_or(|name| name.find('.').is_some_and(|label| label <= 63)));
        }
    }

    #[test]
    fn nonsense_is_as_if_it_were_not_there() {
        let long = [b'9'; 65];
        for value in [
            &b""[..],
            b"0",
            b"-1",
            b"+4",
            b"4 ",
            b"99999999999",
            b"\x1b[2J",
            b"x",
            &long,
        ] {
            assert_eq!(
                read(&[("jobs", value)]).jobs,
                None,
                "{}",
                value.escape_ascii()
            );
        }
        for value in [&b""[..], b"a b", b"12\n", b"\xff", &long] {
            let said = read(&[("cc_machine", b"m"), ("cc_version", value)]);
            assert_eq!((said.cc_version.as_deref(), said.subtype()), (None, None));
        }
        let long = [b'm'; 64];
        let said = read(&[("cc_machine", &long), ("cc_version", b"12.2.0")]);
        assert_eq!(said.subtype(), None, "too long for a name");
        let said = read(&[("cc_machine", b"m"), ("cc_version", b"12.2.0")]);
        assert_eq!(
            said.subtype().as_deref(),
            Some("_m--12-2-0._sub._distcc._tcp")
        );
    }
}
