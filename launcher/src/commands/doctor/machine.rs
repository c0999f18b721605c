//! The layers of this machine: settings, host list, folders, journal.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hosts::{Capacity, Host, HostList, Origin, Transport};
use rustix::fs::{Access, FlockOperation, access, fcntl_lock};

use super::discovery;
use super::finding::{Finding, Layer};
use crate::driver::{host_list, written_list};
use crate::here::processors;
use crate::say::chain;
use crate::settings::{BuildEnvironment, Settings};

/// Clocks may be this far apart.
pub(super) const SKEW: Duration = Duration::from_secs(3);
/// Less free space than this does not hold what compilers put there.
const ROOM: u64 = 8 << 20;

/// Variables of ours whose value means nothing.
pub(super) fn settings(settings: &Settings, environment: &BuildEnvironment) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut bad = |name: &str, value: &str, wants: &str| {
        found.push(Finding::failed(
            Layer::Settings,
            "bad-setting",
            format!(
                "{name} is {value:?}, which means nothing and is passed over; it wants {wants}"
            ),
            format!("unset {name}"),
        ));
    };
    let value = |name: &str| environment.get(name).map(|value| value.to_string_lossy());
    if let Some(wrong) = &settings.bad_io_timeout {
        bad(
            wrong.name,
            &wrong.value.to_string_lossy(),
            "a whole number of seconds above 0",
        );
    }
    for name in ["DISTCC_FALLBACK", "DISTCC_VERBOSE"] {
        if let Some(value) = value(name).filter(|value| value != "0" && value != "1") {
            bad(name, &value, "0 or 1");
        }
    }
    if let (Some(value), None) = (value("DISTCC_BACKOFF_PERIOD"), settings.backoff) {
        bad("DISTCC_BACKOFF_PERIOD", &value, "a number of seconds");
    }
    if let (Some(value), None) = (value("DISTCC_LAUNCH_PREPROCESS"), settings.preprocess) {
        let wants = "expanded, directives, whole or rewritten";
        bad("DISTCC_LAUNCH_PREPROCESS", &value, wants);
    }
    if let Some(value) = value("DISTCC_LAUNCH_DIAGNOSTICS").filter(|value| value != "exact") {
        bad("DISTCC_LAUNCH_DIAGNOSTICS", &value, "exact");
    }
    if let Some(log) = settings.log.as_ref().filter(|log| !log.is_empty())
        && let Err(error) = appendable(Path::new(log))
    {
        found.push(Finding::failed(
            Layer::Settings,
            "log-not-writable",
            format!(
                "DISTCC_LOG names {}, which cannot be written: {error}",
                log.display()
            ),
            "unset DISTCC_LOG",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            Layer::Settings,
            "each variable means something",
        ));
    }
    found
}

/// Which list holds; an empty one where none does.
pub(super) fn list(settings: &Settings) -> (HostList, Vec<Finding>) {
    let (list, origin) = match host_list(settings) {
        Ok(found) => found,
        Err(error) => {
            let fix = match &error {
                hosts::NoHosts::Bad { origin, .. } => {
                    format!("{}      # then: distcc-launch doctor", edit(origin))
                }
                hosts::NoHosts::Empty(Origin::Variable) => {
                    "unset DISTCC_HOSTS      # so that the files count, or: export DISTCC_HOSTS='10.0.0.2/8,lzo'"
                        .to_owned()
                }
                hosts::NoHosts::Unreadable { path, .. } => {
                    format!("chmod a+r {}", path.display())
                }
                _ => "export DISTCC_HOSTS='10.0.0.2/8,lzo'      # or write it into ~/.distcc/hosts".to_owned(),
            };
            let fault = match error {
                hosts::NoHosts::Bad { .. } => "bad-host-list",
                _ => "no-hosts",
            };
            let found = match error {
                hosts::NoHosts::NoneAllowed(_) | hosts::NoHosts::NoneFound(_) => {
                    discovery::look(settings)
                }
                _ => vec![Finding::failed(Layer::HostList, fault, chain(&error), fix)],
            };
            return (HostList::default(), found);
        }
    };
    let mut found = discovery::look(settings);
    // Compared as they are written, not in the order or with the hosts of this moment.
    if let Ok((written, _)) = written_list(settings) {
        found.extend(shadowed(settings, &written, &origin));
    }
    let remote = |host: &&Host| host.transport != Transport::Local && !host.down;
    let usable = list.hosts.iter().filter(remote).count();
    let capacity = Capacity::new(&list, processors(), u64::MAX);
    found.push(match usable {
        0 => Finding::failed(
            Layer::HostList,
            "no-remote-hosts",
            format!(
                "{origin} names no other machine that is not marked down: everything runs here"
            ),
            edit(&origin),
        ),
        _ => Finding::ok(
            Layer::HostList,
            format!(
                "{origin}: {usable} {}, {} slots, and {} here",
                if usable == 1 { "host" } else { "hosts" },
                capacity.remote,
                capacity.local
            ),
        ),
    });
    (list, found)
}

fn edit(origin: &Origin) -> String {
    match origin {
        Origin::Variable => "export DISTCC_HOSTS='10.0.0.2/8,lzo'".to_owned(),
        Origin::File(path) => format!("${{EDITOR:-vi}} {}", path.display()),
    }
}

/// A hosts file of the user's own that says something else than the list that holds, and is hidden by it.  The system's file is there
/// on many machines without anybody's doing, and hides nothing.
fn shadowed(settings: &Settings, list: &HostList, origin: &Origin) -> Option<Finding> {
    let own = settings.folder.iter().cloned();
    let homes = settings.home.iter().map(|home| home.join(".distcc"));
    let mut files = own.chain(homes).map(|folder| folder.join("hosts"));
    let of_folder = settings.folder.as_ref().map(|folder| folder.join("hosts"));
    if matches!((origin, &of_folder), (Origin::File(path), Some(own)) if path == own) {
        // Who writes a list into a folder of its own and names that folder wants it so.
        return None;
    }
    let (file, hidden) = files.find_map(|file| {
        let hidden = hosts::list::parse(&fs::read(&file).ok()?);
        let same =
            hidden.as_ref() == Ok(list) || matches!(hidden, Err(hosts::HostListError::Empty));
        (!same).then_some((file, hidden))
    })?;
    let hosts = hidden
        .map(|list| names(&list))
        .unwrap_or_else(|error| format!("with a mistake: {error}"));
    let (by, fix) = match origin {
        Origin::Variable => ("DISTCC_HOSTS".to_owned(), "unset DISTCC_HOSTS"),
        Origin::File(path) => (path.display().to_string(), "unset DISTCC_DIR"),
    };
    Some(Finding::failed(
        Layer::HostList,
        "hosts-file-shadowed",
        format!(
            "{by} ({}) hides the list in {} ({hosts}), which nobody reads now; lists are not merged",
            names(list),
            file.display()
        ),
        format!("{fix}      # or: mv {0} {0}.unused", file.display()),
    ))
}

fn names(list: &HostList) -> String {
    let names: Vec<_> = list.hosts.iter().map(|host| host.token.as_str()).collect();
    names.join(" ")
}

/// `$DISTCC_DIR`: can it hold locks and state?
pub(super) fn folder(settings: &Settings, list: &HostList) -> Finding {
    let Some(root) = &settings.folder else {
        return Finding::failed(
            Layer::Folder,
            "no-folder",
            "neither DISTCC_DIR nor HOME is set, so there is no place for lock files, and nothing is sent",
            "export DISTCC_DIR=/var/tmp/distcc-$(id -u)",
        );
    };
    let mend = |path: &Path| {
        format!(
            "sudo chown -R \"$(id -un)\" {0} && chmod -R u+rwX {0}      # or: export DISTCC_DIR=/var/tmp/distcc-$(id -u)",
            path.display()
        )
    };
    let failed = |path: &Path, error: &io::Error| {
        let (fault, fix) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
                "folder-full",
                "export DISTCC_DIR=/var/tmp/distcc-$(id -u)      # or make room there".to_owned(),
            ),
            _ => ("folder-not-writable", mend(root)),
        };
        let what = format!(
            "{} cannot be written, so nothing is sent: {error}",
            path.display()
        );
        Finding::failed(Layer::Folder, fault, what, fix)
    };
    for name in ["lock", "state"] {
        let path = root.join(name);
        if let Err(error) = fs::create_dir_all(&path).and_then(|()| try_write(&path)) {
            return failed(&path, &error);
        }
    }
    // Files of another user, from a build as root.
    let lock = root.join("lock");
    for entry in fs::read_dir(&lock).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let used = ["cpu_", "backoff_", "unfit_"]
            .iter()
            .any(|kind| name.starts_with(kind));
        if used && access(entry.path(), Access::READ_OK | Access::WRITE_OK).is_err() {
            return failed(&entry.path(), &io::ErrorKind::PermissionDenied.into());
        }
    }
    let slots = list
        .hosts
        .iter()
        .map(|host| u64::from(host.slots))
        .sum::<u64>();
    Finding::ok(
        Layer::Folder,
        format!("{}: locks for {slots} slots can be written", root.display()),
    )
}

/// Writes a file into `folder`, locks it, and takes it away.
fn try_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!("doctor_{}", std::process::id()));
    let tried = File::create(&path).and_then(|mut file| {
        file.write_all(&[b'x'; 512])?;
        fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(())
    });
    let _ = fs::remove_file(&path);
    tried
}

/// The folder for temporary files.
pub(super) fn temporary(folder: &Path) -> Finding {
    let failed = |fault, what: String| {
        let fix = "export TMPDIR=/var/tmp      # or make room there, see: df -h";
        Finding::failed(Layer::Temporary, fault, what, fix)
    };
    let shown = folder.display();
    match try_write(folder) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => failed(
            "temporary-full",
            format!("{shown} is full: compilers on this machine cannot work"),
        ),
        Err(error) => failed(
            "temporary-not-writable",
            format!("{shown} cannot be written, so compilers on this machine cannot work: {error}"),
        ),
        Ok(()) => {
            let room = rustix::fs::statvfs(folder);
            let free = room.map_or(u64::MAX, |room| room.f_bavail.saturating_mul(room.f_frsize));
            match free {
                ..ROOM => failed(
                    "temporary-full",
                    format!(
                        "{shown} has {} KiB left, too little for compilers on this machine",
                        free >> 10
                    ),
                ),
                _ => Finding::ok(
                    Layer::Temporary,
                    format!("{shown}: {} MiB free", free >> 20),
                ),
            }
        }
    }
}

/// Opens a file as the journal and the log are opened, without making one that is not there.
pub(super) fn appendable(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    match options
        .append(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
    {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = path.ancestors().skip(1).find(|folder| folder.exists());
            let above = match above {
                Some(folder) if folder != Path::new("") => folder,
                _ => Path::new("."),
            };
            if !above.is_dir() {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(access(above, Access::WRITE_OK | Access::EXEC_OK)?)
        }
        Err(error) => Err(error),
    }
}

/// Is the clock of this machine that of its files?  Folders on other machines have their clocks.
pub(super) fn clock(settings: &Settings) -> Vec<Finding> {
    let mut found = Vec::new();
    let now = SystemTime::now();
    let folder = settings.folder.as_ref().map(|root| root.join("lock"));
    if let Some(ahead) = folder.as_deref().and_then(ahead_of_us) {
        found.push(Finding::failed(
            Layer::Clock,
            "clock-skew",
            format!(
                "the file system of $DISTCC_DIR has a clock that is {:.0} s away from this machine's: hosts are avoided too long or not at all",
                ahead.as_secs_f64()
            ),
            "sudo timedatectl set-ntp true      # on both machines",
        ));
    }
    let root = settings.folder.clone().unwrap_or_default();
    let mut files: Vec<PathBuf> = vec![root.join("hosts")];
    for folder in [PathBuf::from("."), "build".into(), root.join("lock")] {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        files.extend(entries.take(2000).map(|entry| entry.path()));
    }
    let late = files.into_iter().find_map(|path| {
        let time = fs::metadata(&path).ok()?.modified().ok()?;
        let ahead = time
            .duration_since(now)
            .ok()
            .filter(|ahead| *ahead > SKEW)?;
        Some((path, ahead))
    });
    if let Some((path, ahead)) = late {
        found.push(Finding::failed(
            Layer::Clock,
            "clock-skew",
            format!(
                "{} is {:.0} s in the future by this machine's clock: what goes by the times of files is misled, build tools compile again and again",
                path.display(),
                ahead.as_secs_f64()
            ),
            format!(
                "sudo timedatectl set-ntp true      # then: find . {} -newermt now -exec touch {{}} +",
                path.display()
            ),
        ));
    }
    found
}

/// How far a new file's time is from this machine's, where that is too far.
fn ahead_of_us(folder: &Path) -> Option<Duration> {
    let path = folder.join(format!("doctor_clock_{}", std::process::id()));
    let before = SystemTime::now();
    let written = File::create(&path).and_then(|file| file.metadata()?.modified());
    let _ = fs::remove_file(&path);
    let written = written.ok()?;
    let apart = written
        .duration_since(before)
        .or_else(|_| before.duration_since(written))
        .ok()?;
    (apart > SKEW).then_some(apart)
}
