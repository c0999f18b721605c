//! Where the host list comes from: DISTCC_HOSTS, then DISTCC_DIR/hosts, then the system's file (facts 2.1).

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{HostList, HostListError, parse};

/// A hosts file that is larger is refused, as by stock.
pub const MAX_FILE: u64 = 1 << 20;

/// Where a list may be. The caller reads the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// DISTCC_HOSTS; set but empty counts.
    pub hosts: Option<OsString>,
    /// DISTCC_DIR.
    pub distcc_dir: Option<OsString>,
    /// HOME.
    pub home: Option<OsString>,
    /// The folder of the system's settings.
    pub system: PathBuf,
}

impl Default for Places {
    fn default() -> Places {
        Places {
            hosts: None,
            distcc_dir: None,
            home: None,
            system: PathBuf::from("/etc/distcc"),
        }
    }
}

/// Which source a list came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The variable DISTCC_HOSTS.
    Variable,
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Variable => out.write_str("$DISTCC_HOSTS"),
            Origin::File(path) => path.display().fmt(out),
        }
    }
}

/// Why there is no list. The job is then compiled here.
#[derive(Debug, thiserror::Error)]
pub enum NoHosts {
    #[error("{0} names no host; write one such as \"10.0.0.2/8,lzo\"")]
    Empty(Origin),
    /// `+zeroconf` alone, and nothing says which hosts it may use.
    #[error(
        "{0} uses no host that +zeroconf finds, since anybody can announce one: let DISTCC_LAUNCH_ZEROCONF_NETS name their network, or write +zeroconf,key"
    )]
    NoneAllowed(Origin),
    /// `+zeroconf` alone, and there is none.
    #[error("{0} names no host but +zeroconf, which found none that may be used")]
    NoneFound(Origin),
    #[error("no host list: set DISTCC_HOSTS or write {}", list_files(.looked))]
    Nothing { looked: Vec<PathBuf> },
    #[error("could not read host list {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("host list {} is larger than {MAX_FILE} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{origin}: {error}")]
    Bad {
        origin: Origin,
        error: HostListError,
    },
}

fn list_files(files: &[PathBuf]) -> String {
    files
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(" or ")
}

/// The first list there is, in the order of facts 2.1. Lists are not merged.
pub fn find(places: &Places) -> Result<(HostList, Origin), NoHosts> {
    if let Some(hosts) = &places.hosts {
        return read(hosts.as_encoded_bytes(), Origin::Variable);
    }
    let mut looked = Vec::new();
    for path in files(places) {
        match contents(&path)? {
            Some(text) => return read(&text, Origin::File(path)),
            None => looked.push(path),
        }
    }
    Err(NoHosts::Nothing { looked })
}

fn files(places: &Places) -> Vec<PathBuf> {
    let set = |value: &Option<OsString>| {
        value
            .clone()
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let own =
        set(&places.distcc_dir).or_else(|| set(&places.home).map(|home| home.join(".distcc")));
    own.into_iter()
        .chain([places.system.clone()])
        .map(|folder| folder.join(OsStr::new("hosts")))
        .collect()
}

fn read(text: &[u8], origin: Origin) -> Result<(HostList, Origin), NoHosts> {
    match parse(text) {
        Ok(list) => Ok((list, origin)),
        Err(HostListError::Empty) => Err(NoHosts::Empty(origin)),
        Err(error) => Err(NoHosts::Bad { origin, error }),
    }
}

/// What the file says, or `None` when there is none.
fn contents(path: &Path) -> Result<Option<Vec<u8>>, NoHosts> {
    let unreadable = |source| NoHosts::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = Vec::new();
    file.take(MAX_FILE + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > MAX_FILE {
        return Err(NoHosts::TooLarge {
            path: path.to_owned(),
        });
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(root: &Path) -> Places {
        std::fs::create_dir_all(root.join("own")).unwrap();
        std::fs::create_dir_all(root.join("home/.distcc")).unwrap();
        std::fs::create_dir_all(root.join("system")).unwrap();
        Places {
            hosts: None,
            distcc_dir: Some(root.join("own").into()),
            home: Some(root.join("home").into()),
            system: root.join("system"),
        }
    }

    fn first(places: &Places) -> (String, Origin) {
        let (list, origin) = find(places).unwrap();
        (list.hosts[0].token.clone(), origin)
    }

    #[test]
    fn the_nearest_list_wins() {
        let temp = tempfile::tempdir().unwrap();
        let mut places = places(temp.path());
        let system = temp.path().join("system/hosts");
        let home = temp.path().join("home/.distcc/hosts");
        let own = temp.path().join("own/hosts");

        let error = find(&places).unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "no host list: set DISTCC_HOSTS or write {} or {}",
                own.display(),
                system.display()
            )
        );
        std::fs::write(&home, "home").unwrap();
        assert!(
            matches!(find(&places), Err(NoHosts::Nothing { .. })),
            "DISTCC_DIR hides HOME"
        );
        std::fs::write(&system, "# farm\n system ").unwrap();
        assert_eq!(first(&places), ("system".to_owned(), Origin::File(system)));
        std::fs::write(&own, "own").unwrap();
        assert_eq!(first(&places), ("own".to_owned(), Origin::File(own)));
        places.distcc_dir = None;
        assert_eq!(first(&places), ("home".to_owned(), Origin::File(home)));
        places.hosts = Some("variable".into());
        assert_eq!(first(&places), ("variable".to_owned(), Origin::Variable));
    }

    #[test]
    fn a_set_but_empty_variable_hides_the_files() {
        let temp = tempfile::tempdir().unwrap();
        let mut places = places(temp.path());
        std::fs::write(temp.path().join("own/hosts"), "own").unwrap();
        for empty in ["", " \n", "# own"] {
            places.hosts = Some(empty.into());
            let error = find(&places).unwrap_err();
            assert_eq!(
                error.to_string(),
                "$DISTCC_HOSTS names no host; write one such as \"10.0.0.2/8,lzo\""
            );
        }
    }

    #[test]
    fn files_that_cannot_serve_are_named() {
        let temp = tempfile::tempdir().unwrap();
        let places = places(temp.path());
        let own = temp.path().join("own/hosts");
        std::fs::create_dir(&own).unwrap();
        assert_eq!(
            find(&places).unwrap_err().to_string(),
            format!("could not read host list {}", own.display())
        );
        std::fs::remove_dir(&own).unwrap();
        std::fs::write(&own, vec![b' '; MAX_FILE as usize + 1]).unwrap();
        let error = find(&places).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("host list {} is larger than 1048576 bytes", own.display())
        );
        std::fs::write(&own, "ok\nbad/0").unwrap();
        let error = find(&places).unwrap_err();
        assert!(matches!(&error, NoHosts::Bad { origin: Origin::File(path), .. } if *path == own));
        assert!(
            error
                .to_string()
                .starts_with(&format!("{}: host \"bad/0\": ", own.display())),
            "{error}"
        );
    }
}
