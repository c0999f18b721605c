//! Names to addresses, without the C library's resolver: a static one finds no name services.

use std::net::IpAddr;
use std::process::{Command, Stdio};

/// The addresses of `host`, as the system's name services know them; none when they do not.
pub(crate) fn addresses(host: &str) -> Option<Vec<IpAddr>> {
    if host.is_empty()
        || host.starts_with('-')
        || host.contains(|c: char| c.is_whitespace() || c == '/')
    {
        return None;
    }
    // An all-numeric word that is no address would be read as a number by some resolvers.
    if host
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        return None;
    }
    let output = Command::new("getent")
        .args(["ahosts", host])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut found: Vec<IpAddr> = Vec::new();
    for address in text
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
    {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    (!found.is_empty()).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_resolves_to_loopback() {
        let found = addresses("localhost").expect("every system knows localhost");
        assert!(found.iter().all(IpAddr::is_loopback), "{found:?}");
    }

    #[test]
    fn nonsense_is_not_asked_for() {
        for host in ["", "-x", "300.1.1.1", "a b", "a/b"] {
            assert_eq!(addresses(host), None, "{host}");
        }
    }
}
