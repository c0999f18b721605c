//! A closure as the rest of a request, in a memory file that the launcher sends as it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use includes::{Closure, Role};
use protocol::closure_talk::{Flags, Form};
use protocol::include_talk::FORCING;
use protocol::token::{self, tag};
use protocol::{Body, Coding, Content, Entry, PRESENT, ProtocolError, SystemFiles, Version};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::blocks::Blocks;
use crate::plan::{self, Item};

/// Bytes of memory files that are kept for questions that come again.
const MOST: usize = 8 << 20;

/// What answers a question.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    pub file: Arc<OwnedFd>,
    pub size: u32,
    pub flags: Flags,
}

/// Makes bundles, and keeps those of late.
#[derive(Debug, Default)]
pub(crate) struct Bundles {
    kept: Mutex<Kept>,
}

/// A closure's address, for whom it is, and where its command runs.
type Key = (usize, Form, Box<Path>);

#[derive(Debug, Default)]
struct Kept {
    bundles: HashMap<Key, (Weak<Closure>, Bundle)>,
    bytes: usize,
}

/// Why a closure cannot be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("the files do not fit the protocol")]
    Protocol(#[from] ProtocolError),
    #[error("no memory file for the answer")]
    Memory(#[from] io::Error),
}

impl Bundles {
    /// The files of `closure`, whose command runs in `directory`, for `form`.
    pub(crate) fn get(
        &self,
        blocks: &Blocks,
        closure: &Arc<Closure>,
        directory: &Path,
        form: Form,
    ) -> Result<Bundle, BundleError> {
        let key = (Arc::as_ptr(closure).addr(), form, directory.into());
        if let Some((known, bundle)) = self.lock().bundles.get(&key)
            && std::ptr::eq(known.as_ptr(), Arc::as_ptr(closure))
        {
            return Ok(bundle.clone());
        }
        let mut rest = Rest::default();
        match form {
            Form::Stock => {
                let items = plan::for_stock(closure, true);
                rest.entries(blocks, &items, Version::Pump)?;
            }
            Form::Tree | Form::WholeTree => {
                let whole = form == Form::WholeTree;
                rest.heads = system_files(blocks, closure, whole)?;
                let items = plan::for_tree(closure, directory, whole);
                rest.entries(blocks, &items, Version::Tree)?;
            }
        }
        let len = rest.len();
        let too_long = |_| ProtocolError::TooLong {
            tag: tag::NFIL,
            len,
        };
        let size = u32::try_from(len).map_err(too_long)?;
        let bundle = Bundle {
            file: Arc::new(rest.memory_file()?),
            size,
            flags: flags(closure, form),
        };
        let mut kept = self.lock();
        if kept.bytes + len > MOST {
            *kept = Kept::default();
        }
        kept.bytes += len;
        kept.bundles
            .insert(key, (Arc::downgrade(closure), bundle.clone()));
        Ok(bundle)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `SYSD`: what the daemon has to have itself, and what it must not have.
fn system_files(blocks: &Blocks, closure: &Closure, whole: bool) -> Result<Vec<u8>, ProtocolError> {
    let mut list = SystemFiles::default();
    if !whole {
        for member in closure.files.iter().filter(|member| member.system) {
            let digest = match member.role {
                Role::Probed => PRESENT,
                _ => blocks.digest(member),
            };
            list.push(member.real.as_os_str().as_bytes(), &digest);
            if let Some(name) = plan::other_name(member, closure) {
                list.push(&name, &digest);
            }
        }
    }
    for missed in &closure.missed {
        list.push_absent(missed.folder.as_os_str().as_bytes(), &missed.names);
    }
    let body = Body::pack_slice(Version::Tree, list.as_bytes());
    Ok([
        &token::head(&tag::SYSD, body.wire().len())?[..],
        body.wire(),
    ]
    .concat())
}

/// The rest of a request as it is put together: blocks are not copied before they are written.
#[derive(Default)]
struct Rest {
    /// Everything but the blocks.
    heads: Vec<u8>,
    /// Each block, and where in `heads` it belongs.
    blocks: Vec<(usize, Arc<[u8]>)>,
}

/// Slices that are written at a time, as many as the kernel takes.
const AT_A_TIME: usize = 1024;

impl Rest {
    fn len(&self) -> usize {
        let blocks = self.blocks.iter().map(|(_, block)| block.len());
        self.heads.len() + blocks.sum::<usize>()
    }

    /// Adds `NFIL` and the entries.
    fn entries(
        &mut self,
        blocks: &Blocks,
        items: &[Item],
        version: Version,
    ) -> Result<(), ProtocolError> {
        let heads = &mut self.heads;
        heads.extend_from_slice(&token::head(&tag::NFIL, items.len())?);
        let bytes_of = |path: &Path| path.as_os_str().as_bytes().to_vec();
        for item in items {
            let entry = match item {
                Item::File(file) => {
                    let block = blocks.block(file);
                    let name = file.member.real.as_os_str().as_bytes();
                    heads.extend_from_slice(&token::head(&tag::NAME, name.len())?);
                    heads.extend_from_slice(name);
                    heads.extend_from_slice(&token::head(&tag::FILE, block.len())?);
                    self.blocks.push((heads.len(), block));
                    continue;
                }
                Item::Link { name, target } | Item::SystemFolder { name, target } => Entry {
                    name: bytes_of(name),
                    content: Content::Link(bytes_of(target)),
                },
                Item::Folder(name) if version == Version::Tree => Entry {
                    name: bytes_of(name),
                    content: Content::Folder,
                },
                // A file in it makes a folder exist.
                Item::Folder(name) => Entry {
                    name: bytes_of(&name.join(FORCING)),
                    content: Content::File(Body::received(Coding::Lzo, Vec::new())),
                },
            };
            entry.append_to(heads, version)?;
        }
        Ok(())
    }

    /// A file of it that nobody can change any more.
    fn memory_file(&self) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("closure", flags)?);
        let mut slices = Vec::with_capacity(self.blocks.len() * 2 + 1);
        let mut from = 0;
        for (at, block) in &self.blocks {
            slices.push(IoSlice::new(&self.heads[from..*at]));
            slices.push(IoSlice::new(block));
            from = *at;
        }
        slices.push(IoSlice::new(&self.heads[from..]));
        slices.retain(|slice| !slice.is_empty());
        let mut left = &mut slices[..];
        while !left.is_empty() {
            let most = left.len().min(AT_A_TIME);
            match (&file).write_vectored(&left[..most]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut left, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        rustix::fs::fcntl_add_seals(&file, seals)?;
        Ok(file.into())
    }
}

fn flags(closure: &Closure, form: Form) -> Flags {
    let mut flags = 0;
    let mut set = |is: bool, flag: u32| {
        if is {
            flags |= flag;
        }
    };
    set(closure.dates.now, Flags::CLOCK);
    set(closure.dates.file, Flags::TIMESTAMP);
    set(closure.unsure > 0, Flags::UNSURE);
    set(closure.missing.is_some(), Flags::MISSING);
    if form == Form::Stock {
        let absolute =
            |member: &&Arc<includes::Member>| member.name.is_absolute() && !member.system;
        let asks = |member: &Arc<includes::Member>| {
            memchr::memmem::find(&member.bytes, b"__FILE__").is_some()
                || memchr::memmem::find(&member.bytes, b"__BASE_FILE__").is_some()
        };
        let named = closure.files.iter().any(|member| absolute(&member));
        set(named && closure.files.iter().any(asks), Flags::FILE_NAMES);
    }
    Flags(flags)
}
