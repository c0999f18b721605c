//! The launcher's own sub-commands: off the launch path, so they may use clap and print as they like.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use hosts::{Capacity, HostList};

use crate::driver::host_list;
use crate::here::processors;
use crate::settings::Settings;

const EXIT_BAD_ARGUMENTS: i32 = 101;

/// First words that are ours when we are called by our own name, whatever else there may be of that name.
const RESERVED: [&str; 3] = ["jobs", "setup", "help"];

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

Variables of stock distcc keep their meaning: DISTCC_HOSTS DISTCC_DIR DISTCC_VERBOSE DISTCC_LOG DISTCC_FALLBACK
DISTCC_IO_TIMEOUT DISTCC_BACKOFF_PERIOD DISTCC_SKIP_LOCAL_RETRY DISTCC_NO_REWRITE_CROSS DISTCC_SSH.  Ours:
  DISTCC_LAUNCH_CC       the compiler of a command that names none [cc]
  DISTCC_LAUNCH_JOURNAL  the journal, one JSON line a command [$DISTCC_DIR/journal.jsonl]
Nothing is printed beside the compiler's own messages unless DISTCC_VERBOSE=1 or DISTCC_LOG=FILE ask for it.";

#[derive(Subcommand)]
enum Commands {
    /// How many jobs to run at a time, from the host list
    Jobs(Jobs),
    /// What a build tool needs to use distcc-launch
    Setup(Setup),
}

#[derive(Args)]
struct Jobs {
    #[command(flatten)]
    which: Which,
}

#[derive(Args)]
#[group(multiple = false)]
struct Which {
    /// Slots of other machines
    #[arg(long)]
    remote: bool,
    /// Slots of this machine
    #[arg(long)]
    local: bool,
    /// Both together, for -j [default]
    #[arg(long)]
    total: bool,
    /// Links that this machine's free memory bears at a time
    #[arg(long)]
    link: bool,
}

#[derive(Args)]
struct Setup {
    /// The build tool
    tool: Tool,
    /// Write the file there instead of printing it
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Tool {
    /// DistccLaunch.cmake, a module to include
    Cmake,
    /// A file of pools to include
    Ninja,
    /// The [env] part of .cargo/config.toml
    Cargo,
}

/// Is the command ours?  `--help` alone is; with more words it is a question to the default compiler, as build tools ask it.
pub(crate) fn is_ours(word: &OsStr, count: usize) -> bool {
    RESERVED.iter().any(|reserved| word == *reserved) || (word == "--help" && count == 1)
}

/// Called without a word.
pub(crate) fn usage() -> i32 {
    eprintln!("{}", Cli::command().render_usage());
    eprintln!("See distcc-launch --help.");
    EXIT_BAD_ARGUMENTS
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
        Commands::Jobs(jobs) => {
            let capacity = capacity(settings);
            let count = match jobs.which {
                Which { remote: true, .. } => capacity.remote,
                Which { local: true, .. } => capacity.local,
                Which { link: true, .. } => capacity.link,
                _ => capacity.total,
            };
            println!("{count}");
            0
        }
        Commands::Setup(setup) => run_setup(settings, &setup),
    }
}

/// What this machine and its hosts bear.  A list that cannot be used is told on stderr and counts as none.
fn capacity(settings: &Settings) -> Capacity {
    let list = host_list(settings)
        .map(|(list, _)| list)
        .unwrap_or_else(|error| {
            eprintln!("distcc-launch: {error}; counting this machine only");
            HostList::default()
        });
    Capacity::new(&list, processors(), free_memory().unwrap_or(u64::MAX))
}

/// Memory that could be had without swapping, in bytes.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}

fn run_setup(settings: &Settings, setup: &Setup) -> i32 {
    let text = match setup.tool {
        Tool::Cmake => integration_cmake::MODULE.to_owned(),
        Tool::Ninja => integration_ninja::pool_file(&capacity(settings)),
        Tool::Cargo => integration_cargo_cc::env_fragment("distcc-launch"),
    };
    let Some(path) = &setup.write else {
        print!("{text}");
        return 0;
    };
    match std::fs::write(path, text) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("distcc-launch: could not write {}: {error}", path.display());
            1
        }
    }
}
