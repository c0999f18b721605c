//! The story of one compile command, from its words to its object.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use compiler::{Family, Job, Reason, Surroundings, Verdict, classify, response};
use hosts::{HostList, NoHosts, Origin, Places};

use crate::about::About;
use crate::find::{Inode, Program};
use crate::here::Here;
use crate::journal::Entry;
use crate::native;
use crate::say::Say;
use crate::settings::Settings;
use crate::trip;
use crate::zeroconf;

/// A command, found and named.
pub(crate) struct Command<'a> {
    pub settings: &'a Settings,
    pub say: &'a Say,
    /// The compiler as the user named it.
    pub word: &'a OsStr,
    pub program: &'a Program,
    /// The words after the compiler's name.
    pub args: &'a [OsString],
}

impl<'a> Command<'a> {
    /// The command as it runs on this machine.
    pub(crate) fn here(&self) -> Here<'a> {
        Here {
            settings: self.settings,
            say: self.say,
            program: self.program,
            args: self.args,
        }
    }
}

/// Compiles on the first host that manages it, or else here.  Gives the exit code, unless the process becomes the compiler.
pub(crate) fn run(command: &Command<'_>) -> i32 {
    let settings = command.settings;
    if let Some(nicer) = settings.nice {
        // Whatever comes of it: it is about who goes first, not about what comes out.
        let _ = rustix::process::nice(nicer.clamp(0, 19));
    }
    let cwd = working_folder(settings);
    let words = std::iter::once(command.word)
        .chain(command.args.iter().map(|word| &**word))
        .map(OsStr::to_owned)
        .collect();
    let mut entry = Entry::begin(cwd.clone(), words);
    entry.run.clone_from(&settings.run);

    let about = match About::of(
        command.program,
        command.word,
        &settings.path,
        settings.folder.as_deref(),
    ) {
        Ok(about) => about,
        Err(reason) => return run_here(command, entry, reason),
    };
    let Ok(args) = response::expand(command.args.to_vec(), &mut |path| std::fs::read(path).ok())
    else {
        return run_here(command, entry, Reason::ResponseFile);
    };
    let surroundings = Surroundings {
        dependencies_output: settings.dependencies_output.as_deref(),
        sunpro_dependencies: settings.sunpro_dependencies,
        search_environment: settings.search_environment,
        // To daemons of ours: which a host has is known later.
        assembler_goes: true,
        ..Surroundings::new(&cwd)
    };
    match classify(about.family, about.cxx, &args, &surroundings) {
        Verdict::RunHere(Reason::NativeCpu) => {
            run_native(command, &about, &args, &surroundings, entry)
        }
        Verdict::RunHere(reason) => run_here(command, entry, reason),
        Verdict::Distribute(job) if takes_precompiled(&job) => {
            run_here(command, entry, Reason::PrecompiledHeader)
        }
        Verdict::Distribute(job) if job.family() == Family::Clang && !is_elf(&about, &job) => {
            run_here(command, entry, Reason::OtherFormat)
        }
        Verdict::Distribute(job) => trip::run(command, &about, &job, entry),
    }
}

/// The working folder by the name that compilers write into objects: `PWD` where that is this folder, by whatever links.
fn working_folder(settings: &Settings) -> OsString {
    let here = rustix::fs::stat(".").map(|stat| Inode::of(&stat));
    let named = settings.pwd.as_deref().filter(|path| {
        let there = rustix::fs::stat(*path).map(|stat| Inode::of(&stat));
        there.is_ok() && there.ok() == here.ok()
    });
    match named {
        Some(path) => path.into(),
        // A folder that is gone has no name; the compiler will have its own word on that.
        None => rustix::process::getcwd(Vec::new())
            .map(|cwd| OsStr::from_bytes(cwd.as_bytes()).to_owned())
            .unwrap_or_default(),
    }
}

/// A command for the processor of this machine goes out in words that say which one that is.  Debug information would tell the
/// difference.
fn run_native(
    command: &Command<'_>,
    about: &About,
    args: &[OsString],
    surroundings: &Surroundings<'_>,
    entry: Entry,
) -> i32 {
    let folder = command.settings.folder.as_deref();
    let Some(args) = native::expand(command.program, about, args, folder) else {
        return run_here(command, entry, Reason::NativeCpu);
    };
    match classify(about.family, about.cxx, &args, surroundings) {
        Verdict::Distribute(job) if !job.writes_debug() => trip::run(command, about, &job, entry),
        Verdict::Distribute(_) => run_here(command, entry, Reason::NativeCpu),
        Verdict::RunHere(reason) => run_here(command, entry, reason),
    }
}

/// clang takes the precompiled form of a header that the command includes whenever it finds one beside it.
fn takes_precompiled(job: &Job<'_>) -> bool {
    let beside = |name: &OsStr, suffix: &str| {
        let mut name = name.to_owned();
        name.push(suffix);
        std::fs::metadata(name).is_ok()
    };
    job.family() == Family::Clang
        && job
            .included()
            .any(|name| beside(name, ".pch") || beside(name, ".gch"))
}

fn is_elf(about: &About, job: &Job<'_>) -> bool {
    !job.expects_elf() || compiler::target::is_elf(&about.triple, &job.target_words())
}

fn run_here(command: &Command<'_>, entry: Entry, reason: Reason) -> i32 {
    command
        .say
        .info(format_args!("running here: {}", reason.sentence()));
    command
        .here()
        .run(entry, reason.code(), reason.work(), None)
}

/// The host list that holds now.
pub(crate) fn host_list(settings: &Settings) -> Result<(HostList, Origin), NoHosts> {
    let (mut list, origin) = written_list(settings)?;
    zeroconf::join(settings, &mut list, &origin)?;
    if list.randomize {
        list.shuffle(std::process::id());
    }
    Ok((list, origin))
}

/// The list as somebody wrote it, without the hosts that `+zeroconf` finds.
pub(crate) fn written_list(settings: &Settings) -> Result<(HostList, Origin), NoHosts> {
    hosts::list::find(&Places {
        hosts: settings.hosts.clone(),
        distcc_dir: settings.folder.clone().map(Into::into),
        home: settings.home.clone().map(Into::into),
        ..Places::default()
    })
}
