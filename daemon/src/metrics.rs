//! The daemon's own clock, and the figures for those who watch: Prometheus text, and one line of free slots.
//!
//! What is measured is what clients feel of the daemon itself: how long a request waits though a slot is free, and how
//! long an answer takes once the compiler has ended. Knows nothing of HTTP.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::server::Server;

/// Upper bounds in microseconds: fine where the daemon's own time lies, coarse where compiles do.
const BOUNDS: [u64; 12] = [
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    1_000_000,
    10_000_000,
    100_000_000,
];

/// Times, by how long they were.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// One more for what is longer than all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, page: &mut Page, name: &str, help: &str) {
        page.head(name, "histogram", help);
        let mut sum = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound = match BOUNDS.get(at) {
                Some(bound) => seconds(*bound),
                None => "+Inf".to_owned(),
            };
            page.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {sum}"));
        }
        let micros = self.micros.load(Ordering::Relaxed);
        page.line(format_args!("{name}_sum {}", seconds(micros)));
        page.line(format_args!("{name}_count {sum}"));
    }
}

/// Microseconds as seconds, exactly.
fn seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What is measured beside the counters that stock has too.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    waited: Histogram,
    started: Histogram,
    compiled: Histogram,
    handed_over: Histogram,
    strangers: AtomicU64,
}

impl Metrics {
    /// A complete request got a slot, or gave up, after so long.
    pub(crate) fn waited(&self, time: Duration) {
        self.waited.add(time);
    }

    /// From a request's last byte (or its slot, when none was free) to its compiler's start.
    pub(crate) fn started(&self, time: Duration) {
        self.started.add(time);
    }

    /// From a compiler's start to its end.
    pub(crate) fn compiled(&self, time: Duration) {
        self.compiled.add(time);
    }

    /// From a compiler's end to the answer's last byte.
    pub(crate) fn handed_over(&self, time: Duration) {
        self.handed_over.add(time);
    }

    /// Somebody connected who is not on the access list.
    pub(crate) fn stranger(&self) {
        self.strangers.fetch_add(1, Ordering::Relaxed);
    }
}

/// Text in Prometheus' exposition format.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(format_args!("{name} {value}"));
    }
}

/// The content type of [`page`].
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All figures for Prometheus.
pub(crate) fn page(server: &Server) -> String {
    let mut page = Page(String::new());
    let (free, waiting) = server.queue.free_and_waiting();
    let (in_memory, in_files) = server.store.kept();
    let count = |n: usize| n as u64;
    page.head(
        "distcc_launchd_info",
        "gauge",
        "Always 1; the version is in the label.",
    );
    page.line(format_args!(
        "distcc_launchd_info{{version=\"{}\"}} 1",
        env!("CARGO_PKG_VERSION")
    ));
    for (name, help, value) in [
        (
            "slots",
            "Compiles that may run at once.",
            count(server.jobs),
        ),
        ("slots_free", "Slots that no compile has.", count(free)),
        (
            "queue",
            "Complete requests that wait for a slot.",
            count(waiting),
        ),
        (
            "connections",
            "Open connections.",
            count(server.crowd.here()),
        ),
        (
            "requests_memory_bytes",
            "Memory of requests that are not at work yet.",
            in_memory,
        ),
        (
            "requests_file_bytes",
            "Files of requests that are not at work yet.",
            in_files,
        ),
    ] {
        page.one(&format!("distcc_launchd_{name}"), "gauge", help, value);
    }
    page.one(
        "distcc_launchd_connections_total",
        "counter",
        "Connections accepted.",
        server.stats.accepted(),
    );
    page.one(
        "distcc_launchd_strangers_total",
        "counter",
        "Connections closed because the access list does not have them.",
        server.metrics.strangers.load(Ordering::Relaxed),
    );
    if let Some(gate) = &server.gate {
        page.one(
            "distcc_launchd_keys_refused_total",
            "counter",
            "Connections closed for want of a key.",
            gate.refused(),
        );
        let name = "distcc_launchd_key_connections_total";
        page.head(name, "counter", "Connections by the label of their key.");
        for (label, count) in gate.admitted() {
            page.line(format_args!("{name}{{key=\"{label}\"}} {count}"));
        }
    }
    let name = "distcc_launchd_requests_total";
    page.head(name, "counter", "Requests by how they ended.");
    for (result, count) in server.stats.ends() {
        page.line(format_args!("{name}{{result=\"{result}\"}} {count}"));
    }
    let Metrics {
        waited,
        started,
        compiled,
        handed_over,
        ..
    } = &server.metrics;
    for (histogram, name, help) in [
        (
            waited,
            "queue_seconds",
            "How long requests waited that found no free slot.",
        ),
        (
            started,
            "start_seconds",
            "From a request's last byte, or its slot, to its compiler's start.",
        ),
        (
            compiled,
            "compile_seconds",
            "From a compiler's start to its end.",
        ),
        (
            handed_over,
            "answer_seconds",
            "From a compiler's end to the answer's last byte.",
        ),
    ] {
        histogram.write(&mut page, &format!("distcc_launchd_{name}"), help);
    }
    page.0
}

/// One line for schedulers: `slots 8 free 3 queue 0`.
pub(crate) fn slots(server: &Server) -> String {
    let (free, waiting) = server.queue.free_and_waiting();
    format!("slots {} free {free} queue {waiting}\n", server.jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_sums() {
        let histogram = Histogram::default();
        for millis in [0, 1, 1, 90, 100, 101, 1_000_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let mut page = Page(String::new());
        histogram.write(&mut page, "x", "y");
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(lines[..2], ["# HELP x y", "# TYPE x histogram"]);
        for line in [
            "x_bucket{le=\"0.0005\"} 1",
            "x_bucket{le=\"0.001\"} 3",
            "x_bucket{le=\"0.1\"} 5",
            "x_bucket{le=\"0.25\"} 6",
            "x_bucket{le=\"100\"} 6",
            "x_bucket{le=\"+Inf\"} 7",
            "x_sum 1000.293",
            "x_count 7",
        ] {
            assert!(lines.contains(&line), "{line} is not in {}", page.0);
        }
    }
}
