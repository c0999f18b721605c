//! Names of hosts to addresses, without the C library's own resolver: a static one cannot load what `nsswitch.conf` names.
//!
//! Numbers need nothing.  Other names are asked from a child (`getent ahosts`, which does what every other program of
//! this machine does) and remembered in `$DISTCC_DIR/addresses/` for a minute.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use crate::remember;

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(60);

/// The address that `name` spells out; IPv6 without brackets.
pub(crate) fn numeric(name: &str) -> Option<IpAddr> {
    name.parse().ok()
}

/// The addresses of `name`, best first; never empty.
pub(crate) fn addresses(name: &str, folder: Option<&Path>) -> io::Result<Vec<IpAddr>> {
    let memory = folder.and_then(|folder| file_for(folder, name));
    let remembered = memory.as_deref().and_then(recall);
    if let Some((addresses, true)) = &remembered {
        return Ok(addresses.clone());
    }
    match ask(name) {
        Ok(addresses) => {
            if let Some(file) = &memory {
                keep(file, &addresses);
            }
            Ok(addresses)
        }
        // A name server that is away does not make a host that was there a minute ago vanish.
        Err(error) => remembered.map(|(addresses, _)| addresses).ok_or(error),
    }
}

/// The file that remembers `name`; none for names that are no file names.
fn file_for(folder: &Path, name: &str) -> Option<PathBuf> {
    let plain = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    (plain && !name.starts_with('.')).then(|| folder.join("addresses").join(name))
}

/// What was remembered, and whether it still holds.
fn recall(file: &Path) -> Option<(Vec<IpAddr>, bool)> {
    let (text, found) = remember::read(file)?;
    let age = SystemTime::now().duration_since(found.modified().ok()?);
    let addresses: Vec<IpAddr> = String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect();
    // A change time in the future is a clock that was set: ask again.
    (!addresses.is_empty()).then_some((addresses, age.is_ok_and(|age| age < FRESH)))
}

fn keep(file: &Path, addresses: &[IpAddr]) {
    let text: String = addresses
        .iter()
        .map(|address| format!("{address}\n"))
        .collect();
    remember::write(file, text.as_bytes());
}

fn ask(name: &str) -> io::Result<Vec<IpAddr>> {
    let output = match Command::new("getent")
        .arg("ahosts")
        .arg("--")
        .arg(name)
        .stdin(Stdio::null())
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return ask_library(name),
        Err(error) => return Err(error),
    };
    let addresses = read_ahosts(&output.stdout);
    if addresses.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!("no address is known for {name}"),
        ));
    }
    Ok(addresses)
}

/// Where there is no `getent` the library is asked after all.
fn ask_library(name: &str) -> io::Result<Vec<IpAddr>> {
    Ok((name, 0)
        .to_socket_addrs()?
        .map(|address| address.ip())
        .collect())
}

/// The stream addresses of `getent ahosts`, each once, in order: `127.0.0.1       STREAM localhost`.
fn read_ahosts(text: &[u8]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some("STREAM")) = (words.next(), words.next())
            && let Ok(address) = address.parse()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn answers_are_read_in_order_and_once() {
        let text = b"::1             STREAM ip6-localhost\n::1             DGRAM  \n127.0.0.1       STREAM localhost\n127.0.0.1 STREAM\n\
                     fe80::1%eth0 STREAM x\n";
        assert_eq!(
            read_ahosts(text),
            [
                "::1".parse::<IpAddr>().expect("v6"),
                "127.0.0.1".parse().expect("v4")
            ]
        );
        assert!(read_ahosts(b"\xff\xfe\n").is_empty());
    }

    #[test]
    fn answers_are_remembered_while_they_hold() {
        let folder = tempfile::tempdir().expect("folder");
        let first = addresses("localhost", Some(folder.path())).expect("localhost has an address");
        let file = folder.path().join("addresses/localhost");
        assert_eq!(recall(&file), Some((first, true)));

        fs::write(&file, "192.0.2.7\n").expect("changed");
        assert_eq!(
            addresses("localhost", Some(folder.path())).expect("remembered"),
            [IpAddr::from([192, 0, 2, 7])]
        );

        let old = SystemTime::now() - FRESH * 2;
        fs::File::options()
            .append(true)
            .open(&file)
            .and_then(|file| file.set_modified(old))
            .expect("aged");
        assert_ne!(
            addresses("localhost", Some(folder.path())).expect("asked"),
            [IpAddr::from([192, 0, 2, 7])]
        );
    }

    #[test]
    fn only_plain_names_become_file_names() {
        for bad in ["", "..", ".hidden", "a/b", "../../x", "a b"] {
            assert_eq!(file_for(Path::new("/d"), bad), None, "{bad}");
        }
        assert_eq!(
            file_for(Path::new("/d"), "build-3.lan"),
            Some("/d/addresses/build-3.lan".into())
        );
    }
}
