//! Commands that run on this machine: the launcher becomes the compiler.
//!
//! By `exec` in place: no second process, the compiler's own exit code and signals, its own terminal.  A local slot, if the work
//! wants one, goes with it and is free again when the compiler ends.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use compiler::manner::Trap;
use compiler::{Reason, Work};
use hosts::{Folder, HostList, LocalPool, NoSlot, Patience, Slot, Slots};

use crate::check::Misfit;
use crate::find::Program;
use crate::journal::{End, Entry};
use crate::os;
use crate::say::Say;
use crate::settings::Settings;
use crate::tokens::Lender;

/// Why a command that could have been sent is compiled here; the codes stand in the journal beside the compiler's own reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// The source is a pipe, a device or missing.
    NoFile,
    NoHosts,
    BadHostList,
    NoFolder,
    HostsAvoided,
    HostsFailed,
    LocalhostListed,
    PreprocessorFailed,
    FailedThere,
    KilledThere,
    /// The command or its preprocessed text hold the reason.
    Text(Reason),
    /// The source is not safe in any manner that would give an equal result.
    Trapped(Trap),
    /// The compiler there printed something.
    Printed,
    /// What came back was not what the compiler here makes.
    Misfit(&'static str),
    CannotPlace,
    Unreadable,
    /// With `-g3` macros of the host's C library would go into the object.
    OtherPreincluded,
    /// Compiled here too, to be compared.
    Sample,
    /// All slots were busy, and a processor here was not.
    Idle,
}

impl Why {
    /// The stable code that the journal holds.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Why::NoFile => "source-is-no-file",
            Why::NoHosts => "no-hosts",
            Why::BadHostList => "bad-host-list",
            Why::NoFolder => "no-folder",
            Why::HostsAvoided => "hosts-avoided",
            Why::HostsFailed => "hosts-failed",
            Why::LocalhostListed => "localhost-listed",
            Why::PreprocessorFailed => "preprocessor-failed",
            Why::FailedThere => "failed-there",
            Why::KilledThere => "killed-there",
            Why::Text(reason) => reason.code(),
            Why::Trapped(trap) => trap.code(),
            Why::Printed => "messages-may-differ",
            Why::Misfit(code) => code,
            Why::CannotPlace => "cannot-place",
            Why::Unreadable => "unreadable",
            Why::OtherPreincluded => "other-predefined-macros",
            Why::Sample => "verified-here",
            Why::Idle => "idle-here",
        }
    }

    /// A sentence for people, as [`Reason::sentence`].
    pub(crate) fn sentence(self) -> &'static str {
        match self {
            Why::NoFile => "the source is a pipe, a device or missing",
            Why::NoHosts => "no host list was found, or it names no host",
            Why::BadHostList => "the host list has a mistake",
            Why::NoFolder => "there is no folder for lock files, or it cannot be used",
            Why::HostsAvoided => "each host failed a moment ago, or has not this compiler",
            Why::HostsFailed => "each host that was tried failed",
            Why::LocalhostListed => "the list names localhost, and its turn came",
            Why::PreprocessorFailed => "the preprocessor failed",
            Why::FailedThere => "the compile failed on the host, and was repeated to be sure",
            Why::KilledThere => "the compiler was killed on the host",
            Why::Text(reason) => reason.sentence(),
            Why::Trapped(trap) => trap.sentence(),
            Why::Printed => {
                "the compiler there printed something that a local one may print otherwise"
            }
            Why::Misfit(code) => misfit(code),
            Why::CannotPlace => "the result could not be written",
            Why::Unreadable => "the source could not be read, or the preprocessor not started",
            Why::OtherPreincluded => {
                "no host has a C library whose own macros are this machine's, and -g3 would keep them"
            }
            Why::Sample => {
                "DISTCC_LAUNCH_VERIFY chose it: it was compiled there and here, and compared"
            }
            Why::Idle => {
                "all slots of hosts were busy, and this machine had an idle processor that would be done sooner"
            }
        }
    }

    /// Every reason but those that stand in lists of their own ([`Reason::all`], [`Trap::all`]).
    pub(crate) fn all() -> impl Iterator<Item = Why> {
        let own = [
            Why::NoFile,
            Why::NoHosts,
            Why::BadHostList,
            Why::NoFolder,
            Why::HostsAvoided,
            Why::HostsFailed,
            Why::LocalhostListed,
            Why::PreprocessorFailed,
            Why::FailedThere,
            Why::KilledThere,
            Why::Printed,
            Why::CannotPlace,
            Why::Unreadable,
            Why::OtherPreincluded,
            Why::Sample,
            Why::Idle,
        ];
        own.into_iter().chain(Misfit::CODES.map(Why::Misfit))
    }

    /// Is it of the kind that is decided before anything is sent, and so no failure to distribute?
    pub(crate) fn is_verdict(self) -> bool {
        matches!(
            self,
            Why::NoFile
                | Why::LocalhostListed
                | Why::Text(_)
                | Why::Trapped(_)
                | Why::Printed
                | Why::OtherPreincluded
                | Why::Sample
                | Why::Idle
        )
    }

    /// Would it have gone to a host, had all gone well with the hosts and on the way?  (What fails to compile would fail anywhere.)
    pub(crate) fn could_have_gone(self) -> bool {
        match self {
            Why::NoHosts
            | Why::BadHostList
            | Why::NoFolder
            | Why::HostsAvoided
            | Why::HostsFailed
            | Why::LocalhostListed
            | Why::KilledThere
            | Why::Printed
            | Why::Misfit(_)
            | Why::OtherPreincluded
            | Why::CannotPlace => true,
            Why::NoFile
            | Why::PreprocessorFailed
            | Why::FailedThere
            | Why::Text(_)
            | Why::Trapped(_)
            | Why::Unreadable
            | Why::Sample
            | Why::Idle => false,
        }
    }

    /// Had the job been on its way to a host?
    pub(crate) fn fell_back(self) -> bool {
        !matches!(
            self,
            Why::NoFile
                | Why::NoHosts
                | Why::BadHostList
                | Why::NoFolder
                | Why::LocalhostListed
                | Why::Text(_)
                | Why::Trapped(_)
                | Why::OtherPreincluded
                | Why::Idle
        )
    }
}

/// What is wrong with an object, by its code ([`Misfit::code`]).
fn misfit(code: &str) -> &'static str {
    match code {
        "empty-object" => "the host sent nothing",
        "no-object" => "the host sent no object file",
        "object-for-other-machine" => "the object is for another machine",
        _ => "the object was made by another compiler, or another version",
    }
}

/// How a compiler ended that ran here as a child.
#[must_use]
pub(crate) struct Ended {
    /// Its exit code, as a shell would give it.
    pub code: i32,
    signal: Option<i32>,
}

impl Ended {
    pub(crate) fn was_killed(&self) -> bool {
        self.signal.is_some()
    }

    /// Ends this process as the compiler ended, which a build tool would have seen; gives the exit code where it ended by itself.
    pub(crate) fn pass_on(self) -> i32 {
        match self.signal {
            Some(signal) => os::end_by(signal),
            None => self.code,
        }
    }
}

/// The command as it runs here.
pub(crate) struct Here<'a> {
    pub settings: &'a Settings,
    pub say: &'a Say,
    pub program: &'a Program,
    /// The words after the compiler's name, as they came.
    pub args: &'a [OsString],
}

impl Here<'_> {
    /// Takes the slot that `work` wants, notes the command, and becomes the compiler.  Comes back only with the exit code of
    /// an `exec` that failed.
    pub(crate) fn run(
        &self,
        mut entry: Entry,
        reason: &'static str,
        work: Work,
        slot: Option<Slot>,
    ) -> i32 {
        entry.reason = Some(reason);
        if let Some((jobserver, folder)) = self.settings.lendable() {
            // What launchers that were killed owe it.
            drop(Lender::open(jobserver, folder));
        }
        let waited = std::time::Instant::now();
        let slot = slot.or_else(|| self.slot(work));
        entry.queue_ms += waited.elapsed().as_secs_f64() * 1e3;
        entry.host = Some("localhost".to_owned());
        if let Some(path) = self.settings.journal_path() {
            entry.write(&path, End::Exec);
        }
        self.become_compiler(slot)
    }

    /// Runs the compiler as a child and notes how it ended, for who has to know that.
    pub(crate) fn run_and_wait(
        &self,
        mut entry: Entry,
        reason: &'static str,
        slot: Option<Slot>,
    ) -> Ended {
        entry.reason = Some(reason);
        entry.host = Some("localhost".to_owned());
        let waited = std::time::Instant::now();
        let slot = slot.or_else(|| self.slot(Work::Compile));
        entry.queue_ms += waited.elapsed().as_secs_f64() * 1e3;
        let ended = self.wait_for_compiler(slot);
        if let Some(path) = self.settings.journal_path() {
            entry.write(&path, End::Status(ended.code));
        }
        ended
    }

    /// Runs the compiler as a child, without a word in the journal.
    pub(crate) fn wait_for_compiler(&self, slot: Option<Slot>) -> Ended {
        let slot = slot.or_else(|| self.slot(Work::Compile));
        let mut compiler = Command::new(&self.program.path);
        compiler.arg0(&self.program.argv0).args(self.args);
        let ended =
            os::start_as_we_came(&mut compiler).and_then(|(mut child, _ending)| child.wait());
        drop(slot);
        let signal = ended.as_ref().ok().and_then(ExitStatusExt::signal);
        let code = match ended {
            Ok(status) => status
                .code()
                .unwrap_or_else(|| 128 + signal.unwrap_or_default()),
            Err(error) => cannot_run(self.say, self.program.path.as_os_str(), &error),
        };
        Ended { code, signal }
    }

    /// Becomes the compiler without a slot and without a word in the journal, as below another launcher.
    pub(crate) fn become_compiler(&self, slot: Option<Slot>) -> i32 {
        if let Some(slot) = slot {
            // Without its lock the command runs all the same.
            let _ = slot.keep_across_exec();
        }
        let error = os::exec(
            Command::new(&self.program.path)
                .arg0(&self.program.argv0)
                .args(self.args),
        );
        cannot_run(self.say, self.program.path.as_os_str(), &error)
    }

    fn slot(&self, work: Work) -> Option<Slot> {
        let pool = match work {
            Work::Compile => LocalPool::Job,
            Work::Preprocess => LocalPool::Cpp,
            Work::Question => return None,
        };
        let list = crate::driver::host_list(self.settings)
            .ok()
            .map(|(list, _)| list);
        take_local(self.settings, self.say, pool, list.as_ref())
    }
}

/// One of the slots that compiles have on this machine.
pub(crate) fn compile_slot(
    folder: &Folder,
    list: &HostList,
    patience: &Patience<'_>,
) -> Result<Slot, NoSlot> {
    let size = hosts::Capacity::new(list, processors(), 0).local;
    Slots::new(folder).take_local(LocalPool::Job, size, patience)
}

/// A slot of this machine, after waiting for it; `None` where slots cannot be had.
pub(crate) fn take_local(
    settings: &Settings,
    say: &Say,
    pool: LocalPool,
    list: Option<&HostList>,
) -> Option<Slot> {
    let folder = Folder::at(settings.folder.clone()?);
    let empty = HostList::default();
    let capacity = hosts::Capacity::new(list.unwrap_or(&empty), processors(), 0);
    let size = match pool {
        LocalPool::Job => capacity.local,
        LocalPool::Cpp => capacity.cpp,
    };
    // Who runs in a slot of `distcc-launch local` must not wait for another: enough of them would wait for each other.
    let patience = match settings.has_local_slot {
        true => Patience::NONE,
        false => Patience::FOREVER,
    };
    match Slots::new(&folder).take_local(pool, size, &patience) {
        Ok(slot) => Some(slot),
        Err(NoSlot::Busy | NoSlot::NoHost) => None,
        Err(NoSlot::Folder(error)) => {
            say.warn(format_args!(
                "running without a slot of this machine: {error}"
            ));
            None
        }
    }
}

/// Processors that this process may use.
pub(crate) fn processors() -> u32 {
    rustix::thread::sched_getaffinity(None).map_or(1, |set| set.count())
}

/// Says that the compiler could not be started; gives the exit code for it: stock's when called `distcc`, else a shell's.
pub(crate) fn cannot_run(say: &Say, program: &OsStr, error: &io::Error) -> i32 {
    say.error(format_args!(
        "failed to exec {}: {error}",
        program.display()
    ));
    if say.is_stock() {
        return 110;
    }
    // Nobody but us can say it, whatever our name: the compiler never ran.
    eprintln!("{}: {}: {error}", say.program(), program.display());
    if error.kind() == io::ErrorKind::NotFound {
        127
    } else {
        126
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_in_the_docs() {
        let page = include_str!("../../docs/journal.md");
        for code in Why::all().map(Why::code) {
            assert!(page.contains(&format!("| `{code}` |")), "{code}");
        }
    }
}
