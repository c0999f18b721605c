//! What the environment says, read once at the door.  Nothing else in the launcher reads the environment.
//!
//! The names and meanings of `DISTCC_*` are stock distcc's; ours begin `DISTCC_LAUNCH_`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use compiler::Manner;
use compiler::classify::SEARCH_VARIABLES;
use compiler::diagnostics::Charset;
use integration_ninja::jobserver::Found;

/// How deep in launchers we are; children get one more.  Stock distcc counts in the same variable.
pub(crate) const LEVEL: &str = "_DISTCC_SAFEGUARD";

/// What `distcc-launch run` tells the launchers below it: its name, a blank, and the identity of the jobserver that it offers.
pub(crate) const RUN: &str = "DISTCC_LAUNCH_RUN";

pub(crate) const JOURNAL: &str = "DISTCC_LAUNCH_JOURNAL";
/// What `distcc-launch local` tells those below it: that they run in its slot.
pub(crate) const LOCAL_SLOT: &str = "_DISTCC_LAUNCH_LOCAL";

/// Everything a run is told besides its words.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `DISTCC_HOSTS`; set but empty means no hosts at all.
    pub hosts: Option<OsString>,
    /// `DISTCC_DIR`, or `~/.distcc`; `None` when neither it nor `HOME` is set.
    pub folder: Option<PathBuf>,
    pub home: Option<PathBuf>,
    /// `DISTCC_FALLBACK`: may a job that could not be distributed run here?
    pub fallback: bool,
    /// `DISTCC_SKIP_LOCAL_RETRY`: a failing remote compile is final.
    pub skip_local_retry: bool,
    /// `DISTCC_BACKOFF_PERIOD` in seconds, when set.
    pub backoff: Option<u64>,
    /// `DISTCC_IO_TIMEOUT`: the longest wait for one read or write; for a value that means none, stock's default and what is
    /// wrong with it.
    pub io_timeout: Duration,
    /// Did somebody choose that?
    pub io_timeout_is_set: bool,
    pub bad_io_timeout: Option<BadSetting>,
    pub verbose: bool,
    /// `DISTCC_LOG`; set but empty means standard error.
    pub log: Option<OsString>,
    /// May ssh speak on standard error?  As with our own words, where somebody asked for them or we are called `distcc`.
    pub ssh_speaks: bool,
    /// `UNCACHED_ERR_FD`: where ccache keeps the real standard error.
    pub uncached_err_fd: Option<i32>,
    /// `DISTCC_SSH`, split at blanks.
    pub ssh: Option<OsString>,
    /// `DISTCC_NO_REWRITE_CROSS`: name compilers to daemons as they were named to us.
    pub no_rewrite_cross: bool,
    /// `DISTCC_LAUNCH_JOURNAL`.
    pub journal: Option<PathBuf>,
    /// `DISTCC_LAUNCH_PREPROCESS`: the only manner of preprocessing to use, where a daemon and a command allow it.
    pub preprocess: Option<Manner>,
    /// `DISTCC_LAUNCH_VERIFY`: of a hundred jobs so many are compiled here too and compared.
    pub verify: u64,
    /// `DISTCC_LAUNCH_HEDGE`: may a late job have a second copy?
    pub hedge: bool,
    /// `DISTCC_LAUNCH_LOCAL`: may idle processors of this machine take jobs while all slots are busy?
    pub local: bool,
    /// `DISTCC_LAUNCH_NICE`: so much nicer is what runs on this machine.
    pub nice: Option<i32>,
    /// `DISTCC_LAUNCH_DIAGNOSTICS=exact`: a job that printed something is compiled here again.
    pub exact_diagnostics: bool,
    /// Is a variable set that changes how gcc prints its messages?
    pub shapes_messages: bool,
    /// `DISTCC_LAUNCH_CC`: the compiler when the command names none.
    pub cc: OsString,
    /// `PWD`: what compilers call the working folder, if it is that.
    pub pwd: Option<PathBuf>,
    /// `DEPENDENCIES_OUTPUT`, `SUNPRO_DEPENDENCIES`: the compiler's own variables for dependency files.
    pub dependencies_output: Option<OsString>,
    pub sunpro_dependencies: bool,
    /// Is a variable set that changes where the compiler finds its parts or options?
    pub search_environment: bool,
    /// `INCLUDE_SERVER_PORT`: the socket of the include server to use; the user's resident one when not set.
    pub include_server_port: Option<OsString>,
    /// `DISTCC_MAX_DISCREPANCY`: so many compiles that failed elsewhere and not here send the rest in plain mode.
    pub max_discrepancy: u64,
    /// The build tool's jobserver (`MAKEFLAGS`, `CARGO_MAKEFLAGS`), if it is there.
    pub jobserver: Option<Found>,
    /// Does it count the hosts' slots already?
    pub jobserver_is_wide: bool,
    /// `DISTCC_LAUNCH_RUN`: the `distcc-launch run` that we are part of, as the journal names it.
    pub run: Option<OsString>,
    /// Is a slot of this machine held above us?
    pub has_local_slot: bool,
    /// How many launchers are above us.
    pub level: u32,
    pub path: OsString,
}

/// A variable whose value stops stock, and us when called by stock's name, before anything is sent.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{name} is {value:?}; it must be a whole number of seconds above 0")]
pub(crate) struct BadSetting {
    pub name: &'static str,
    pub value: OsString,
}

impl Settings {
    /// Reads them all.
    pub(crate) fn read() -> Settings {
        let (io_timeout, bad_io_timeout) = match io_timeout(env::var_os("DISTCC_IO_TIMEOUT")) {
            Ok(limit) => (limit, None),
            Err(bad) => (IO_TIMEOUT, Some(bad)),
        };
        let home = env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from);
        let folder = env::var_os("DISTCC_DIR")
            .filter(|dir| !dir.is_empty())
            .map(PathBuf::from)
            .or_else(|| home.as_ref().map(|home| home.join(".distcc")));
        let jobserver = jobserver();
        let (run, wide) = run_above();
        Settings {
            hosts: env::var_os("DISTCC_HOSTS"),
            folder,
            home,
            fallback: boolean("DISTCC_FALLBACK", true),
            skip_local_retry: env::var_os("DISTCC_SKIP_LOCAL_RETRY").is_some(),
            backoff: number("DISTCC_BACKOFF_PERIOD"),
            io_timeout,
            io_timeout_is_set: env::var_os("DISTCC_IO_TIMEOUT").is_some()
                && bad_io_timeout.is_none(),
            bad_io_timeout,
            verbose: boolean("DISTCC_VERBOSE", false),
            log: env::var_os("DISTCC_LOG"),
            ssh_speaks: boolean("DISTCC_VERBOSE", false)
                || env::var_os("DISTCC_LOG").is_some_and(|log| !log.is_empty()),
            uncached_err_fd: number("UNCACHED_ERR_FD"),
            ssh: env::var_os("DISTCC_SSH"),
            no_rewrite_cross: env::var_os("DISTCC_NO_REWRITE_CROSS").is_some(),
            journal: env::var_os(JOURNAL)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            preprocess: env::var_os("DISTCC_LAUNCH_PREPROCESS")
                .and_then(|name| Manner::from_name(name.as_bytes())),
            verify: number("DISTCC_LAUNCH_VERIFY").unwrap_or(0),
            hedge: boolean("DISTCC_LAUNCH_HEDGE", true),
            local: boolean("DISTCC_LAUNCH_LOCAL", true),
            nice: number("DISTCC_LAUNCH_NICE"),
            exact_diagnostics: env::var_os("DISTCC_LAUNCH_DIAGNOSTICS")
                .is_some_and(|value| value == "exact"),
            shapes_messages: ["GCC_COLORS", "GCC_EXTRA_DIAGNOSTIC_OUTPUT"]
                .iter()
                .any(|name| env::var_os(name).is_some()),
            cc: env::var_os("DISTCC_LAUNCH_CC")
                .filter(|cc| !cc.is_empty())
                .unwrap_or_else(|| "cc".into()),
            pwd: env::var_os("PWD")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute()),
            dependencies_output: env::var_os("DEPENDENCIES_OUTPUT"),
            sunpro_dependencies: env::var_os("SUNPRO_DEPENDENCIES").is_some(),
            search_environment: SEARCH_VARIABLES
                .iter()
                .any(|name| env::var_os(name).is_some()),
            include_server_port: env::var_os("INCLUDE_SERVER_PORT").filter(|port| !port.is_empty()),
            max_discrepancy: number("DISTCC_MAX_DISCREPANCY")
                .filter(|count| *count > 0)
                .unwrap_or(1),
            jobserver_is_wide: jobserver
                .as_ref()
                .is_some_and(|found| wide.is_some_and(|wide| wide == *found.identity())),
            jobserver,
            run,
            has_local_slot: env::var_os(LOCAL_SLOT).is_some(),
            level: number(LEVEL).unwrap_or(0),
            path: env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
        }
    }

    /// A variable of the compiler's own, read only where it matters.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        env::var_os(name)
    }

    /// `DISTCC_LAUNCH_ZEROCONF_NETS`: where hosts that announce themselves may be; read only where a list looks for them.
    pub(crate) fn zeroconf_nets() -> Option<OsString> {
        env::var_os("DISTCC_LAUNCH_ZEROCONF_NETS").filter(|nets| !nets.is_empty())
    }

    /// The jobserver that tokens may be lent to, and the folder for the record.
    pub(crate) fn lendable(&self) -> Option<(&Found, &Path)> {
        let jobserver = self.jobserver.as_ref().filter(|_| !self.jobserver_is_wide);
        jobserver.zip(self.folder.as_deref())
    }

    /// How messages are printed here; read only when there are some.
    pub(crate) fn charset() -> Charset {
        Charset::of(|name| env::var_os(name).map(OsString::into_vec))
    }

    /// Where the journal lies, unless there is no place for one.
    pub(crate) fn journal_path(&self) -> Option<PathBuf> {
        self.journal.clone().or_else(|| {
            self.folder
                .as_deref()
                .map(|dir: &Path| dir.join("journal.jsonl"))
        })
    }
}

/// The name of the run that we are part of, and the identity of the jobserver that it offers, if any.
fn run_above() -> (Option<OsString>, Option<OsString>) {
    let Some(value) = env::var_os(RUN) else {
        return (None, None);
    };
    let mut parts = value.into_vec();
    let blank = parts.iter().position(|byte| *byte == b' ');
    let wide = blank.map(|at| OsString::from_vec(parts.split_off(at).split_off(1)));
    let name = Some(OsString::from_vec(parts)).filter(|name| !name.is_empty());
    (name, wide)
}

/// The innermost jobserver that is there.  Looked for before anything is opened, whose number could be one that it names.
fn jobserver() -> Option<Found> {
    let flags = ["MAKEFLAGS", "CARGO_MAKEFLAGS"].map(env::var_os);
    Found::among(flags.iter().flatten().map(|flags| &**flags))
}

/// What the environment tells build tools, for sub-commands that look whether it fits together; the launch path does not ask.
#[derive(Debug, Clone, Default)]
pub(crate) struct BuildEnvironment {
    variables: Vec<(OsString, OsString)>,
}

impl BuildEnvironment {
    pub(crate) fn read() -> BuildEnvironment {
        BuildEnvironment {
            variables: env::vars_os().collect(),
        }
    }

    /// Of these variables, for tests.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> BuildEnvironment {
        let own = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
        BuildEnvironment {
            variables: variables.iter().map(own).collect(),
        }
    }

    /// A variable that is set to something.
    pub(crate) fn get(&self, name: &str) -> Option<&OsStr> {
        self.all()
            .find(|(set, _)| *set == name)
            .map(|(_, value)| value)
    }

    /// All that are set to something.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        let all = self.variables.iter();
        all.map(|(name, value)| (name.as_os_str(), value.as_os_str()))
            .filter(|(_, value)| !value.is_empty())
    }
}

/// A switch: only "0" and "1" mean anything.
fn boolean(name: &str, default: bool) -> bool {
    match env::var_os(name) {
        Some(value) if value == "0" => false,
        Some(value) if value == "1" => true,
        _ => default,
    }
}

fn number<N: std::str::FromStr>(name: &str) -> Option<N> {
    env::var_os(name)?.to_str()?.trim().parse().ok()
}

/// Stock's default.
const IO_TIMEOUT: Duration = Duration::from_secs(300);

/// The limit that `value` sets.
fn io_timeout(value: Option<OsString>) -> Result<Duration, BadSetting> {
    let Some(value) = value else {
        return Ok(IO_TIMEOUT);
    };
    // As C's atoi: what follows the digits is not looked at.
    let digits = value.to_str().unwrap_or_default().trim_start();
    let digits = digits.split(|c: char| !c.is_ascii_digit()).next();
    match digits.unwrap_or_default().parse::<u64>() {
        Ok(seconds) if seconds > 0 => Ok(Duration::from_secs(seconds)),
        _ => Err(BadSetting {
            name: "DISTCC_IO_TIMEOUT",
            value,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_of_nothing_is_refused() {
        assert_eq!(io_timeout(None), Ok(Duration::from_secs(300)));
        for seven in ["7", " 7", "7s"] {
            let limit = io_timeout(Some(seven.into()));
            assert_eq!(limit, Ok(Duration::from_secs(7)), "{seven}");
        }
        for bad in ["0", "-1", "soon", ""] {
            assert!(io_timeout(Some(bad.into())).is_err(), "{bad}");
        }
    }
}
