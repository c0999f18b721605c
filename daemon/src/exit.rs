//! Exit codes of stock distccd (facts 6). The same numbers fill the status of a job that could not be compiled.

/// Why the daemon, or a job, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    Ok = 0,
    /// Anything without a code of its own; a refused command.
    Failed = 100,
    BadArguments = 101,
    BindFailed = 102,
    /// The client went away, or the connection broke.
    Io = 107,
    /// The request breaks the protocol.
    Protocol = 109,
    /// No such compiler, or none at all.
    CompilerMissing = 110,
    /// Root could not become the user of `--user`.
    ChangeUser = 112,
    /// The client's system headers are others than this machine's.
    Headers = 113,
    /// Too many jobs wait already.
    Busy = 114,
    /// A compile took longer than `--job-lifetime`.
    Timeout = 118,
}

impl Exit {
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The exit of this code; [`Exit::Failed`] when it is none of ours.
    pub(crate) fn from_code(code: u8) -> Self {
        let all = [
            Self::Ok,
            Self::BadArguments,
            Self::BindFailed,
            Self::CompilerMissing,
            Self::ChangeUser,
        ];
        let known = all.into_iter().find(|exit| exit.code() == code);
        known.unwrap_or(Self::Failed)
    }
}
