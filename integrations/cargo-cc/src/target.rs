//! Which compiler builds for which other machine: the names that distributions and cc-rs use.

/// A machine to build for, and its compilers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// As `rustc --print target-list` has it.
    pub triple: String,
    pub cc: String,
    pub cxx: String,
}

/// Where the compiler's prefix is not the triple without its vendor.
#[rustfmt::skip]
const PREFIXES: &[(&str, &str)] = &[
    ("armv7-unknown-linux-gnueabihf",       "arm-linux-gnueabihf"),
    ("armv7-unknown-linux-gnueabi",         "arm-linux-gnueabi"),
    ("armv7-unknown-linux-musleabihf",      "arm-linux-musleabihf"),
    ("i586-unknown-linux-gnu",              "i686-linux-gnu"),
    ("i686-pc-windows-gnu",                 "i686-w64-mingw32"),
    ("powerpc64le-unknown-linux-gnu",       "powerpc64le-linux-gnu"),
    ("riscv64gc-unknown-linux-gnu",         "riscv64-linux-gnu"),
    ("riscv64gc-unknown-linux-musl",        "riscv64-linux-musl"),
    ("thumbv7neon-unknown-linux-gnueabihf", "arm-linux-gnueabihf"),
    ("x86_64-pc-windows-gnu",               "x86_64-w64-mingw32"),
    ("x86_64-unknown-linux-gnux32",         "x86_64-linux-gnux32"),
];

impl Target {
    /// The target of this triple with gcc under its usual name; `None` where there is none.
    pub fn known(triple: &str) -> Option<Target> {
        let listed = PREFIXES.iter().find(|(name, _)| *name == triple);
        let prefix = match listed {
            Some((_, prefix)) => (*prefix).to_owned(),
            None => triple
                .contains("-unknown-linux-")
                .then(|| triple.replacen("-unknown-", "-", 1))?,
        };
        Some(Target {
            triple: triple.to_owned(),
            cc: format!("{prefix}-gcc"),
            cxx: format!("{prefix}-g++"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_the_distribution_s() {
        let cc = |triple| Target::known(triple).map(|target| target.cc);
        let known = |name: &str| Some(name.to_owned());
        assert_eq!(
            cc("aarch64-unknown-linux-gnu"),
            known("aarch64-linux-gnu-gcc")
        );
        assert_eq!(
            cc("riscv64gc-unknown-linux-gnu"),
            known("riscv64-linux-gnu-gcc")
        );
        assert_eq!(cc("x86_64-pc-windows-gnu"), known("x86_64-w64-mingw32-gcc"));
        assert_eq!(cc("aarch64-apple-darwin"), None);
    }
}
