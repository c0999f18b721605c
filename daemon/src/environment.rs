//! The environment: read once at start, and what of it compilers get.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::compilers::Search;

/// What a daemon without PATH searches.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Seconds, stock's default of DISTCC_IO_TIMEOUT.
const IO_TIMEOUT: u64 = 300;

/// Variables that compilers get as they are: how messages are written and times are told. (And all that begin with `LC_`.)
const KEPT: &[&str] = &["LANG", "LANGUAGE", "TZ"];

/// What the environment says.
#[derive(Debug)]
pub(crate) struct Environment {
    variables: Vec<(OsString, OsString)>,
}

/// What cannot be understood of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EnvironmentError {
    #[error("DISTCC_IO_TIMEOUT must be a number of seconds above 0")]
    IoTimeout,
    #[error("DISTCC_CMDLIST_NUMWORDS must be a number above 0")]
    ListParts,
}

impl Environment {
    pub(crate) fn read() -> Self {
        Self {
            variables: std::env::vars_os().collect(),
        }
    }

    /// The variable of this name, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_os_str())
    }

    /// DISTCCD_PATH, else PATH.
    fn path(&self) -> OsString {
        let set = |name| self.get(name).filter(|value| !value.is_empty());
        set("DISTCCD_PATH")
            .or_else(|| set("PATH"))
            .unwrap_or(OsStr::new(PATH))
            .to_owned()
    }

    /// Where compilers are looked for.
    ///
    /// # Errors
    /// DISTCC_CMDLIST_NUMWORDS is no number: the list would mean something else than was wanted.
    pub(crate) fn search(&self, any_program: bool) -> Result<Search, EnvironmentError> {
        let parts = match self
            .get("DISTCC_CMDLIST_NUMWORDS")
            .map(|value| value.to_str().and_then(|v| v.parse().ok()))
        {
            None => 1,
            Some(Some(parts)) if parts > 0 => parts,
            Some(_) => return Err(EnvironmentError::ListParts),
        };
        let list = self
            .get("DISTCC_CMDLIST")
            .map(|file| (PathBuf::from(file), parts));
        Ok(Search {
            path: self.path(),
            list,
            any_program,
        })
    }

    /// DISTCC_IO_TIMEOUT, how long a client may preprocess.
    ///
    /// # Errors
    /// It is no number above 0, for which stock ends with 101.
    pub(crate) fn io_timeout(&self) -> Result<Duration, EnvironmentError> {
        let Some(value) = self.get("DISTCC_IO_TIMEOUT") else {
            return Ok(Duration::from_secs(IO_TIMEOUT));
        };
        match value.to_str().and_then(|value| value.parse().ok()) {
            Some(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            _ => Err(EnvironmentError::IoTimeout),
        }
    }

    pub(crate) fn defers_accept(&self) -> bool {
        self.get("DISTCC_TCP_DEFER_ACCEPT") != Some(OsStr::new("0"))
    }

    pub(crate) fn tmpdir(&self) -> Option<&OsStr> {
        self.get("TMPDIR")
    }

    /// The compilers' environment: how to speak, their PATH, the mark by which a distcc client knows that it must not send a job on, what
    /// `pass` names, and nothing else.
    pub(crate) fn for_compilers(&self, pass: &[OsString]) -> Vec<(OsString, OsString)> {
        let ours = ["PATH", "TMPDIR", "PWD", "_DISTCC_SAFEGUARD"];
        let kept = |name: &OsStr| {
            let speech = name.as_encoded_bytes().starts_with(b"LC_")
                || KEPT.iter().any(|kept| name == *kept);
            let passed = pass.iter().any(|passed| passed == name);
            !ours.iter().any(|own| name == *own) && (speech || passed)
        };
        let mut variables: Vec<_> = self
            .variables
            .iter()
            .filter(|(name, _)| kept(name))
            .cloned()
            .collect();
        variables.push(("PATH".into(), self.path()));
        variables.push(("_DISTCC_SAFEGUARD".into(), "1".into()));
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment {
            variables: variables
                .iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        }
    }

    #[test]
    fn compilers_get_little() {
        let ours = environment(&[
            ("HOME", "/h"),
            ("LANG", "de_DE.UTF-8"),
            ("LC_CTYPE", "C"),
            ("CPATH", "/x"),
            ("LD_PRELOAD", "/x.so"),
            ("SECRET", "s"),
            ("PATH", "/p"),
            ("DISTCCD_PATH", "/d"),
            ("TMPDIR", "/t"),
        ]);
        let theirs = environment(&[
            ("LANG", "de_DE.UTF-8"),
            ("LC_CTYPE", "C"),
            ("PATH", "/d"),
            ("_DISTCC_SAFEGUARD", "1"),
        ]);
        assert_eq!(ours.for_compilers(&[]), theirs.variables);
        let passed = ours.for_compilers(&["CPATH".into(), "PATH".into()]);
        assert!(passed.contains(&("CPATH".into(), "/x".into())));
        assert!(passed.contains(&("PATH".into(), "/d".into())));
    }

    #[test]
    fn the_path_of_the_daemon_goes_first() {
        assert_eq!(
            environment(&[("PATH", "/p"), ("DISTCCD_PATH", "/d")]).path(),
            "/d"
        );
        assert_eq!(
            environment(&[("PATH", "/p"), ("DISTCCD_PATH", "")]).path(),
            "/p"
        );
        assert_eq!(environment(&[]).path(), PATH);
    }

    #[test]
    fn nonsense_is_an_error() {
        for value in ["0", "-1", "x", ""] {
            assert!(
                environment(&[("DISTCC_IO_TIMEOUT", value)])
                    .io_timeout()
                    .is_err(),
                "{value}"
            );
            assert!(
                environment(&[("DISTCC_CMDLIST_NUMWORDS", value)])
                    .search(false)
                    .is_err(),
                "{value}"
            );
        }
        assert_eq!(
            environment(&[("DISTCC_IO_TIMEOUT", "5")])
                .io_timeout()
                .unwrap(),
            Duration::from_secs(5)
        );
    }
}
