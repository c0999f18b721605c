//! How wide a build runs: the pool file that hand-written Ninja files include, what each build tool understands of widths
//! ([`tool`]), and jobservers ([`jobserver`]).
//!
//! Takes its numbers from the host list by way of [`Capacity`].

pub mod jobserver;
pub mod tool;

use hosts::capacity::Capacity;

/// The text of `distcc.ninja`: a pool for compiles, one for links, one for everything else that runs here.
///
/// Ninja takes a depth of 0 for "no limit", so a pool is at least one job deep.
pub fn pool_file(capacity: &Capacity) -> String {
    let Capacity {
        total, link, local, ..
    } = *capacity;
    let pool = |name: &str, depth: u32| format!("\npool {name}\n  depth = {}\n", depth.max(1));
    let mut text = String::from(
        "# Written by `distcc-launch setup ninja` from the host list; write it again when the list changes.\n",
    );
    text.push_str(&pool("distcc_compile", total));
    text.push_str(&pool("distcc_link", link));
    text.push_str(&pool("distcc_local", local));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capacity(list: &str, processors: u32) -> Capacity {
        let list = hosts::list::parse(list).unwrap();
        Capacity::new(&list, processors, 64 << 30)
    }

    #[test]
    fn pools_are_as_deep_as_the_host_list_says() {
        let text = pool_file(&capacity("one/16 two/8", 4));
        assert!(
            text.contains("pool distcc_compile\n  depth = 28\n"),
            "{text}"
        );
        assert!(text.contains("pool distcc_link\n  depth = 4\n"), "{text}");
        assert!(text.contains("pool distcc_local\n  depth = 4\n"), "{text}");
    }

    #[test]
    fn no_pool_is_without_limit() {
        let nothing = Capacity {
            remote: 0,
            local: 0,
            total: 0,
            link: 0,
            cpp: 0,
        };
        assert!(!pool_file(&nothing).contains("depth = 0"));
    }

    /// The copy that comes with the example is what this writes for two processors and no hosts.
    #[test]
    fn the_example_s_pool_file_is_current() {
        let example = include_str!("../example/distcc.ninja");
        assert_eq!(example, pool_file(&capacity("localhost/2", 2)));
    }
}
