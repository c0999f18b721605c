//! The file in which the browser says which hosts have announced themselves, and the files by which launchers and it know of each other.
//!
//! All are in `$DISTCC_DIR/zeroconf`, beside stock's `hosts` and `lock` and never these: stock's list is made by other rules.  What is
//! in the file came from the network, so every field has its limits, here as where it is written.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::list::MAX_SLOTS;

/// No more hosts are remembered: those that come later must wait until one goes.
pub const MAX_FOUND: usize = 256;
/// Addresses of one host.
pub const MAX_ADDRESSES: usize = 4;
/// Characters of a name.
pub const MAX_NAME: usize = 63;
/// A file that was not written for so long is of a browser that is no more.
pub const FRESH: Duration = Duration::from_secs(60);
/// How often a browser writes it at least.
pub const HEARTBEAT: Duration = Duration::from_secs(20);
/// A launcher says that somebody asks no more often than this.
pub const ASKS: Duration = Duration::from_secs(10);
/// The longest wait for a browser that has just been started.
pub const WAIT: Duration = Duration::from_millis(500);

const TITLE: &str = "distcc-launch found 1";
const KEYED: &str = "keyed";
const OPEN: &str = "open";

/// Where these files are, below `$DISTCC_DIR`.
#[derive(Debug, Clone)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    pub fn below(distcc_dir: &Path) -> Files {
        Files::at(distcc_dir.join("zeroconf"))
    }

    pub fn at(folder: PathBuf) -> Files {
        Files { folder }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What was found.
    pub fn found(&self) -> PathBuf {
        self.folder.join("found")
    }

    /// Locked as long as a browser lives; its time of change is when one was last started.
    pub fn browser(&self) -> PathBuf {
        self.folder.join("browser")
    }

    /// Its time of change is when a launcher last asked.
    pub fn asked(&self) -> PathBuf {
        self.folder.join("asked")
    }

    /// Why no browser could be started.
    pub fn failed(&self) -> PathBuf {
        self.folder.join("failed")
    }
}

/// Whether a host's compilers are of use here, as far as its announcement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Fits,
    /// A daemon of this machine.
    Ourselves,
    OtherMachine,
    OtherVersion,
}

impl Kind {
    const ALL: [Kind; 4] = [
        Kind::Fits,
        Kind::Ourselves,
        Kind::OtherMachine,
        Kind::OtherVersion,
    ];

    fn word(self) -> &'static str {
        match self {
            Kind::Fits => "fits",
            Kind::Ourselves => "ourselves",
            Kind::OtherMachine => "other-machine",
            Kind::OtherVersion => "other-version",
        }
    }
}

/// One daemon that has announced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub kind: Kind,
    /// Does it serve only who has a key?
    pub keyed: bool,
    pub port: u16,
    /// 1 to [`MAX_SLOTS`].
    pub slots: u32,
    /// What it calls itself; letters for people.
    pub name: String,
    /// Best first.
    pub addresses: Vec<IpAddr>,
}

/// A name as it may be printed anywhere: in one piece, and no longer than [`MAX_NAME`].
pub fn plain_name(name: &str) -> String {
    let plain = |char: char| match char {
        '!'..='~' => char,
        _ => '?',
    };
    name.chars().take(MAX_NAME).map(plain).collect()
}

/// The file's text.
pub fn write(found: &[Found]) -> String {
    let mut text = format!("{TITLE}\n");
    for one in found.iter().take(MAX_FOUND) {
        let (kind, name) = (one.kind.word(), plain_name(&one.name));
        let door = if one.keyed { KEYED } else { OPEN };
        // Writing to a string does not fail.
        let _ = write!(text, "{kind} {door} {} {} {name}", one.port, one.slots);
        for address in one.addresses.iter().take(MAX_ADDRESSES) {
            let _ = write!(text, " {address}");
        }
        text.push('\n');
    }
    text
}

/// The hosts of a file.  Lines that are not as they should be are passed over, and so is a file of another version.
pub fn read(text: &[u8]) -> Vec<Found> {
    let text = str::from_utf8(text).unwrap_or_default();
    let mut lines = text.split_inclusive('\n');
    if lines.next() != Some(&format!("{TITLE}\n")) {
        return Vec::new();
    }
    // Without its end, a line was cut.
    let whole = lines.filter_map(|line| line.strip_suffix('\n'));
    whole.filter_map(read_line).take(MAX_FOUND).collect()
}

fn read_line(line: &str) -> Option<Found> {
    let mut words = line.split(' ');
    let kind = words.next()?;
    let kind = Kind::ALL.into_iter().find(|one| one.word() == kind)?;
    let keyed = match words.next()? {
        KEYED => true,
        OPEN => false,
        _ => return None,
    };
    let port = words.next()?.parse().ok().filter(|port| *port > 0)?;
    let slots = words.next()?.parse().ok();
    let slots = slots.filter(|slots| (1..=MAX_SLOTS).contains(slots))?;
    let name = words.next()?;
    let addresses: Option<Vec<IpAddr>> = words.map(|word| word.parse().ok()).collect();
    Some(Found {
        kind,
        keyed,
        port,
        slots,
        name: plain_name(name),
        addresses: addresses.filter(|all| all.len() <= MAX_ADDRESSES)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one() -> Found {
        Found {
            kind: Kind::Fits,
            keyed: false,
            port: 3632,
            slots: 8,
            name: "distcc@farm".to_owned(),
            addresses: vec!["10.7.0.2".parse().unwrap(), "fd00::2".parse().unwrap()],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let all: Vec<Found> = Kind::ALL
            .into_iter()
            .map(|kind| Found { kind, ..one() })
            .chain([Found {
                keyed: true,
                addresses: Vec::new(),
                ..one()
            }])
            .collect();
        let text = write(&all);
        assert!(text.starts_with(
            "distcc-launch found 1\nfits open 3632 8 distcc@farm 10.7.0.2 fd00::2\nourselves "
        ));
        assert_eq!(read(text.as_bytes()), all);
        assert_eq!(read(write(&[]).as_bytes()), []);
    }

    #[test]
    fn names_do_nothing_where_they_are_printed() {
        let name = "a\x1b[31mb c\n10.0.0.1 \u{e4}".to_owned() + &"x".repeat(5000);
        let found = Found { name, ..one() };
        let again = read(write(&[found]).as_bytes());
        assert_eq!(again.len(), 1);
        assert!(again[0].name.starts_with("a?[31mb?c?10.0.0.1??xxx"));
        assert_eq!(again[0].name.len(), MAX_NAME);
    }

    #[test]
    fn lines_that_are_wrong_are_passed_over() {
        let good = "fits open 3632 8 distcc@farm 10.7.0.2 fd00::2\n";
        for bad in [
            "fits open 0 8 n 10.7.0.2\n",
            "fits open 70000 8 n 10.7.0.2\n",
            "fits open 3632 0 n 10.7.0.2\n",
            "fits open 3632 10000 n 10.7.0.2\n",
            "fits open 3632 8 n farm\n",
            "fits open 3632 8 n 10.7.0.2  \n",
            "fits open 3632 8 n 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5\n",
            "perhaps open 3632 8 n 10.7.0.2\n",
            "fits open 3632\n",
            "fits 3632 8 n 10.7.0.2\n",
            "\n",
        ] {
            let text = format!("{TITLE}\n{bad}{good}{}", good.trim_end());
            assert_eq!(
                read(text.as_bytes()),
                [one()],
                "{bad:?}, and a line without its end"
            );
        }
        assert_eq!(read(good.as_bytes()), [], "no title");
        assert_eq!(
            read(format!("distcc-launch found 2\n{good}").as_bytes()),
            []
        );
    }

    #[test]
    fn a_crowd_is_cut() {
        let crowd = vec![
            Found {
                name: "n".repeat(MAX_NAME),
                addresses: vec!["2001:db8:ffff:ffff:ffff:ffff:ffff:ffff".parse().unwrap(); 9],
                ..one()
            };
            5000
        ];
        let text = write(&crowd);
        // What launchers read at most.
        assert!(text.len() < 1 << 16, "{}", text.len());
        assert_eq!(read(text.as_bytes()).len(), MAX_FOUND);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let text = [TITLE.as_bytes(), b"\n", &bytes].concat();
            for found in read(&text) {
                prop_assert_eq!(read(write(std::slice::from_ref(&found)).as_bytes()), [found]);
            }
        }
    }
}
