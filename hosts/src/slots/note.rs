//! What the holder of a slot writes into its lock file for those who wait: when its job began, and how long that may take.
//!
//! A note counts only while the process that wrote it holds the lock: stock clients take the same slots and write nothing.

use std::fs::File;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use crate::fnv1a;

/// Process, moment in ms since 1970, expected ms, sum.
const BYTES: usize = 4 + 8 + 4 + 8;

/// Notes that this process begins a job that takes about `ms`; 0 when nobody knows.
pub(super) fn write(file: &File, ms: f32) {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&pid.to_le_bytes());
    bytes[4..12].copy_from_slice(&(since_1970().as_millis() as u64).to_le_bytes());
    bytes[12..16].copy_from_slice(&ms.to_le_bytes());
    let sum = fnv1a(&bytes[..16]);
    bytes[16..].copy_from_slice(&sum.to_le_bytes());
    // Without a note the slot is one that nobody knows the end of.
    let _ = rustix::io::pwrite(file, &bytes, 0);
}

/// How long the job in the slot has run and may take, in ms, if its holder said so.
pub(super) fn read(file: &File) -> Option<(f32, f32)> {
    let mut bytes = [0; BYTES];
    if rustix::io::pread(file, &mut bytes[..], 0).ok()? != BYTES {
        return None;
    }
    let sum = u64::from_le_bytes(*bytes.last_chunk()?);
    let (pid, rest) = bytes[..16].split_first_chunk::<4>()?;
    let (began, rest) = rest.split_first_chunk::<8>()?;
    let ms = f32::from_le_bytes(*rest.first_chunk()?);
    if sum != fnv1a(&bytes[..16]) || !(ms > 0.0 && ms.is_finite()) {
        return None;
    }
    let holder = fcntl_getlk(file, &Flock::from(FlockType::WriteLock)).ok()??;
    if holder.pid?.as_raw_nonzero().get() != i32::from_le_bytes(*pid) {
        return None;
    }
    let began = Duration::from_millis(u64::from_le_bytes(*began));
    let elapsed = since_1970().saturating_sub(began);
    Some((elapsed.as_secs_f32() * 1e3, ms))
}

fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
