//! `distcc-launch why --hosts`: where the last command about a file would go now, told to people and as JSON.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hosts::pace::Load;
use hosts::view;

use super::candidates::{Candidate, Candidates, Refused};
use super::{Why, command_of, nothing, print, wanted};
use crate::commands::classify::{in_words, spelled};
use crate::commands::database::{Command, Database, Judge};
use crate::commands::farm::{Farm, Pace, in_use};
use crate::commands::json::Object;
use crate::commands::records::Journal;
use crate::commands::words::{seconds, span};
use crate::settings::Settings;

pub(super) fn run(settings: &Settings, why: &Why) -> i32 {
    let mut judge = Judge::new(settings);
    let Some((command, folder)) = last_command(settings, &judge, &why.file) else {
        return nothing(settings, why);
    };
    let words = spelled(&command);
    let compiler = judge.compiler_id(&command.compiler, &folder);
    let judged = judge.judge(command, &folder);
    let farm = Farm::look(settings);
    let candidates = Candidates::of(&farm, judged.work.as_ref(), compiler.as_deref());
    print(|out| {
        if why.json {
            let mut all = candidates.hosts.iter().chain([&candidates.here]);
            return all.try_for_each(|host| writeln!(out, "{}", as_json(host, farm.time)));
        }
        writeln!(out, "{words}\n  in {}", folder.display())?;
        writeln!(out, "  now: {}", in_words(&judged))?;
        match judged.here {
            Some(_) => Ok(()),
            None => tell(&farm, &candidates, out),
        }
    })
}

/// The newest command about `file` in the journal, else the one that a compilation database has, and its folder.
fn last_command(settings: &Settings, judge: &Judge<'_>, file: &Path) -> Option<(Command, PathBuf)> {
    let journal = settings.journal_path().map(|path| Journal::at(&path));
    let last = journal.and_then(|journal| wanted::last_times(&journal, file, 1).pop());
    if let Some(record) = last {
        return Some((command_of(&record), record.cwd.0.into()));
    }
    let database = Database::usual().ok()?;
    let (_, _, mut entry) = database.entries_for(file).ok()?.pop()?;
    let folder = database.folder_of(&entry);
    Some((judge.command(&mut entry), folder))
}

fn tell(farm: &Farm, found: &Candidates, out: &mut dyn Write) -> io::Result<()> {
    if let Err(error) = &farm.origin {
        writeln!(out, "  no hosts: {error}")?;
    }
    if !found.known {
        writeln!(
            out,
            "  how long it takes is unknown: no such job has run yet"
        )?;
    }
    if found.waits {
        writeln!(
            out,
            "  it would wait for a faster slot than those that are free"
        )?;
    }
    let (tried, refused): (Vec<_>, Vec<_>) =
        found.hosts.iter().partition(|host| host.turn.is_some());
    let equal = match farm.randomize {
        true => ", equal ones in any order",
        false => "",
    };
    let names = found.hosts.iter().map(|host| host.name.len());
    let width = names.max().unwrap_or(0).max("this machine".len());
    for (title, hosts) in [
        (
            format!("hosts, in the order in which they would be tried{equal}"),
            tried,
        ),
        ("not tried now".to_owned(), refused),
    ] {
        if !hosts.is_empty() {
            writeln!(out, "  {title}:")?;
        }
        for host in hosts {
            writeln!(out, "    {}", line(host, &host.name, width, farm.time))?;
        }
    }
    let here = line(&found.here, "this machine", width + 2, farm.time);
    writeln!(out, "  {here}")
}

fn line(host: &Candidate, name: &str, width: usize, now: SystemTime) -> String {
    let used = in_use(host.held, host.slots);
    let time = match host.ms {
        Some(ms) => seconds(ms.into()),
        None => "unknown".to_owned(),
    };
    let notes = notes(host, now).join("; ");
    format!("{name:width$}  {used:<16}  {time:>8}  {notes}")
}

/// What there is to say of a host beside its time.
fn notes(host: &Candidate, now: SystemTime) -> Vec<String> {
    let left = |until| span(view::left(until, now));
    let down = (host.refused == Some(Refused::Down)).then(|| "marked down".to_owned());
    let pace = match host.pace {
        Some(pace) => pace.in_words(),
        None if host.ms.is_some() => "no job yet, taken for one like others".to_owned(),
        None => "no job yet".to_owned(),
    };
    let unfit = host.unfit.map(|until| {
        let left = left(until);
        format!("gets no jobs of this compiler for {left} more: it answered wrongly")
    });
    let capacity = host
        .capacity
        .map(|capacity| format!("does {capacity:.0} at once, not {}", host.slots));
    let load = host.load.map(|load| {
        let Load {
            jobs, free, queue, ..
        } = load;
        let ago = span(Duration::from_millis(load.age));
        format!("said {ago} ago: {free} of {jobs} slots free, {queue} waiting")
    });
    let notes = [
        down,
        Some(pace),
        host.failures.clone(),
        unfit,
        capacity,
        load,
    ];
    notes.into_iter().flatten().collect()
}

/// A host's line. The names stay what they are; new ones may come.
fn as_json(host: &Candidate, now: SystemTime) -> String {
    let seconds = |until| view::left(until, now).as_secs_f64();
    let avoided = host.avoided.map(|avoided| {
        Object::new()
            .plain("seconds_left", seconds(avoided.until))
            .plain("failures", avoided.failures)
            .end()
    });
    let unfit = host
        .unfit
        .map(|until| Object::new().plain("seconds_left", seconds(until)).end());
    let load = host.load.map(|load| {
        Object::new()
            .plain("slots", load.jobs)
            .plain("free", load.free)
            .plain("queue", load.queue)
            .plain("seconds_ago", load.age as f64 / 1e3)
            .end()
    });
    let pace = |pace: Pace| format!("{:.2}", pace.times);
    let tenths = |value: f32| format!("{value:.1}");
    Object::new()
        .text("name", &host.name)
        .plain("here", host.here)
        .number("turn", host.turn)
        .maybe("refused", host.refused.map(Refused::code))
        .plain("slots", host.slots)
        .plain("free", (host.slots as usize).saturating_sub(host.held))
        .number("expected_ms", host.ms.map(tenths))
        .number("pace", host.pace.map(pace))
        .plain("jobs", host.pace.map_or(0, |pace| pace.jobs))
        .number("capacity", host.capacity.map(tenths))
        .number("avoided", avoided)
        .number("unfit", unfit)
        .number("load", load)
        .end()
}

#[cfg(test)]
mod tests {
    use hosts::Dislikes;
    use hosts::pace::{Paces, host_key};

    use super::super::candidates::tests::{history, now, work};
    use super::*;
    use crate::commands::farm::tests::settings;

    fn told(farm: &Farm, found: &Candidates) -> String {
        let mut out = Vec::new();
        tell(farm, found, &mut out).expect("to memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_is_known_and_what_is_not_is_told() {
        let temp = tempfile::tempdir().expect("a folder");
        let farm = || Farm::look(&settings(temp.path(), "--randomize b/2 a/12 n d,down"));
        let unknown = told(&farm(), &Candidates::of(&farm(), Some(&work(1)), None));
        for part in [
            "is unknown: no such job has run yet",
            "would be tried, equal ones in any order:",
            "unknown  no job yet\n",
            "not tried now:",
            "unknown  marked down; no job yet\n",
        ] {
            assert!(unknown.contains(part), "{part}: {unknown}");
        }

        history(temp.path());
        let list = hosts::list::parse("b/2 a/12").expect("a list");
        let folder = hosts::Folder::at(temp.path());
        let paces = Paces::in_folder(&folder);
        paces.answered(host_key(&list.hosts[1]), Some(4), Some((1, 0)), now());
        let dislikes = Dislikes::new(&folder, hosts::Period::Growing);
        for _ in 0..2 {
            let noted = dislikes.failed(&list.hosts[0], SystemTime::now());
            noted.expect("noted");
        }
        let farm = farm();
        let known = told(&farm, &Candidates::of(&farm, Some(&work(1)), None));
        for part in [
            " s  ×1.0 by 30 jobs; does 4 at once, not 12; said ",
            " ago: 1 of 4 slots free, 0 waiting\n",
            "no job yet, taken for one like others\n",
            " by 30 jobs; failed; ",
            "this machine",
        ] {
            assert!(known.contains(part), "{part}: {known}");
        }
        assert!(!known.contains("unknown  ×"), "{known}");
    }

    #[test]
    fn each_host_is_one_object_with_the_same_names() {
        let temp = tempfile::tempdir().expect("a folder");
        history(temp.path());
        let farm = Farm::look(&settings(temp.path(), "a/3 b,down"));
        let found = Candidates::of(&farm, Some(&work(1)), None);
        let read = |host: &Candidate| -> serde_json::Value {
            serde_json::from_str(&as_json(host, farm.time)).expect("JSON")
        };
        let names = |host: &serde_json::Value| {
            let object = host.as_object().expect("an object");
            object.keys().cloned().collect::<Vec<_>>()
        };
        let (a, b, here) = (
            read(&found.hosts[0]),
            read(&found.hosts[1]),
            read(&found.here),
        );
        assert_eq!((&a["name"], &a["turn"]), (&"a:3632".into(), &1.into()));
        assert_eq!((&a["slots"], &a["free"]), (&3.into(), &3.into()));
        assert_eq!((&a["pace"], &a["jobs"]), (&1.0.into(), &30.into()));
        assert!(a["expected_ms"].as_f64().is_some_and(|ms| ms > 50.0));
        assert_eq!((&b["refused"], b["turn"].is_null()), (&"down".into(), true));
        assert_eq!((&a["here"], &here["here"]), (&false.into(), &true.into()));
        assert_eq!(names(&a), names(&b));
        assert_eq!(names(&a), names(&here));
        let page = include_str!("../../../../docs/seeing.md");
        for name in names(&a) {
            assert!(page.contains(&format!("`{name}`")), "{name}");
        }
    }
}
