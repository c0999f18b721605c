//! Why a unit did not come back from a host, told from the launcher's journal and log, what it printed, and what the daemon said before.

use hosts::{Host, Transport};
use protocol::{Limits, Outcome, Version, token};

use super::compiler::{Tried, first_line};
use super::finding::{Finding, Layer};
use super::network::{self, Daemon};
use super::pace::SILENCE;
use super::remote::Trial;
use super::run::Ran;
use crate::commands::reasons;
use crate::commands::records::{Record, Text};
use crate::settings::Settings;
use crate::wire::{Exchange, Link, Part, Patience};

/// A daemon that has not the compiler says so by this exit code: stock's.
const EXIT_COMPILER_MISSING: i32 = 110;

/// Why the unit did not come back.
pub(super) fn explained(
    trial: &Trial<'_>,
    host: &Host,
    daemon: &Daemon,
    record: &Record,
    ran: &Ran,
    log: &str,
) -> Finding {
    let tried = trial.tried;
    let failed =
        |fault, what: String, fix: String| Finding::failed(Layer::Compile, fault, what, fix);
    let reason = record.reason.as_ref().map_or("", Text::code);
    let attempt = record.attempts.last();
    let error = attempt
        .and_then(|one| one.error.as_ref())
        .map_or(reason, Text::code);
    let said = first_line(&ran.stderr);
    if is_full(&ran.stderr) || is_full(log) {
        return full_there(host, said);
    }
    match error {
        "other-compiler-there" => named_otherwise(host, daemon, tried),
        "object-of-other-compiler" => failed(
            "other-version-there",
            format!(
                "another compiler is at work there: {}; here it is {}",
                made_by(log),
                lossy(&tried.about.ident)
            ),
            same_compiler(host, tried),
        ),
        "object-for-other-machine" => failed(
            "other-machine-there",
            format!(
                "its objects are for another machine than {}",
                lossy(&tried.about.triple)
            ),
            format!(
                "sudo apt-get install gcc-{}      # there: a compiler for this machine's target; or take the host out of the list",
                lossy(&tried.about.triple).replace('_', "-")
            ),
        ),
        "empty-object" | "no-object" => failed(
            "no-object",
            format!(
                "what it sends is no object file: {}",
                reasons::spelled(error)
            ),
            looks_there(host),
        ),
        "failed-there" if ran.code() == Some(EXIT_COMPILER_MISSING) => missing(host, tried, said),
        "failed-there" => failed(
            "fails-there",
            format!("the compiler fails there: {said}"),
            looks_there(host),
        ),
        "killed-there" => failed(
            "killed-there",
            "the compiler was killed there: too little memory, perhaps".to_owned(),
            format!("{} 'dmesg | tail; free -h'", ssh(host)),
        ),
        "messages-may-differ" => failed(
            "messages-there",
            format!("the compiler prints something there that it does not print here: {said}"),
            looks_there(host),
        ),
        // A daemon that closes before it has read all resets the connection.
        "closed" | "send-failed" | "receive-failed" => match &host.transport {
            Transport::Ssh { .. } => failed(
                "ssh-closed",
                "ssh ends without an answer: it is not let in, or there is no daemon by that name"
                    .to_owned(),
                format!("{} {} --version", ssh(host), daemon_of(host)),
            ),
            _ => match with_nothing(trial, host) {
                Some(outcome) => closes_on_text(host, &outcome),
                None => not_allowed(host, tried),
            },
        },
        "protocol" | "truncated" => network::foreign(b""),
        "receive-timeout" | "receive-stalled" | "hello-timeout" | "send-timeout" => failed(
            "stalls",
            "it takes the job and does not answer: it hangs, has too much to do, or large packets do not get through".to_owned(),
            format!("{}\nping -c1 -M do -s 1472 {}      # no answer to this one alone: ip link set dev DEVICE mtu 1400", looks_there(host), host.short_name()),
        ),
        "no-folder" => failed(
            "no-folder",
            "no lock can be taken in the folder for temporary files".to_owned(),
            "export TMPDIR=/var/tmp".to_owned(),
        ),
        other => failed("not-compiled", reasons::spelled(other), looks_there(host)),
    }
}

/// The same job without a byte of source.  Of a daemon that closed on the unit this tells whether it runs the compiler at all.
fn with_nothing(trial: &Trial<'_>, host: &Host) -> Option<Outcome> {
    let Trial {
        settings, tried, ..
    } = *trial;
    let settings = Settings {
        io_timeout: trial.pace.of(SILENCE) / 2,
        ..settings.clone()
    };
    let words = ["-c", tried.source, "-o", "probe.o"].map(str::as_bytes);
    let words = std::iter::once(tried.about.remote.as_encoded_bytes()).chain(words);
    let head = protocol::request::encode_head(Version::Plain, None, words).ok()?;
    let mut link = Link::open(host, &settings).ok()?;
    link.push(Part::Bytes(head));
    link.push(Part::Bytes(
        token::head(&token::tag::DOTI, 0).ok()?.to_vec(),
    ));
    let patience = Patience::new(&settings, false);
    Exchange::new(link, Version::Plain, patience).wait().ok()
}

/// A daemon that runs the compiler, but closes when there is a source to write down.
fn closes_on_text(host: &Host, outcome: &Outcome) -> Finding {
    let limit = Limits::for_launcher().max_unpacked;
    let said = outcome.stderr.clone().unpack(limit).unwrap_or_default();
    let said = String::from_utf8_lossy(&said).into_owned();
    let full = said.lines().find(|line| is_full(line));
    match full {
        Some(line) => full_there(host, line.trim()),
        None => full_there(
            host,
            "it runs the compiler on nothing, and closes when it is sent a source",
        ),
    }
}

fn is_full(text: &str) -> bool {
    let words = ["No space left", "no space left", "disk full", "Disk quota"];
    words.iter().any(|words| text.contains(words))
}

fn full_there(host: &Host, said: &str) -> Finding {
    Finding::failed(
        Layer::Compile,
        "temporary-full-there",
        format!("the folder for temporary files there is full, or cannot be written: {said}"),
        format!(
            "{} 'df -h /tmp /dev/shm'      # make room there, or start the daemon with another TMPDIR",
            ssh(host)
        ),
    )
}

/// The daemon said beforehand that it has not this compiler.
fn named_otherwise(host: &Host, daemon: &Daemon, tried: &Tried) -> Finding {
    let wanted = &tried.about.remote;
    let there = match daemon {
        Daemon::Ours(hello) => hello.compilers.as_slice(),
        Daemon::Stock => &[],
    };
    let name = wanted.as_encoded_bytes();
    let bare = [&b"/usr/bin/"[..], b"/bin/"]
        .iter()
        .find_map(|folder| name.strip_prefix(*folder));
    let found = there
        .iter()
        .find(|one| one.name == name || Some(&one.name[..]) == bare);
    let Some(found) = found else {
        let mut has: Vec<String> = there.iter().map(|one| lossy(&one.name)).collect();
        has.sort();
        has.truncate(8);
        return Finding::failed(
            Layer::Compile,
            "compiler-not-there",
            format!(
                "it has no {}, or is not allowed to run it; it has: {}",
                wanted.display(),
                has.join(" ")
            ),
            install(
                host,
                tried,
                "then start distcc-launchd anew: it looks for compilers once, in DISTCCD_PATH or PATH",
            ),
        );
    };
    if found.triple != tried.about.triple {
        return Finding::failed(
            Layer::Compile,
            "other-machine-there",
            format!(
                "its {} makes objects for {}, not for {}",
                wanted.display(),
                lossy(&found.triple),
                lossy(&tried.about.triple)
            ),
            format!(
                "sudo apt-get install gcc-{}      # there: a compiler for this machine's target; or take the host out of the list",
                lossy(&tried.about.triple).replace('_', "-")
            ),
        );
    }
    Finding::failed(
        Layer::Compile,
        "other-version-there",
        format!(
            "its {} is {}; here it is {}",
            wanted.display(),
            lossy(&found.ident),
            lossy(&tried.about.ident)
        ),
        same_compiler(host, tried),
    )
}

/// The daemon started no compiler of this name.
fn missing(host: &Host, tried: &Tried, said: &str) -> Finding {
    Finding::failed(
        Layer::Compile,
        "compiler-not-there",
        format!(
            "it cannot or may not run {}: {said}",
            tried.about.remote.display()
        ),
        install(
            host,
            tried,
            "and let the daemon know it: distcc-launchd is started anew, for stock's: update-distcc-symlinks",
        ),
    )
}

/// A daemon that lets this machine in, and closes on the job: stock's, for a compiler that is not on its list.
fn not_allowed(host: &Host, tried: &Tried) -> Finding {
    Finding::failed(
        Layer::Compile,
        "compiler-not-allowed",
        format!(
            "it takes the job and closes without an answer, as stock's daemon does for a compiler that is not on its list (here {})",
            tried.about.remote.display()
        ),
        install(
            host,
            tried,
            "then there: sudo update-distcc-symlinks (links in /usr/lib/distcc), or start it with --enable-tcp-insecure",
        ),
    )
}

fn install(host: &Host, tried: &Tried, then: &str) -> String {
    let package = match (tried.about.family, tried.about.cxx) {
        (compiler::Family::Gcc, false) => "gcc",
        (compiler::Family::Gcc, true) => "g++",
        (compiler::Family::Clang, _) => "clang",
    };
    format!(
        "{} 'sudo apt-get install {package}'      # {then}",
        ssh(host)
    )
}

pub(super) fn same_compiler(host: &Host, tried: &Tried) -> String {
    format!(
        "{} '{} --version'      # install the same version there as here, or take the host out of the list",
        ssh(host),
        tried.about.remote.display()
    )
}

pub(super) fn looks_there(host: &Host) -> String {
    format!(
        "{} 'journalctl -t distccd -t distcc-launchd -n 50; uptime'      # or the daemon's --log-file",
        ssh(host)
    )
}

/// The beginning of a command for that machine.
fn ssh(host: &Host) -> String {
    let machine = host.short_name();
    match &host.transport {
        Transport::Ssh {
            user: Some(user), ..
        } => format!("ssh {user}@{machine}"),
        _ => format!("ssh {machine}"),
    }
}

fn daemon_of(host: &Host) -> &str {
    match &host.transport {
        Transport::Ssh {
            command: Some(command),
            ..
        } => command,
        _ => "distccd",
    }
}

/// The compiler that the log says made the object.
fn made_by(log: &str) -> &str {
    let named = log
        .lines()
        .rev()
        .find_map(|line| line.split_once("was made by another compiler: "));
    named.map_or("one that does not say which it is", |(_, name)| name)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
