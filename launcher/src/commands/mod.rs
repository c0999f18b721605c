//! The launcher's own sub-commands: off the launch path, so they may use clap and print as they like.

mod classify;
mod compile;
mod database;
mod doctor;
mod farm;
mod jobs;
mod json;
mod local;
mod probe;
mod pump;
mod reasons;
#[allow(
    dead_code,
    reason = "it has all fields, also those that nobody asks for yet"
)]
pub(crate) mod records;
mod room;
mod run;
mod setup;
mod shims;
mod status;
mod why;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{CommandFactory, Parser, Subcommand};

use crate::settings::Settings;

const EXIT_BAD_ARGUMENTS: i32 = 101;

#[derive(Parser)]
#[command(
    name = "distcc-launch",
    version,
    about = "Runs compile commands on other machines, with the result of a local build",
    long_about = "Put before a compiler, distcc-launch runs the compile on a machine of the host list, or here if that is \
                  not possible; the result is the same.\n\n\
                  distcc-launch gcc -c a.c -o a.o          one compile\n\
                  cmake -DCMAKE_C_COMPILER_LAUNCHER=distcc-launch -DCMAKE_CXX_COMPILER_LAUNCHER=distcc-launch …\n\
                  CC=\"distcc-launch gcc\" ./configure\n\n\
                  A link to it named like a compiler is that compiler; a link named distcc is a drop-in for stock distcc.",
    after_long_help = VARIABLES,
    override_usage = "distcc-launch COMPILER ARGUMENTS…\n       distcc-launch ARGUMENTS…   (compiler: $DISTCC_LAUNCH_CC, or cc)\n       distcc-launch <COMMAND>"
)]
struct Cli {
    #[command(subcommand)]
    command: Commands,
}

const VARIABLES: &str = "\
Hosts come from $DISTCC_HOSTS, else $DISTCC_DIR/hosts (~/.distcc/hosts), else /etc/distcc/hosts:
  10.0.0.2/8,lzo  builder:3700/4  [fe80::1]/4  me@far/4:distcc-launchd  localhost/2  --localslots=N
  +zeroconf (who announces itself; with ,key, or in DISTCC_LAUNCH_ZEROCONF_NETS)

Variables of stock distcc keep their meaning: DISTCC_HOSTS DISTCC_DIR DISTCC_VERBOSE DISTCC_LOG DISTCC_FALLBACK
DISTCC_IO_TIMEOUT DISTCC_BACKOFF_PERIOD DISTCC_SKIP_LOCAL_RETRY DISTCC_NO_REWRITE_CROSS DISTCC_SSH.  Ours:
  DISTCC_LAUNCH_CC           the compiler of a command that names none [cc]
  DISTCC_LAUNCH_JOURNAL      the journal, one JSON line a command [$DISTCC_DIR/journal.jsonl]
  DISTCC_LAUNCH_VERIFY       of a hundred jobs, compile so many here as well and compare the objects
  DISTCC_LAUNCH_DIAGNOSTICS  exact: compile here again what printed something, so that the text is the compiler's own
  DISTCC_LAUNCH_LOCAL        0: idle processors of this machine take no jobs while all slots of hosts are busy
  DISTCC_LAUNCH_HEDGE        0: a job that is late on its host is not started a second time on another
  DISTCC_LAUNCH_NICE         how much nicer the compilers and preprocessors of this machine are, 1 to 19
  DISTCC_LAUNCH_ZEROCONF_NETS  networks (10.0.0.0/8,…) where hosts that +zeroconf finds may be
  DISTCC_LAUNCH_PREPROCESS   expanded, directives, whole or rewritten: force a manner (docs/results.md)
Nothing is printed beside the compiler's own messages unless DISTCC_VERBOSE=1 or DISTCC_LOG=FILE ask for it.";

#[derive(Subcommand)]
enum Commands {
    /// How many jobs to run at a time, from the host list
    Jobs(jobs::Jobs),
    /// What a build tool needs to use distcc-launch
    Setup(setup::Setup),
    /// A folder of links named like compilers, for builds that listen to nothing but PATH
    Shims(shims::Shims),
    /// Which commands of a compile_commands.json would be sent to hosts, and why the others not
    Classify(classify::Classify),
    /// Starts a build as wide as the hosts are, and says at its end what happened
    Run(run::Run),
    /// Runs a build with an include server of its own, as stock's pump script
    Pump(pump::Pump),
    /// Takes a slot of this machine, then becomes the command
    Local(local::Local),
    /// Runs the commands of a compile_commands.json on the hosts, without a build tool
    Compile(compile::Compile),
    /// Hosts and their slots, what runs now, and what the last build came to
    Status(status::Status),
    /// From the host list to a linked object: what is wrong, and what mends it
    Doctor(doctor::Doctor),
    /// Why a unit ran where it ran the last times, and where it would go now
    Why(why::Why),
}

/// Is the command ours, whatever else there may be of its name?  `--help` alone is; with more words it is a question to the default
/// compiler, as build tools ask it.
pub(crate) fn is_ours(word: &OsStr, count: usize) -> bool {
    match word.as_bytes() {
        b"classify" | b"compile" | b"doctor" | b"help" | b"jobs" | b"local" | b"pump" | b"run"
        | b"setup" | b"shims" | b"status" | b"why" => true,
        b"--help" => count == 1,
        _ => false,
    }
}

/// Called without a word.
pub(crate) fn usage() -> i32 {
    eprintln!("{}", Cli::command().render_usage());
    eprintln!("See distcc-launch --help.");
    EXIT_BAD_ARGUMENTS
}

/// How to call a sub-command.
fn usage_of(name: &str) -> String {
    let mut cli = Cli::command();
    let command = cli.find_subcommand_mut(name);
    command.map_or_else(String::new, |command| {
        command.render_long_help().to_string()
    })
}

/// Runs a sub-command; gives the exit code.
pub(crate) fn run(settings: &Settings, words: Vec<OsString>) -> i32 {
    let words = std::iter::once(OsString::from("distcc-launch")).chain(words);
    let command = match Cli::try_parse_from(words) {
        Ok(cli) => cli.command,
        Err(error) => {
            let code = if error.use_stderr() {
                EXIT_BAD_ARGUMENTS
            } else {
                0
            };
            // If even the complaint cannot be printed there is the exit code.
            let _ = error.print();
            return code;
        }
    };
    match command {
        Commands::Jobs(jobs) => jobs::run(settings, &jobs),
        Commands::Setup(setup) => setup::run(settings, &setup),
        Commands::Shims(shims) => shims::run(settings, &shims),
        Commands::Classify(classify) => classify::run(settings, &classify),
        Commands::Run(run) => run::run(settings, &run),
        Commands::Pump(pump) => pump::run(settings, &pump),
        Commands::Local(local) => local::run(settings, &local),
        Commands::Compile(compile) => compile::run(settings, &compile),
        Commands::Status(status) => status::run(settings, &status),
        Commands::Doctor(doctor) => doctor::run(settings, &doctor),
        Commands::Why(why) => why::run(settings, &why),
    }
}
