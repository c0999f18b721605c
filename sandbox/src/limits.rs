//! What one job may use, and what it had too much of.

/// What a job may use. `None`: as much as there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all its processes together; each of them is held to it at once, their sum several times a second.
    pub memory: Option<u64>,
    /// Processes and threads at a time.
    pub processes: Option<u64>,
    /// Seconds of processor time of all its processes together.
    pub seconds: Option<u64>,
    /// Bytes of each of its files and of what it prints; in a view of its own, of all files together.
    pub disk: u64,
}

/// What a job had too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Excess {
    Memory = 1,
    Processes = 2,
    Seconds = 3,
    Disk = 4,
}

impl Excess {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::Memory, Self::Processes, Self::Seconds, Self::Disk]
            .into_iter()
            .find(|excess| *excess as u8 == number)
    }
}

/// What programs print when a limit makes a system call fail. The locale of a box has no translations of them but the
/// toolchain's own; a limit that is told in another language is told by the program alone.
const COMPLAINTS: &[(&[u8], Excess)] = &[
    (b"No space left on device", Excess::Disk),
    (b"File too large", Excess::Disk),
    (b"File size limit exceeded", Excess::Disk),
    (b"out of memory", Excess::Memory),
    (b"Cannot allocate memory", Excess::Memory),
    (b"virtual memory exhausted", Excess::Memory),
    (b"memory exhausted", Excess::Memory),
    (b"std::bad_alloc", Excess::Memory),
    (b"Resource temporarily unavailable", Excess::Processes),
    (b"CPU time limit exceeded", Excess::Seconds),
];

/// The limit that a failed program complains about in the last of what it printed.
pub(crate) fn complaint(printed: &[u8]) -> Option<Excess> {
    let says = |words: &[u8]| printed.windows(words.len()).any(|window| window == words);
    COMPLAINTS
        .iter()
        .find(|(words, _)| says(words))
        .map(|(_, excess)| *excess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_heard() {
        let text = b"cc1: out of memory allocating 65536 bytes\n";
        assert_eq!(complaint(text), Some(Excess::Memory));
        assert_eq!(complaint(b"a.c:1: error: expected ;"), None);
        assert_eq!(complaint(b""), None);
    }
}
