//! What the journal's codes say to people: a sentence for each, and what to do where something can be done.
//!
//! The sentences stand with the codes (`Reason`, `Trap`, `Why`); here are those of attempts, and the advice.

use compiler::Reason;
use compiler::manner::Trap;

use crate::here::Why;
use crate::pump;

/// The sentence of a code; `None` for one of another version.
pub(super) fn sentence(code: &str) -> Option<&'static str> {
    let why = || Why::all().find(|why| why.code() == code);
    let trap = || Trap::all().iter().find(|trap| trap.code() == code);
    Reason::from_code(code)
        .map(Reason::sentence)
        .or_else(|| why().map(Why::sentence))
        .or_else(|| trap().map(|trap| trap.sentence()))
        .or_else(|| of_attempt(code))
        .or_else(|| pump::sentence(code))
}

/// `the sentence (the-code)`, or the code alone.
pub(super) fn spelled(code: &str) -> String {
    match sentence(code) {
        Some(sentence) => format!("{sentence} ({code})"),
        None => code.to_owned(),
    }
}

/// What became of a try at a host.
fn of_attempt(code: &str) -> Option<&'static str> {
    Some(match code {
        "no-address" => "no address was found for its name",
        "connect-refused" => "nothing listened on its port",
        "connect-timeout" => "it did not answer",
        "connect-failed" => "it could not be connected to",
        "transport-failed" => "the program that leads to it could not be started",
        "send-failed" => "the connection broke while the job was sent",
        "send-timeout" => "it stopped taking the job",
        "receive-failed" => "the connection broke while it was at work",
        "receive-timeout" => {
            "its answer did not come in time (DISTCC_IO_TIMEOUT, or many times what such jobs take)"
        }
        "receive-stalled" => "it stopped in the middle of its answer",
        "hello-timeout" => "it did not say whose daemon it runs",
        "network-lost" => "the network to it was gone",
        "outrun" => "another host came first",
        "closed" => "it closed the connection without an answer",
        "truncated" => "it closed the connection in the middle of its answer",
        "protocol" => "its answer was not distcc's protocol",
        "other-compiler-there" => "it has not this compiler",
        "key-file" => "the key file that the host list names is none",
        "key-refused" => "it does not take the key",
        "key-other-daemon" => "it is not the daemon that the key names",
        "key-timeout" => "it did not answer the key in time",
        "key-failed" => "it was not reached to show the key",
        "key-forged" => "somebody on the line changed what was said",
        "object-differs" => "its object was not the one that is compiled here",
        "no-sign-of-life" => "it showed no sign of life",
        "unsendable" => "a word or a length is more than the protocol can carry",
        _ => return None,
    })
}

/// What somebody can do who wants such commands to be sent; `None` where that is how it has to be.
pub(super) fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "no-hosts"
        | "bad-host-list"
        | "no-folder"
        | "hosts-avoided"
        | "hosts-failed"
        | "connect-refused"
        | "connect-timeout"
        | "connect-failed"
        | "no-address"
        | "transport-failed"
        | "closed"
        | "truncated"
        | "protocol"
        | "receive-timeout"
        | "receive-stalled"
        | "hello-timeout"
        | "network-lost"
        | "send-timeout"
        | "send-failed"
        | "receive-failed"
        | "other-compiler-there"
        | "object-of-other-compiler"
        | "object-for-other-machine"
        | "empty-object"
        | "no-object"
        | "failed-there"
        | "killed-there" => "distcc-launch doctor says which host it is and what mends it",
        "localhost-listed" => {
            "take localhost out of the host list, or put it last, if this machine has enough to do"
        }
        "compiler-script" => {
            "put the launcher into the script, before its compiler: exec distcc-launch /usr/bin/gcc … \"$@\""
        }
        "native-cpu" => {
            "name the processor instead of -march=native, or leave out -g: debug information records the words"
        }
        "precompiled-header" => {
            "without precompiled headers all sources could be sent: cmake -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON"
        }
        "coverage" => "coverage builds stay here; build without --coverage to use the hosts",
        "profile" => "profile builds stay here; build without the profile options to use the hosts",
        "split-debug" => "-g without -gsplit-dwarf can be sent",
        "keeps-temporaries" => "without -save-temps it can be sent",
        "unknown-compiler" => {
            "the launcher goes before the compiler itself: distcc-launch gcc …, and after ccache"
        }
        "search-environment" => {
            "unset what it is, if nobody needs it: COMPILER_PATH, GCC_EXEC_PREFIX, GCC_COMPARE_DEBUG, …"
        }
        "messages-may-differ" => {
            "with distcc-launchd on the host instead of stock's daemon, most sources that warn can be sent"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The codes that begin the rows of a page's tables.
    fn codes(page: &str) -> Vec<&str> {
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        cells
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .filter(|code| code.bytes().all(|b| b == b'-' || b.is_ascii_lowercase()))
            .collect()
    }

    #[test]
    fn every_code_of_the_docs_has_a_sentence() {
        let page = include_str!("../../../docs/journal.md");
        let (_, page) = page.split_once("## Reasons").expect("its own section");
        let codes = codes(page);
        assert!(codes.len() > 25, "{codes:?}");
        for code in codes {
            assert!(sentence(code).is_some(), "{code}");
        }
        assert_eq!(sentence("of-another-version"), None);
        assert_eq!(spelled("of-another-version"), "of-another-version");
    }

    #[test]
    fn codes_are_nobody_elses() {
        let mut all: Vec<_> = Reason::all().iter().map(|reason| reason.code()).collect();
        all.extend(Why::all().map(Why::code));
        all.extend(Trap::all().iter().map(|trap| trap.code()));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
