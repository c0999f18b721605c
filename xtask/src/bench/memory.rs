//! How much memory the launcher takes at most while it sends a large source.

use super::{Row, Side, read, say};
use crate::clean_up;
use crate::farm::Farm;
use anyhow::{Context as _, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Bytes of the preprocessed source, about.
const BODY: usize = 16 << 20;
const MIB: f64 = (1 << 20) as f64;

pub(super) fn rows(sides: &[Side; 2]) -> Result<Vec<Row>> {
    say("memory of the launcher");
    let folder = clean_up::Folder::new("distcc-launch-bench-")?;
    fs::write(folder.path().join("large.c"), large_source())
        .context("could not write the large source")?;
    let mut rows = Vec::new();
    for (options, what) in [("", "plain"), (",lzo", "compressed")] {
        let mut peaks = [0.0; 2];
        for (side, peak) in sides.iter().zip(&mut peaks) {
            *peak = above_body(side, folder.path(), options)?;
        }
        let what = format!(
            "launcher's memory above a source of {} MiB, {what}",
            BODY >> 20
        );
        rows.push(read::at_most(&what, "≤ 8 MiB", 8.0, peaks, |value| {
            format!("{value:+.1} MiB")
        }));
    }
    Ok(rows)
}

/// Peak of one remote compile through `side`, less the source, in MiB.
fn above_body(side: &Side, folder: &Path, options: &str) -> Result<f64> {
    let state = clean_up::Folder::new("distcc-launch-bench-")?;
    let farm = Farm::start(&side.daemon, state.path(), 2)?;
    let mut launcher = Command::new(&side.launcher);
    launcher
        .args(["gcc", "-c", "large.c", "-o", "large.o"])
        .current_dir(folder);
    farm.prepare(
        &mut launcher,
        &state.path().join("state"),
        &state.path().join("journal"),
    )?;
    launcher.env(
        "DISTCC_HOSTS",
        format!("{}/2{options}", farm.addresses()[0]),
    );
    launcher.env("DISTCC_FALLBACK", "0").stdin(Stdio::null());
    let mut child = launcher
        .spawn()
        .with_context(|| format!("could not start {}", side.launcher.display()))?;
    let mut peak = 0;
    // The kernel's own high-water mark; it is gone with the process, so it is read while the daemon compiles, and on.
    let status = loop {
        peak = high_water(child.id()).unwrap_or(peak).max(peak);
        if let Some(status) = child
            .try_wait()
            .context("could not wait for the launcher")?
        {
            break status;
        }
        thread::sleep(Duration::from_millis(2));
    };
    if !status.success() || farm.served(1)[0] == 0 {
        bail!(
            "{} did not compile the large source remotely: {status}\n{}",
            side.name,
            farm.last_words()
        );
    }
    Ok((peak as f64 - BODY as f64) / MIB)
}

/// VmHWM of a process, in bytes; its children are not in it.
fn high_water(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// A C source that preprocesses to itself, and that a compiler is done with soon.
fn large_source() -> String {
    let mut text = String::with_capacity(BODY + 1024);
    let mut number = 0u64;
    while text.len() < BODY {
        // Numbers that do not repeat, so that compression has something to do.
        number += 1;
        let noise = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for word in 0..8 {
            let _cannot_fail = write!(
                text,
                "extern int name_{:016x};",
                noise.rotate_left(word * 7)
            );
        }
        text.push('\n');
    }
    text.push_str("int last;\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_high_water_mark() {
        assert!(high_water(std::process::id()).unwrap() > 1 << 20);
    }

    #[test]
    fn the_source_is_as_large_as_it_is_said_to_be() {
        let length = large_source().len();
        assert!((BODY..BODY + 4096).contains(&length), "{length}");
    }
}
