//! The three protocol versions, which a client chooses and a daemon echoes.

use crate::body::Coding;

/// How a job travels.  The numbers are those of `DIST` and `DONE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1: preprocessed source, bodies as they are.
    Plain,
    /// 2: preprocessed source, bodies compressed with LZO1X.
    Lzo,
    /// 3, "pump": the source and what it includes, bodies compressed with LZO1X.
    Pump,
}

impl Version {
    pub const ALL: [Version; 3] = [Version::Plain, Version::Lzo, Version::Pump];

    /// The number that stands in `DIST` and `DONE`.
    pub fn number(self) -> u32 {
        match self {
            Version::Plain => 1,
            Version::Lzo => 2,
            Version::Pump => 3,
        }
    }

    /// `None` for every number but 1, 2 and 3.  (Stock also serves 0, as if it were 1: a mistake not worth keeping.)
    pub fn from_number(number: u32) -> Option<Version> {
        match number {
            1 => Some(Version::Plain),
            2 => Some(Version::Lzo),
            3 => Some(Version::Pump),
            _ => None,
        }
    }

    /// How files and streams stand on the wire.
    pub fn coding(self) -> Coding {
        match self {
            Version::Plain => Coding::Plain,
            Version::Lzo | Version::Pump => Coding::Lzo,
        }
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
        for number in [0, 4, 5, 0xffff_ffff] {
            assert_eq!(Version::from_number(number), None);
        }
    }
}
