//! What the compiler of this machine says of itself, in the words that daemons announce.

use std::process::{Command, Stdio};

use hosts::Kind;
use protocol::zeroconf::Announced;

/// The machine and version of `gcc` here; nothing where there is none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mine {
    machine: Option<String>,
    version: Option<String>,
}

impl Mine {
    pub(crate) fn ask() -> Mine {
        Mine {
            machine: answer("-dumpmachine"),
            version: answer("-dumpversion"),
        }
    }

    #[cfg(test)]
    pub(crate) fn of(machine: &str, version: &str) -> Mine {
        Mine {
            machine: Some(machine.to_owned()),
            version: Some(version.to_owned()),
        }
    }

    /// Can a daemon that says this compile for us?  Ours are asked later which compilers they have; of stock's there is only this.
    pub(crate) fn fits(&self, said: &Announced) -> Kind {
        let (Some(machine), Some(version)) = (&self.machine, &self.version) else {
            return Kind::Fits;
        };
        let ours = said.launch.is_some();
        match &said.cc_machine {
            Some(there) if there != machine => Kind::OtherMachine,
            None if !ours => Kind::OtherVersion,
            _ if !ours && said.cc_version.as_ref() != Some(version) => Kind::OtherVersion,
            _ => Kind::Fits,
        }
    }
}

/// One line of gcc's.
fn answer(question: &str) -> Option<String> {
    let output = Command::new("gcc")
        .arg(question)
        // If it is a link to a launcher, the compiler behind it answers.
        .env("_DISTCC_SAFEGUARD", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(machine: Option<&str>, version: Option<&str>, launch: Option<&str>) -> Announced {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Announced {
            cc_machine: own(machine),
            cc_version: own(version),
            launch: own(launch),
            ..Announced::default()
        }
    }

    #[test]
    fn who_can_compile_for_us() {
        let mine = Mine::of("x86_64-linux-gnu", "12");
        let (here, arm) = (Some("x86_64-linux-gnu"), Some("aarch64-linux-gnu"));
        for (said, kind) in [
            (said(here, Some("12"), None), Kind::Fits),
            (said(here, Some("13"), None), Kind::OtherVersion),
            (said(arm, Some("12"), None), Kind::OtherMachine),
            (said(None, None, None), Kind::OtherVersion),
            (said(here, None, None), Kind::OtherVersion),
            (said(here, Some("13"), Some("0.1.0")), Kind::Fits),
            (said(None, None, Some("0.1.0")), Kind::Fits),
            (said(arm, Some("12"), Some("0.1.0")), Kind::OtherMachine),
        ] {
            assert_eq!(mine.fits(&said), kind, "{said:?}");
        }
        assert_eq!(Mine::default().fits(&said(None, None, None)), Kind::Fits);
    }
}
