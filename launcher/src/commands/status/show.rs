//! How it is printed: for people, and as JSON.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use hosts::pace::Copies;
use hosts::view::{self, Held};

use super::build::Build;
use super::{JobNow, Now, shown};
use crate::commands::farm::{HostNow, Pace, in_use};
use crate::commands::json::Object;
use crate::commands::reasons;
use crate::commands::words::{ago, span};
use crate::zeroconf::Search;

pub(super) fn as_text(now: &Now, build: &Build) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = hosts(&mut out, now);
    let _ = zeroconf(&mut out, now.zeroconf.as_ref());
    let _ = jobs(&mut out, &now.jobs);
    let _ = last_build(&mut out, build);
    out
}

fn hosts(out: &mut String, now: &Now) -> std::fmt::Result {
    let paces = now.farm.usual_paces();
    let hosts = now.hosts(&paces);
    let up = || hosts.iter().filter(|(host, _)| !host.listed.down);
    let slots: u32 = up().map(|(host, _)| host.listed.slots).sum();
    let held: usize = up().map(|(host, _)| host.held.len()).sum();
    match &now.farm.origin {
        Ok(origin) => writeln!(
            out,
            "hosts, from {origin}: {}, with {slots} slots, {held} in use",
            hosts.len()
        )?,
        Err(error) => writeln!(out, "no hosts: {error}")?,
    }
    let names = hosts.iter().map(|(host, _)| host.name.len());
    let width = names.max().unwrap_or(0).max("this machine".len());
    let mut line = |name: &str, parts: [Option<String>; 4]| {
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let text = format!("  {name:width$}  {}", parts.join("  "));
        writeln!(out, "{}", text.trim_end())
    };
    let used = |held: usize, slots| Some(format!("{:<16}", in_use(held, slots)));
    for (host, pace) in &hosts {
        let used = used(host.held.len(), host.listed.slots);
        let pace = pace.map(Pace::in_words);
        let down = host.listed.down.then(|| "marked down".to_owned());
        line(&host.name, [used, pace, down, host.failures(now.farm.time)])?;
        for unfit in &host.unfit {
            let compiler = match unfit.compiler.as_str() {
                "" => "a compiler",
                name => name,
            };
            let left = span(view::left(unfit.until, now.farm.time));
            let text = format!("gets no jobs of {compiler} for {left} more: it answered wrongly");
            line("", [Some(text), None, None, None])?;
        }
    }
    let local = &now.farm.local;
    let used = used(local.held.len(), local.slots);
    let pace = paces.here.map(Pace::in_words);
    line("this machine", [used, pace, None, None])?;
    match now.copies() {
        Some(Copies { copies, of }) => {
            writeln!(out, "second copies: {copies} among the last {of} jobs")
        }
        None => Ok(()),
    }
}

/// The hosts that are used stand above.
fn zeroconf(out: &mut String, search: Option<&Search>) -> std::fmt::Result {
    let Some(search) = search else { return Ok(()) };
    let used = search.found.iter().filter(|(_, judged)| judged.is_ok());
    write!(out, "{}: ", search.word)?;
    match (&search.failed, search.may_use_any) {
        (Some(why), _) => writeln!(out, "nobody looks: {why}")?,
        (None, false) => writeln!(
            out,
            "nobody looks: DISTCC_LAUNCH_ZEROCONF_NETS names no network, and there is no ,key"
        )?,
        (None, true) => writeln!(
            out,
            "{} found, {} of them used",
            search.found.len(),
            used.count()
        )?,
    }
    for (found, why) in search.ignored() {
        writeln!(out, "  {} is not used: {}", found.name, why.sentence())?;
    }
    Ok(())
}

fn jobs(out: &mut String, jobs: &[JobNow]) -> std::fmt::Result {
    if jobs.is_empty() {
        return writeln!(out, "nothing runs");
    }
    writeln!(out, "running: {}", jobs.len())?;
    for job in jobs {
        writeln!(
            out,
            "  {:>8}  {:<10}  {:<30}  {}[{}]",
            job.pid,
            job.phase,
            shown(&job.file),
            shown(&job.host),
            job.slot
        )?;
    }
    Ok(())
}

fn last_build(out: &mut String, build: &Build) -> std::fmt::Result {
    if build.commands == 0 {
        return writeln!(out, "no build in the journal");
    }
    let commands = if build.commands == 1 {
        "command"
    } else {
        "commands"
    };
    write!(
        out,
        "last build: {} {commands} in {}, the last {}",
        build.commands,
        span(Duration::try_from_secs_f64(build.ended - build.began).unwrap_or_default()),
        ago(build.ended)
    )?;
    for (count, what) in [
        (build.fell_back, "fell back to this machine"),
        (build.failed, "failed"),
    ] {
        if count > 0 {
            write!(out, "; {count} {what}")?;
        }
    }
    out.push('\n');
    for (host, count) in build.remote.sorted() {
        writeln!(out, "  {count:>8}  on {host}")?;
    }
    for (reason, count) in build.here.sorted() {
        writeln!(out, "  {count:>8}  here: {}", reasons::spelled(reason))?;
    }
    Ok(())
}

pub(super) fn as_json(now: &Now, build: &Build) -> String {
    let paces = now.farm.usual_paces();
    let hosts = now.hosts(&paces);
    let hosts = hosts
        .iter()
        .map(|(host, pace)| host_as_json(host, *pace, now.farm.time));
    let jobs = now.jobs.iter().map(|job| {
        use std::os::unix::ffi::OsStrExt as _;
        Object::new()
            .plain("pid", job.pid)
            .text("phase", job.phase)
            .text("file", std::ffi::OsStr::from_bytes(&job.file))
            .text("host", std::ffi::OsStr::from_bytes(&job.host))
            .plain("slot", job.slot)
            .end()
    });
    let here = &now.farm.local;
    let local = Object::new()
        .plain("slots", here.slots)
        .list("in_use", held(&here.held));
    let local = with_pace(local, paces.here).end();
    let copies = now.copies().map(|Copies { copies, of }| {
        let counted = Object::new().plain("copies", copies);
        counted.plain("jobs", of).end()
    });
    let whole = Object::new()
        .maybe("from", now.farm.origin.as_ref().ok())
        .maybe("error", now.farm.origin.as_ref().err())
        .list("hosts", hosts)
        .number("zeroconf", now.zeroconf.as_ref().map(searched))
        .plain("local", local)
        .list("jobs", jobs)
        .number("last_build", (build.commands > 0).then(|| totals(build)))
        .number("second_copies", copies)
        .end();
    whole + "\n"
}

fn host_as_json(host: &HostNow, pace: Option<Pace>, now: SystemTime) -> String {
    let seconds = |until| view::left(until, now).as_secs_f64();
    let avoided = host.avoided.map(|avoided| {
        Object::new()
            .plain("seconds_left", seconds(avoided.until))
            .plain("failures", avoided.failures)
            .end()
    });
    let unfit = host.unfit.iter().map(|unfit| {
        Object::new()
            .text("compiler", &unfit.compiler)
            .plain("seconds_left", seconds(unfit.until))
            .end()
    });
    let slots = host.listed.slots;
    let object = Object::new()
        .text("name", &host.name)
        .plain("slots", slots)
        .plain("free", (slots as usize).saturating_sub(host.held.len()))
        .list("in_use", held(&host.held))
        .plain("down", host.listed.down)
        .number("avoided", avoided)
        .list("unfit", unfit);
    with_pace(object, pace).end()
}

fn with_pace(object: Object, pace: Option<Pace>) -> Object {
    object
        .number("pace", pace.map(|pace| format!("{:.2}", pace.times)))
        .plain("jobs", pace.map_or(0, |pace| pace.jobs))
}

fn searched(search: &Search) -> String {
    let found = search.found.iter().map(|(found, judged)| {
        let judged = judged.as_ref();
        Object::new()
            .text("name", &found.name)
            .plain("slots", found.slots)
            .maybe("host", judged.ok().map(|host| host.name()))
            .maybe("ignored", judged.err().map(|why| why.sentence()))
            .end()
    });
    Object::new()
        .plain("may_use_any", search.may_use_any)
        .maybe("error", search.failed.as_ref())
        .list("found", found)
        .end()
}

fn held(held: &[Held]) -> impl Iterator<Item = String> {
    held.iter().map(|held| {
        Object::new()
            .plain("slot", held.slot)
            .number("pid", held.pid)
            .end()
    })
}

fn totals(build: &Build) -> String {
    let remote = build.remote.sorted().into_iter().map(|(host, count)| {
        Object::new()
            .text("host", host)
            .plain("commands", count)
            .end()
    });
    let here = build.here.sorted().into_iter().map(|(reason, count)| {
        Object::new()
            .text("reason", reason)
            .maybe("sentence", reasons::sentence(reason))
            .plain("commands", count)
            .end()
    });
    Object::new()
        .plain("commands", build.commands)
        .plain("began", build.began)
        .plain("ended", build.ended)
        .plain("remote", build.remote.sum())
        .plain("here", build.here.sum())
        .plain("fell_back", build.fell_back)
        .plain("failed", build.failed)
        .plain("sent", build.sent)
        .plain("received", build.received)
        .list("hosts", remote)
        .list("reasons", here)
        .end()
}
