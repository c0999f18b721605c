//! How much we take from a peer before we call it broken.
//!
//! Stock has no limits at all; its own clients never come near these.  A limit is checked when a head announces a
//! length.  Independently of it, memory grows only with the bytes that have come (see `intake`).

/// The most that is taken of each thing.  Lengths in bytes as they stand on the wire, unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Words of a command, or paths in a reply of the include server.
    pub max_args: u32,
    /// One word.
    pub max_arg_bytes: u32,
    /// All words together.
    pub max_total_arg_bytes: u64,
    /// The preprocessed source, or one file of a closure.
    pub max_source: u32,
    /// Any one body once it is unpacked; see [`Limits::unpacked`].
    pub max_unpacked: usize,
    /// Bytes that each byte of a compressed body may become, beyond the first [`FREE_UNPACKED`].
    pub max_ratio: usize,
    /// Entries of a closure.
    pub max_files: u32,
    /// A file name, a link's target or the working directory.
    pub max_name: u32,
    /// All names, targets and files of a closure together.
    pub max_closure: u64,
    /// The list of system headers of a tree job.
    pub max_system_files: u32,
    /// The object.
    pub max_object: u32,
    /// What the compiler printed: `SERR` and `SOUT`, each.  Also a good `max` for unpacking them.
    pub max_output: u32,
    /// The depfile.
    pub max_depfile: u32,
    /// The text of a hello.
    pub max_hello: u32,
}

/// More than any compile command has; linking, which has more, is never sent.
pub const MAX_ARGS: u32 = 1 << 16;
/// `MAX_ARG_STRLEN` of Linux: no longer word can be handed to a compiler.
pub const MAX_ARG_BYTES: u32 = 128 << 10;
/// A third of what Linux ever gives to arguments and environment (6 MiB).
pub const MAX_TOTAL_ARG_BYTES: u64 = 2 << 20;
/// A preprocessed C++ source is some MiB; generated tables of data reach hundreds.
pub const MAX_SOURCE: u32 = 512 << 20;
/// As much as a daemon's job may cost in memory.
pub const MAX_UNPACKED: usize = 512 << 20;
/// LZO1X packs source to a fourth; only a hostile body goes on to a 255th.
pub const MAX_RATIO: usize = 32;
/// The same for what a launcher is sent: objects, debug information included, pack to a half or a fourth.
pub const MAX_OBJECT_RATIO: usize = 8;
/// Unpacked whatever the ratio: an object of 64 MiB may be all zeros.
pub const FREE_UNPACKED: usize = 64 << 20;
/// A large source includes some thousands of files.
pub const MAX_FILES: u32 = 1 << 16;
/// `PATH_MAX` of Linux.
pub const MAX_NAME: u32 = 4 << 10;
pub const MAX_CLOSURE: u64 = 1 << 30;
/// `MAX_FILES` names of ordinary length.
pub const MAX_SYSTEM_FILES: u32 = 8 << 20;
/// Bytes of all names and digests of system headers, unpacked: some hundred thousand of them.
pub const MAX_SYSTEM_LIST: usize = 32 << 20;
/// Objects with debug information reach hundreds of MiB.
pub const MAX_OBJECT: u32 = 1 << 30;
/// Templates make long messages, but nobody reads this much.
pub const MAX_OUTPUT: u32 = 16 << 20;
/// `MAX_FILES` names of ordinary length.
pub const MAX_DEPFILE: u32 = 16 << 20;
/// Some lines.
pub const MAX_HELLO: u32 = 64 << 10;

impl Limits {
    /// For requests, which may come from a stranger.
    pub fn for_daemon() -> Limits {
        Limits {
            max_args: MAX_ARGS,
            max_arg_bytes: MAX_ARG_BYTES,
            max_total_arg_bytes: MAX_TOTAL_ARG_BYTES,
            max_source: MAX_SOURCE,
            max_unpacked: MAX_UNPACKED,
            max_ratio: MAX_RATIO,
            max_files: MAX_FILES,
            max_name: MAX_NAME,
            max_closure: MAX_CLOSURE,
            max_system_files: MAX_SYSTEM_FILES,
            max_object: MAX_OBJECT,
            max_output: MAX_OUTPUT,
            max_depfile: MAX_DEPFILE,
            max_hello: MAX_HELLO,
        }
    }

    /// For outcomes, from a host that the user named: room for what only a large job brings; but a small body of a host that
    /// lies must not fill the memory of a build's machine, many of whose launchers run at the same time.
    pub fn for_launcher() -> Limits {
        Limits {
            max_object: i32::MAX as u32,
            max_unpacked: i32::MAX as usize,
            max_ratio: MAX_OBJECT_RATIO,
            // A line for each name of each compiler.
            max_hello: 4 * MAX_HELLO,
            ..Limits::for_daemon()
        }
    }

    /// The `max` for [`Body::unpack`](crate::Body::unpack) of a body of `wire` bytes: what an honest peer's body can
    /// hold, so that a small body cannot fill the memory.
    pub fn unpacked(&self, wire: usize) -> usize {
        wire.saturating_mul(self.max_ratio)
            .saturating_add(FREE_UNPACKED)
            .min(self.max_unpacked)
    }
}

/// Which limit was passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    Args,
    ArgBytes,
    TotalArgBytes,
    Source,
    Files,
    Name,
    Closure,
    SystemFiles,
    Object,
    Output,
    Depfile,
    Hello,
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Limit::Args => "words of a command",
            Limit::ArgBytes => "bytes of one word",
            Limit::TotalArgBytes => "bytes of all words",
            Limit::Source => "bytes of a source file",
            Limit::Files => "files of a job",
            Limit::Name => "bytes of a file name",
            Limit::Closure => "bytes of all files of a job",
            Limit::SystemFiles => "bytes of system headers' digests",
            Limit::Object => "bytes of an object",
            Limit::Output => "bytes of compiler messages",
            Limit::Depfile => "bytes of a depfile",
            Limit::Hello => "bytes of a hello",
        })
    }
}
