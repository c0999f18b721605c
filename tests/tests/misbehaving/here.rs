//! This machine: its idle processors help, and whatever happens it stays usable.

use std::{fs, path::PathBuf, process::Command};

use rustix::process::Signal;
use tests::{Farm, Make, Puppet, Space, fake_cc, run, start, until};

use super::{SOURCE, Scene, names};

/// A compiler of this machine that notes how many of its kind compile at once.
fn counting_compiler(space: &Space) -> (String, PathBuf) {
    let home = space.root().join("home");
    let counts = home.join("counts");
    let text = format!(
        "case \" $* \" in *' -E '*) exec /usr/bin/gcc \"$@\" ;; esac\n\
         : > {0}/running.$$; ls {0}/running.* | wc -l >> {1}\n\
         sleep 0.05; /usr/bin/gcc \"$@\"; code=$?; rm {0}/running.$$; exit $code",
        home.display(),
        counts.display()
    );
    let compiler = home.join("gcc");
    fake_cc(&compiler, &text);
    (compiler.display().to_string(), counts)
}

/// 200 launchers, and all hosts die among them: what is left is compiled here, a few at a time.
#[test]
fn all_hosts_die() {
    let mut farm = Farm::ours(3);
    let list = format!("--localslots=3 {}", farm.hosts("/8"));
    let space = Space::new(SOURCE).hosts(&list);
    let expected = space.local("gcc -O1 -c a.c").bytes("a.o").to_vec();
    let (compiler, counts) = counting_compiler(&space);
    space.renew();
    let mut launchers: Vec<_> = (0..200)
        .map(|number| start(&mut space.command(&format!("{compiler} -O1 -c a.c -o {number}.o"))))
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
    assert!(noted.len() >= 100, "{} ran here", noted.len());
    assert!(noted.iter().all(|count| *count <= 3), "{noted:?}");
}

/// All slots are held; of two launchers one may help itself, and the other, which was there before, may not.
#[test]
fn idle_processors_take_jobs_where_they_may() {
    let host = Puppet::start(Make::Ours, &[], "");
    let scene = Scene::with(&names([&host], "/2"), |space| {
        space.client_env("DISTCC_LAUNCH_HEDGE", "0")
    });
    scene.learn();
    // Both places have to be known.
    let here = |command: &mut Command| {
        command.env("DISTCC_HOSTS", "localhost");
    };
    scene.done(scene.start_with(here));
    host.hold();
    let keeps_out = |command: &mut Command| {
        command.env("DISTCC_LAUNCH_LOCAL", "0");
    };
    let held = [(); 2].map(|()| scene.start_with(keeps_out));
    until("both slots are taken", || host.at_work().len() == 2);
    let mut waits = scene.start_with(keeps_out);
    let row = scene.done(scene.start());
    assert_eq!(
        (row.place.as_str(), row.reason.as_deref(), row.fell_back),
        ("local", Some("idle-here"), false),
        "{row:?}"
    );
    assert!(row.attempts.is_empty(), "{row:?}");
    assert!(!waits.running.has_ended());
    host.release();
    for job in held.into_iter().chain([waits]) {
        let row = scene.done(job);
        assert_eq!(row.host, Some(host.host()), "{row:?}");
    }
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
            let home = space.root().join("home");
            let noted = home.join("nice");
            let compiler = home.join("gcc");
            let text = format!(
                "case \" $* \" in *' -E '*) echo E $(nice) ;; *' -c '*) echo c $(nice) ;; esac >> {}\n\
                 exec /usr/bin/gcc \"$@\"",
                noted.display()
            );
            fake_cc(&compiler, &text);
            let compiler = compiler.display();
            let compared = space.compile(&format!("{compiler} -O1 -c a.c"));
            compared.assert_same_as_local();
            assert_eq!(compared.row().place == "remote", remote, "{compared}");
            let noted = fs::read_to_string(&noted).unwrap();
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
