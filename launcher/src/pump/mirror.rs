//! The talk with a stock include server: it answers with paths below a mirror folder, whose files are ready to be sent.
//!
//! Facts: the folder has three components; what follows is the name at the client, then `.lzo`, then perhaps `.abs`. Links are sent
//! as links. An entry that only makes a folder exist has a name of its own, and need not be there.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use protocol::closure_talk::Flags;
use protocol::include_talk::{AnswerDecoder, FORCING, Question};
use protocol::{Body, Coding, Content, Entry, Limits, Progress, Token, Version, token::tag};
use rustix::fs::MemfdFlags;

use super::ask::failed;
use super::{BROKEN, NotPumped};

/// Puts the question over `stream`; gives a memory file with what is to be sent, and its size.
///
/// # Errors
/// The server refuses this source, or gave no whole answer.
pub(super) fn ask(
    stream: UnixStream,
    cwd: &OsStr,
    compiler: &OsStr,
    args: &[OsString],
) -> Result<(File, u64, Flags), NotPumped> {
    let paths = paths(stream, cwd, compiler, args)?;
    let entries = entries(&paths).ok_or(BROKEN)?;
    let flags = flags(&entries, &paths);
    let bytes = encoded(&entries).ok_or(BROKEN)?;
    let mut file = rustix::fs::memfd_create("closure", MemfdFlags::CLOEXEC)
        .map(File::from)
        .map_err(|_| BROKEN)?;
    file.write_all(&bytes).map_err(|_| BROKEN)?;
    Ok((file, bytes.len() as u64, flags))
}

/// What an entry is, in the words of stock's `--scan-includes`, and its name at the client.
pub(super) fn described(path: &[u8]) -> Option<(&'static str, &[u8])> {
    let name = name_of(path)?;
    if let Some(folder) = forced(name) {
        return Some(("DIRECTORY", folder));
    }
    match std::fs::read_link(OsStr::from_bytes(path)) {
        // More steps up than the name has down: it leaves the daemon's folder.
        Ok(target) if target.starts_with("../../../../..") => Some(("SYSTEMDIR", name)),
        Ok(_) => Some(("SYMLINK", name)),
        Err(_) => Some(("FILE", name)),
    }
}

/// The answer's paths: never none.
pub(super) fn paths(
    mut stream: UnixStream,
    cwd: &OsStr,
    compiler: &OsStr,
    args: &[OsString],
) -> Result<Vec<Vec<u8>>, NotPumped> {
    let words = std::iter::once(compiler).chain(args.iter().map(|word| &**word));
    let question = Question {
        cwd: cwd.as_bytes().to_vec(),
        argv: words.map(|word| word.as_bytes().to_vec()).collect(),
    };
    let question = question.encode().map_err(|_| BROKEN)?;
    stream
        .write_all(&question)
        .map_err(|error| failed(&error))?;
    let mut decoder = AnswerDecoder::new(Limits::for_launcher());
    loop {
        let count = stream
            .read(decoder.space())
            .map_err(|error| failed(&error))?;
        match decoder.filled(count) {
            Ok(Progress::Done) => break,
            Ok(Progress::More) if count > 0 => {}
            _ => return Err(BROKEN),
        }
    }
    let paths = decoder.finish().map_err(|_| BROKEN)?.paths;
    if paths.is_empty() {
        return Err(NotPumped("include-server-refused"));
    }
    Ok(paths)
}

/// All entries; `None` when a path is none of a mirror's, or its file is gone.
fn entries(paths: &[Vec<u8>]) -> Option<Vec<Entry>> {
    let entry = |path: &Vec<u8>| {
        Some(Entry {
            name: name_of(path)?.to_vec(),
            content: content(path)?,
        })
    };
    paths.iter().map(entry).collect()
}

/// `NFIL` and the entries.
fn encoded(entries: &[Entry]) -> Option<Vec<u8>> {
    let value = u32::try_from(entries.len()).ok()?;
    let mut bytes = Token {
        tag: tag::NFIL,
        value,
    }
    .encode()
    .to_vec();
    for entry in entries {
        entry.append_to(&mut bytes, Version::Pump).ok()?;
    }
    Some(bytes)
}

/// What the files may ask for. This server does not say what of their text is live, so all of it counts.
fn flags(entries: &[Entry], paths: &[Vec<u8>]) -> Flags {
    const WORDS: [(&[u8], u32); 5] = [
        (b"__DATE__", Flags::CLOCK),
        (b"__TIME__", Flags::CLOCK),
        (b"__TIMESTAMP__", Flags::TIMESTAMP),
        (b".incbin", Flags::ASSEMBLER),
        (b"__FILE__", Flags::FILE_NAMES),
    ];
    let mut found = 0;
    for entry in entries {
        let Content::File(body) = &entry.content else {
            continue;
        };
        let limit = Limits::for_launcher().unpacked(body.wire().len());
        let Ok(text) = body.clone().unpack(limit) else {
            continue;
        };
        let words = WORDS.iter();
        let said = words.filter(|(word, _)| memchr::memmem::find(&text, word).is_some());
        found |= said.fold(0, |flags, (_, flag)| flags | flag);
    }
    if !paths.iter().any(|path| path.ends_with(b".abs")) {
        // Every file is known by the name that it has in the command.
        found &= !Flags::FILE_NAMES;
    }
    Flags(found)
}

fn content(path: &[u8]) -> Option<Content> {
    if forced(path).is_some() {
        return Some(Content::File(Body::empty(Version::Pump)));
    }
    let path = Path::new(OsStr::from_bytes(path));
    match std::fs::read_link(path) {
        Ok(target) => Some(Content::Link(target.as_os_str().as_bytes().to_vec())),
        Err(_) => {
            let block = std::fs::read(path).ok()?;
            Some(Content::File(Body::received(Coding::Lzo, block)))
        }
    }
}

/// The folder that an entry stands for.
fn forced(name: &[u8]) -> Option<&[u8]> {
    name.strip_suffix(FORCING.as_bytes())?.strip_suffix(b"/")
}

/// The name at the client.
fn name_of(path: &[u8]) -> Option<&[u8]> {
    let mut slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
    let (at, _) = slashes.nth(3)?;
    let name = path.get(at..)?;
    let name = name.strip_suffix(b".abs").unwrap_or(name);
    Some(name.strip_suffix(b".lzo").unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_the_mirror() {
        let name = |path: &str| {
            name_of(path.as_bytes()).map(|name| String::from_utf8_lossy(name).into_owned())
        };
        assert_eq!(
            name("/dev/shm/t.include_server-1-1/w/a.c.lzo").as_deref(),
            Some("/w/a.c")
        );
        assert_eq!(name("/dev/shm/t/w/a.h.lzo.abs").as_deref(), Some("/w/a.h"));
        assert_eq!(
            name("/tmp/t/padding/usr/include").as_deref(),
            Some("/usr/include")
        );
        assert_eq!(name("/tmp/t/padding"), None);
    }

    #[test]
    fn files_links_and_folders_become_entries() {
        let root = tempfile::tempdir().expect("folder");
        // Three components above the names, wherever the test's folder is.
        let base = root.path().join("a/b/c");
        std::fs::create_dir_all(base.join("w")).expect("folders");
        std::fs::write(base.join("w/a.c.lzo"), b"\x15int;\x11\0\0").expect("file");
        std::os::unix::fs::symlink("/x", base.join("l")).expect("link");
        let path = |name: &str| base.join(name).as_os_str().as_bytes().to_vec();
        let paths = [path("w/a.c.lzo"), path("l"), path(&format!("d/{FORCING}"))];
        let all = entries(&paths).expect("entries");
        let bytes = encoded(&all).expect("they fit");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.starts_with("NFIL00000003NAME"), "{text}");
        assert!(text.contains("FILE00000008\u{15}int;"), "{text}");
        assert!(text.contains("LINK00000002/x"), "{text}");
        assert!(text.ends_with("FILE00000000"), "{text}");
        assert_eq!(flags(&all, &paths), Flags(0));
        assert!(entries(&[path("gone")]).is_none());
    }
}
