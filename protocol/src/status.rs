//! A wait status as it travels in `STAT`: that of the machine that compiled.

/// A Unix wait status.  Its layout is that of Linux and the BSDs: exit code in bits 8 to 15, else a signal in bits
/// 0 to 6 and "dumped core" in bit 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WaitStatus(pub u32);

impl WaitStatus {
    pub const SUCCESS: WaitStatus = WaitStatus(0);

    pub fn exited(code: u8) -> WaitStatus {
        WaitStatus(u32::from(code) << 8)
    }

    /// `signal` is cut to its seven bits.
    pub fn killed(signal: u8, core: bool) -> WaitStatus {
        WaitStatus(u32::from(signal & 0x7f) | if core { 0x80 } else { 0 })
    }

    /// The code a compiler exited with; `None` when a signal ended it or the value is no wait status.
    pub fn exit_code(self) -> Option<u8> {
        (self.0 & !0xff00 == 0).then_some((self.0 >> 8) as u8)
    }

    /// The signal that ended the compiler.
    pub fn signal(self) -> Option<u8> {
        let signal = (self.0 & 0x7f) as u8;
        (self.0 & !0xff == 0 && signal != 0 && signal != 0x7f).then_some(signal)
    }

    pub fn core_dumped(self) -> bool {
        self.signal().is_some() && self.0 & 0x80 != 0
    }

    pub fn success(self) -> bool {
        self == WaitStatus::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_values_read_as_what_happened() {
        assert_eq!(WaitStatus(0x100).exit_code(), Some(1));
        assert_eq!(WaitStatus(0x4d00).exit_code(), Some(77));
        assert_eq!(WaitStatus(0xb).signal(), Some(11));
        assert!(!WaitStatus(0xb).core_dumped());
        assert!(WaitStatus(0x8b).core_dumped());
    }

    #[test]
    fn each_value_has_one_reading_at_most() {
        for code in 0..=255 {
            let status = WaitStatus::exited(code);
            assert_eq!((status.exit_code(), status.signal()), (Some(code), None));
            assert_eq!(status.success(), code == 0);
        }
        for signal in 1..=126 {
            for core in [false, true] {
                let status = WaitStatus::killed(signal, core);
                assert_eq!((status.exit_code(), status.signal()), (None, Some(signal)));
                assert_eq!(status.core_dumped(), core);
                assert!(!status.success());
            }
        }
        for nonsense in [0x7f, 0x80, 0xff, 0x137f, 0x10000, 0xffff_ffff] {
            let status = WaitStatus(nonsense);
            assert_eq!(
                (status.exit_code(), status.signal(), status.success()),
                (None, None, false)
            );
        }
    }
}
