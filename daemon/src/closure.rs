//! Jobs that bring their files: each entry is checked by its components, and the box makes the client's own names true.
//!
//! Stock clients (protocol 3) name files by their real paths, links by where they lead to, the compiler's own folders by links that climb
//! out of a folder, and folders by a file in them that stands for them. Ours (tree jobs) say what is what. Both become one closure.

mod names;
mod wanted;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use compiler::{Surroundings, Verdict, classify};
use protocol::include_talk::FORCING;
use protocol::limits::MAX_SYSTEM_LIST;
use protocol::{
    ABSENT, Body, Content, Entry, Limits, ProtocolError, Source, SystemFiles, Version, digest,
};
use sandbox::{Bytes, Closure, Misfit, Packed, Tree, Trees};

use crate::check::{Named, Refused, name_compiler};
use crate::compilers::{Compiler, Compilers};
use crate::headers::Headers;
use crate::moved::Thing;
use names::{climbs, is_plain, resolve, stays_below_root};
pub(crate) use wanted::Wanted;

/// Where a dependency file goes that the words do not ask for, but the client.
const DEPFILE: &str = ".distccd.d";
/// Variables that a tree job may set.
const VARIABLES: [&str; 3] = ["LC_ALL", "TZ", "SOURCE_DATE_EPOCH"];

/// A job with its files, that is run here.
#[derive(Debug)]
pub(crate) struct ClosureJob {
    pub(crate) compiler: Compiler,
    /// The words after the compiler's name.
    pub(crate) args: Vec<OsString>,
    /// Where it runs, as the client calls it.
    pub(crate) directory: PathBuf,
    /// Where the compiler leaves the object, without links.
    pub(crate) object: PathBuf,
    pub(crate) depfile: Option<PathBuf>,
    /// Whether the messages are to be in a locale that the client knows.
    known_locale: bool,
    /// Beside those of all jobs.
    pub(crate) variables: Vec<(OsString, OsString)>,
    items: Vec<Item>,
    /// What is said of system headers, as it came: who waits for a slot is not unpacked.
    system: Option<Body>,
}

/// One name that was checked.
#[derive(Debug)]
struct Item {
    name: PathBuf,
    kind: Kind,
}

/// A file's bytes as they came.
#[derive(Debug, PartialEq, Eq)]
struct Block(Body);

impl Block {
    fn content(&self) -> Result<Cow<'_, [u8]>, ProtocolError> {
        let limit = Limits::for_daemon().unpacked(self.0.wire().len());
        self.0.content(limit)
    }
}

/// A block that is unpacked only while somebody wants it.
struct While<'a> {
    block: &'a Block,
    wanted: &'a Wanted,
}

impl Packed for While<'_> {
    fn unpack(&self) -> io::Result<Vec<u8>> {
        if self.wanted.look().is_err() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let content = self.block.content().map_err(io::Error::other)?;
        Ok(content.into_owned())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    File(Block),
    Link(OsString),
    /// A folder of the compiler's own, under its own name.
    System,
    Folder,
}

/// Reads a request that brings its files.
///
/// # Errors
/// The command is not one that is run here, or a name is none that can be made true.
pub(crate) fn check(
    compilers: &Compilers,
    sysroot: Option<&Path>,
    version: Version,
    directory: PathBuf,
    argv: Vec<OsString>,
    source: Source,
) -> Result<ClosureJob, Refused> {
    let Named {
        compiler,
        mut args,
        specs,
    } = name_compiler(compilers, sysroot, argv)?;
    let (entries, system, environment) = match source {
        Source::Closure(entries) => (entries, None, Vec::new()),
        Source::Tree {
            environment,
            system,
            entries,
        } => (entries, Some(system), environment),
        Source::Preprocessed(_) => (Vec::new(), None, Vec::new()),
    };
    if !is_plain(&directory) && directory != Path::new("/") {
        return Err(Refused::Name {
            word: directory.into(),
        });
    }
    let items = entries
        .into_iter()
        .map(item)
        .collect::<Result<Vec<_>, _>>()?;
    let items: Vec<Item> = items.into_iter().flatten().collect();
    let (object, depfile) = outputs(&compiler, &args, &directory)?;
    let links = links(&items);
    let real = |path: &Path| resolve(&directory.join(path), &links);
    let wants_depfile = version == Version::Pump && depfile.is_none();
    let depfile = match depfile {
        Some(path) => Some(real(&path)?),
        None if wants_depfile => {
            // The client may want one for variables that its words do not show.
            let path = real(&directory)?.join(DEPFILE);
            args.extend(["-MMD".into(), "-MF".into(), path.clone().into_os_string()]);
            Some(path)
        }
        None => None,
    };
    Ok(ClosureJob {
        object: real(&object)?,
        compiler,
        args: [specs, args].concat(),
        depfile,
        known_locale: version == Version::Tree,
        variables: variables(&environment),
        items,
        system,
        directory,
    })
}

/// Why a job's files do not come to stand where they should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LayoutError {
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error("a file cannot be unpacked")]
    Unpack(#[from] ProtocolError),
    #[error("the list of system headers cannot be read")]
    SystemFiles(#[source] ProtocolError),
    #[error("nobody wants the job any more")]
    Unwanted,
    #[error("could not write {}", path.display())]
    Write {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("named behind a link: {}", .0.display())]
    BehindLink(PathBuf),
    #[error("a link that leads out of the job: {}", .0.display())]
    LinkOut(PathBuf),
    #[error("names a file for the preprocessor, which cannot be moved: {}", .0.display())]
    Unmovable(OsString),
    /// The words of this line are what launchers look for.
    #[error("system headers differ: {}", .0.display())]
    Headers(PathBuf),
}

impl ClosureJob {
    /// The locale of the compiler's messages; `None` leaves the daemon's.
    pub(crate) fn locale(&self) -> Option<OsString> {
        let set = self.variables.iter().find(|(name, _)| name == "LC_ALL");
        let value = || set.map_or_else(|| "C.UTF-8".into(), |(_, value)| value.clone());
        self.known_locale.then(value)
    }

    /// Lays out the files in one of `owner`'s trees. Blocks for as long as files are unpacked and written in memory, or until
    /// nobody wants them any more.
    ///
    /// # Errors
    /// The machine's headers are others than the client's, or the files cannot stand where they are to.
    pub(crate) fn lay_out(
        &self,
        trees: &Trees,
        headers: &Headers,
        owner: &[u8],
        wanted: &Wanted,
    ) -> Result<Tree, LayoutError> {
        let hidden = self.compare(headers, wanted)?;
        let packed = self.items.iter().map(|item| match &item.kind {
            Kind::File(block) => Some(While { block, wanted }),
            _ => None,
        });
        let packed: Vec<Option<While<'_>>> = packed.collect();
        let entries = self.items.iter().zip(&packed).filter_map(|(item, packed)| {
            let content = match &item.kind {
                // Equal blocks hold equal bytes, and a block is shorter.
                Kind::File(block) => sandbox::Content::File {
                    digest: digest(block.0.wire()),
                    bytes: Bytes::From(packed.as_ref()?),
                },
                Kind::Link(target) => sandbox::Content::Link(target),
                // It is there.
                Kind::System => return None,
                Kind::Folder => sandbox::Content::Folder,
            };
            Some(sandbox::Entry {
                name: &item.name,
                content,
            })
        });
        let closure = Closure {
            entries: entries.collect(),
            hidden,
        };
        Ok(trees.lay_out(owner, &closure)?)
    }

    /// Compares the machine's headers with the client's. Folders of this machine's toolchain that are to hold nothing but what was sent.
    fn compare(&self, headers: &Headers, wanted: &Wanted) -> Result<Vec<PathBuf>, LayoutError> {
        let Some(system) = &self.system else {
            return Ok(Vec::new());
        };
        let system = system.content(MAX_SYSTEM_LIST);
        let system = system.and_then(|list| SystemFiles::read(list.into_owned()));
        let system = system.map_err(LayoutError::SystemFiles)?;
        let hidden = match system.iter().any(|(digest, _)| *digest != ABSENT) {
            true => Vec::new(),
            // Nothing is said of headers that are here, so they were all sent.
            false => include_folders(&self.items),
        };
        for (digest, name) in system.iter() {
            wanted.look()?;
            let name = Path::new(OsStr::from_bytes(name));
            if *digest == ABSENT && hidden.iter().any(|folder| name.starts_with(folder)) {
                continue;
            }
            if !headers.has(name, digest) {
                return Err(LayoutError::Headers(name.to_owned()));
            }
        }
        Ok(hidden)
    }
}

impl ClosureJob {
    /// Hands over each name with what is to stand there, for a folder that is no root: folders and files before links, nothing behind a
    /// link, and no link that leads out of the folder.
    ///
    /// # Errors
    /// A file cannot be unpacked, a name cannot stand there, or `place` fails.
    pub(crate) fn place(
        &self,
        wanted: &Wanted,
        place: &mut dyn FnMut(&Path, Thing<'_>) -> Result<(), LayoutError>,
    ) -> Result<(), LayoutError> {
        let is_link = |item: &&Item| matches!(item.kind, Kind::Link(_) | Kind::System);
        self.look_at_links()?;
        for item in self.items.iter().filter(|item| !is_link(item)) {
            wanted.look()?;
            match &item.kind {
                Kind::File(block) => place(&item.name, Thing::File(&block.content()?))?,
                _ => place(&item.name, Thing::Folder)?,
            }
        }
        for item in self.items.iter().filter(is_link) {
            match &item.kind {
                Kind::Link(target) => place(&item.name, Thing::Link(target))?,
                _ => place(&item.name, Thing::System)?,
            }
        }
        Ok(())
    }
}

impl ClosureJob {
    /// Whoever makes a name goes through what stands above it, and who opens a link goes where it leads.
    fn look_at_links(&self) -> Result<(), LayoutError> {
        let links = links(&self.items);
        let own = self.items.iter().filter(|item| item.kind == Kind::System);
        let own: HashSet<&Path> = own.map(|item| item.name.as_path()).collect();
        for item in &self.items {
            let mut above = item.name.ancestors().skip(1);
            if above.any(|folder| links.contains_key(folder) || own.contains(folder)) {
                return Err(LayoutError::BehindLink(item.name.clone()));
            }
            let Kind::Link(target) = &item.kind else {
                continue;
            };
            let above = item.name.parent().unwrap_or(Path::new("/"));
            if !stays_below_root(&above.join(target), &links) {
                return Err(LayoutError::LinkOut(item.name.clone()));
            }
        }
        Ok(())
    }
}

/// Where the command leaves its object and its dependency file, if it is one that a launcher sends anywhere.
fn outputs(
    compiler: &Compiler,
    args: &[OsString],
    directory: &Path,
) -> Result<(PathBuf, Option<PathBuf>), Refused> {
    let surroundings = Surroundings {
        assembler_goes: true,
        ..Surroundings::new(directory.as_os_str())
    };
    match classify(compiler.family, compiler.cxx, args, &surroundings) {
        Verdict::Distribute(job) => {
            // What is printed comes back with the compiler's own words.
            let depfile = job.depfile().filter(|depfile| !depfile.is_printed());
            let depfile = depfile.map(|depfile| PathBuf::from(depfile.path));
            Ok((PathBuf::from(job.output()), depfile))
        }
        Verdict::RunHere(reason) => Err(Refused::NotAJob {
            why: reason.sentence(),
        }),
    }
}

/// An entry as it stands in the box; none for what the box has anyway.
fn item(entry: Entry) -> Result<Option<Item>, Refused> {
    let name = PathBuf::from(OsString::from_vec(entry.name));
    if !is_plain(&name) {
        return Err(Refused::Name { word: name.into() });
    }
    let kind = match entry.content {
        Content::Folder => Kind::Folder,
        Content::Link(target) => {
            let target = OsString::from_vec(target);
            match climbs(&name, Path::new(&target)) {
                Some(there) if there == name => Kind::System,
                Some(_) => return Err(Refused::Link { word: name.into() }),
                None => Kind::Link(target),
            }
        }
        Content::File(body) => {
            if name.file_name() == Some(OsStr::new(FORCING)) && body.wire().is_empty() {
                let name = name.parent().map_or(name.clone(), Path::to_owned);
                return Ok((name != Path::new("/")).then_some(Item {
                    name,
                    kind: Kind::Folder,
                }));
            }
            Kind::File(Block(body))
        }
    };
    Ok(Some(Item { name, kind }))
}

fn links(items: &[Item]) -> HashMap<&Path, &OsStr> {
    let links = items.iter().filter_map(|item| match &item.kind {
        Kind::Link(target) => Some((item.name.as_path(), target.as_os_str())),
        _ => None,
    });
    links.collect()
}

/// Folders of headers that were sent whole: up to the first part named `include…`, as compilers call theirs.
fn include_folders(items: &[Item]) -> Vec<PathBuf> {
    let mut folders = BTreeSet::new();
    for item in items {
        let above = match item.kind {
            Kind::File(_) => item.name.parent(),
            Kind::Folder => Some(item.name.as_path()),
            Kind::Link(_) | Kind::System => None,
        };
        let mut folder = PathBuf::new();
        for part in above.into_iter().flat_map(Path::components) {
            folder.push(part);
            if part.as_os_str().as_bytes().starts_with(b"include") {
                folders.insert(folder);
                break;
            }
        }
    }
    folders.into_iter().collect()
}

/// Those of the variables that a client may set.
fn variables(environment: &[u8]) -> Vec<(OsString, OsString)> {
    let pairs = environment.split(|byte| *byte == 0).filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&pair[..at], &pair[at + 1..]);
        let known = VARIABLES.iter().any(|known| known.as_bytes() == name);
        known.then(|| {
            (
                OsStr::from_bytes(name).to_owned(),
                OsStr::from_bytes(value).to_owned(),
            )
        })
    });
    pairs.collect()
}
