//! What `+zeroconf` in the host list came to.

use super::finding::{Finding, Layer};
use crate::settings::Settings;
use crate::zeroconf::Search;

/// Nothing where the list has no such word.
pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    let Some(search) = Search::of(settings) else {
        return Vec::new();
    };
    let word = &search.word;
    let mut found = Vec::new();
    if !search.wrong_nets.is_empty() {
        found.push(Finding::failed(
            Layer::Settings,
            "bad-setting",
            format!(
                "DISTCC_LAUNCH_ZEROCONF_NETS has {:?}, which names no network and allows nothing",
                search.wrong_nets.join(" ")
            ),
            "export DISTCC_LAUNCH_ZEROCONF_NETS=10.0.0.0/8,fd00::/8",
        ));
    }
    let ignored: Vec<_> = search
        .ignored()
        .map(|(one, why)| format!("{} ({})", one.name, why.sentence()))
        .collect();
    let used = search.found.len() - ignored.len();
    found.push(match (&search.failed, search.may_use_any, used) {
        (Some(why), _, _) => Finding::failed(
            Layer::HostList,
            "zeroconf-no-browser",
            format!("nobody looks for the hosts of {word}: {why}"),
            "cargo xtask install /usr/local      # distcc-launch, and zeroconf-browser beside it",
        ),
        (None, false, _) => Finding::failed(
            Layer::HostList,
            "zeroconf-not-allowed",
            format!(
                "{word} uses no host that it finds, since anybody can announce one: neither DISTCC_LAUNCH_ZEROCONF_NETS nor ,key says which"
            ),
            "export DISTCC_LAUNCH_ZEROCONF_NETS=10.0.0.0/8      # your network",
        ),
        (None, true, 0) if ignored.is_empty() => Finding::failed(
            Layer::HostList,
            "zeroconf-nothing-found",
            format!("{word} found no daemon that announces itself in this network"),
            "distcc-launchd --daemon --zeroconf      # on the other machines",
        ),
        (None, true, 0) => Finding::failed(
            Layer::HostList,
            "zeroconf-nothing-found",
            format!("{word} found only what is not used: {}", ignored.join(", ")),
            "export DISTCC_LAUNCH_ZEROCONF_NETS=10.0.0.0/8      # your network, where that is the reason",
        ),
        (None, true, _) if ignored.is_empty() => Finding::ok(
            Layer::HostList,
            format!("{word} found {used}"),
        ),
        (None, true, _) => Finding::ok(
            Layer::HostList,
            format!("{word} found {used}, and is not using {}", ignored.join(", ")),
        ),
    });
    found
}
