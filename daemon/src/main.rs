//! distcc-launchd: compiles what distcc clients send.
//!
//! ```text
//! words, environment ─▶ compilers ─▶ port bound ─▶ background ─▶ ordinary user ─▶ accept … end
//! options, environment  compilers    listen        detach        user             server
//!
//! connection: receive ─▶ check ─▶ slot ─▶ compile ─▶ answer ─▶ noted
//!             protocol   compiler queue   job        protocol  log, stats, metrics
//! ```
//!
//! `docs/security.md` says what stops whom.

mod access;
mod activation;
mod answer;
mod answers;
mod attempts;
mod boxed;
mod check;
mod closure;
mod compilers;
mod connection;
mod crowd;
mod deadline;
mod detach;
mod environment;
mod exit;
#[cfg(test)]
mod fuzz;
mod gate;
mod headers;
mod heavy;
mod hello;
mod idents;
mod inetd;
mod job;
mod keygen;
mod launch;
mod life;
mod listen;
mod log;
mod metrics;
mod moved;
mod options;
mod os;
mod queue;
mod receive;
mod reload;
mod resolve;
mod scratch;
mod send;
mod server;
mod shortage;
mod signals;
mod sockets;
mod stats;
mod store;
mod user;
mod watch;
mod work;
mod zeroconf;

use std::io::Write;
use std::process::ExitCode;

use access::{FileError, OutsideError};
use activation::ActivationError;
use boxed::BoxError;
use compilers::CompilersError;
use environment::{Environment, EnvironmentError};
use exit::Exit;
use keys::KeyFileError;
use listen::ListenError;
use log::Chain;
use options::{Instead, Mode};
use user::UserError;

/// Why the daemon did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
enum DaemonError {
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Access(#[from] FileError),
    #[error(transparent)]
    Activation(#[from] ActivationError),
    #[error(transparent)]
    Compilers(#[from] CompilersError),
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    #[error(transparent)]
    Outside(#[from] OutsideError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    User(#[from] UserError),
    #[error(transparent)]
    Box(#[from] BoxError),
    #[error("could not {what}")]
    System {
        what: String,
        source: std::io::Error,
    },
}

impl DaemonError {
    fn exit(&self) -> Exit {
        match self {
            Self::Environment(_) | Self::Access(_) | Self::Keys(_) | Self::Outside(_) => {
                Exit::BadArguments
            }
            Self::Activation(_) => Exit::BindFailed,
            Self::Compilers(_) => Exit::CompilerMissing,
            Self::Listen(_) => Exit::BindFailed,
            Self::User(_) | Self::Box(BoxError::User(_)) => Exit::ChangeUser,
            Self::Box(_) => Exit::Failed,
            Self::System { .. } => Exit::Failed,
        }
    }
}

/// Says what could not be done.
fn cannot(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> DaemonError {
    move |source| DaemonError::System {
        what: what.into(),
        source,
    }
}

fn main() -> ExitCode {
    if let Some(words) = keygen::asked(std::env::args_os()) {
        return keygen::run(words);
    }
    let options = match options::read(std::env::args_os()) {
        Ok(options) => options,
        Err(Instead::Print(text)) => {
            let printed = std::io::stdout().write_all(text.as_bytes());
            return if printed.is_ok() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        Err(Instead::Refuse(exit, why)) => {
            let _ = writeln!(std::io::stderr(), "distccd: {}", why);
            return ExitCode::from(exit.code());
        }
    };
    log::panics();
    os::return_large_memory();
    os::close_inherited_on_exec();
    os::heed_children();
    let inetd =
        options.mode == Mode::Inetd || (options.mode == Mode::ByStdin && inetd::stdin_is_socket());
    let environment = Environment::read();
    let result = if inetd {
        life::serve_stdin(&options, &environment)
    } else {
        life::serve_port(&options, &environment)
    };
    let exit = result.unwrap_or_else(|error| {
        log::error!("{}", Chain(&error));
        error.exit()
    });
    ExitCode::from(exit.code())
}
