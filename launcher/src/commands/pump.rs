//! `distcc-launch pump`: a build with an include server of its own, as stock's `pump` script does it.
//!
//! Nobody needs it for our launcher, which starts a resident server by itself; scripts that call `pump make -j20` do, and stock clients.
//! Lines for a person begin with ten underscores, by which other tools know them.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::run::{cannot_start, end_as, run_forwarding};
use crate::driver::host_list;
use crate::pump;
use crate::settings::Settings;

const FAILED: i32 = 1;
/// The longest wait for the include server to end, before it is made to.
const ENDING: Duration = Duration::from_secs(5);

#[derive(Args)]
#[command(
    override_usage = "distcc-launch pump COMMAND…\n       eval `distcc-launch pump --startup`\n       distcc-launch pump --shutdown",
    after_help = "The include server gets the words of $INCLUDE_SERVER_ARGS. With $DISTCC_POTENTIAL_HOSTS, lsdistcc says which of them are \
                  up, and these are the hosts, with ,cpp,lzo; else at least one host of the list must have ,cpp.\n\n\
                  distcc-launch needs none of this: for hosts with ,cpp it starts an include server by itself."
)]
pub(super) struct Pump {
    /// Start an include server, and print what a shell is to eval
    #[arg(long, conflicts_with_all = ["shutdown", "command"])]
    startup: bool,
    /// End the server that $INCLUDE_SERVER_PID and $INCLUDE_SERVER_DIR name, or without them the one that builds have started
    #[arg(long, conflicts_with = "command")]
    shutdown: bool,
    /// The build, and its words
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    command: Vec<OsString>,
}

pub(super) fn run(settings: &Settings, pump: &Pump) -> i32 {
    if pump.shutdown {
        return shut_down(settings);
    }
    if pump.command.is_empty() && !pump.startup {
        println!("{}", super::usage_of("pump"));
        return 0;
    }
    let quiet = settings.variable("DISTCC_TESTING_INCLUDE_SERVER").is_some();
    let server = match Server::start(settings, pump.startup) {
        Ok(server) => server,
        Err(why) => {
            eprintln!("distcc-launch pump: {why}");
            return FAILED;
        }
    };
    if pump.startup {
        let text = server.exports();
        // Nobody can read them: the server would stay for nothing.
        return match io::stdout().write_all(&text) {
            Ok(()) => 0,
            Err(_) => {
                server.end();
                FAILED
            }
        };
    }
    if !quiet {
        say(&format!("using {}", server.what()));
    }
    let mut command = Command::new(&pump.command[0]);
    command.args(&pump.command[1..]).envs(server.variables());
    let ended = run_forwarding(&mut command);
    if !quiet {
        say("ending the include server");
    }
    server.end();
    match ended {
        Ok(ended) if ended.signal().is_some() => end_as(ended),
        Ok(ended) => ended.code().unwrap_or(FAILED),
        Err(error) => cannot_start(&pump.command[0], &error),
    }
}

fn say(text: &str) {
    println!("__________{text}");
}

/// A running include server with a folder of its own; none where it could not be started and the hosts can do without.
struct Server {
    /// Its folder and its process.
    running: Option<(PathBuf, u32)>,
    hosts: Option<OsString>,
    path: OsString,
}

impl Server {
    fn start(settings: &Settings, keeps_words: bool) -> Result<Server, String> {
        if let Some(most) = settings.variable("DISTCC_MAX_DISCREPANCY") {
            let most = most
                .to_str()
                .and_then(|most| most.trim().parse::<i64>().ok());
            if most.is_none_or(|most| most <= 0) {
                return Err("DISTCC_MAX_DISCREPANCY must be a whole number above 0".into());
            }
        }
        let potential = settings.variable("DISTCC_POTENTIAL_HOSTS");
        if potential.is_none() && !any_host_preprocesses(settings) {
            return Err("no host has ,cpp; add it to a host of $DISTCC_HOSTS or a hosts file, as in 10.0.0.2/8,cpp,lzo".into());
        }
        let running = start_server(settings, keeps_words);
        let suffix = if running.is_ok() { ",cpp,lzo" } else { ",lzo" };
        let hosts = match potential {
            None => None,
            Some(potential) => Some(living_hosts(settings, &potential, suffix)?),
        };
        let running = match running {
            Ok(running) => Some(running),
            Err(why) if hosts.is_some() => {
                eprintln!("distcc-launch pump: {why}; sources will be preprocessed here");
                None
            }
            Err(why) => return Err(why),
        };
        let path = match settings.variable("DISTCC_LOCATION") {
            Some(folder) => [folder.as_bytes(), b":", settings.path.as_bytes()].concat(),
            None => settings.path.as_bytes().to_vec(),
        };
        Ok(Server {
            running,
            hosts,
            path: OsStr::from_bytes(&path).to_owned(),
        })
    }

    fn what(&self) -> String {
        match &self.running {
            Some((folder, process)) => {
                format!("the include server {process} in {}", folder.display())
            }
            None => "no include server".into(),
        }
    }

    fn variables(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = Vec::new();
        if let Some((folder, process)) = &self.running {
            variables.push(("INCLUDE_SERVER_PID", process.to_string().into()));
            variables.push(("INCLUDE_SERVER_DIR", folder.into()));
            variables.push(("INCLUDE_SERVER_PORT", folder.join("socket").into()));
        }
        if let Some(hosts) = &self.hosts {
            variables.push(("DISTCC_HOSTS", hosts.clone()));
        }
        variables.push(("PATH", self.path.clone()));
        variables
    }

    /// Lines for a shell to eval.
    fn exports(&self) -> Vec<u8> {
        let mut text = Vec::new();
        for (name, value) in self.variables() {
            text.extend_from_slice(format!("export {name}='").as_bytes());
            for byte in value.as_bytes() {
                match byte {
                    b'\'' => text.extend_from_slice(b"'\\''"),
                    byte => text.push(*byte),
                }
            }
            text.extend_from_slice(b"'\n");
        }
        text
    }

    fn end(self) {
        if let Some((folder, process)) = self.running {
            end_server(&folder, process);
        }
    }
}

fn any_host_preprocesses(settings: &Settings) -> bool {
    host_list(settings).is_ok_and(|(list, _)| list.hosts.iter().any(|host| host.cpp))
}

/// Starts the server; gives its folder and its process. With `keeps_words` what it says goes to files there, to be shown in the end.
fn start_server(settings: &Settings, keeps_words: bool) -> Result<(PathBuf, u32), String> {
    let program = pump::server_program(&settings.path)
        .ok_or("there is no include-server beside distcc-launch or in PATH")?;
    let above = settings
        .variable("TMPDIR")
        .filter(|folder| !folder.is_empty())
        .unwrap_or_else(|| "/tmp".into());
    let made = tempfile::Builder::new()
        .prefix("distcc-pump.")
        .tempdir_in(&above);
    let folder = made
        .map_err(|error| format!("could not make a folder in {}: {error}", above.display()))?
        .keep();
    let mut command = Command::new(program);
    command.arg("--port").arg(folder.join("socket"));
    command.arg("--pid_file").arg(folder.join("pid")).arg("-d1");
    let words = settings.variable("INCLUDE_SERVER_ARGS").unwrap_or_default();
    let words = words.to_str().and_then(shlex::split);
    let failed = |why: String| {
        let _ = fs::remove_dir_all(&folder);
        why
    };
    let Some(words) = words else {
        return Err(failed(
            "INCLUDE_SERVER_ARGS is no list of words (a quote is open)".into(),
        ));
    };
    command.args(words).stdin(Stdio::null());
    if keeps_words {
        let file = |name: &str| fs::File::create(folder.join(name)).map(Stdio::from);
        match (file("stdout"), file("stderr")) {
            (Ok(out), Ok(err)) => command.stdout(out).stderr(err),
            (Err(error), _) | (_, Err(error)) => return Err(failed(error.to_string())),
        };
    }
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            return Err(failed(format!(
                "the include server did not start: {status}"
            )));
        }
        Err(error) => return Err(failed(format!("the include server did not start: {error}"))),
    }
    let process = fs::read_to_string(folder.join("pid"))
        .ok()
        .and_then(|text| text.trim().parse().ok());
    process
        .map(|process| (folder.clone(), process))
        .ok_or_else(|| failed("the include server did not say its process number".into()))
}

/// The hosts that `lsdistcc` finds up, as a host list.
fn living_hosts(settings: &Settings, potential: &OsStr, suffix: &str) -> Result<OsString, String> {
    let words = |value: &OsStr| {
        let words = value.as_bytes().split(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty());
        words
            .map(|word| OsStr::from_bytes(word).to_owned())
            .collect::<Vec<_>>()
    };
    let args = settings.variable("LSDISTCC_ARGS").unwrap_or_default();
    let output = Command::new("lsdistcc")
        .arg("-c150")
        .args(words(&args))
        .args(words(potential))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| {
            format!("could not ask lsdistcc, which DISTCC_POTENTIAL_HOSTS needs: {error}")
        })?;
    let mut list = OsString::from("--randomize");
    let mut any = false;
    for line in output.stdout.split(|byte| *byte == b'\n') {
        // It may say `,lzo` and the like behind a name.
        let name = line.split(|byte| matches!(byte, b',' | b' ')).next();
        if let Some(name) = name.filter(|name| !name.is_empty()) {
            list.push(" ");
            list.push(OsStr::from_bytes(name));
            list.push(suffix);
            any = true;
        }
    }
    match any {
        true => Ok(list),
        false => Err("none of DISTCC_POTENTIAL_HOSTS is up".into()),
    }
}

fn shut_down(settings: &Settings) -> i32 {
    let process = settings
        .variable("INCLUDE_SERVER_PID")
        .and_then(|process| process.to_str()?.trim().parse().ok());
    let folder = settings.variable("INCLUDE_SERVER_DIR").map(PathBuf::from);
    match (process, folder) {
        (Some(process), Some(folder)) => {
            for name in ["stdout", "stderr"] {
                if let Ok(text) = fs::read(folder.join(name)) {
                    let _ = io::stderr().write_all(&text);
                }
            }
            end_server(&folder, process);
            0
        }
        (None, None) => {
            let Some(process) = pump::resident_server(settings) else {
                eprintln!("distcc-launch pump: no include server runs for this user's $DISTCC_DIR");
                return 0;
            };
            match end_process(process) {
                true => 0,
                false => {
                    eprintln!("distcc-launch pump: include server {process:?} does not end");
                    FAILED
                }
            }
        }
        _ => {
            eprintln!(
                "distcc-launch pump: INCLUDE_SERVER_PID and INCLUDE_SERVER_DIR do not say which server to end; eval what --startup prints"
            );
            FAILED
        }
    }
}

/// Ends the server, tells of discrepancies, and removes its folder.
fn end_server(folder: &Path, process: u32) {
    let count = fs::metadata(folder.join("discrepancy_counter")).map_or(0, |about| about.len());
    if count > 0 {
        eprintln!(
            "distcc-launch pump: Warning: {count} compiles failed on hosts and succeeded here, so sources were preprocessed here from then on"
        );
    }
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    if let Some(process) = process.filter(|process| is_server(*process)) {
        end_process(process);
    }
    let _ = fs::remove_dir_all(folder);
}

/// Ends an include server, by force if it does not hear.
fn end_process(process: Pid) -> bool {
    for signal in [Signal::TERM, Signal::KILL] {
        if !is_server(process) {
            break;
        }
        let _ = kill_process(process, signal);
        // One that was stopped would not hear of it.
        let _ = kill_process(process, Signal::CONT);
        let begun = Instant::now();
        // A zombie, which nobody may be there to reap, has no command line any more.
        while is_server(process) && begun.elapsed() < ENDING {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    !is_server(process)
}

/// Does a process of this number live that is an include server?
fn is_server(process: Pid) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", process.as_raw_nonzero()));
    line.is_ok_and(|line| memchr::memmem::find(&line, b"include").is_some())
}
