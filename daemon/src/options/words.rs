//! The command line's words as clap reads them, with their help. What they mean together is said above.
//!
//! A part of the daemon that has options of its own keeps them in a struct of its own file and is flattened in here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Parser};

const ABOUT: &str = "\
Compiles what distcc clients send: distcc-launch and stock distcc, plain and ,lzo hosts.

Takes the options of stock distccd. Compilers are found once at start in DISTCCD_PATH or PATH; a client names one of them and \
cannot name anything else. Without --allow only private networks are served.";

const EXAMPLES: &str = "\
Examples:
  distcc-launchd --daemon --allow 10.0.0.0/8      serve a network, in the background
  distcc-launchd --no-detach --log-stderr -j 8    try it in a terminal
  distcc-launchd --daemon --listen 127.0.0.1 --port 0 --port-file port
                                                  for scripts: on any free port
  distcc-launchd keygen --keys daemon.keys alice > alice.key
  distcc-launchd --daemon --keys daemon.keys --allow 0.0.0.0/0
                                                  in the open: encrypted, and only for who has a key

Signals: SIGTERM and SIGINT end it after the jobs at work, a second one at once; SIGHUP reads compilers, --allow-file and --keys again.

Environment:
  DISTCCD_PATH             where compilers are looked for, and their PATH (default: PATH)
  DISTCC_CMDLIST           file of allowed compilers, one absolute path per line
  DISTCC_CMDLIST_NUMWORDS  how many trailing parts of a path must match (default: 1)
  DISTCC_IO_TIMEOUT        seconds that a client may preprocess (default: 300)
  DISTCC_TCP_DEFER_ACCEPT  0: also wake for connections that sent nothing yet
  LISTEN_FDS, LISTEN_FDNAMES, NOTIFY_SOCKET
                           sockets from systemd, and where it is told that we serve
  TMPDIR                   where to compile (default: /dev/shm if in memory, else /tmp)

Exit codes: 101 bad options, 102 cannot listen, 110 no compiler found, 112 cannot change user, \
100 anything else.";

/// Words of the command line, as typed.
#[derive(Debug, Parser)]
#[command(
    about = ABOUT,
    after_help = EXAMPLES,
    args_override_self = true,
    disable_version_flag = true,
    max_term_width = 110
)]
pub(super) struct Words {
    /// Listen for connections (the default unless standard input is a socket)
    #[arg(long, help_heading = "How to run")]
    pub(super) daemon: bool,
    /// Serve one job on standard input and output, as inetd and ssh start it
    #[arg(long, help_heading = "How to run")]
    pub(super) inetd: bool,
    /// Stay in the foreground
    #[arg(long, help_heading = "How to run")]
    pub(super) no_detach: bool,
    /// Serve one job at a time
    #[arg(long, help_heading = "How to run")]
    pub(super) no_fork: bool,
    /// Accepted for old scripts; does nothing
    #[arg(long, hide = true)]
    pub(super) no_fifo: bool,
    /// For debugging: --daemon --no-detach --no-fork --log-stderr --verbose
    #[arg(long, short = 'W', help_heading = "How to run")]
    pub(super) wizard: bool,
    /// End after this many seconds (0: never)
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        help_heading = "How to run"
    )]
    pub(super) lifetime: u64,
    /// When told to end (SIGTERM), let jobs finish for this many seconds; a second signal ends them now
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 30,
        help_heading = "How to run"
    )]
    pub(super) drain: u64,
    /// Write the process id here; removed at the end
    #[arg(long, short = 'P', value_name = "FILE", help_heading = "How to run")]
    pub(super) pid_file: Option<PathBuf>,
    /// Write the port here once it is bound; allows --port 0 (any free port)
    #[arg(long, value_name = "FILE", help_heading = "How to run")]
    pub(super) port_file: Option<PathBuf>,
    /// When started as root, become this user (default: distccd, distcc or nobody)
    #[arg(long, value_name = "NAME", help_heading = "How to run")]
    pub(super) user: Option<String>,

    /// Port to listen on
    #[arg(long, short = 'p', value_name = "PORT", default_value_t = protocol_port(), help_heading = "Whom to serve")]
    pub(super) port: u16,
    /// Address to listen on (default: all)
    #[arg(long, value_name = "ADDRESS", help_heading = "Whom to serve")]
    pub(super) listen: Option<String>,
    /// Serve clients of this address or network; may be repeated
    #[arg(long, short = 'a', value_name = "IP[/BITS]", action = ArgAction::Append, help_heading = "Whom to serve")]
    pub(super) allow: Vec<String>,
    /// Serve the networks of this file too, one a line; read again on SIGHUP
    #[arg(long, value_name = "FILE", help_heading = "Whom to serve")]
    pub(super) allow_file: Option<PathBuf>,
    /// Serve private networks (the default without --allow)
    #[arg(long, help_heading = "Whom to serve")]
    pub(super) allow_private: bool,
    /// Serve only clients that have a key of this file, encrypted (make keys: distcc-launchd keygen --help)
    #[arg(long, value_name = "FILE", help_heading = "Whom to serve")]
    pub(super) keys: Option<PathBuf>,
    /// Without keys, let --listen and --allow reach beyond private networks all the same
    #[arg(long, help_heading = "Whom to serve")]
    pub(super) insecure_network: bool,
    /// Connections at once; beyond, those whose request is incomplete make room
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1024,
        help_heading = "Whom to serve"
    )]
    pub(super) max_connections: usize,
    /// Let clients run any program on PATH, not only compilers. For trusted networks
    #[arg(long, alias = "make-me-a-botnet", help_heading = "Whom to serve")]
    pub(super) enable_tcp_insecure: bool,
    /// Announce this daemon by multicast DNS, for clients whose host list says +zeroconf
    #[arg(long, help_heading = "Whom to serve")]
    pub(super) zeroconf: bool,

    /// Compiles at once (default: processors + 2)
    #[arg(long, short = 'j', value_name = "N", help_heading = "Compiling")]
    pub(super) jobs: Option<usize>,
    /// End a compile after this many seconds (0: never)
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 0,
        help_heading = "Compiling"
    )]
    pub(super) job_lifetime: u64,
    /// Run compilers at this much lower priority
    #[arg(
        long,
        short = 'N',
        value_name = "N",
        default_value_t = 5,
        allow_negative_numbers = true,
        help_heading = "Compiling"
    )]
    pub(super) nice: i32,
    /// Let the kernel end compilers sooner (or later) when memory runs out
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        help_heading = "Compiling"
    )]
    pub(super) oom_score_adj: Option<i32>,
    /// Accept -specs=FILE when FILE is a regular file under this directory
    #[arg(long, value_name = "DIR", help_heading = "Compiling")]
    pub(super) sysroot: Option<PathBuf>,
    /// Leave this environment variable to compilers; may be repeated
    #[arg(long, value_name = "NAME", action = ArgAction::Append, help_heading = "Compiling")]
    pub(super) pass_env: Vec<OsString>,

    #[command(flatten)]
    pub(super) sandbox: super::boxed::BoxWords,

    /// Log to this file (default: syslog)
    #[arg(long, value_name = "FILE", help_heading = "Watching it")]
    pub(super) log_file: Option<PathBuf>,
    /// Log to standard error
    #[arg(long, help_heading = "Watching it")]
    pub(super) log_stderr: bool,
    /// How much to log: emerg, alert, crit, error, warning, notice, info, debug
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "notice",
        help_heading = "Watching it"
    )]
    pub(super) log_level: String,
    /// How log lines look: text (as stock's), or json, an object a line
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Watching it"
    )]
    pub(super) log_format: String,
    /// Log everything
    #[arg(long, help_heading = "Watching it")]
    pub(super) verbose: bool,
    /// Serve statistics (/, /metrics, /slots) over HTTP to all who may send jobs, not to this machine only
    #[arg(long, help_heading = "Watching it")]
    pub(super) stats: bool,
    /// Port of the statistics (0: none)
    #[arg(
        long,
        value_name = "PORT",
        default_value_t = 3633,
        help_heading = "Watching it"
    )]
    pub(super) stats_port: u16,
    /// Print the version
    #[arg(long, help_heading = "Watching it")]
    pub(super) version: bool,

    /// Needs GSSAPI, which this program leaves out
    #[arg(long, hide = true)]
    pub(super) auth: bool,
    #[arg(long, hide = true)]
    pub(super) blacklist: Option<OsString>,
    #[arg(long, hide = true)]
    pub(super) whitelist: Option<OsString>,
    #[arg(long, hide = true)]
    pub(super) show_principal: bool,

    #[arg(hide = true)]
    pub(super) ignored: Vec<OsString>,
}

const fn protocol_port() -> u16 {
    3632
}
