//! `distcc-launch setup cargo`.

use std::error::Error as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use integration_cargo_cc::{Refusal, Shell, Target, Variables};

use super::{SetupError, our_name, replace};
use crate::settings::Settings;

const FILE: &str = ".cargo/config.toml";

#[derive(Args)]
pub(super) struct Options {
    /// Put them into this file, keeping all else in it
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = FILE)]
    write: Option<PathBuf>,
    /// Print commands that set them in a shell
    #[arg(long, value_name = "SHELL", conflicts_with = "write")]
    print_env: Option<ShellName>,
    /// For builds for another machine only, such as aarch64-unknown-linux-gnu
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// The C compiler for it [the usual name, such as aarch64-linux-gnu-gcc]
    #[arg(long, value_name = "NAME", requires = "target")]
    cc: Option<String>,
    /// The C++ compiler for it
    #[arg(long, value_name = "NAME", requires = "target")]
    cxx: Option<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum ShellName {
    Sh,
    Fish,
}

pub(super) fn run(settings: &Settings, options: &Options) -> Result<(), SetupError> {
    let target = target(options)?;
    let variables = Variables::new(&our_name(settings)?, target.as_ref());
    match (&options.write, options.print_env) {
        (Some(file), _) => write(&chosen(file)?, &variables),
        (None, Some(shell)) => {
            let shell = match shell {
                ShellName::Sh => Shell::Sh,
                ShellName::Fish => Shell::Fish,
            };
            print!("{}", variables.exports(shell));
            Ok(())
        }
        (None, None) => {
            print!("{}", variables.fragment());
            Ok(())
        }
    }
}

fn target(options: &Options) -> Result<Option<Target>, SetupError> {
    let Some(triple) = &options.target else {
        return Ok(None);
    };
    let known = Target::known(triple);
    let cc = options.cc.clone();
    let cxx = options.cxx.clone();
    let (cc, cxx) = match (cc, cxx, known) {
        (Some(cc), Some(cxx), _) => (cc, cxx),
        (cc, cxx, Some(known)) => (cc.unwrap_or(known.cc), cxx.unwrap_or(known.cxx)),
        (_, _, None) => {
            return Err(SetupError::Other(format!(
                "it is not known what compiles for {triple}; name it with --cc and --cxx"
            )));
        }
    };
    Ok(Some(Target {
        triple: triple.clone(),
        cc,
        cxx,
    }))
}

/// The file that cargo will read: an old `.cargo/config` goes before the new name.
fn chosen(file: &Path) -> Result<PathBuf, SetupError> {
    let old = file.with_extension("");
    if file.ends_with(FILE) && old.is_file() {
        return Err(SetupError::Refused {
            path: file.to_owned(),
            why: format!(
                "cargo reads {} in its place; rename that first",
                old.display()
            ),
        });
    }
    Ok(file.to_owned())
}

fn write(file: &Path, variables: &Variables) -> Result<(), SetupError> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|source| SetupError::Read {
            path: file.to_owned(),
            source,
        })?,
    };
    let edited = integration_cargo_cc::add_to(&text, variables).map_err(|refusal: Refusal| {
        let cause = refusal.source().map(|cause| format!(": {cause}"));
        SetupError::Refused {
            path: file.to_owned(),
            why: format!("{refusal}{}", cause.unwrap_or_default()),
        }
    })?;
    replace(file, &edited)
}
