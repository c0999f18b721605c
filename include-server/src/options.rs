//! What the include server is told: stock's options under stock's names, and a few of our own.
//!
//! Long names may be shortened as far as they stay clear, as stock's `getopt` allows. Stock prints its usage on standard output and
//! exits 1 when it does not understand; so do we.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, CommandFactory as _, Parser};

/// Tells distcc clients which files a source includes, so that these go to compile servers instead of preprocessed text.
#[derive(Debug, Clone, Parser)]
#[command(
    name = "include-server",
    version,
    disable_version_flag = true,
    infer_long_args = true,
    args_override_self = true,
    after_help = "A client asks over the socket that INCLUDE_SERVER_PORT names. distcc-launch needs no option and no variable: where a \
                  host of the list has ,cpp it starts a server of its own.\n\n\
                  Variables: DISTCC_CLIENT_TMP (where files wait for clients: /dev/shm, or /tmp), DISTCC_EMAILLOG_WHOM_TO_BLAME \
                  (who gets mail), PATH (where compilers are)."
)]
pub(crate) struct Options {
    /// Socket to listen on; a file that is there is removed
    #[arg(long, value_name = "PATH", required_unless_present = "resident")]
    pub port: Option<PathBuf>,
    /// Where to write the server's process number
    #[arg(long = "pid_file", value_name = "PATH")]
    pub pid_file: Option<PathBuf>,
    /// What to tell on standard error, as a sum: 1 warnings, 2 4 8 more and more, 16 data
    #[arg(
        short = 'd',
        long = "debug_pattern",
        value_name = "N",
        default_value_t = 1
    )]
    pub debug_pattern: u32,
    /// Send mail through this machine's SMTP server when something goes wrong
    #[arg(short = 'e', long, overrides_with = "no_email")]
    pub email: bool,
    /// Send no mail (the default)
    #[arg(long = "no-email")]
    pub no_email: bool,
    /// The most mails to send
    #[arg(long = "email_bound", value_name = "N", default_value_t = 3)]
    pub email_bound: u32,
    /// Warn once of each file whose real path matches
    #[arg(long = "path_observation_re", value_name = "RE")]
    pub path_observation_re: Option<String>,
    /// Print statistics of each source on standard output
    #[arg(short = 's', long)]
    pub statistics: bool,
    /// Accepted: every file is looked at again anyhow
    #[arg(long = "stat_reset_triggers", value_name = "GLOBS")]
    pub stat_reset_triggers: Option<OsString>,
    /// Print the time used, at the end
    #[arg(short = 't', long)]
    pub time: bool,
    /// Accepted: includes of absolute names are followed anyhow
    #[arg(long = "unsafe_absolute_includes")]
    pub unsafe_absolute_includes: bool,
    /// Accepted: macros are evaluated as the compiler does
    #[arg(long = "unsafe_no_unexpanded_functions")]
    pub unsafe_no_unexpanded_functions: bool,
    /// Do not ask compile servers for folders that hold no file
    #[arg(long = "no_force_dirs")]
    pub no_force_dirs: bool,
    /// Ask the compiler as well, and refuse sources whose files differ
    #[arg(short = 'v', long)]
    pub verify: bool,
    /// Write the files of each source to OUTPUT.d_approx, with -v the compiler's to OUTPUT.d_exact
    #[arg(short = 'w', long = "write_include_closure")]
    pub write_include_closure: bool,
    /// Accepted: the analysis is exact anyhow
    #[arg(short = 'x', long = "exact_analysis")]
    pub exact_analysis: bool,
    /// Not there, in stock neither
    #[arg(long = "simple_algorithm", hide = true)]
    pub simple_algorithm: bool,
    /// Serve this user from FOLDER until idle, detached; ends at once where another server holds it
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["port", "pid_file"])]
    pub resident: Option<PathBuf>,
    /// End after so many seconds without a question (with --resident 900; 0: never)
    #[arg(long, value_name = "SECONDS")]
    pub idle: Option<u64>,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Options {
    /// Reads the command line; says on standard output what is wrong with it, and gives the exit code.
    ///
    /// # Errors
    /// The code to exit with: 0 where only help was asked for.
    pub(crate) fn read() -> Result<Options, i32> {
        let options = Options::try_parse().map_err(|error| {
            print!("{error}");
            if error.use_stderr() {
                println!("{}", Options::command().render_long_help());
                return 1;
            }
            0
        })?;
        if options.simple_algorithm {
            println!("Not implemented");
            return Err(1);
        }
        Ok(options)
    }

    /// How long to wait for a question; `None`: for ever.
    pub(crate) fn idle(&self) -> Option<Duration> {
        let usual = self.resident.is_some().then_some(900);
        let seconds = self.idle.or(usual).filter(|seconds| *seconds > 0)?;
        Some(Duration::from_secs(seconds))
    }

    pub(crate) fn warns(&self) -> bool {
        self.debug_pattern & 1 != 0
    }

    /// Options that were taken and change nothing, each with the reason.
    pub(crate) fn needless(&self) -> Vec<(&'static str, &'static str)> {
        let given = [
            (
                self.stat_reset_triggers.is_some(),
                "--stat_reset_triggers",
                "changed files are noticed by themselves",
            ),
            (
                self.unsafe_absolute_includes,
                "--unsafe_absolute_includes",
                "includes of absolute names are followed",
            ),
            (
                self.unsafe_no_unexpanded_functions,
                "--unsafe_no_unexpanded_functions",
                "macros are evaluated as the compiler does",
            ),
            (
                self.exact_analysis,
                "--exact_analysis",
                "the analysis is exact",
            ),
        ];
        let given = given.into_iter().filter(|(is, ..)| *is);
        given.map(|(_, name, why)| (name, why)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(words: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(format!("include-server {words}").split_whitespace())
    }

    #[test]
    fn stock_command_lines_are_taken() {
        let options = read("--port /x/socket --pid_file /x/pid -d1 -st").expect("taken");
        assert!(options.statistics && options.time && options.warns() && !options.verify);
        let options = read("--por /x -d19 --unsafe_abs --stat_reset=a:b -x -v -w -e --email_b=0");
        let options = options.expect("taken");
        assert_eq!((options.debug_pattern, options.email_bound), (19, 0));
        assert_eq!(options.needless().len(), 3);
        assert_eq!(options.idle(), None);
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for words in [
            "",
            "-d1",
            "--port",
            "--port /x -dx",
            "--port /x --nonsense",
            "--port /x --resident /y",
        ] {
            assert!(read(words).is_err(), "{words}");
        }
        let resident = read("--resident /x").expect("taken");
        assert_eq!(resident.idle(), Some(Duration::from_secs(900)));
        let resident = read("--resident /x --idle 0").expect("taken");
        assert_eq!(resident.idle(), None);
    }
}
