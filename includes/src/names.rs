//! Every identifier, spelling and file name, once: a name is a number, and equal names are equal numbers.

/// The number of a sequence of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(pub(crate) u32);

impl Name {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

macro_rules! known {
    ($($constant:ident = $text:literal,)*) => {
#[expect(
            non_camel_case_types,
            clippy::upper_case_acronyms,
            reason = "counts the constants below"
        )]
        enum Order { $($constant,)* }
        $(pub(crate) const $constant: Name = Name(Order::$constant as u32);)*
        const KNOWN: &[&str] = &[$($text,)*];
    };
}

known! {
    EMPTY = "",
    DEFINED = "defined",
    TRUE = "true",
    VA_ARGS = "__VA_ARGS__",
    VA_OPT = "__VA_OPT__",
    HAS_INCLUDE = "__has_include",
    HAS_INCLUDE_NEXT = "__has_include_next",
    HAS_EMBED = "__has_embed",
    HAS_ATTRIBUTE = "__has_attribute",
    HAS_CPP_ATTRIBUTE = "__has_cpp_attribute",
    HAS_C_ATTRIBUTE = "__has_c_attribute",
    HAS_BUILTIN = "__has_builtin",
    HAS_CONSTEXPR_BUILTIN = "__has_constexpr_builtin",
    HAS_FEATURE = "__has_feature",
    HAS_EXTENSION = "__has_extension",
    HAS_DECLSPEC_ATTRIBUTE = "__has_declspec_attribute",
    HAS_WARNING = "__has_warning",
    IS_IDENTIFIER = "__is_identifier",
    BUILDING_MODULE = "__building_module",
    IS_TARGET_ARCH = "__is_target_arch",
    IS_TARGET_VENDOR = "__is_target_vendor",
    IS_TARGET_OS = "__is_target_os",
    IS_TARGET_ENVIRONMENT = "__is_target_environment",
    FILE = "__FILE__",
    FILE_NAME = "__FILE_NAME__",
    LINE = "__LINE__",
    COUNTER = "__COUNTER__",
    INCLUDE_LEVEL = "__INCLUDE_LEVEL__",
    BASE_FILE = "__BASE_FILE__",
    DATE = "__DATE__",
    TIME = "__TIME__",
    TIMESTAMP = "__TIMESTAMP__",
    PRAGMA = "_Pragma",
    AND = "and",
    OR = "or",
    NOT = "not",
    XOR = "xor",
    COMPL = "compl",
    BITAND = "bitand",
    BITOR = "bitor",
    NOT_EQ = "not_eq",
}

/// The names known so far.
#[derive(Debug)]
pub(crate) struct Names {
    bytes: Vec<u8>,
    /// Where each name begins; one more than there are names.
    starts: Vec<u32>,
    /// Open addressing: number of a name plus 1, and the upper half of its hash.
    slots: Vec<(u32, u32)>,
}

impl Names {
    pub(crate) fn new() -> Names {
        let mut names = Names {
            bytes: Vec::with_capacity(1 << 18),
            starts: vec![0],
            slots: vec![(0, 0); 1 << 14],
        };
        for (at, text) in KNOWN.iter().enumerate() {
            let name = names.add(text.as_bytes());
            debug_assert_eq!(name.index(), at);
        }
        names
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// About how much memory the names take, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.capacity() + 4 * self.starts.capacity() + 8 * self.slots.capacity()
    }

    pub(crate) fn get(&self, name: Name) -> &[u8] {
        let at = name.index();
        &self.bytes[self.starts[at] as usize..self.starts[at + 1] as usize]
    }

    /// The name of these bytes, a new one if need be.
    pub(crate) fn add(&mut self, text: &[u8]) -> Name {
        let hash = hash(text);
        let slot = match self.find(text, hash) {
            Ok(name) => return name,
            Err(slot) => slot,
        };
        let number = self.len() as u32;
        self.bytes.extend_from_slice(text);
        self.starts.push(self.bytes.len() as u32);
        self.slots[slot] = (number + 1, (hash >> 32) as u32);
        if self.len() * 2 > self.slots.len() {
            self.grow();
        }
        Name(number)
    }

    /// The name of these bytes, if anybody has asked for it before.
    pub(crate) fn known(&self, text: &[u8]) -> Option<Name> {
        self.find(text, hash(text)).ok()
    }

    fn find(&self, text: &[u8], hash: u64) -> Result<Name, usize> {
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            match self.slots[at] {
                (0, _) => return Err(at),
                (number, high) if high == (hash >> 32) as u32 => {
                    let name = Name(number - 1);
                    if self.get(name) == text {
                        return Ok(name);
                    }
                }
                _ => {}
            }
            at = (at + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let mut slots = vec![(0, 0); self.slots.len() * 2];
        let mask = slots.len() - 1;
        for number in 0..self.len() as u32 {
            let hash = hash(self.get(Name(number)));
            let mut at = hash as usize & mask;
            while slots[at].0 != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = (number + 1, (hash >> 32) as u32);
        }
        self.slots = slots;
    }
}

/// A fast hash of short texts; no defence against chosen collisions, which would only slow their author's own questions.
pub(crate) fn hash(text: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut state = (text.len() as u64).wrapping_mul(K);
    let (chunks, rest) = text.as_chunks::<8>();
    for chunk in chunks {
        state = (state ^ u64::from_le_bytes(*chunk)).wrapping_mul(K);
        state ^= state >> 29;
    }
    let mut last = 0;
    for &byte in rest {
        last = last << 8 | u64::from(byte);
    }
    state = (state ^ last).wrapping_mul(K);
    state ^= state >> 32;
    state.wrapping_mul(K) ^ (state >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_are_one_name() {
        let mut names = Names::new();
        let many: Vec<Name> = (0..50_000u32)
            .map(|i| names.add(format!("name_{i}").as_bytes()))
            .collect();
        for (i, name) in many.iter().enumerate() {
            assert_eq!(names.add(format!("name_{i}").as_bytes()), *name);
            assert_eq!(names.get(*name), format!("name_{i}").as_bytes());
        }
        assert_eq!(names.get(HAS_INCLUDE_NEXT), b"__has_include_next");
        assert_eq!(names.add(b"__DATE__"), DATE);
        assert_eq!(names.add(b""), EMPTY);
        assert_eq!(names.known(b"__DATE__"), Some(DATE));
        assert_eq!(names.known(b"nobody asked"), None);
    }
}
