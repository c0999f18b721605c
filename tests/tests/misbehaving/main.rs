//! A farm that misbehaves: hosts die, freeze, stall and lie, networks go, jobs come late.  Each object is the local one all the
//! same, and the journal tells each try and its cause.

mod build;
mod dead;
mod here;
mod late;
mod names;
mod network;
mod spread;
mod state;

use std::{
    process::Command,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tests::{Network, Puppet, Ran, Row, Running, Space, start, until};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];
const COMMAND: &str = "gcc -O1 -c a.c";

/// What the journal may say of a host that was lost in the middle of a job.
const LOST: [&str; 7] = [
    "closed",
    "truncated",
    "receive-failed",
    "send-failed",
    "connect-refused",
    "no-sign-of-life",
    "network-lost",
];

/// A project, launchers that know some hosts, and what a local compile makes.
struct Scene<'n> {
    space: Space,
    network: Option<&'n Network>,
    expected: Vec<u8>,
    /// How many were started.
    jobs: AtomicUsize,
}

/// A launcher at work, and the name of what it is to make.
struct Job {
    running: Running,
    object: String,
}

impl<'n> Scene<'n> {
    /// Launchers that keep no job here.
    fn new(hosts: &[String]) -> Scene<'n> {
        Scene::with(hosts, |space| space.client_env("DISTCC_LAUNCH_LOCAL", "0"))
    }

    fn with(hosts: &[String], change: impl Fn(Space) -> Space) -> Scene<'n> {
        let space = change(Space::new(SOURCE).hosts(&hosts.join(" ")));
        let expected = space.local(&format!("{COMMAND} -o 0.o"));
        let expected = expected.bytes("0.o").to_vec();
        space.renew();
        Scene {
            space,
            network: None,
            expected,
            jobs: AtomicUsize::new(0),
        }
    }

    fn within(self, network: &'n Network) -> Scene<'n> {
        Scene {
            network: Some(network),
            ..self
        }
    }

    /// A launcher with a job whose object has this name.
    fn command(&self, object: &str) -> Command {
        let command = self.space.command(&format!("{COMMAND} -o {object}"));
        match self.network {
            Some(network) => network.here(&command),
            None => command,
        }
    }

    fn start(&self) -> Job {
        self.start_with(|_| {})
    }

    fn start_with(&self, change: impl Fn(&mut Command)) -> Job {
        let number = self.jobs.fetch_add(1, SeqCst);
        let object = format!("{number}.o");
        let mut command = self.command(&object);
        change(&mut command);
        Job {
            running: start(&mut command),
            object,
        }
    }

    /// One job, which comes out well.
    #[track_caller]
    fn job(&self) -> Row {
        self.done(self.start())
    }

    /// The job's object is the local one, its exit code 0, and nothing was printed.  Gives its row of the journal.
    #[track_caller]
    fn done(&self, job: Job) -> Row {
        let ran: Ran = job.running.finish();
        let rows = self.space.rows();
        let its = |row: &&Row| row.command.last().is_some_and(|word| *word == *job.object);
        let row = rows.iter().rfind(its).expect("each command leaves a row");
        assert_eq!(
            (ran.code(), ran.out(), ran.err()),
            (0, String::new(), String::new()),
            "{row:?}"
        );
        let made = std::fs::read(self.space.work().join(&job.object)).unwrap();
        assert!(made == self.expected, "{row:?}");
        row.clone()
    }

    /// Starts a launcher whose job stays where it is put: with one of two hosts, which comes first of the three then.
    #[track_caller]
    fn start_held(&self, hosts: [Puppet; 2]) -> (Puppet, Puppet, Job) {
        for host in &hosts {
            host.hold();
        }
        let mut job = self.start();
        let has = |host: &Puppet| !host.at_work().is_empty();
        until("one of the hosts has the job", || {
            hosts.iter().any(has) || job.running.has_ended()
        });
        assert!(!job.running.has_ended(), "{:?}", self.space.rows());
        let [first, second] = hosts;
        let (with, without) = match has(&first) {
            true => (first, second),
            false => (second, first),
        };
        without.release();
        (with, without, job)
    }

    /// Lets launchers learn what such jobs take.
    fn learn(&self) {
        for _ in 0..6 {
            self.job();
        }
    }

    /// Runs jobs, two at a time, until `host` has done one of them.
    #[track_caller]
    fn until_jobs_go_to(&self, host: &Puppet) {
        until("the host gets jobs again", || {
            let two = [self.start(), self.start()];
            let rows = two.map(|job| self.done(job));
            rows.iter().any(|row| row.host == Some(host.host()))
        });
    }
}

fn names<'h>(hosts: impl IntoIterator<Item = &'h Puppet>, suffix: &str) -> Vec<String> {
    hosts.into_iter().map(|host| host.host() + suffix).collect()
}

/// The job was done on `to` after tries on `from`, each of which has one of `causes`.
#[track_caller]
fn assert_moved(row: &Row, from: &Puppet, to: &Puppet, causes: &[&str]) {
    assert_eq!(row.host, Some(to.host()), "{row:?}");
    let errors = |host: &Puppet| -> Vec<Option<&str>> {
        let host = host.host();
        let tries = row.attempts.iter().filter(|attempt| attempt.host == host);
        tries.map(|attempt| attempt.error.as_deref()).collect()
    };
    assert!(errors(to).contains(&None), "{row:?}");
    let lost = errors(from);
    let explained = |error: &Option<&str>| error.is_some_and(|error| causes.contains(&error));
    assert!(!lost.is_empty() && lost.iter().all(explained), "{row:?}");
}
