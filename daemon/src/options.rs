//! What the command line asks for.
//!
//! Stock distccd's options with stock's meaning and exit codes (facts 7.1), so that a link named `distccd` is a
//! drop-in: `--opt VALUE` or `--opt=VALUE`, no abbreviations, words that are no options are ignored, the last of a
//! repeated option wins. Knows nothing of sockets, users or files: it only reads words.

mod boxed;
mod words;

use std::ffi::OsString;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};

use crate::access::{self, Rule};
use crate::boxed::Wanted;
use crate::exit::Exit;
use crate::log::{Format, Level};

use words::Words;

/// How the daemon gets its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Listens on a port.
    Listen,
    /// One job on standard input and output.
    Inetd,
    /// Inetd when standard input is a socket, else listening.
    ByStdin,
}

/// Where log lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LogTo {
    File(PathBuf),
    Stderr,
    Syslog,
}

/// What the command line asked for, checked.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) detach: bool,
    pub(crate) lifetime: Option<Duration>,
    /// How long jobs may go on after the end was asked for.
    pub(crate) drain: Duration,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) port_file: Option<PathBuf>,
    pub(crate) user: Option<String>,
    /// 0 only together with `port_file`.
    pub(crate) port: u16,
    pub(crate) listen: Option<String>,
    /// Oldest first, as typed. Empty: nothing was said.
    pub(crate) allow: Vec<Rule>,
    pub(crate) allow_private: bool,
    /// Who may come in beyond private networks, and without keys.
    pub(crate) insecure_network: bool,
    /// Only who has a key of this file is served.
    pub(crate) keys: Option<PathBuf>,
    pub(crate) allow_file: Option<PathBuf>,
    pub(crate) max_connections: usize,
    pub(crate) any_program: bool,
    pub(crate) jobs: usize,
    pub(crate) job_lifetime: Option<Duration>,
    pub(crate) nice: i32,
    pub(crate) oom_score_adj: Option<i32>,
    pub(crate) sysroot: Option<PathBuf>,
    pub(crate) pass_env: Vec<OsString>,
    pub(crate) sandbox: Wanted,
    pub(crate) log_to: LogTo,
    pub(crate) log_level: Level,
    pub(crate) log_format: Format,
    /// `None`: no statistics.
    pub(crate) stats_port: Option<NonZeroU16>,
    /// Whether the statistics are for others than this machine.
    pub(crate) stats: bool,
    /// Whether the network is told that the daemon is here.
    pub(crate) zeroconf: bool,
}

/// What to do instead of serving.
#[derive(Debug)]
pub(crate) enum Instead {
    /// Print this on standard output and end with 0.
    Print(String),
    /// Print this on standard error and end with the code.
    Refuse(Exit, String),
}

/// Reads the command line, the program's name first.
///
/// # Errors
/// Help and version are to be printed; anything wrong ends with 101 as in stock.
pub(crate) fn read(words: impl IntoIterator<Item = OsString>) -> Result<Options, Instead> {
    let words: Vec<OsString> = words.into_iter().collect();
    let name = program_name(words.first());
    let command = Words::command().name(name).bin_name(name);
    let parsed = command
        .try_get_matches_from(words)
        .and_then(|m| Words::from_arg_matches(&m));
    match parsed {
        Ok(words) if words.version => Err(Instead::Print(version(name))),
        Ok(words) => words
            .check()
            .map_err(|why| Instead::Refuse(Exit::BadArguments, why)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            Err(Instead::Print(error.render().to_string()))
        }
        Err(error) => Err(Instead::Refuse(Exit::BadArguments, first_part(&error))),
    }
}

/// What is wrong, without the tips, which are of no use where other words are ignored.
fn first_part(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let part = text.split("\n\n").next().unwrap_or_default();
    format!(
        "{}; see --help",
        part.trim_start_matches("error: ").trim_end()
    )
}

/// The name that we were called by: `distccd` when a link says so.
fn program_name(called: Option<&OsString>) -> &'static str {
    let name = called.and_then(|word| std::path::Path::new(word).file_name());
    if name.is_some_and(|name| name == "distccd") {
        "distccd"
    } else {
        "distcc-launchd"
    }
}

/// Shaped as scripts written for stock match it (facts 9): `^distccd? [\w.-]+ [.\w-]+$`, then
/// `^[ \t]+\(protocol.*\) \(default port 3632\)$`; whose program it is stands below.
fn version(name: &str) -> String {
    let (version, arch, os) = (
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    );
    format!(
        "{name} 3.4-launch.{version} {arch}-{os}\n  (protocols 1, 2 and 3) (default port 3632)\n\
         distcc-launchd, the daemon of distcc-launch: serves clients of distcc 3.4 and its own\n"
    )
}

impl Options {
    /// May somebody beyond private networks be served?
    pub(crate) fn may_be_open(&self) -> bool {
        self.keys.is_some() || self.insecure_network
    }
}

impl Words {
    fn check(self) -> Result<Options, String> {
        if self.auth || self.blacklist.is_some() || self.whitelist.is_some() || self.show_principal
        {
            return Err("GSSAPI is not part of this daemon: leave out --auth, --blacklist, --whitelist and \
                        --show-principal, and use ssh hosts or a private network"
                .into());
        }
        if self.daemon && self.inetd {
            return Err("--daemon and --inetd exclude each other".into());
        }
        if self.port == 0 && self.port_file.is_none() {
            return Err("--port must be 1 to 65535 (0, any free port, needs --port-file)".into());
        }
        if self.stats && self.stats_port == 0 {
            return Err("--stats needs a --stats-port of 1 to 65535".into());
        }
        if self.max_connections == 0 {
            return Err("--max-connections must be at least 1".into());
        }
        let mut allow = Vec::new();
        for word in &self.allow {
            let rules = access::parse(word).map_err(|error| format!("--allow {word}: {error}"))?;
            allow.extend(rules);
        }
        let jobs = match self.jobs {
            _ if self.no_fork || self.wizard => 1,
            Some(0) => return Err("--jobs must be at least 1".into()),
            Some(jobs) => jobs,
            None => std::thread::available_parallelism().map_or(1, |n| n.get()) + 2,
        };
        if jobs > tokio::sync::Semaphore::MAX_PERMITS {
            return Err("--jobs is out of range".into());
        }
        let level = Level::from_name(&self.log_level)
            .ok_or_else(|| format!("--log-level {}: no such level", self.log_level))?;
        let format = Format::from_name(&self.log_format)
            .ok_or_else(|| format!("--log-format {}: text or json", self.log_format))?;
        Ok(Options {
            mode: match () {
                () if self.inetd => Mode::Inetd,
                () if self.daemon || self.wizard => Mode::Listen,
                () => Mode::ByStdin,
            },
            detach: !(self.no_detach || self.wizard),
            lifetime: seconds(self.lifetime),
            drain: Duration::from_secs(self.drain),
            pid_file: self.pid_file,
            port_file: self.port_file,
            user: self.user,
            port: self.port,
            listen: self.listen,
            allow,
            allow_private: self.allow_private,
            insecure_network: self.insecure_network,
            keys: self.keys,
            allow_file: self.allow_file,
            max_connections: self.max_connections,
            any_program: self.enable_tcp_insecure,
            jobs,
            job_lifetime: seconds(self.job_lifetime),
            nice: self.nice,
            oom_score_adj: self.oom_score_adj,
            sysroot: self.sysroot,
            pass_env: self.pass_env,
            sandbox: self.sandbox.check()?,
            log_to: match self.log_file {
                _ if self.log_stderr || self.wizard => LogTo::Stderr,
                Some(file) => LogTo::File(file),
                None => LogTo::Syslog,
            },
            log_level: if self.verbose || self.wizard {
                Level::Debug
            } else {
                level
            },
            log_format: format,
            stats_port: NonZeroU16::new(self.stats_port),
            stats: self.stats,
            zeroconf: self.zeroconf,
        })
    }
}

fn seconds(n: u64) -> Option<Duration> {
    (n > 0).then(|| Duration::from_secs(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Options, Instead> {
        read(
            format!("distccd {line}")
                .split_whitespace()
                .map(OsString::from),
        )
    }

    fn refused(line: &str) -> bool {
        matches!(words(line), Err(Instead::Refuse(Exit::BadArguments, _)))
    }

    #[test]
    fn values_come_either_way() {
        let options = words("--jobs=3 --port 4000 -a127.0.0.1 -N 7 --log-file=x -P y").unwrap();
        assert_eq!((options.jobs, options.port, options.nice), (3, 4000, 7));
        assert_eq!(options.log_to, LogTo::File("x".into()));
        assert_eq!(options.pid_file, Some("y".into()));
    }

    #[test]
    fn the_last_of_a_repeated_option_wins() {
        assert_eq!(words("--port 1 --port 2 -j 1 -j 2").unwrap().port, 2);
    }

    #[test]
    fn words_that_are_no_options_are_ignored() {
        assert_eq!(words("gcc hello.c --port 5").unwrap().port, 5);
    }

    #[test]
    fn bad_words_end_with_101() {
        for line in [
            "--bogus-option",
            "gcc -c hello.c --bogus-option",
            "--port 80000",
            "--port 0",
            "--port x",
            "--jobs 0",
            "--jobs",
            "--allow 10.0.0.0/33",
            "--allow 300.1.1.1/8",
            "--log-level loud",
            "--log-format xml",
            "--stats --stats-port 0",
            "--max-connections 0",
            "--dae",
            "--daemon --inetd",
            "--auth",
            "--whitelist f",
        ] {
            assert!(refused(line), "{line}");
        }
    }

    #[test]
    fn keys_and_open_networks() {
        let options = words("--keys /etc/k --insecure-network").unwrap();
        assert_eq!(
            options.keys.as_deref(),
            Some(std::path::Path::new("/etc/k"))
        );
        assert!(options.insecure_network);
        assert!(!words("").unwrap().insecure_network && words("").unwrap().keys.is_none());
    }

    #[test]
    fn port_0_is_for_those_who_ask_where() {
        assert_eq!(words("--port 0 --port-file f").unwrap().port, 0);
    }

    #[test]
    fn every_option_of_stock_is_taken() {
        let line = "--daemon --no-detach --no-fork --no-fifo --port 3632 --listen ::1 --allow 10/8 --allow-private \
                    --jobs 4 --job-lifetime 5 --lifetime 6 --nice -1 --oom-score-adj -5 --pid-file p --user u \
                    --log-stderr --log-level info --verbose --stats --stats-port 9 --zeroconf --enable-tcp-insecure \
                    --make-me-a-botnet --sysroot d";
        let line = line.replace("10/8", "10.0.0.0/8");
        let options = words(&line).unwrap();
        assert!(options.any_program && options.allow_private && !options.detach);
        assert_eq!(options.jobs, 1);
        assert!(options.zeroconf && !words("").unwrap().zeroconf);
    }

    #[test]
    fn version_reads_as_scripts_expect() {
        for name in ["distccd", "distcc-launchd"] {
            let text = version(name);
            let (first, second) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
            let parts: Vec<_> = first.split(' ').collect();
            assert_eq!(parts.len(), 3);
            assert_eq!(parts[0], name);
            for part in &parts[1..] {
                assert!(
                    part.chars()
                        .all(|c| c.is_alphanumeric() || "._-".contains(c)),
                    "{part}"
                );
            }
            assert!(second.starts_with("  (protocol") && second.ends_with(") (default port 3632)"));
        }
    }
}
