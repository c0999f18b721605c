//! The drop-in for stock distcc: what it answers when called `distcc`.  Scripts match these formats; the words are ours.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;

use crate::driver::host_list;
use crate::pump::{self, NotPumped};
use crate::say::Say;
use crate::settings::Settings;

const EXIT_BAD_ARGUMENTS: i32 = 101;
const EXIT_FAILED: i32 = 100;

/// Is the first word a question to the client itself?
pub(crate) fn is_option(word: &OsStr) -> bool {
    [
        &b"--help"[..],
        b"--version",
        b"--show-hosts",
        b"-j",
        b"--scan-includes",
        b"--show-principal",
    ]
    .contains(&word.as_bytes())
}

/// Answers it; gives the exit code.
pub(crate) fn run(settings: &Settings, say: &Say, words: Vec<OsString>) -> i32 {
    match words.first().map(|word| word.as_bytes()) {
        Some(b"--help") => {
            print!("{HELP}");
            0
        }
        Some(b"--version") => {
            version();
            0
        }
        Some(b"--show-hosts") => show_hosts(settings, say),
        Some(b"-j") => slots(settings, say),
        Some(b"--scan-includes") if words.len() < 2 => usage(say),
        Some(b"--scan-includes") => scan_includes(settings, say, &words[1..]),
        _ => {
            say.error(format_args!(
                "there is no GSSAPI in this client, so it has no principal"
            ));
            EXIT_BAD_ARGUMENTS
        }
    }
}

fn scan_includes(settings: &Settings, say: &Say, words: &[OsString]) -> i32 {
    let pumped = host_list(settings).is_ok_and(|(list, _)| list.hosts.iter().any(|host| host.cpp));
    if !pumped {
        // The words of this line are what scripts look for.
        say.error(format_args!(
            "'--scan_includes' specified, but distcc wouldn't have used include server (make sure hosts list includes ',cpp' option)"
        ));
        return EXIT_FAILED;
    }
    match pump::scan(settings, say, words) {
        Ok(text) => match io::stdout().write_all(&text) {
            Ok(()) => 0,
            Err(_) => EXIT_FAILED,
        },
        Err(NotPumped(code)) => {
            say.error(format_args!("no answer from the include server: {code}"));
            EXIT_FAILED
        }
    }
}

/// No words at all.
pub(crate) fn usage(say: &Say) -> i32 {
    say.error(format_args!("no compile command given; see distcc --help"));
    EXIT_BAD_ARGUMENTS
}

/// First line `distcc VERSION HOST`, second the protocols and the port, as scripts match them.
fn version() {
    println!(
        "distcc 3.4-launch-{} {}-linux",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH
    );
    println!(
        "  (protocols 1, 2 and 3) (default port {})",
        hosts::list::DEFAULT_PORT
    );
    println!("This is distcc-launch, called by the stock client's name.");
}

fn show_hosts(settings: &Settings, say: &Say) -> i32 {
    match host_list(settings) {
        Ok((list, _)) => list
            .hosts
            .iter()
            .for_each(|host| println!("{}", host.token)),
        Err(error) => say.error(format_args!("{error}")),
    }
    0
}

/// The sum of all slots, those of hosts marked down included.
fn slots(settings: &Settings, say: &Say) -> i32 {
    match host_list(settings) {
        Ok((list, _)) => println!(
            "{}",
            list.hosts
                .iter()
                .map(|host| u64::from(host.slots))
                .sum::<u64>()
        ),
        Err(error) => say.error(format_args!("{error}")),
    }
    0
}

const HELP: &str = "\
Usage:
  distcc [COMPILER] COMPILE-OPTIONS…   compile on one of the hosts, or here
  distcc --show-hosts                  the hosts, one a line
  distcc -j                            the sum of their slots, for make -j
  distcc --scan-includes COMPILER …    the files that pump mode would send
  distcc --version, --help

This is distcc-launch, called by the stock client's name; it takes the same host lists and variables.

Hosts come from $DISTCC_HOSTS, else $DISTCC_DIR/hosts (~/.distcc/hosts), else /etc/distcc/hosts:
  HOST[:PORT][/SLOTS][,lzo][,cpp]      a daemon; 4 slots unless it says otherwise
  [USER]@HOST[/SLOTS][:COMMAND][,lzo]  a daemon started by ssh ($DISTCC_SSH)
  localhost[/SLOTS]                    this machine, without a daemon
  --localslots=N --localslots_cpp=N --randomize +zeroconf

Variables: DISTCC_HOSTS DISTCC_DIR DISTCC_VERBOSE DISTCC_LOG DISTCC_FALLBACK DISTCC_IO_TIMEOUT
DISTCC_BACKOFF_PERIOD DISTCC_SKIP_LOCAL_RETRY DISTCC_NO_REWRITE_CROSS DISTCC_SSH TMPDIR
";
