//! The last times that a command ran, told to people and as JSON.

use std::ffi::OsString;
use std::io::{self, Write};

use super::{command_of, now};
use crate::commands::classify::{in_words, spelled};
use crate::commands::database::Judge;
use crate::commands::json::{Object, string};
use crate::commands::reasons;
use crate::commands::records::{Place, Record, Text};
use crate::commands::words::{ago, seconds};

pub(super) fn tell(found: &[Record], judge: &mut Judge<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut last: Option<(&Text, &[Text])> = None;
    for record in found {
        let command = (&record.cwd, &record.command[..]);
        if last != Some(command) {
            writeln!(out, "{}", spelled(&command_of(record)))?;
            writeln!(out, "  in {}", record.cwd.shown())?;
            writeln!(out, "  now: {}", in_words(&now(record, judge)))?;
            last = Some(command);
        }
        writeln!(out, "  {}: {}", ago(record.time), outcome(record))?;
        for attempt in &record.attempts {
            let Some(error) = &attempt.error else {
                continue;
            };
            let (host, error) = (attempt.host.shown(), reasons::spelled(error.code()));
            writeln!(
                out,
                "      tried {host}{} for {}: {error}",
                if attempt.hedge { " beside it" } else { "" },
                seconds(attempt.ms)
            )?;
        }
        if let Some(code) = &record.not_pumped {
            let code = reasons::spelled(code.code());
            writeln!(out, "      preprocessed here, not there: {code}")?;
        }
        let advice = record
            .reason
            .as_ref()
            .and_then(|reason| reasons::advice(reason.code()));
        if let Some(advice) = advice {
            writeln!(out, "      {advice}")?;
        }
    }
    Ok(())
}

/// Where it ran, why, and how it ended.
fn outcome(record: &Record) -> String {
    let mut text = match record.place {
        Place::Remote => {
            let host = record.host.as_ref().map(Text::shown).unwrap_or_default();
            let mode = record.mode.as_ref().map(Text::shown).unwrap_or_default();
            let second = match record.attempts.last() {
                Some(last) if last.hedge && last.error.is_none() => ", as a second copy",
                _ => "",
            };
            format!("compiled on {host} ({mode}){second}")
        }
        Place::Local => {
            let reason = record.reason.as_ref().map_or("unknown", Text::code);
            let fell = if record.fell_back {
                ", after it had been on its way"
            } else {
                ""
            };
            format!("ran here{fell}: {}", reasons::spelled(reason))
        }
    };
    if let Some(ms) = record.wall_ms {
        text.push_str(&format!(", in {}", seconds(ms)));
    }
    if record.queue_ms >= 100.0 {
        text.push_str(&format!(
            ", of which {} in wait of a slot",
            seconds(record.queue_ms)
        ));
    }
    if let Some(status) = record.status.filter(|status| *status != 0) {
        text.push_str(&format!(", exit code {status}"));
    }
    text
}

pub(super) fn as_json(record: &Record, judge: &mut Judge<'_>) -> String {
    let code = |text: &Option<Text>| text.as_ref().map(|text| text.0.clone());
    let explained = |text: &Option<Text>| {
        text.as_ref()
            .and_then(|text| reasons::sentence(text.code()))
    };
    let attempts = record.attempts.iter().map(|attempt| {
        Object::new()
            .text("host", &attempt.host)
            .plain("ms", attempt.ms)
            .plain("hedge", attempt.hedge)
            .maybe("error", code(&attempt.error))
            .maybe("sentence", explained(&attempt.error))
            .end()
    });
    let judged = now(record, judge);
    let verdict = Object::new()
        .text("place", judged.here.map_or("remote", |_| "local"))
        .maybe("reason", judged.here.map(|reason| reason.code()))
        .maybe("sentence", judged.here.map(|reason| reason.sentence()))
        .end();
    let place = match record.place {
        Place::Remote => "remote",
        Place::Local => "local",
    };
    let advice = record
        .reason
        .as_ref()
        .and_then(|reason| reasons::advice(reason.code()));
    Object::new()
        .plain("time", record.time)
        .text("cwd", &record.cwd)
        .list("command", record.command.iter().map(|word| string(&word.0)))
        .text("place", place)
        .maybe("host", code(&record.host))
        .maybe("mode", code(&record.mode))
        .maybe("reason", code(&record.reason))
        .maybe("sentence", explained(&record.reason))
        .maybe("advice", advice.map(OsString::from))
        .maybe("not_pumped", code(&record.not_pumped))
        .plain("fell_back", record.fell_back)
        .list("attempts", attempts)
        .number("status", record.status)
        .number("wall_ms", record.wall_ms)
        .number("cpu_ms", record.cpu_ms)
        .plain("queue_ms", record.queue_ms)
        .plain("sent", record.sent)
        .plain("received", record.received)
        .plain("now", verdict)
        .end()
}
