//! A closure as the rest of a request, in a memory file that the launcher sends as it is.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use includes::{Closure, Role};
use protocol::closure_talk::{Flags, Form};
use protocol::token::{self, tag};
use protocol::{Body, Coding, Content, Digest, Entry, ProtocolError, SystemFiles, Version};
use rustix::fs::{MemfdFlags, SealFlags};

use crate::blocks::Blocks;
use crate::plan::{self, FileItem, Item};

/// Bytes of memory files that are kept for questions that come again.
const MOST: usize = 8 << 20;

/// Stands for a file of which it counts only that it is there.
const PRESENT: Digest = [0; 16];

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
        let bytes = match form {
            Form::Stock => entries(blocks, &plan::for_stock(closure, true), Version::Pump)?,
            Form::Tree | Form::WholeTree => {
                let whole = form == Form::WholeTree;
                let mut bytes = system_files(blocks, closure, whole)?;
                let items = plan::for_tree(closure, directory, whole);
                bytes.extend(entries(blocks, &items, Version::Tree)?);
                bytes
            }
        };
        let size = u32::try_from(bytes.len()).map_err(|_| ProtocolError::TooLong {
            tag: tag::NFIL,
            len: bytes.len(),
        })?;
        let bundle = Bundle {
            file: Arc::new(memory_file(&bytes)?),
            size,
            flags: flags(closure, form),
        };
        let mut kept = self.lock();
        if kept.bytes + bytes.len() > MOST {
            *kept = Kept::default();
        }
        kept.bytes += bytes.len();
        kept.bundles
            .insert(key, (Arc::downgrade(closure), bundle.clone()));
        Ok(bundle)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `SYSD`: what the daemon has to have itself.
fn system_files(blocks: &Blocks, closure: &Closure, whole: bool) -> Result<Vec<u8>, ProtocolError> {
    let mut list = SystemFiles::default();
    if !whole {
        for member in closure.files.iter().filter(|member| member.system) {
            let digest = match member.role {
                Role::Probed => PRESENT,
                _ => blocks.digest(member),
            };
            list.push(member.real.as_os_str().as_bytes(), &digest);
        }
    }
    let body = Body::pack_slice(Version::Tree, list.as_bytes());
    Ok([
        &token::head(&tag::SYSD, body.wire().len())?[..],
        body.wire(),
    ]
    .concat())
}

/// `NFIL` and the entries.
fn entries(blocks: &Blocks, items: &[Item], version: Version) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = token::head(&tag::NFIL, items.len())?.to_vec();
    let bytes_of = |path: &Path| path.as_os_str().as_bytes().to_vec();
    for item in items {
        let entry = match item {
            Item::File(file) => {
                append_file(&mut bytes, blocks, file)?;
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
        entry.append_to(&mut bytes, version)?;
    }
    Ok(bytes)
}

/// The file that stands for its folder, as stock's clients and servers call it.
pub(crate) const FORCING: &str = "forcing_technique_271828";

fn append_file(bytes: &mut Vec<u8>, blocks: &Blocks, file: &FileItem) -> Result<(), ProtocolError> {
    let block = blocks.block(file);
    let name = file.member.real.as_os_str().as_bytes();
    bytes.extend_from_slice(&token::head(&tag::NAME, name.len())?);
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(&token::head(&tag::FILE, block.len())?);
    bytes.extend_from_slice(&block);
    Ok(())
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

/// A file that nobody can change any more.
fn memory_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = File::from(rustix::fs::memfd_create("closure", flags)?);
    file.write_all(bytes)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&file, seals)?;
    Ok(file.into())
}
