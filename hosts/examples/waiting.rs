//! What waiting costs: 300 processes for 12 slots, ours beside stock's way.
//!
//! ```sh
//! cargo run --release -p hosts --example waiting [-- WAITERS [SLOTS]]
//! ```
//!
//! Stock's way is its loop as `facts/distcc.md` 4.2 has it: look at all slots, sleep for DISTCC_PAUSE_TIME_MSEC (1 s).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use hosts::{Folder, Host, NoSlot, Outlook, Patience, Slots, Wish, list};
use rustix::process::{Pid, Signal, kill_process};

/// How long each process keeps its slot.
const HOLD: Duration = Duration::from_millis(100);
/// The same where slots are seldom free.
const HOLD_LONG: Duration = Duration::from_millis(3000);
/// How long the cost of waiting is measured.
const WATCHED: Duration = Duration::from_secs(5);

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["job", way, folder, slots, hold] => job(
            way,
            Path::new(folder),
            slots,
            Duration::from_millis(hold.parse()?),
        ),
        [] => bench(300, 12),
        [waiters] => bench(waiters.parse()?, 12),
        [waiters, slots] => bench(waiters.parse()?, slots.parse()?),
        _ => bail!("usage: waiting [WAITERS [SLOTS]]"),
    }
}

/// One launcher: says when it came, when it got its slot and when it gave it back.
fn job(way: &str, folder: &Path, slots: &str, hold: Duration) -> Result<()> {
    let list = list::parse(slots)?;
    let hosts: Vec<&Host> = list.hosts.iter().collect();
    let all = Slots::new(&Folder::at(folder));
    say("came", 0)?;
    let wish = Wish::of(&hosts, &Outlook::blank);
    let slot = match way {
        "ours" => all.take_remote(&wish, &Patience::FOREVER)?,
        _ => loop {
            match all.take_remote(&wish, &Patience::NONE) {
                Err(NoSlot::Busy) => thread::sleep(Duration::from_secs(1)),
                taken => break taken?,
            }
        },
    };
    say("took", slot.number())?;
    thread::sleep(hold);
    say("left", slot.number())?;
    drop(slot);
    Ok(())
}

fn say(what: &str, slot: u32) -> Result<()> {
    let line = format!("{} {what} {slot} {}\n", std::process::id(), now());
    std::io::stdout().write_all(line.as_bytes())?;
    Ok(())
}

/// Nanoseconds on the clock that all processes share.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[derive(Debug, Clone)]
struct Event {
    pid: u32,
    what: String,
    slot: u32,
    at: u64,
}

struct Farm {
    folder: tempfile::TempDir,
    slots: u32,
    writer: PipeWriter,
    events: Receiver<Event>,
}

impl Farm {
    fn new(slots: u32) -> Result<Farm> {
        let (reader, writer) = std::io::pipe()?;
        let (sender, events) = channel();
        thread::spawn(move || {
            for event in read(reader) {
                if sender.send(event).is_err() {
                    break;
                }
            }
        });
        Ok(Farm {
            folder: tempfile::tempdir()?,
            slots,
            writer,
            events,
        })
    }

    fn start(&self, way: &str, hold: Duration) -> Result<Child> {
        Command::new(std::env::current_exe()?)
            .args(["job", way])
            .arg(self.folder.path())
            .arg(format!("127.0.0.1/{}", self.slots))
            .arg(hold.as_millis().to_string())
            .stdin(Stdio::null())
            .stdout(self.writer.try_clone()?)
            .spawn()
            .context("could not start a job")
    }

    /// Starts `count` jobs and waits until each has said `until`.
    fn start_all(
        &self,
        count: u32,
        way: &str,
        hold: Duration,
        until: &str,
    ) -> Result<(Vec<Child>, Vec<Event>)> {
        let mut children = Vec::new();
        for _ in 0..count {
            children.push(self.start(way, hold)?);
        }
        Ok((children, self.wait(count as usize, until)?))
    }

    /// Events until `count` of them were `what`.
    fn wait(&self, count: usize, what: &str) -> Result<Vec<Event>> {
        let mut events: Vec<Event> = Vec::new();
        while events.iter().filter(|event| event.what == what).count() < count {
            events.push(
                self.events
                    .recv_timeout(Duration::from_secs(120))
                    .context("jobs hang")?,
            );
        }
        Ok(events)
    }
}

fn read(reader: PipeReader) -> impl Iterator<Item = Event> {
    BufReader::new(reader)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(Event {
                pid: words.next()?.parse().ok()?,
                what: words.next()?.to_owned(),
                slot: words.next()?.parse().ok()?,
                at: words.next()?.parse().ok()?,
            })
        })
}

fn bench(waiters: u32, slots: u32) -> Result<()> {
    println!("{waiters} waiting processes, {slots} slots");
    for way in ["ours", "stock"] {
        let cpu = waiting_cpu(way, waiters, slots)?;
        println!(
            "{way:5}: waiting costs {:.2} % of a processor, all together",
            cpu * 100.0
        );
    }
    println!("way    jobs  kept ms  median ms  p90 ms  worst ms  all jobs s  ideal s  out of turn");
    for (jobs, hold) in [(waiters, HOLD), (waiters.min(slots * 4), HOLD_LONG)] {
        for way in ["ours", "stock"] {
            let mut run = hand_over(way, jobs, slots, hold)?;
            run.latencies.sort_unstable();
            let at =
                |part: usize| run.latencies[(run.latencies.len() - 1) * part / 100] as f64 / 1e6;
            // The first slots come free one after the other within one `hold`.
            let rounds = f64::from(jobs.div_ceil(slots)) + f64::from(slots - 1) / f64::from(slots);
            let ideal = rounds * hold.as_secs_f64();
            println!(
                "{way:5}  {jobs:4}  {:7}  {:9.2}  {:6.2}  {:8.2}  {:10.2}  {ideal:7.2}  {:11}",
                hold.as_millis(),
                at(50),
                at(90),
                at(100),
                run.seconds,
                run.out_of_turn
            );
        }
    }
    let stopped = stopped_head(slots)?;
    println!(
        "first in the queue stopped: a freed slot is taken by the next after {:.0} ms, once;",
        stopped.0
    );
    println!(
        "the one after, when the queue has moved: {:.2} ms",
        stopped.1
    );
    Ok(())
}

/// Processors used by processes that wait while nothing happens.
fn waiting_cpu(way: &str, waiters: u32, slots: u32) -> Result<f64> {
    let farm = Farm::new(slots)?;
    let (mut holders, _) = farm.start_all(slots, "ours", Duration::from_secs(3600), "took")?;
    let (mut children, _) = farm.start_all(waiters, way, HOLD, "came")?;
    thread::sleep(Duration::from_millis(1500));
    let before = cpu(&children);
    let start = now();
    thread::sleep(WATCHED);
    let used = (cpu(&children) - before) as f64 / (now() - start) as f64;
    for child in children.iter_mut().chain(&mut holders) {
        child.kill()?;
        child.wait()?;
    }
    Ok(used)
}

/// Nanoseconds of processor time of all threads of the processes.
fn cpu(children: &[Child]) -> u64 {
    let threads = children
        .iter()
        .filter_map(|child| std::fs::read_dir(format!("/proc/{}/task", child.id())).ok());
    threads
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

struct Run {
    latencies: Vec<u64>,
    seconds: f64,
    /// The furthest that a process went ahead of those who came before it.
    out_of_turn: usize,
}

/// From a slot's return to the moment when the next process has it.
fn hand_over(way: &str, waiters: u32, slots: u32, hold: Duration) -> Result<Run> {
    let farm = Farm::new(slots)?;
    // These hold the slots until all others wait, and then leave at different times.
    let mut children = Vec::new();
    for index in 0..slots {
        children.push(farm.start("ours", Duration::from_millis(3000) + hold * index / slots)?);
    }
    let mut events = farm.wait(slots as usize, "took")?;
    let holders: Vec<u32> = children.iter().map(Child::id).collect();
    let (more, seen) = farm.start_all(waiters, way, hold, "came")?;
    events.extend(seen);
    children.extend(more);
    let left = events.iter().filter(|event| event.what == "left").count();
    events.extend(farm.wait((slots + waiters) as usize - left, "left")?);
    for child in &mut children {
        child.wait()?;
    }
    events.sort_by_key(|event| event.at);
    let mut freed = BTreeMap::new();
    let mut latencies = Vec::new();
    for event in &events {
        match event.what.as_str() {
            "left" => drop(freed.insert(event.slot, event.at)),
            "took" => latencies.extend(freed.remove(&event.slot).map(|at| event.at - at)),
            _ => {}
        }
    }
    let order = |what: &str| {
        let of = events
            .iter()
            .filter(|event| event.what == what && !holders.contains(&event.pid));
        of.map(|event| event.pid).collect::<Vec<_>>()
    };
    let (came, took) = (order("came"), order("took"));
    let out_of_turn = took.iter().enumerate().map(|(at, pid)| {
        came.iter()
            .position(|other| other == pid)
            .unwrap_or(0)
            .saturating_sub(at)
    });
    let first = events
        .iter()
        .filter(|event| event.what == "left")
        .map(|event| event.at)
        .min()
        .context("no jobs")?;
    let last = events.last().context("no jobs")?.at;
    Ok(Run {
        latencies,
        seconds: (last - first) as f64 / 1e9,
        out_of_turn: out_of_turn.max().unwrap_or(0),
    })
}

/// Milliseconds until the second in the queue has a freed slot while the first is stopped, and then the third.
fn stopped_head(slots: u32) -> Result<(f64, f64)> {
    let farm = Farm::new(slots)?;
    let long = Duration::from_secs(3600);
    let (mut holders, _) = farm.start_all(slots, "ours", long, "took")?;
    let head = farm.start_all(1, "ours", long, "came")?.0;
    thread::sleep(Duration::from_millis(300));
    kill_process(Pid::from_child(&head[0]), Signal::STOP)?;
    let (next, _) = farm.start_all(20, "ours", long, "came")?;
    let mut times = Vec::new();
    for holder in holders.iter_mut().take(2) {
        let freed = now();
        holder.kill()?;
        times.push((farm.wait(1, "took")?[0].at - freed) as f64 / 1e6);
    }
    for child in holders
        .iter_mut()
        .chain(&mut Vec::from_iter(head.into_iter().chain(next)))
    {
        child.kill()?;
        child.wait()?;
    }
    Ok((times[0], times[1]))
}
