//! The layer of what this machine remembers of a host that is well: what was noted when it was not keeps jobs away from it.

use std::path::Path;
use std::time::{Duration, SystemTime};

use hosts::view::left;
use hosts::{Dislikes, Folder, Host, Period};

use super::finding::{Finding, Layer};
use super::network::Daemon;
use super::remote::Trial;
use crate::peer::Peer;

/// A pause that is over so soon is not worth a word.
const SOON: Duration = Duration::from_secs(5);

/// What stands in the way of jobs for `host`, on which the unit was compiled just now.
pub(super) fn look(trial: &Trial<'_>, host: &Host, daemon: &Daemon) -> Finding {
    let name = host.name();
    let Some(root) = &trial.settings.folder else {
        return Finding::skipped(Layer::Memory, "there is no folder that remembers").at(&name);
    };
    let found = remembered(trial, host, daemon, root).or_else(|| avoided(trial, host, root));
    let found = found.unwrap_or_else(|| {
        Finding::ok(Layer::Memory, "nothing is remembered that keeps jobs away")
    });
    found.at(&name)
}

/// Notes of a failure, or that it had another compiler.
fn avoided(trial: &Trial<'_>, host: &Host, root: &Path) -> Option<Finding> {
    let (folder, now) = (Folder::at(root), SystemTime::now());
    let period = match trial.settings.backoff {
        Some(seconds) => Period::Fixed(Duration::from_secs(seconds)),
        None => Period::Growing,
    };
    let dislikes = Dislikes::new(&folder, period);
    let id = trial.tried.about.id();
    let mut unfit = dislikes.unfit_for(host, now).into_iter();
    let lock = root.join("lock");
    let (until, what, file) = if let Some(unfit) = unfit.find(|unfit| unfit.compiler == id) {
        let file = format!("{}/unfit_{}_*", lock.display(), host.lock_name());
        (
            unfit.until,
            "of this compiler, since it answered wrongly",
            file,
        )
    } else {
        let avoided = dislikes.avoided(host, now)?;
        let file = format!("{}/backoff_{}_0", lock.display(), host.lock_name());
        (avoided.until, "at all, since it failed", file)
    };
    let left = left(until, now);
    (left > SOON).then(|| {
        Finding::failed(
            Layer::Memory,
            "still-avoided",
            format!(
                "it is well now, but gets no jobs {what}, for {:.0} s more",
                left.as_secs_f64()
            ),
            format!("rm -f {file}"),
        )
    })
}

/// What its daemon said up to an hour ago, where that is not so any more.
fn remembered(trial: &Trial<'_>, host: &Host, daemon: &Daemon, root: &Path) -> Option<Finding> {
    let (peer, file) = Peer::remembered(host, root)?;
    let about = &trial.tried.about;
    let lacks =
        peer.has(about.remote.as_encoded_bytes(), &about.ident, &about.triple) == Some(false);
    let what = match (peer.ours, daemon) {
        (true, _) if lacks => "that it has not this compiler",
        (true, Daemon::Stock) => "a daemon of ours there, where stock's runs now",
        (false, Daemon::Ours(_)) => "stock's daemon there, where ours runs now",
        _ => return None,
    };
    Some(Finding::failed(
        Layer::Memory,
        "remembers-old",
        format!("this machine remembers {what}, for an hour at most"),
        format!("rm -f {}", file.display()),
    ))
}
