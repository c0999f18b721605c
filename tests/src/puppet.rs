//! A host whose compiler does something before it compiles: waits while the test says so, takes its time, counts.

use std::{
    ffi::OsString,
    fmt::Display,
    fs,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU8, Ordering::SeqCst},
};

use tempfile::TempDir;

use crate::{
    daemon::{Daemon, Make, Surroundings},
    stand_ins::wrapped_cc,
};

/// A daemon, and the strings of its compiler.
#[derive(Debug)]
pub struct Puppet {
    pub daemon: Daemon,
    strings: Strings,
}

/// A compiler named gcc that can be held.
#[derive(Debug)]
struct Strings(TempDir);

impl Strings {
    /// `before` is what it does, as a shell, before it compiles; in `$F`, a folder that anybody may write to.
    fn new(before: &str) -> Strings {
        let folder = tempfile::Builder::new()
            .prefix("puppet-")
            .tempdir()
            .expect("a folder can be made");
        let at_work = folder.path().join("at-work");
        fs::create_dir(&at_work).expect("a folder can be made");
        for (path, mode) in [(folder.path(), 0o755), (&at_work, 0o1777)] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        }
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder can be made");
        wrapped_cc(
            &bin.join("gcc"),
            &format!(
                "F={}; case \" $* \" in *' -c '*) ;; *) exec /usr/bin/gcc \"$@\" ;; esac\n\
                 echo > $F/at-work/$$\n{before}\nwhile [ -e $F/hold ]; do sleep 0.02; done\n\
                 exec /usr/bin/gcc \"$@\"",
                folder.path().display()
            ),
        );
        for name in names_of_gcc() {
            let _ = symlink("gcc", bin.join(name));
        }
        Strings(folder)
    }

    fn bin(&self) -> PathBuf {
        self.0.path().join("bin")
    }
}

/// Launchers ask for the local compiler by whichever of its names says most.
fn names_of_gcc() -> Vec<OsString> {
    let gcc = fs::canonicalize("/usr/bin/gcc").expect("gcc is installed");
    let all = fs::read_dir("/usr/bin").expect("a folder can be read");
    let names = all.filter_map(|entry| Some(entry.ok()?.file_name()));
    names
        .filter(|name| {
            let named = name
                .as_encoded_bytes()
                .windows(3)
                .any(|part| part == b"gcc");
            named && fs::canonicalize(Path::new("/usr/bin").join(name)).is_ok_and(|it| it == gcc)
        })
        .collect()
}

/// An address of this machine that no other host of any test has.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    Ipv4Addr::new(127, high | 128, low, NEXT.fetch_add(1, SeqCst)).to_string()
}

impl Puppet {
    /// A host on this machine.
    pub fn start(make: Make, options: &[&str], before: &str) -> Puppet {
        Puppet::start_at(&own_address(), Vec::new(), make, options, before)
    }

    /// A host that the words of `prefix` lead to.
    pub fn start_at(
        address: &str,
        prefix: Vec<OsString>,
        make: Make,
        options: &[&str],
        before: &str,
    ) -> Puppet {
        let strings = Strings::new(before);
        let surroundings = Surroundings {
            prefix,
            path: format!("{}:/usr/bin:/bin", strings.bin().display()).into(),
        };
        // In the box there would be no strings.
        let own: &[&str] = match make {
            Make::Ours => &["--sandbox=off", "--nice", "0"],
            Make::Stock => &["--nice", "0"],
        };
        let options = [own, options].concat();
        Puppet {
            daemon: Daemon::start_in(surroundings, make, address, &options),
            strings,
        }
    }

    pub fn host(&self) -> String {
        self.daemon.host()
    }

    /// From now on its compilers wait.
    pub fn hold(&self) {
        fs::write(self.strings.0.path().join("hold"), "").expect("a file can be written");
    }

    /// They go on.
    pub fn release(&self) {
        let _ = fs::remove_file(self.strings.0.path().join("hold"));
    }

    /// How many compiles it has begun.
    pub fn begun(&self) -> usize {
        self.noted().len()
    }

    /// The compilers that are at work.
    pub fn at_work(&self) -> Vec<u32> {
        let mut pids = self.noted();
        pids.retain(|pid| is_alive(*pid));
        pids
    }

    fn noted(&self) -> Vec<u32> {
        let entries = fs::read_dir(self.strings.0.path().join("at-work"));
        let names = entries
            .expect("a folder can be read")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter_map(|name| name.parse().ok()).collect()
    }
}

/// Is there a process of this number?  A zombie is as good as gone: its parent has yet to look.
pub fn is_alive(pid: impl Display) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}
