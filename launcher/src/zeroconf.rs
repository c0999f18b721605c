//! `+zeroconf` in a host list: the hosts that the browser has found join it.
//!
//! The launcher reads a small file and talks with no network.  Where no browser writes that file, one is started, and launchers wait for
//! it for half a second, once: what it finds later is there for later jobs.  Where nothing that it finds could be used, none is started.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use hosts::found::{self, ASKS, FRESH, Files, WAIT};
use hosts::list::Ignored;
use hosts::{Found, Host, HostList, Nets, NoHosts, Origin};
use rustix::event::Timespec;
use rustix::fs::FlockOperation;

use crate::detached;
use crate::driver::written_list;
use crate::remember;
use crate::settings::Settings;

const PROGRAM: &str = "zeroconf-browser";
/// The longest wait until a browser is on its own.
const STARTING: Timespec = Timespec {
    tv_sec: 5,
    tv_nsec: 0,
};
/// How long a browser that could not be started is not tried again.
const GIVEN_UP: Duration = Duration::from_secs(60);
/// A browser that ends so soon after its start is not started again before: each start keeps launchers waiting.
const AGAIN: Duration = Duration::from_secs(5);
/// What stands in the lock's file as soon as one was started.
const BEGUN: &[u8] = b"begun\n";
/// How often a waiting launcher looks.
const LOOK: Duration = Duration::from_millis(5);

/// Puts the hosts that were found into the list that asks for them.
///
/// # Errors
/// The list names no others, and there are none.
pub(crate) fn join(
    settings: &Settings,
    list: &mut HostList,
    origin: &Origin,
) -> Result<(), NoHosts> {
    let Some(zeroconf) = &list.zeroconf else {
        return Ok(());
    };
    let nets = nets();
    let any = zeroconf.may_use_any(nets.as_ref());
    if let (true, Some(folder)) = (any, &settings.folder) {
        let found = found(settings, &Files::below(folder));
        list.add_found(&found, nets.as_ref());
    }
    match (list.hosts.is_empty(), any) {
        (false, _) => Ok(()),
        (true, true) => Err(NoHosts::NoneFound(origin.clone())),
        (true, false) => Err(NoHosts::NoneAllowed(origin.clone())),
    }
}

/// The networks that the user named, if any.
fn nets() -> Option<Nets> {
    let text = Settings::zeroconf_nets()?;
    Some(Nets::read(&text.to_string_lossy()).0)
}

/// What is found now; starts the browser that finds it.
fn found(settings: &Settings, files: &Files) -> Vec<Found> {
    if let Some(found) = fresh(files) {
        ask(files);
        return found;
    }
    let until = match look_for(settings, files) {
        Ok(wait) => Instant::now() + wait,
        Err(error) => {
            remember::write(&files.failed(), error.to_string().as_bytes());
            return Vec::new();
        }
    };
    loop {
        if let Some(found) = fresh(files) {
            return found;
        }
        if Instant::now() >= until {
            return Vec::new();
        }
        std::thread::sleep(LOOK);
    }
}

/// What a browser that lives has written.
fn fresh(files: &Files) -> Option<Vec<Found>> {
    let (text, about) = remember::read(&files.found())?;
    is_younger(about.modified().ok()?, FRESH).then(|| found::read(&text))
}

fn is_younger(then: SystemTime, age: Duration) -> bool {
    then.elapsed().is_ok_and(|elapsed| elapsed < age)
}

/// Lets the browser know that somebody wants it.
fn ask(files: &Files) {
    let path = files.asked();
    let asked = fs::metadata(&path).and_then(|about| about.modified());
    if asked.is_ok_and(|asked| !is_younger(asked, ASKS))
        && let Ok(file) = File::options().write(true).open(&path)
    {
        // One that hears nothing ends too soon, and the next launcher starts another.
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Sees to it that there is a browser; gives how long to wait for what it finds.
fn look_for(settings: &Settings, files: &Files) -> io::Result<Duration> {
    fs::create_dir_all(files.folder())?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(files.browser())?;
    match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        // Somebody was first.  Who comes when the wait is over does not begin another.
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let begun = lock.metadata()?.modified()?;
            let since = begun.elapsed().unwrap_or(WAIT);
            return Ok(WAIT.saturating_sub(since));
        }
        Err(error) => return Err(error.into()),
    }
    let about = lock.metadata()?;
    let ended_at_once = about.len() > 0 && is_younger(about.modified()?, AGAIN);
    if ended_at_once || failure(files).is_some() {
        return Ok(Duration::ZERO);
    }
    // Its time of change is the start that others wait for.
    lock.write_all_at(BEGUN, 0)?;
    let program = detached::program(PROGRAM, &settings.path).ok_or_else(|| {
        io::Error::other(format!(
            "there is no {PROGRAM} beside distcc-launch or in PATH"
        ))
    })?;
    let mut command = Command::new(program);
    // The lock goes with its descriptor: it is the browser's as soon as it is nobody else's.
    command.arg(files.folder()).stdin(Stdio::from(lock));
    detached::start(&mut command, &STARTING)?;
    Ok(WAIT)
}

/// Why no browser could be started a moment ago.
fn failure(files: &Files) -> Option<String> {
    let (why, about) = remember::read(&files.failed())?;
    is_younger(about.modified().ok()?, GIVEN_UP).then(|| String::from_utf8_lossy(&why).into_owned())
}

/// How the search is, for people.
pub(crate) struct Search {
    /// The word of the list.
    pub word: String,
    /// May anything that is found be used?
    pub may_use_any: bool,
    /// Words in `DISTCC_LAUNCH_ZEROCONF_NETS` that name no network.
    pub wrong_nets: Vec<String>,
    /// Who is there, and the host that is used for it, or why none.
    pub found: Vec<(Found, Result<Host, Ignored>)>,
    /// Why there is no browser.
    pub failed: Option<String>,
}

impl Search {
    /// What the list's `+zeroconf` found last; `None` where it has none.
    pub(crate) fn of(settings: &Settings) -> Option<Search> {
        let zeroconf = written_list(settings).ok()?.0.zeroconf?;
        let text = Settings::zeroconf_nets().map(|text| text.to_string_lossy().into_owned());
        let (nets, wrong) = match text.as_deref().map(Nets::read) {
            Some((nets, wrong)) => (Some(nets), wrong),
            None => (None, Vec::new()),
        };
        let files = settings.folder.as_deref().map(Files::below);
        let found = files.as_ref().and_then(fresh).unwrap_or_default();
        let judged = found.into_iter().map(|one| {
            let judged = zeroconf.judge(&one, nets.as_ref());
            (one, judged)
        });
        Some(Search {
            word: zeroconf.token.clone(),
            may_use_any: zeroconf.may_use_any(nets.as_ref()),
            found: judged.collect(),
            wrong_nets: wrong.into_iter().map(str::to_owned).collect(),
            failed: files.as_ref().and_then(failure),
        })
    }

    /// Those that are not used, each with the reason.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = (&Found, Ignored)> {
        let all = self.found.iter();
        all.filter_map(|(found, judged)| Some((found, *judged.as_ref().err()?)))
    }
}
