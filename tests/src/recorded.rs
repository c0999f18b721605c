//! The recorded conversations in `tests/data/captures`.

use std::path::PathBuf;

/// A path below `tests/data`.
pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("data")
        .join(name)
}

/// One recorded conversation.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub name: String,
    pub request: Vec<u8>,
    pub response: Vec<u8>,
}

impl Recorded {
    /// All of protocol 1 or 2 that have a reply.
    pub fn replies(version: u32) -> Vec<Recorded> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(data("captures")).expect("the captures are in the project") {
            let name = entry.expect("a folder can be read").file_name();
            let name = name.to_str().expect("names of captures are ASCII");
            if let Some(name) = name.strip_suffix(".response.bin")
                && name.starts_with(&format!("v{version}-"))
            {
                let recorded = Recorded::named(name);
                if !recorded.response.is_empty() {
                    found.push(recorded);
                }
            }
        }
        assert!(
            !found.is_empty(),
            "no capture of version {version} was found"
        );
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    pub fn named(name: &str) -> Recorded {
        let read = |what: &str| {
            let path = data("captures").join(format!("{name}.{what}.bin"));
            std::fs::read(&path)
                .unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
        };
        Recorded {
            name: name.to_owned(),
            request: read("request"),
            response: read("response"),
        }
    }

    /// Where each token of the response begins, and where the response ends.
    pub fn boundaries(&self) -> Vec<usize> {
        let mut at = 0;
        let mut found = vec![0];
        while at < self.response.len() {
            let head = std::str::from_utf8(&self.response[at..at + 12]).expect("a token is ASCII");
            let value = usize::from_str_radix(&head[4..], 16).expect("a token ends in hex digits");
            found.push(at + 12);
            at += 12;
            if !matches!(&head[..4], "DONE" | "STAT") && value > 0 {
                at += value;
                found.push(at);
            }
        }
        found.dedup();
        found
    }

    /// Every length at which to cut the response: all, or those beside a boundary and a few within the bodies.
    pub fn cuts(&self, all: bool) -> Vec<usize> {
        if all {
            return (0..self.response.len()).collect();
        }
        let mut cuts: Vec<usize> = self
            .boundaries()
            .into_iter()
            .flat_map(|at| [at.saturating_sub(1), at, at + 1, at + 6])
            .chain([self.response.len() / 2])
            .filter(|at| *at < self.response.len())
            .collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_recorded_reply_is_made_of_tokens() {
        for recorded in Recorded::replies(1).into_iter().chain(Recorded::replies(2)) {
            let boundaries = recorded.boundaries();
            assert_eq!(
                boundaries.last(),
                Some(&recorded.response.len()),
                "{}",
                recorded.name
            );
            assert!(boundaries.len() >= 6, "{}", recorded.name);
        }
    }
}
