//! Values in a row of bytes, between processes of the same program.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

#[derive(Debug, Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// `None` is one more than the largest number that is ever meant.
    pub(crate) fn maybe(&mut self, number: Option<u64>) {
        self.number(number.unwrap_or(u64::MAX));
    }

    pub(crate) fn word(&mut self, word: impl AsRef<OsStr>) {
        let bytes = word.as_ref().as_bytes();
        self.number(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn words<W: AsRef<OsStr>>(&mut self, words: impl ExactSizeIterator<Item = W>) {
        self.number(words.len() as u64);
        words.for_each(|word| self.word(word));
    }
}

/// Reads what a [`Writer`] wrote; anything else gives `None`.
#[derive(Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub(crate) fn maybe(&mut self) -> Option<Option<u64>> {
        let number = self.number()?;
        Some((number != u64::MAX).then_some(number))
    }

    pub(crate) fn word(&mut self) -> Option<OsString> {
        let len = usize::try_from(self.number()?).ok()?;
        let (word, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(OsString::from_vec(word.to_vec()))
    }

    pub(crate) fn path(&mut self) -> Option<PathBuf> {
        self.word().map(PathBuf::from)
    }

    /// As many values as were written, each by `read`.
    pub(crate) fn all<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let count = usize::try_from(self.number()?).ok()?;
        (0..count).map(|_| read(self)).collect()
    }
}
