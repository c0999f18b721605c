//! What the include server tells a person: warnings, statistics, files with what was found, mail.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use includes::{Closure, Includes, Question, Refusal};
use regex::bytes::Regex;

use crate::options::Options;

/// Who gets mail when `DISTCC_EMAILLOG_WHOM_TO_BLAME` names nobody: as with stock.
const TO: &str = "distcc-pump-errors";
const SMTP: &str = "127.0.0.1:25";
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Report {
    warns: bool,
    statistics: bool,
    write_closures: bool,
    observed: Option<Regex>,
    /// Files that were warned of.
    seen: Mutex<HashSet<PathBuf>>,
    mail: Option<String>,
    mails_left: Mutex<u32>,
    times: Mutex<Times>,
    started: Instant,
}

#[derive(Debug, Default, Clone, Copy)]
struct Times {
    count: u32,
    least: Duration,
    most: Duration,
    total: Duration,
}

impl Report {
    /// # Errors
    /// `--path_observation_re` is no regular expression.
    pub(crate) fn new(options: &Options, mail_to: Option<String>) -> Result<Report, regex::Error> {
        let observed = options.path_observation_re.as_deref();
        Ok(Report {
            warns: options.warns(),
            statistics: options.statistics,
            write_closures: options.write_include_closure,
            observed: observed.map(Regex::new).transpose()?,
            seen: Mutex::default(),
            mail: options
                .email
                .then(|| mail_to.unwrap_or_else(|| TO.to_owned())),
            mails_left: Mutex::new(options.email_bound),
            times: Mutex::default(),
            started: Instant::now(),
        })
    }

    /// A line on standard error, if warnings are wished.
    pub(crate) fn warn(&self, text: &str) {
        if self.warns {
            // One write a line, so that the lines of many threads do not mix.
            let line = format!("include-server: {text}\n");
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }

    /// A source that is not followed: its client preprocesses it.
    pub(crate) fn refused(&self, words: &[OsString], refusal: &Refusal) {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let text = format!(
            "to be preprocessed by its client, since {refusal}: {}",
            words.join(" ")
        );
        self.warn(&text);
        self.send_mail(&text);
    }

    /// Something of ours went wrong.
    pub(crate) fn trouble(&self, error: &dyn std::error::Error) {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.warn(&text);
        self.send_mail(&text);
    }

    /// Notes an answer wherever that is wished.
    pub(crate) fn answered(
        &self,
        question: &Question<'_>,
        closure: &Closure,
        took: Duration,
        includes: &Includes,
    ) {
        if closure.unsure > 0 {
            let source = source_name(closure);
            self.warn(&format!(
                "{source}: {} conditions could not be decided; both branches were taken",
                closure.unsure
            ));
        }
        if let Some(observed) = &self.observed {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            for file in &closure.files {
                let path = file.real.as_os_str().as_bytes();
                if observed.is_match(path) && seen.insert(file.real.clone()) {
                    self.warn(&format!(
                        "{} matches --path_observation_re",
                        file.real.display()
                    ));
                }
            }
        }
        if self.write_closures {
            let files = closure.files.iter().map(|file| file.real.as_path());
            write_list(question, "d_approx", &files.collect());
        }
        if self.statistics {
            self.print_statistics(closure, took, includes);
        }
    }

    /// What the compiler itself opens, where that was asked.
    pub(crate) fn exact(&self, question: &Question<'_>, files: &BTreeSet<PathBuf>) {
        if self.write_closures {
            let files = files.iter().map(PathBuf::as_path).collect();
            write_list(question, "d_exact", &files);
        }
    }

    fn print_statistics(&self, closure: &Closure, took: Duration, includes: &Includes) {
        let times = {
            let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
            times.least = match times.count {
                0 => took,
                _ => times.least.min(took),
            };
            times.count += 1;
            times.most = times.most.max(took);
            times.total += took;
            *times
        };
        let statistics = includes.statistics();
        let system = closure.files.iter().filter(|file| file.system).count();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = writeln!(text, "TRANSLATION UNIT: {}", source_name(closure));
        let _ = writeln!(
            text,
            "TIME ms: last {:.3} min {:.3} max {:.3} average {:.3} # {} total {:.3}",
            ms(took),
            ms(times.least),
            ms(times.most),
            ms(times.total) / f64::from(times.count),
            times.count,
            ms(times.total)
        );
        let _ = writeln!(
            text,
            "FILES: closure {} system {} links {} folders {} undecided {}",
            closure.files.len(),
            system,
            closure.links.len(),
            closure.directories.len(),
            closure.unsure
        );
        let _ = writeln!(
            text,
            "ALL: questions {} repeated {} refused {} parsed {} probes {} watches {} forgotten {}",
            statistics.questions,
            statistics.repeated,
            statistics.refused,
            statistics.files,
            statistics.probes,
            statistics.watches,
            statistics.forgotten
        );
        let _ = io::stdout().write_all(text.as_bytes());
    }

    /// The time used, for the end.
    pub(crate) fn print_time(&self) {
        let mut usage = [0.0; 2];
        let times = rustix_times();
        usage.copy_from_slice(&times);
        eprintln!(
            "include-server: elapsed {:.2} s, user {:.2} s, system {:.2} s",
            self.started.elapsed().as_secs_f64(),
            usage[0],
            usage[1]
        );
    }

    fn send_mail(&self, text: &str) {
        let Some(to) = &self.mail else { return };
        {
            let mut left = self
                .mails_left
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match left.checked_sub(1) {
                Some(rest) => *left = rest,
                None => return,
            }
        }
        if let Err(error) = mail(SMTP, to, text) {
            self.warn(&format!("could not send mail: {error}"));
        }
    }
}

/// User and system time of this process, in seconds.
fn rustix_times() -> [f64; 2] {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold blanks.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = rest.split_whitespace().skip(11);
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let mut next = || {
        let field = fields.next().and_then(|field| field.parse::<f64>().ok());
        field.unwrap_or(0.0) / ticks
    };
    [next(), next()]
}

fn source_name(closure: &Closure) -> String {
    closure
        .files
        .first()
        .map_or_else(String::new, |file| file.name.display().to_string())
}

/// Writes names a line each beside where the output goes.
fn write_list(question: &Question<'_>, suffix: &str, files: &BTreeSet<&Path>) {
    let words = question.words;
    let named = words.iter().position(|word| word == "-o");
    let output = named.and_then(|at| words.get(at + 1));
    let Some(output) = output else { return };
    let path = question.directory.join(output).with_extension(suffix);
    let mut text = Vec::new();
    for file in files {
        text.extend_from_slice(file.as_os_str().as_bytes());
        text.push(b'\n');
    }
    // A help, never a reason to fail.
    let _ = std::fs::write(path, text);
}

/// Sends `text` through the SMTP server at `server`.
fn mail(server: &str, to: &str, text: &str) -> io::Result<()> {
    let address = server
        .parse()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut replies = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    let mut expect = |digit: char| -> io::Result<()> {
        loop {
            let mut line = String::new();
            replies.read_line(&mut line)?;
            // `250-` says that more lines follow.
            if line.as_bytes().get(3) != Some(&b'-') {
                return match line.starts_with(digit) {
                    true => Ok(()),
                    false => Err(io::Error::other(format!("the SMTP server said {line:?}"))),
                };
            }
        }
    };
    let to = if to.contains('@') {
        to.to_owned()
    } else {
        format!("{to}@localhost")
    };
    expect('2')?;
    for command in [
        "HELO localhost".to_owned(),
        "MAIL FROM:<include-server@localhost>".to_owned(),
        format!("RCPT TO:<{to}>"),
    ] {
        stream.write_all(format!("{command}\r\n").as_bytes())?;
        expect('2')?;
    }
    stream.write_all(b"DATA\r\n")?;
    expect('3')?;
    let body: String = text.lines().map(|line| format!(" {line}\r\n")).collect();
    let head =
        format!("From: include-server@localhost\r\nTo: {to}\r\nSubject: include-server\r\n\r\n");
    stream.write_all(format!("{head}{body}.\r\n").as_bytes())?;
    expect('2')?;
    stream.write_all(b"QUIT\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// What an SMTP server that takes everything was told.
    fn told(text: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("known").to_string();
        let sender = std::thread::spawn(move || mail(&address, "ann", text));
        let (mut stream, _) = listener.accept().expect("a client");
        stream.write_all(b"220-one\r\n220 two\r\n").expect("sent");
        let mut lines = Vec::new();
        let mut data = false;
        for line in BufReader::new(stream.try_clone().expect("cloned")).lines() {
            let line = line.expect("read");
            let reply: &[u8] = match line.as_str() {
                "QUIT" => break,
                "DATA" => b"354 go\r\n",
                "." => b"250 done\r\n",
                _ if data => b"",
                _ => b"250 ok\r\n",
            };
            data = (data || line == "DATA") && line != ".";
            stream.write_all(reply).expect("sent");
            lines.push(line);
        }
        sender.join().expect("ended").expect("sent");
        lines.join("\n")
    }

    #[test]
    fn mail_is_sent() {
        let told = told("one\n.\nthree");
        assert!(told.contains("RCPT TO:<ann@localhost>"), "{told}");
        assert!(told.ends_with("\n one\n .\n three\n."), "{told}");
    }

    #[test]
    fn lists_lie_beside_the_output() {
        let folder = tempfile::tempdir().expect("folder");
        let words = ["gcc", "-c", "a.c", "-o", "x.o"].map(OsString::from);
        let question = Question {
            directory: folder.path(),
            words: &words,
            environment: &[],
        };
        write_list(
            &question,
            "d_approx",
            &[Path::new("/b"), Path::new("/a")].into(),
        );
        let text = std::fs::read_to_string(folder.path().join("x.d_approx"));
        assert_eq!(text.expect("written"), "/a\n/b\n");
    }
}
