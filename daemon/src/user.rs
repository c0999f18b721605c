//! Root becomes somebody else before a byte of the network is read.

use rustix::process::geteuid;

use crate::{log, os};

/// Who serves when `--user` says nothing, as stock has it.
const USUAL: &[&str] = &["distccd", "distcc", "nobody"];
/// The owner of nothing, by convention.
const NOBODY: u32 = 65534;

/// Why root stayed root.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UserError {
    #[error("no user {0:?} in /etc/passwd; create it or give another --user")]
    Unknown(String),
    #[error("could not become user {name} (uid {uid})")]
    Change {
        name: String,
        uid: u32,
        source: std::io::Error,
    },
    #[error("--user {0:?} is root; give an ordinary user")]
    Root(String),
}

/// Nothing that this thread and those after it start can gain privileges: compilers are never set-uid.
pub(crate) fn give_up_gaining() {
    if let Err(error) = rustix::thread::set_no_new_privs(true) {
        log::debug!("set-uid programs keep working: {error}");
    }
}

/// Uid and gid of whom root becomes: `wanted` or one of the usual users. `None` when this is not root.
///
/// # Errors
/// The user does not exist or is root.
pub(crate) fn to_become(wanted: Option<&str>) -> Result<Option<(u32, u32)>, UserError> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let (_, uid, gid) = choose(wanted, &passwd)?;
    Ok(Some((uid, gid)))
}

/// Becomes `wanted` or one of the usual users if this is root, with all threads.
///
/// # Errors
/// The user does not exist, is root, or the system refuses.
pub(crate) fn discard_root(wanted: Option<&str>) -> Result<(), UserError> {
    if geteuid().is_root() {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (name, uid, gid) = choose(wanted, &passwd)?;
        os::become_user(uid, gid).map_err(|source| UserError::Change { name, uid, source })?;
    } else if let Some(name) = wanted {
        log::warning!("--user {name} is ignored: only root can change users");
    }
    Ok(())
}

fn choose(wanted: Option<&str>, passwd: &str) -> Result<(String, u32, u32), UserError> {
    let found = match wanted {
        Some(name) => {
            let ids = look_up(name, passwd).ok_or_else(|| UserError::Unknown(name.to_owned()))?;
            (name.to_owned(), ids.0, ids.1)
        }
        None => USUAL
            .iter()
            .find_map(|name| look_up(name, passwd).map(|(uid, gid)| ((*name).to_owned(), uid, gid)))
            .unwrap_or(("nobody".to_owned(), NOBODY, NOBODY)),
    };
    if found.1 == 0 {
        Err(UserError::Root(found.0))
    } else {
        Ok(found)
    }
}

/// Uid and gid of `name`, which may be a number.
fn look_up(name: &str, passwd: &str) -> Option<(u32, u32)> {
    let by_number = name.parse::<u32>().ok();
    let entry = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (login, _, uid, gid) = (
            fields.next()?,
            fields.next()?,
            fields.next()?,
            fields.next()?,
        );
        let ids = (uid.parse().ok()?, gid.parse().ok()?);
        (login == name || by_number == Some(ids.0)).then_some(ids)
    });
    entry.or(by_number.map(|uid| (uid, uid)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\nann:x:1000:1001::/:/bin/sh\n";

    #[test]
    fn users_by_name_and_number() {
        assert_eq!(look_up("ann", PASSWD), Some((1000, 1001)));
        assert_eq!(look_up("1000", PASSWD), Some((1000, 1001)));
        assert_eq!(look_up("77", PASSWD), Some((77, 77)));
        assert_eq!(look_up("eve", PASSWD), None);
    }

    #[test]
    fn the_usual_users_are_tried_in_turn() {
        assert_eq!(choose(None, PASSWD).unwrap().1, 65534);
        assert_eq!(choose(None, "").unwrap().1, NOBODY);
        let with = format!("{PASSWD}distccd:x:101:65534::/:/bin/false\n");
        assert_eq!(choose(None, &with).unwrap(), ("distccd".into(), 101, 65534));
    }

    #[test]
    fn root_is_no_choice() {
        assert!(matches!(
            choose(Some("root"), PASSWD),
            Err(UserError::Root(_))
        ));
        assert!(matches!(choose(Some("0"), PASSWD), Err(UserError::Root(_))));
        assert!(matches!(
            choose(Some("eve"), PASSWD),
            Err(UserError::Unknown(_))
        ));
    }
}
