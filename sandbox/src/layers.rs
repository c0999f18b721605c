//! The layers of the box, each of which can be there or not.

use std::fmt;
use std::str::FromStr;

/// One thing that keeps a program in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Layer {
    /// A root of its own with nothing in it but the toolchain, read-only, and the job.
    Mount = 1,
    /// Processes of its own: it sees no others, and none of them outlives it.
    Pid = 2,
    /// An empty network, no host's name, no System V objects.
    Net = 4,
    /// A list of system calls that compilers do not need and attackers do.
    Seccomp = 8,
    /// Which files may be opened, executed and written, decided once more.
    Landlock = 16,
    /// Memory and processes counted by the kernel for all of a job together.
    Cgroup = 32,
}

/// Outermost first, as they are told.
const ALL: [(Layer, &str); 6] = [
    (Layer::Mount, "mount"),
    (Layer::Pid, "pid"),
    (Layer::Net, "net"),
    (Layer::Seccomp, "seccomp"),
    (Layer::Landlock, "landlock"),
    (Layer::Cgroup, "cgroup"),
];

impl Layer {
    pub(crate) fn from_bit(bit: u8) -> Option<Self> {
        ALL.iter()
            .map(|(layer, _)| *layer)
            .find(|layer| *layer as u8 == bit)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ALL.iter().find(|(layer, _)| layer == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

/// A set of layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layers(u8);

/// A word that names no layer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no layer {0:?}: off, or some of mount,pid,net,seccomp,landlock,cgroup")]
pub struct UnknownLayer(String);

impl Layers {
    pub const NONE: Self = Self(0);
    /// All that there are.
    pub const ALL: Self = Self(63);

    #[must_use]
    pub fn has(self, layer: Layer) -> bool {
        self.0 & layer as u8 != 0
    }

    #[must_use]
    pub fn with(self, layer: Layer) -> Self {
        Self(self.0 | layer as u8)
    }

    #[must_use]
    pub fn without(self, layer: Layer) -> Self {
        Self(self.0 & !(layer as u8))
    }

    /// Those of `self` that `other` lacks.
    #[must_use]
    pub fn missing_in(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a namespace is needed for one of them.
    pub(crate) fn needs_user_namespace(self) -> bool {
        [Layer::Mount, Layer::Pid, Layer::Net]
            .into_iter()
            .any(|layer| self.has(layer))
    }

    pub(crate) fn bits(self) -> u8 {
        self.0
    }

    pub(crate) fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl fmt::Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (layer, name) in ALL {
            if self.has(layer) {
                write!(f, "{between}{name}")?;
                between = ",";
            }
        }
        if self.is_empty() {
            f.write_str("off")?;
        }
        Ok(())
    }
}

impl FromStr for Layers {
    type Err = UnknownLayer;

    /// `off`, `all`, or names with commas between them.
    fn from_str(words: &str) -> Result<Self, UnknownLayer> {
        match words {
            "off" => return Ok(Self::NONE),
            "all" => return Ok(Self::ALL),
            _ => {}
        }
        words.split(',').try_fold(Self::NONE, |layers, word| {
            let found = ALL.iter().find(|(_, name)| *name == word);
            found
                .map(|(layer, _)| layers.with(*layer))
                .ok_or_else(|| UnknownLayer(word.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_read_as_they_are_told() {
        for words in [
            "off",
            "mount",
            "pid,net",
            "mount,pid,net,seccomp,landlock,cgroup",
        ] {
            assert_eq!(words.parse::<Layers>().unwrap().to_string(), words);
        }
        assert_eq!("all".parse(), Ok(Layers::ALL));
        for words in ["", "mount,", "on", "Mount", "off,mount"] {
            assert!(words.parse::<Layers>().is_err(), "{words}");
        }
    }

    #[test]
    fn sets() {
        let layers = Layers::NONE.with(Layer::Pid).with(Layer::Seccomp);
        assert!(layers.has(Layer::Pid) && !layers.has(Layer::Mount));
        assert_eq!(layers.without(Layer::Pid).to_string(), "seccomp");
        assert_eq!(
            Layers::ALL.missing_in(layers).to_string(),
            "mount,net,landlock,cgroup"
        );
    }
}
