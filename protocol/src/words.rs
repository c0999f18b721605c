//! `ARGC ARGV*`, which requests and both sides of the include-server talk have in common.

use crate::{
    Limits, ProtocolError,
    intake::{check, check_no_nul},
    limits::Limit,
    token::tag,
};

/// Words that are being received.
pub(crate) struct Words {
    limits: Limits,
    left: u32,
    bytes: u64,
    words: Vec<Vec<u8>>,
}

impl Words {
    pub(crate) fn new(limits: Limits) -> Words {
        Words {
            limits,
            left: 0,
            bytes: 0,
            words: Vec::new(),
        }
    }

    /// Takes `ARGC`.
    pub(crate) fn count(&mut self, count: u32) -> Result<(), ProtocolError> {
        check(Limit::Args, self.limits.max_args, count)?;
        self.left = count;
        Ok(())
    }

    /// Takes the length in an `ARGV`.
    pub(crate) fn announced(&mut self, len: u32) -> Result<(), ProtocolError> {
        check(Limit::ArgBytes, self.limits.max_arg_bytes, len)?;
        self.bytes += u64::from(len);
        check(
            Limit::TotalArgBytes,
            self.limits.max_total_arg_bytes,
            self.bytes,
        )
    }

    /// Takes an `ARGV`'s body.
    pub(crate) fn push(&mut self, word: Vec<u8>) -> Result<(), ProtocolError> {
        check_no_nul(tag::ARGV, &word)?;
        self.words.push(word);
        self.left = self.left.saturating_sub(1);
        Ok(())
    }

    pub(crate) fn complete(&self) -> bool {
        self.left == 0
    }

    pub(crate) fn take(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.words)
    }
}
