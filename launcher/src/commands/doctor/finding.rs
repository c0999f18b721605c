//! What the doctor finds, layer by layer, and how it is printed.

use crate::commands::json::Object;

/// How a layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    Failed,
    /// There was nothing to look at, or another layer stands in the way.
    Skipped,
}

/// One line of the report.
#[derive(Debug, Clone)]
pub(super) struct Finding {
    pub(super) layer: Layer,
    pub(super) state: State,
    /// The host that it is about.
    pub(super) host: Option<String>,
    /// A stable code of what is wrong.
    pub(super) fault: Option<&'static str>,
    /// What is so.
    pub(super) what: String,
    /// What mends it: a command where there is one.
    pub(super) fix: Option<String>,
}

macro_rules! layers {
    ($($name:ident $word:literal $about:literal;)*) => {
        /// What is looked at, in the order of the report.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Layer {
            $(#[doc = $about] $name,)*
        }

        impl Layer {
            pub(super) const ALL: &[Layer] = &[$(Layer::$name,)*];

            pub(super) fn name(self) -> &'static str {
                match self { $(Layer::$name => $word,)* }
            }
        }
    };
}

layers! {
    Settings   "settings"   "Variables of the launcher's own.";
    HostList   "host list"  "Which list holds, and what is in it.";
    Folder     "folder"     "`$DISTCC_DIR` with its locks and state.";
    Launcher   "launcher"   "Do builds find it by its name?";
    Temporary  "temporary"  "The folder for temporary files.";
    Journal    "journal"    "Is it written, and by the builds of here?";
    Compiler   "compiler"   "Found, no launcher itself, understood.";
    Name       "name"       "Names to addresses.";
    Connect    "connect"    "Does something listen?";
    Access     "access"     "May this machine in?";
    Daemon     "daemon"     "Is it one, and whose?";
    Compile    "compile"    "A small unit, and is its object what it would be here?";
    Memory     "memory"     "What is remembered of hosts that are well now.";
    Link       "link"       "The object, linked and run.";
    Clock      "clock"      "The same time everywhere?";
    Width      "width"      "Does the build tool run as many jobs as there are slots?";
    Jobserver  "jobserver"  "Can make read what it is told?";
    Cmake      "cmake"      "Environment and cache.";
    Ccache     "ccache"     "Is it in front?";
    CcCrate    "cc crate"   "Does it know the wrapper?";
}

impl Finding {
    pub(super) fn ok(layer: Layer, what: impl Into<String>) -> Finding {
        Finding {
            layer,
            state: State::Ok,
            host: None,
            fault: None,
            what: what.into(),
            fix: None,
        }
    }

    pub(super) fn skipped(layer: Layer, what: impl Into<String>) -> Finding {
        Finding {
            state: State::Skipped,
            ..Finding::ok(layer, what)
        }
    }

    pub(super) fn failed(
        layer: Layer,
        fault: &'static str,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Finding {
        Finding {
            state: State::Failed,
            fault: Some(fault),
            fix: Some(fix.into()),
            ..Finding::ok(layer, what)
        }
    }

    pub(super) fn at(self, host: &str) -> Finding {
        Finding {
            host: Some(host.to_owned()),
            ..self
        }
    }
}

/// Sorts into the order of the report; of a layer that is well at several hosts one line is left.
pub(super) fn arranged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut arranged = Vec::new();
    for layer in Layer::ALL {
        let (mut well, rest): (Vec<_>, Vec<_>) = findings
            .iter()
            .filter(|finding| finding.layer == *layer)
            .cloned()
            .partition(|finding| finding.state == State::Ok && finding.host.is_some());
        if let [first, _, ..] = &well[..] {
            let hosts: Vec<_> = well.iter().filter_map(|one| one.host.as_deref()).collect();
            let same = well.iter().all(|one| one.what == first.what);
            let what = match same {
                true => format!("{} ({} hosts)", first.what, hosts.len()),
                false => well
                    .iter()
                    .map(|one| format!("{}: {}", one.host.as_deref().unwrap_or_default(), one.what))
                    .collect::<Vec<_>>()
                    .join("; "),
            };
            well = vec![Finding::ok(*layer, what)];
        }
        arranged.extend(well);
        arranged.extend(rest);
    }
    arranged
}

pub(super) fn as_text(findings: &[Finding]) -> String {
    let mut out = String::new();
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Failed => "FAILED",
            State::Skipped => "skipped",
        };
        let host = finding.host.as_ref().map(|host| format!("{host}: "));
        let (layer, what) = (finding.layer.name(), &finding.what);
        out.push_str(&format!(
            "{state:<7}  {layer:<9}  {}{what}\n",
            host.unwrap_or_default()
        ));
        for line in finding.fix.iter().flat_map(|fix| fix.lines()) {
            out.push_str(&format!("{:20}-> {line}\n", ""));
        }
    }
    let failed = count(findings);
    out.push_str(&match failed {
        0 => "all is well\n".to_owned(),
        1 => "1 thing is wrong\n".to_owned(),
        _ => format!("{failed} things are wrong\n"),
    });
    out
}

/// How many are wrong.
pub(super) fn count(findings: &[Finding]) -> usize {
    let failed = findings.iter();
    failed.filter(|one| one.state == State::Failed).count()
}

pub(super) fn as_json(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let state = match finding.state {
            State::Ok => "ok",
            State::Failed => "failed",
            State::Skipped => "skipped",
        };
        Object::new()
            .text("layer", finding.layer.name())
            .text("state", state)
            .maybe("host", finding.host.as_ref())
            .maybe("fault", finding.fault)
            .text("what", &finding.what)
            .maybe("fix", finding.fix.as_ref())
            .end()
    });
    let whole = Object::new()
        .plain("well", count(findings) == 0)
        .list("layers", lines)
        .end();
    whole + "\n"
}
