//! Files shared between processes: several of ours, and stock distcc's beside ours.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set up its files has failed"
)]

mod choice;
mod common;
mod here;
mod slots;
mod stock;
