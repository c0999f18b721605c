//! `distcc-launch local`: takes one of this machine's slots, then becomes the command.
//!
//! For what a wide build runs besides compiles: code generators, tests, anything that would otherwise run as many times at
//! once as the build is wide.  The slot is free again when the command ends.

use std::ffi::OsString;
use std::process::Command;

use clap::Args;
use hosts::LocalPool;

use crate::driver::host_list;
use crate::here::{cannot_run, take_local};
use crate::os;
use crate::say::Say;
use crate::settings::{self, Settings};

#[derive(Args)]
#[command(
    after_help = "Example: distcc-launch local -- ./generate.py table.in table.c\n\n\
                  What runs inside takes a second slot only if one is free, and never waits for it."
)]
pub(super) struct Local {
    /// The command
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

/// Comes back only with the exit code of a command that could not be started.
pub(super) fn run(settings: &Settings, local: &Local) -> i32 {
    let say = Say::new(settings, false);
    let (program, args) = local.command.split_first().expect("clap wants a command");
    let list = host_list(settings).ok().map(|(list, _)| list);
    // Below another slot there is no waiting for a second one: enough of them would wait for ever.
    if !settings.has_local_slot
        && let Some(slot) = take_local(settings, &say, LocalPool::Job, list.as_ref())
        && slot.keep_across_exec().is_ok()
    {
        os::set_variable(settings::LOCAL_SLOT, "1");
    }
    let error = os::exec(Command::new(program).args(args));
    cannot_run(&say, program, &error)
}
