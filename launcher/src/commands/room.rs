//! How much memory could be had without swapping: what the machine has, within what our control groups allow.

use std::fs;
use std::path::Path;

/// In bytes; `None` where the system does not tell.
pub(super) fn free_memory() -> Option<u64> {
    let machine = meminfo(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let group = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let allowed = allowed(Path::new("/sys/fs/cgroup"), &group);
    Some(allowed.map_or(machine, |allowed| allowed.min(machine)))
}

fn meminfo(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib.saturating_mul(1024))
}

/// What the tightest of our control groups (version 2) leaves, if any has a limit.
fn allowed(root: &Path, own: &str) -> Option<u64> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let group = root.join(own);
    let groups = group.ancestors().take_while(|at| at.starts_with(root));
    groups.filter_map(left_in).min()
}

fn left_in(group: &Path) -> Option<u64> {
    let number = |name: &str| -> Option<u64> {
        let text = fs::read_to_string(group.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let limit = number("memory.max")?;
    let used = number("memory.current")?;
    // Files that nobody uses are dropped when memory is wanted.
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let cache = stat
        .lines()
        .find_map(|line| line.strip_prefix("inactive_file "))
        .and_then(|bytes| bytes.trim().parse().ok())
        .unwrap_or(0);
    Some(limit.saturating_sub(used.saturating_sub(cache)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_counts_what_could_be_freed() {
        let text = "MemTotal: 9 kB\nMemFree:  1 kB\nMemAvailable:    7 kB\n";
        assert_eq!(meminfo(text), Some(7 << 10));
        assert_eq!(meminfo("MemTotal: 9 kB\n"), None);
    }

    #[test]
    fn the_tightest_group_decides() {
        let root = tempfile::tempdir().expect("folder");
        let inner = root.path().join("outer/inner");
        fs::create_dir_all(&inner).expect("folder");
        let write = |group: &Path, max: &str, current: &str| {
            fs::write(group.join("memory.max"), max).expect("written");
            fs::write(group.join("memory.current"), current).expect("written");
        };
        write(&inner, "max\n", "50\n");
        assert_eq!(allowed(root.path(), "0::/outer/inner\n"), None);
        write(&root.path().join("outer"), "1000\n", "400\n");
        assert_eq!(allowed(root.path(), "0::/outer/inner\n"), Some(600));
        fs::write(
            root.path().join("outer/memory.stat"),
            "file 9\ninactive_file 150\n",
        )
        .expect("written");
        assert_eq!(allowed(root.path(), "0::/outer/inner\n"), Some(750));
        write(&inner, "100\n", "300\n");
        assert_eq!(allowed(root.path(), "0::/outer/inner\n"), Some(0));
        assert_eq!(allowed(root.path(), "12:memory:/x\n"), None);
    }
}
