//! Files as they travel: compressed once for each content, with its digest, and kept while the analysis keeps the file.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use includes::Member;
use protocol::Digest;
use protocol::lzo::Compressor;

use crate::plan::FileItem;

/// Bytes of blocks that are kept; beyond, all are forgotten and made anew.
const MOST: usize = 10 << 20;

/// What is known of a member's content.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    known: Mutex<Known>,
    packer: Mutex<Packer>,
}

/// Used again and again: for a small header a fresh table costs more than the packing.
#[derive(Default)]
struct Packer {
    compressor: Compressor,
    block: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl Packer {
    /// One LZO1X block; nothing for nothing.
    fn pack(&mut self, content: &[u8]) -> Arc<[u8]> {
        if content.is_empty() {
            return Arc::default();
        }
        self.compressor.compress(content, &mut self.block);
        let block = self.block.as_slice().into();
        // Memory for one huge file is not kept for ever.
        if self.block.capacity() > MOST / 10 {
            self.block = Vec::new();
        }
        block
    }
}

/// Something of a member, and which member that was.
type Kept<T> = (Weak<Member>, T);

#[derive(Debug, Default)]
struct Known {
    /// By the member's address and whether its name is said first; the address counts only while the member is the same.
    blocks: HashMap<(usize, bool), Kept<Arc<[u8]>>>,
    digests: HashMap<usize, Kept<Digest>>,
    bytes: usize,
}

impl Blocks {
    /// The file as one LZO1X block; nothing for an empty one.
    pub(crate) fn block(&self, file: &FileItem) -> Arc<[u8]> {
        let key = (address(&file.member), file.named);
        if let Some((member, block)) = self.lock().blocks.get(&key)
            && is(member, &file.member)
        {
            return Arc::clone(block);
        }
        let mut packer = self.packer.lock().unwrap_or_else(PoisonError::into_inner);
        let block = packer.pack(&file.content());
        drop(packer);
        let mut known = self.lock();
        if known.bytes + block.len() > MOST {
            *known = Known::default();
        }
        known.bytes += block.len();
        let entry = (Arc::downgrade(&file.member), Arc::clone(&block));
        if let Some((_, old)) = known.blocks.insert(key, entry) {
            known.bytes = known.bytes.saturating_sub(old.len());
        }
        block
    }

    /// The first 16 bytes of the content's BLAKE3.
    pub(crate) fn digest(&self, member: &Arc<Member>) -> Digest {
        let key = address(member);
        if let Some((known, digest)) = self.lock().digests.get(&key)
            && is(known, member)
        {
            return *digest;
        }
        let digest = protocol::digest(&member.bytes);
        let entry = (Arc::downgrade(member), digest);
        self.lock().digests.insert(key, entry);
        digest
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn address(member: &Arc<Member>) -> usize {
    Arc::as_ptr(member).addr()
}

fn is(known: &Weak<Member>, member: &Arc<Member>) -> bool {
    std::ptr::eq(known.as_ptr(), Arc::as_ptr(member))
}
