//! The protocol versions, which a client chooses and a daemon echoes: distcc's three, and two of ours.

use crate::{body::Coding, hello};

/// How a job travels.  The numbers are those of `DIST` and `DONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1: preprocessed source, bodies as they are.
    Plain,
    /// 2: preprocessed source, bodies compressed with LZO1X.
    Lzo,
    /// 3, "pump": the source and what it includes, bodies compressed with LZO1X.
    Pump,
    /// `64636c01`, of this project: source with its directives, compiled as if in the client's directory; bodies compressed
    /// with LZO1X.  Only for daemons whose [hello](crate::hello) names it.
    Launch,
    /// `64636c02`, of this project: the source and what it includes, compiled under the very names that they have at the
    /// client; bodies compressed with LZO1X.  Only for daemons whose [hello](crate::hello) names it.
    Tree,
}

impl Version {
    pub const ALL: [Version; 5] = [
        Version::Plain,
        Version::Lzo,
        Version::Pump,
        Version::Launch,
        Version::Tree,
    ];

    /// The number that stands in `DIST` and `DONE`.
    pub fn number(self) -> u32 {
        match self {
            Version::Plain => 1,
            Version::Lzo => 2,
            Version::Pump => 3,
            Version::Launch => hello::FIRST + 1,
            Version::Tree => hello::FIRST + 2,
        }
    }

    /// `None` for every number but 1, 2, 3, `64636c01` and `64636c02`.  (Stock also serves 0, as if it were 1: a mistake not worth keeping.)
    pub fn from_number(number: u32) -> Option<Version> {
        Version::ALL
            .into_iter()
            .find(|version| version.number() == number)
    }

    /// How files and streams stand on the wire.
    pub fn coding(self) -> Coding {
        match self {
            Version::Plain => Coding::Plain,
            Version::Lzo | Version::Pump | Version::Launch | Version::Tree => Coding::Lzo,
        }
    }

    /// Whether a request says in which directory it is compiled (`CDIR`).
    pub fn has_cwd(self) -> bool {
        matches!(self, Version::Pump | Version::Launch | Version::Tree)
    }

    /// Whether a request brings the files that its source includes, and a good answer a depfile (`DOTD`).
    pub fn has_closure(self) -> bool {
        matches!(self, Version::Pump | Version::Tree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_versions_are_one_to_one() {
        for version in Version::ALL {
            assert_eq!(Version::from_number(version.number()), Some(version));
        }
        for number in [0, 4, 5, hello::NUMBER, hello::FIRST + 3, 0xffff_ffff] {
            assert_eq!(Version::from_number(number), None);
        }
    }
}
