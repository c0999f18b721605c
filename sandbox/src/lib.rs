//! A box around a process that must not be trusted: a view of the file system that holds nothing but a toolchain and
//! the job, no network, no other processes, few system calls, and limits.
//!
//! ```text
//!            keeper ── clone ──▶ wardens
//! caller ── job, channel ──▶ one of them ── vfork, exec ──▶ program
//!        ◀── report, outputs ── (first process of the job's own namespaces)
//! ```
//!
//! The *keeper* is one small process, forked at start while the caller has one thread. It owns the namespaces, made
//! without root, and a template of the toolchain, and clones *wardens*, so that one is always free. A warden takes a job, builds its
//! view, starts the program, waits, sends back what was asked for, and clears all of it away before it takes another one. All of a
//! job dies with its warden and with its channel; a warden dies with the keeper and with the caller.
//!
//! Knows nothing of tokio, of distcc's protocol, of compilers' options or of hosts. Each layer is tried at start;
//! what is missing is told, and the rest works without it.

#[cfg(not(target_os = "linux"))]
compile_error!("the box is made of what Linux offers");

mod caller;
mod cgroup;
mod channel;
mod codec;
mod files;
mod filter;
mod job;
mod keeper;
mod landlock;
mod layers;
mod limits;
mod order;
mod os;
mod paths;
mod pool;
mod program;
mod report;
mod shown;
mod template;
mod toolchain;
mod tree;
mod trial;
mod view;
mod warden;
mod watch;

pub use caller::{Running, Sandbox, SandboxError, Setup, Stray};
pub use job::{Job, Place};
pub use layers::{Layer, Layers, UnknownLayer};
pub use limits::{Excess, Limits};
pub use report::{Ended, NotStarted, Stage};
pub use toolchain::folders_of;
pub use tree::{Bytes, Closure, Content, Entry, Misfit, Packed, Tree, Trees};
