//! Counts what happens, and tells it under stock's names in stock's order (facts 7.7).
//!
//! The page says a little about the machine too; that is read when it is asked for.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log;

/// How a connection ended, by stock's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    BadRequest,
    /// Too many at once: no room for this one.
    Overload,
    Compiled,
    CompileError,
    TimedOut,
    Disconnected,
    Other,
}

impl Ended {
    /// The word in the summary line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "REJ_BAD_REQ",
            Self::Overload => "REJ_OVERLOAD",
            Self::Compiled => "COMPILE_OK",
            Self::CompileError => "COMPILE_ERROR",
            Self::TimedOut => "COMPILE_TIMEOUT",
            Self::Disconnected => "CLI_DISCONN",
            Self::Other => "OTHER",
        }
    }
}

/// Something to count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    Accepted,
    Ended(Ended),
}

/// The counters that stock has, in the order of its page.
const NAMES: [&str; 8] = [
    "dcc_tcp_accept",
    "dcc_rej_bad_req",
    "dcc_rej_overload",
    "dcc_compile_ok",
    "dcc_compile_error",
    "dcc_compile_timeout",
    "dcc_cli_disconnect",
    "dcc_other",
];

/// 1, 5 and 15 minutes.
const SPANS: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];

/// Finished compiles that are remembered for the averages: more than a big machine does in the longest span.
const MAX_REMEMBERED: usize = 1 << 16;

/// What happened since the daemon started.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    counters: [AtomicU64; NAMES.len()],
    compiles: Mutex<Compiles>,
}

#[derive(Debug, Default)]
struct Compiles {
    longest: Option<Longest>,
    /// When each ended and how long it took, oldest first.
    recent: VecDeque<(Instant, Duration)>,
}

#[derive(Debug)]
struct Longest {
    source: String,
    compiler: String,
    took: Duration,
}

impl Stats {
    pub(crate) fn count(&self, event: Event) {
        let at = match event {
            Event::Accepted => 0,
            Event::Ended(Ended::BadRequest) => 1,
            Event::Ended(Ended::Overload) => 2,
            Event::Ended(Ended::Compiled) => 3,
            Event::Ended(Ended::CompileError) => 4,
            Event::Ended(Ended::TimedOut) => 5,
            Event::Ended(Ended::Disconnected) => 6,
            Event::Ended(Ended::Other) => 7,
        };
        self.counters[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Connections so far.
    pub(crate) fn accepted(&self) -> u64 {
        self.counters[0].load(Ordering::Relaxed)
    }

    /// How often each end was, by its name in lower case.
    pub(crate) fn ends(&self) -> impl Iterator<Item = (String, u64)> {
        let names = NAMES.iter().zip(&self.counters).skip(1);
        names.map(|(name, counter)| {
            let name = name.trim_start_matches("dcc_");
            (name.to_owned(), counter.load(Ordering::Relaxed))
        })
    }

    /// Remembers a compile that has just ended.
    pub(crate) fn compiled(&self, source: &str, compiler: &str, took: Duration) {
        let now = Instant::now();
        let mut compiles = self.compiles.lock().unwrap_or_else(PoisonError::into_inner);
        if compiles
            .longest
            .as_ref()
            .is_none_or(|longest| took > longest.took)
        {
            compiles.longest = Some(Longest {
                source: one_word(source),
                compiler: one_word(compiler),
                took,
            });
        }
        let old = |ended: &Instant| now.duration_since(*ended) > SPANS[2];
        while compiles.recent.front().is_some_and(|(ended, _)| old(ended))
            || compiles.recent.len() >= MAX_REMEMBERED
        {
            compiles.recent.pop_front();
        }
        compiles.recent.push_back((now, took));
    }

    /// The page, heads of the answer included. `place` is where jobs are compiled.
    pub(crate) fn page(&self, jobs: usize, place: &Path) -> String {
        let mut page = String::from(
            "HTTP/1.0 200 OK\nContent-Type: text/plain\nConnection: close\n\nargv /distccd\n<distccstats>\n",
        );
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a string cannot fail.
            let _ = writeln!(page, "{name} {value}");
        };
        for (name, counter) in NAMES.iter().zip(&self.counters) {
            line(name, &counter.load(Ordering::Relaxed));
        }
        let compiles = self.compiles.lock().unwrap_or_else(PoisonError::into_inner);
        let longest = compiles.longest.as_ref();
        line(
            "dcc_longest_job",
            &longest.map_or("none", |longest| &longest.source),
        );
        line(
            "dcc_longest_job_compiler",
            &longest.map_or("none", |longest| &longest.compiler),
        );
        line(
            "dcc_longest_job_time_msecs",
            &longest.map_or(-1, |longest| millis(longest.took)),
        );
        line("dcc_max_kids", &jobs);
        for (n, span) in SPANS.iter().enumerate() {
            line(
                &format!("dcc_avg_kids{}", n + 1),
                &compiles.average_running(*span),
            );
        }
        let machine = Machine::read();
        line("dcc_current_load", &machine.running);
        for (n, load) in machine.loads.iter().enumerate() {
            line(&format!("dcc_load{}", n + 1), load);
        }
        for (n, span) in SPANS.iter().enumerate() {
            line(
                &format!("dcc_num_compiles{}", n + 1),
                &compiles.within(*span).count(),
            );
        }
        line("dcc_num_procstate_D", &machine.waiting_for_disk);
        line("dcc_max_RSS", &machine.largest_kib);
        line("dcc_max_RSS_name", &machine.largest_name);
        // Stock says -1 where it does not know; we do not measure it.
        line("dcc_io_rate", &-1);
        line("dcc_free_space", &format!("{} MB", free_mib(place)));
        line("dcc_free_mem", &format!("{} MB", machine.free_mib));
        page.push_str("</distccstats>\n");
        page
    }
}

impl Compiles {
    fn within(&self, span: Duration) -> impl Iterator<Item = Duration> {
        let now = Instant::now();
        self.recent
            .iter()
            .filter(move |(ended, _)| now.duration_since(*ended) <= span)
            .map(|(_, took)| *took)
    }

    /// How many compilers ran at a time, rounded down as stock does.
    fn average_running(&self, span: Duration) -> u64 {
        let busy: Duration = self.within(span).map(|took| took.min(span)).sum();
        busy.as_secs() / span.as_secs()
    }
}

fn millis(took: Duration) -> i64 {
    i64::try_from(took.as_millis()).unwrap_or(i64::MAX)
}

/// Names come from clients; on the page each is one word of a line.
fn one_word(name: &str) -> String {
    name.chars()
        .map(|c| {
            if log::steers(c) || c.is_whitespace() {
                '?'
            } else {
                c
            }
        })
        .take(256)
        .collect()
}

/// What the page says about the machine. Unknown numbers are -1, as in stock.
struct Machine {
    running: i64,
    loads: [String; 3],
    waiting_for_disk: u64,
    largest_kib: i64,
    largest_name: String,
    free_mib: i64,
}

impl Machine {
    fn read() -> Self {
        let loadavg = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let fields: Vec<&str> = loadavg.split_whitespace().collect();
        let load = |n: usize| fields.get(n).map_or("-1", |field| field).to_owned();
        let running = fields
            .get(3)
            .and_then(|field| field.split('/').next()?.parse().ok());
        let mut machine = Self {
            running: running.unwrap_or(-1),
            loads: [load(0), load(1), load(2)],
            waiting_for_disk: 0,
            largest_kib: -1,
            largest_name: "none".into(),
            free_mib: free_memory_mib().unwrap_or(-1),
        };
        machine.read_processes();
        machine
    }

    fn read_processes(&mut self) {
        let Ok(entries) = fs::read_dir("/proc") else {
            return;
        };
        let kib_a_page = i64::try_from(rustix::param::page_size() >> 10).unwrap_or(4);
        for entry in entries.flatten() {
            if !entry
                .file_name()
                .as_encoded_bytes()
                .iter()
                .all(u8::is_ascii_digit)
            {
                continue;
            }
            // Fields of proc_pid_stat(5); the name stands in parentheses and may hold anything.
            let Ok(stat) = fs::read(entry.path().join("stat")) else {
                continue;
            };
            let stat = String::from_utf8_lossy(&stat);
            let Some((name, rest)) = stat
                .find('(')
                .zip(stat.rfind(')'))
                .map(|(a, b)| (&stat[a..=b], &stat[b + 1..]))
            else {
                continue;
            };
            let mut fields = rest.split_whitespace();
            if fields.next() == Some("D") {
                self.waiting_for_disk += 1;
            }
            let kib = fields
                .nth(20)
                .and_then(|rss| rss.parse::<i64>().ok())
                .unwrap_or(0)
                * kib_a_page;
            if kib > self.largest_kib {
                (self.largest_kib, self.largest_name) = (kib, one_word(name));
            }
        }
    }
}

fn free_memory_mib() -> Option<i64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}

fn free_mib(place: &Path) -> i64 {
    let Ok(about) = rustix::fs::statvfs(place) else {
        return -1;
    };
    i64::try_from(about.f_bavail.saturating_mul(about.f_frsize) >> 20).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &str = include_str!("../../tests/data/captures/stats-http.txt");

    fn names(page: &str) -> Vec<&str> {
        page.lines()
            .map(|line| line.split(' ').next().unwrap_or(""))
            .collect()
    }

    #[test]
    fn names_and_order_are_those_of_stock() {
        let page = Stats::default().page(3, Path::new("/"));
        let mut ours = names(&page);
        // Newer than the recording: upstream has it after dcc_free_space.
        ours.retain(|name| *name != "dcc_free_mem");
        assert_eq!(ours, names(RECORDED));
        assert_eq!(
            page.lines().take(6).collect::<Vec<_>>(),
            RECORDED.lines().take(6).collect::<Vec<_>>()
        );
        assert!(
            page.contains("dcc_max_kids 3\n") && page.contains("dcc_longest_job_time_msecs -1\n")
        );
    }

    #[test]
    fn what_is_counted_is_told() {
        let stats = Stats::default();
        stats.count(Event::Accepted);
        stats.count(Event::Ended(Ended::Compiled));
        stats.compiled("a b\n.c", "gcc", Duration::from_millis(12));
        stats.compiled("short.c", "gcc", Duration::from_millis(2));
        let page = stats.page(1, Path::new("/"));
        for line in [
            "dcc_tcp_accept 1",
            "dcc_compile_ok 1",
            "dcc_other 0",
            "dcc_longest_job a?b?.c",
            "dcc_longest_job_compiler gcc",
            "dcc_longest_job_time_msecs 12",
            "dcc_num_compiles1 2",
            "dcc_num_compiles3 2",
            "dcc_avg_kids1 0",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is not in {page}"
            );
        }
    }

    #[test]
    fn memory_of_old_compiles_is_bounded() {
        let stats = Stats::default();
        for _ in 0..MAX_REMEMBERED + 10 {
            stats.compiled("a.c", "gcc", Duration::from_secs(1));
        }
        assert_eq!(stats.compiles.lock().unwrap().recent.len(), MAX_REMEMBERED);
        assert!(
            stats
                .page(1, Path::new("/"))
                .contains(&format!("dcc_avg_kids1 {}\n", MAX_REMEMBERED / 60))
        );
    }
}
