//! Records of the table: fixed numbers of bytes that say by themselves whether they are whole.
//!
//! Readers take no lock. So each record ends in a sum over the rest, and one that is half old and half new counts as none.

/// A record, from and to bytes.
pub trait Record: Clone + Default {
    /// Which section of the table holds such records.
    const SECTION: Section;

    /// Names each number once, in the order in which they are stored.
    fn fields(&mut self, codec: &mut Codec<'_>);

    /// The record that `bytes` hold, unless they are not whole.
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (sum, body) = bytes.split_first_chunk::<8>()?;
        if bytes.len() != Self::SECTION.size() {
            return None;
        }
        if u64::from_le_bytes(*sum) != sum_of(body) {
            return None;
        }
        let mut record = Self::default();
        record.fields(&mut Codec::Read(body));
        Some(record)
    }

    /// Its bytes: as many as its section's records have.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::SECTION.size());
        bytes.extend([0; 8]);
        self.clone().fields(&mut Codec::Write(&mut bytes));
        debug_assert!(bytes.len() <= Self::SECTION.size(), "{}", bytes.len());
        bytes.resize(Self::SECTION.size(), 0);
        let sum = sum_of(&bytes[8..]);
        bytes[..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

/// A table of another layout holds nothing: another number goes with other fields, and with a section that begins elsewhere.
const LAYOUT: u64 = 1;

/// FNV-1a by words instead of bytes: a job reads the records of all hosts.
fn sum_of(body: &[u8]) -> u64 {
    let (words, rest) = body.as_chunks::<8>();
    debug_assert!(rest.is_empty());
    let words = words.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(0xcbf2_9ce4_8422_2325 ^ LAYOUT, |sum, word| {
        (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    })
}

/// A part of the table with records of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// How many second copies there were of late: one record.
    Window,
    /// A record for each kind of job.
    Kinds,
    /// A record for each translation unit, as long as no other wants its place.
    Units,
    /// A record for each host.
    Hosts,
}

impl Section {
    /// Bytes of one record.
    pub const fn size(self) -> usize {
        match self {
            Section::Window => 256,
            Section::Kinds => 64,
            Section::Units => 32,
            Section::Hosts => 256,
        }
    }

    /// Records that it has room for.
    pub const fn records(self) -> u64 {
        match self {
            Section::Window => 1,
            Section::Kinds => 64,
            Section::Units => 8192,
            Section::Hosts => 4096,
        }
    }

    /// Where it begins in the file, in bytes.
    pub const fn start(self) -> u64 {
        match self {
            Section::Window => 0,
            Section::Kinds => 4096,
            Section::Units => 8192,
            Section::Hosts => 8192 + Section::Units.records() * Section::Units.size() as u64,
        }
    }
}

/// Numbers on their way out of bytes or into them, little-endian.
pub enum Codec<'b> {
    Read(&'b [u8]),
    Write(&'b mut Vec<u8>),
}

impl Codec<'_> {
    fn bytes<const N: usize>(&mut self, value: &mut [u8; N]) {
        match self {
            Codec::Read(bytes) => {
                if let Some((first, rest)) = bytes.split_first_chunk::<N>() {
                    (*value, *bytes) = (*first, rest);
                }
            }
            Codec::Write(bytes) => bytes.extend_from_slice(value),
        }
    }

    pub fn u64(&mut self, value: &mut u64) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u64::from_le_bytes(bytes);
    }

    pub fn u32(&mut self, value: &mut u32) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u32::from_le_bytes(bytes);
    }

    /// What is no number is read as 0.
    pub fn f32(&mut self, value: &mut f32) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        let read = f32::from_le_bytes(bytes);
        *value = if read.is_finite() { read } else { 0.0 };
    }

    pub fn array<const N: usize>(&mut self, value: &mut [u8; N]) {
        self.bytes(value);
    }
}
