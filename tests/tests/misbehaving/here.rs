//! This machine: its idle processors help, and whatever happens it stays usable.

use std::os::unix::process::ExitStatusExt;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use rustix::process::Signal;
use tests::{Farm, Make, Puppet, Space, fake_cc, run, start, until, with_default_signals};

use super::{SOURCE, Scene, names};

/// A space whose gcc does as `text` says first, and a file beside it, which `text` calls `$NOTES`.
fn with_own_gcc(space: Space, text: &str) -> (Space, PathBuf) {
    let home = space.root().join("home");
    let notes = home.join("notes");
    let text = format!(
        "NOTES={}; {text}\nexec /usr/bin/gcc \"$@\"",
        notes.display()
    );
    fake_cc(&home.join("gcc"), &text);
    let path = format!("{}:/usr/bin:/bin", home.display());
    (space.env("PATH", path), notes)
}

/// Notes how many of its kind compile at once.
const COUNTS: &str = "case \" $* \" in *' -E '*) exec /usr/bin/gcc \"$@\" ;; esac
: > $NOTES.$$; ls $NOTES.* | wc -l >> $NOTES
sleep 0.05; /usr/bin/gcc \"$@\"; code=$?; rm $NOTES.$$; exit $code";

/// 200 launchers, and all hosts die among them: what is left is compiled here, a few at a time.
#[test]
fn all_hosts_die() {
    let mut farm = Farm::ours(3);
    let list = format!("--localslots=3 {}", farm.hosts("/8"));
    let space = Space::new(SOURCE).hosts(&list);
    let expected = space.local("gcc -O1 -c a.c").bytes("a.o").to_vec();
    let (space, counts) = with_own_gcc(space, COUNTS);
    space.renew();
    let mut launchers: Vec<_> = (0..200)
        .map(|number| start(&mut space.command(&format!("gcc -O1 -c a.c -o {number}.o"))))
        .collect();
    until("some jobs came back", || {
        let rows = space.rows();
        rows.iter().filter(|row| row.place == "remote").count() >= 20
    });
    for daemon in &mut farm.daemons {
        daemon.signal(Signal::KILL);
    }
    until("all have ended", || {
        launchers.iter_mut().all(tests::Running::has_ended)
    });
    for (number, launcher) in launchers.into_iter().enumerate() {
        assert_eq!(launcher.finish().code(), 0, "{number}");
        let made = fs::read(space.work().join(format!("{number}.o"))).unwrap();
        assert!(made == expected, "{number}");
    }
    let noted = fs::read_to_string(&counts).unwrap();
    let noted: Vec<usize> = noted
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    assert_eq!(noted.iter().max(), Some(&3), "{noted:?}");
}

/// `command`, where so many threads of this machine want a processor.
fn while_running(threads: u32, command: &mut Command, folder: &Path) {
    let file = folder.join(format!("loadavg-{threads}"));
    fs::write(&file, format!("0.00 0.00 0.00 {threads}/200 1\n")).unwrap();
    let mut inside = Command::new("unshare");
    inside
        .args(["--mount", "sh", "-ec"])
        .arg("mount --bind \"$0\" /proc/loadavg; exec \"$@\"")
        .arg(file)
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(command.get_current_dir().unwrap())
        .env_clear();
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap_or_default());
    }
    *command = inside;
}

/// All slots are held.  Of three builds, the first in whose queue may help himself, finds no idle processor, or may not.
#[test]
fn idle_processors_take_jobs_where_they_may() {
    let host = Puppet::start(Make::Ours, &["--jobs", "8"], "sleep 0.2");
    let builds = [("1", 1), ("1", 200), ("0", 1)];
    let scenes = builds.map(|(local, running)| {
        let scene = Scene::with(&names([&host], "/1"), |space| {
            space.client_env("DISTCC_LAUNCH_LOCAL", local)
        });
        (scene, running)
    });
    let begin = |(scene, running): &(Scene<'_>, u32)| {
        let home = scene.space.root().join("home");
        scene.start_with(|command| while_running(*running, command, &home))
    };
    for build in &scenes {
        for _ in 0..4 {
            assert_eq!(build.0.done(begin(build)).host, Some(host.host()));
        }
    }
    host.hold();
    let held = scenes.each_ref().map(begin);
    until("all slots are taken", || host.at_work().len() == 3);
    let [helped, busy, forbidden] = &scenes;
    let mut waiting = [begin(forbidden), begin(busy)];
    let row = helped.0.done(begin(helped));
    assert_eq!(
        (row.place.as_str(), row.reason.as_deref(), row.fell_back),
        ("local", Some("idle-here"), false),
        "{row:?}"
    );
    assert!(row.attempts.is_empty(), "{row:?}");
    assert!(waiting.iter_mut().all(|job| !job.running.has_ended()));
    host.release();
    let jobs = held.into_iter().chain(waiting);
    for (build, job) in [helped, busy, forbidden, forbidden, busy]
        .into_iter()
        .zip(jobs)
    {
        let row = build.0.done(job);
        assert_eq!(row.host, Some(host.host()), "{row:?}");
    }
}

/// A compiler that is watched while it runs here (DISTCC_LAUNCH_VERIFY, as one on an idle processor) is ended by a signal: so is
/// the launcher, as far as a build tool sees.
#[test]
fn whoever_kills_the_compiler_here_kills_the_launcher() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCE).hosts(&farm.hosts(""));
    let space = space.client_env("DISTCC_LAUNCH_VERIFY", "100");
    let (space, _) = with_own_gcc(
        space,
        "case \" $* \" in *' -E '*) ;; *' -c '*) kill -SEGV $$ ;; esac",
    );
    space.renew();
    let mut command = with_default_signals(&space.command("gcc -O1 -c a.c"));
    let ran = start(&mut command).finish();
    let rows = space.rows();
    assert_eq!(rows[0].reason.as_deref(), Some("verified-here"));
    assert_eq!(ran.status.signal(), Some(11), "{rows:?}");
    assert_eq!(rows[0].status, Some(139));
    assert_eq!(ran.err(), "", "and nobody else is to blame");
}

/// The nice value of a process that this one starts.
fn own_nice() -> i32 {
    run(Command::new("nice").env_clear())
        .out()
        .trim()
        .parse()
        .unwrap()
}

#[test]
fn what_runs_here_is_as_nice_as_was_asked() {
    let farm = Farm::ours(1);
    let usual = own_nice();
    for (list, remote) in [(farm.hosts(""), true), ("127.0.0.1:1".to_owned(), false)] {
        for (asked, expected) in [(None, usual), (Some("5"), (usual + 5).min(19))] {
            let mut space = Space::new(SOURCE).hosts(&list);
            if let Some(asked) = asked {
                space = space.client_env("DISTCC_LAUNCH_NICE", asked);
            }
            let (space, notes) = with_own_gcc(
                space,
                "case \" $* \" in *' -E '*) echo E $(nice) ;; *' -c '*) echo c $(nice) ;; esac >> $NOTES",
            );
            let compared = space.compile("gcc -O1 -c a.c");
            compared.assert_same_as_local();
            assert_eq!(compared.row().place == "remote", remote, "{compared}");
            let noted = fs::read_to_string(&notes).unwrap();
            // First by itself, then through the launcher.
            let mut lines = noted.lines();
            assert_eq!(lines.next(), Some(&*format!("c {usual}")));
            let lines: Vec<_> = lines.collect();
            let step = if remote { "E" } else { "c" };
            assert!(lines.contains(&&*format!("{step} {expected}")), "{lines:?}");
            let each = lines
                .iter()
                .all(|line| line.ends_with(&format!(" {expected}")));
            assert!(each, "{asked:?}: {lines:?}");
        }
    }
}
