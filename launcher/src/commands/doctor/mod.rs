//! `distcc-launch doctor`: from the host list to a linked object, what is wrong and what mends it.
//!
//! All hosts are looked at at a time and each step has its limit, so that it ends within five seconds whatever the hosts do.  What it
//! tries it tries through the launcher itself, with folders of its own; it changes nothing that a build depends on.

mod builds;
mod cargo;
mod compiler;
mod connect;
mod discovery;
mod finding;
mod journal;
mod machine;
mod make;
mod memory;
mod network;
mod pace;
mod remote;
mod run;
mod verdict;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread;

use clap::Args;
use hosts::{Host, HostList, Transport};

use self::compiler::Tried;
use self::finding::{Finding, Layer, arranged, as_json, as_text, count};
use self::network::{Daemon, Seen};
use self::pace::{ASKED, LINKED, Pace};
use self::remote::{Compiled, Trial};
use self::run::Scratch;
use crate::settings::{BuildEnvironment, Settings};

/// Something is wrong.
const EXIT_WRONG: i32 = 1;

#[derive(Args)]
#[command(after_help = "\
Examples:
  distcc-launch doctor                  with $CC, or cc
  distcc-launch doctor -- g++ -m32      with this compiler and these words

Each line is ok, FAILED, or skipped (nothing to look at, or another failure stands in the way).  Below a failure stands what mends it.

Exit code: 0 when all is well, 1 when something is wrong, 101 for bad arguments.")]
pub(super) struct Doctor {
    /// One JSON object: well, and layers with layer, state, host, fault (a stable code), what, fix
    #[arg(long)]
    json: bool,
    /// How long it may take in all; give more where hosts are far away
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    limit: f64,
    /// The compiler to try, with words of its own
    #[arg(last = true, value_name = "COMPILER")]
    compiler: Vec<OsString>,
}

pub(super) fn run(settings: &Settings, doctor: &Doctor) -> i32 {
    let findings = arranged(examine(settings, doctor));
    let text = match doctor.json {
        true => as_json(&findings),
        false => as_text(&findings),
    };
    let mut out = io::stdout().lock();
    // Whoever closed it has the exit code.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match count(&findings) {
        0 => 0,
        _ => EXIT_WRONG,
    }
}

fn examine(settings: &Settings, doctor: &Doctor) -> Vec<Finding> {
    let pace = Pace::within(doctor.limit);
    let environment = BuildEnvironment::read();
    let mut found = machine::settings(settings, &environment);
    let (list, about_list) = machine::list(settings);
    found.extend(about_list);
    let hosts = asked(settings, &list, pace);

    // Meanwhile, this machine.
    found.push(machine::folder(settings, &list));
    let temporary = environment
        .get("TMPDIR")
        .map_or_else(|| PathBuf::from("/tmp"), PathBuf::from);
    found.push(machine::temporary(&temporary));
    found.push(journal::journal(settings));
    let mut clocks = machine::clock(settings);
    let places = [
        temporary,
        "/var/tmp".into(),
        "/dev/shm".into(),
        "/tmp".into(),
    ];
    let scratch = Scratch::new(&places);
    let words = compiler::words(settings, &environment, &doctor.compiler);
    let ready = match (compiler::look(settings, words, &pace), &scratch) {
        (Ok((tried, ok)), Ok(scratch)) => {
            found.push(ok);
            compiled_here(tried, scratch, &pace)
        }
        (Ok((_, ok)), Err(error)) => {
            found.push(ok);
            let what = format!("no folder for temporary files can be written: {error}");
            Err(Finding::skipped(Layer::Compile, what))
        }
        (Err(failed), _) => {
            found.push(failed);
            Err(Finding::skipped(
                Layer::Compile,
                "there is no compiler to try",
            ))
        }
    };
    found.extend(builds::look(settings, &environment, &list, &pace));

    let seen = hosts.wait(&mut found);
    for (host, daemon) in &seen {
        if let Some(Daemon::Ours(hello)) = daemon {
            clocks.extend(network::clock(hello).map(|clock| clock.at(&host.name())));
        }
    }
    match (ready, &scratch) {
        (Ok((tried, here)), Ok(scratch)) => {
            let trial = Trial {
                settings,
                tried: &tried,
                here,
                pace: &pace,
            };
            found.extend(compiled_there(&trial, &seen, scratch));
        }
        (Err(why), _) => found.extend([
            why,
            Finding::skipped(Layer::Link, "there is nothing to link"),
        ]),
        // Nothing is ready without a folder.
        (Ok(_), Err(_)) => {}
    }
    if clocks.is_empty() {
        clocks.push(Finding::ok(
            Layer::Clock,
            "no file is from the future; the hosts do not say what time they have",
        ));
    }
    found.extend(clocks);
    found
}

/// The unit's object as it is made here, what a host's is compared with.
fn compiled_here(
    tried: Tried,
    scratch: &Scratch,
    pace: &Pace,
) -> Result<(Tried, Vec<u8>), Finding> {
    let made = scratch.folder("here").map_err(|error| error.to_string());
    match made.and_then(|folder| tried.compile_here(&folder, pace)) {
        Ok(object) => Ok((tried, object)),
        Err(error) => Err(Finding::failed(
            Layer::Compile,
            "fails-here",
            format!(
                "{} does not compile a small unit on this machine: {error}",
                tried.words[0].display()
            ),
            "distcc-launch doctor -- gcc      # with another compiler or other words",
        )),
    }
}

/// Hosts that are being looked at.
struct Asked {
    hosts: Vec<Host>,
    answers: mpsc::Receiver<(usize, Seen)>,
    /// Which of them have an address.
    named: Vec<Arc<AtomicBool>>,
    pace: Pace,
}

/// Begins to look at all hosts.
fn asked(settings: &Settings, list: &HostList, pace: Pace) -> Asked {
    let mut hosts: Vec<Host> = Vec::new();
    for host in &list.hosts {
        let other = hosts.iter().all(|seen| seen.name() != host.name());
        if host.transport != Transport::Local && !host.down && other {
            hosts.push(host.clone());
        }
    }
    let (send, answers) = mpsc::channel();
    let mut named = Vec::new();
    for (index, host) in hosts.iter().cloned().enumerate() {
        let send = send.clone();
        let known = Arc::new(AtomicBool::new(!matches!(
            host.transport,
            Transport::Tcp { .. }
        )));
        named.push(Arc::clone(&known));
        let settings = Settings {
            io_timeout: pace.of(ASKED) / 2,
            ssh: settings.ssh.clone().or(Some("ssh -o BatchMode=yes".into())),
            ..settings.clone()
        };
        // One that comes too late finds nobody, and ends with the process.
        thread::spawn(move || {
            let _ = send.send((index, network::look(&host, &settings, &pace, &known)));
        });
    }
    Asked {
        hosts,
        answers,
        named,
        pace,
    }
}

impl Asked {
    /// What was seen of each host in time, in the order of the list.
    fn wait(self, found: &mut Vec<Finding>) -> Vec<(Host, Option<Daemon>)> {
        let mut seen: Vec<Option<Seen>> = self.hosts.iter().map(|_| None).collect();
        while seen.iter().any(Option::is_none) {
            let left = self.pace.left(ASKED);
            let Ok((index, answer)) = self.answers.recv_timeout(left) else {
                break;
            };
            seen[index] = Some(answer);
        }
        let both = self.hosts.into_iter().zip(seen).zip(self.named);
        both.map(|((host, seen), named)| match seen {
            Some(seen) => {
                found.extend(seen.findings);
                (host, seen.daemon)
            }
            None => {
                let failed = match named.load(Relaxed) {
                    true => network::stalls(&host),
                    false => {
                        let error = "whoever is asked for it does not answer";
                        connect::no_address(host.short_name(), error)
                    }
                };
                found.push(failed.at(&host.name()));
                (host, None)
            }
        })
        .collect()
    }
}

/// Compiles a unit on each host that can be asked, and links the first object.
fn compiled_there(
    trial: &Trial<'_>,
    seen: &[(Host, Option<Daemon>)],
    scratch: &Scratch,
) -> Vec<Finding> {
    let results: Vec<Compiled> = thread::scope(|scope| {
        let jobs: Vec<_> = seen
            .iter()
            .enumerate()
            .filter_map(|(index, (host, daemon))| Some((index, host, daemon.as_ref()?)))
            .map(|(index, host, daemon)| {
                scope.spawn(move || {
                    let folder = scratch.folder(&format!("host{index}"));
                    folder.map(|folder| {
                        let mut compiled = remote::compile(trial, host, daemon, &folder);
                        if compiled.object.is_some() {
                            let remembered = memory::look(trial, host, daemon);
                            compiled.findings.push(remembered);
                        }
                        compiled
                    })
                })
            })
            .collect();
        let ended = jobs.into_iter().filter_map(|job| job.join().ok());
        ended.filter_map(Result::ok).collect()
    });
    let object = results.iter().find_map(|one| one.object.clone());
    let mut found: Vec<Finding> = results.into_iter().flat_map(|one| one.findings).collect();
    if found.is_empty() {
        found.push(Finding::skipped(Layer::Compile, "there is no host to try"));
    }
    found.push(match object {
        Some(object) => {
            let until = trial.pace.at(LINKED);
            trial.tried.link(scratch.path(), &object, until)
        }
        None => Finding::skipped(Layer::Link, "no object came back"),
    });
    found
}
