//! May this command be run here, and how?
//!
//! The words are judged by the table that the launcher uses (`compiler`); what is added is what only this host knows:
//! its compilers and its `--sysroot`. Every refusal is a sentence for the client.

use std::ffi::{OsStr, OsString};
use std::path::{Component, Path};

use compiler::Product;
use compiler::remote::{self, DaemonJob, Refusal};

use crate::compilers::{Compiler, Compilers};
use crate::log;
use crate::scratch::{product_name, source_name};

/// Why a complete request is not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the command has no words")]
    NoWords,
    #[error("no compiler {} on this host, or not an allowed one", name.display())]
    Compiler { name: OsString },
    #[error(transparent)]
    Words(#[from] Refusal),
    #[error("{} is to be read as assembler", word.display())]
    HiddenAssembler { word: OsString },
    #[error("not a name that a job may have: {}", word.display())]
    Name { word: OsString },
    #[error(
        "this daemon's folder for jobs has an equals sign in its name, which no prefix map takes"
    )]
    Unmappable,
    #[error("not a compile that can be run elsewhere: {why}")]
    NotAJob { why: &'static str },
    #[error("a link that leads out of the job: {}", word.display())]
    Link { word: OsString },
    #[error(
        "jobs that bring their files need a box with views of its own, which this daemon has not"
    )]
    NoViews,
}

/// A command that is run here.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) compiler: Compiler,
    job: DaemonJob,
    /// The client's words after the compiler's name, but for `specs`.
    args: Vec<OsString>,
    /// `-specs=` words that `--sysroot` lets through.
    specs: Vec<OsString>,
}

/// A command whose compiler is known.
pub(crate) struct Named {
    pub(crate) compiler: Compiler,
    /// The client's words after the compiler's name, but for `specs`.
    pub(crate) args: Vec<OsString>,
    /// `-specs=` words that `--sysroot` lets through.
    pub(crate) specs: Vec<OsString>,
}

/// Finds the compiler that the first word names.
///
/// # Errors
/// It is not on the list.
pub(crate) fn name_compiler(
    compilers: &Compilers,
    sysroot: Option<&Path>,
    argv: Vec<OsString>,
) -> Result<Named, Refused> {
    let mut words = argv.into_iter();
    let name = words.next().ok_or(Refused::NoWords)?;
    let Some(compiler) = compilers.named(&name) else {
        return Err(Refused::Compiler { name });
    };
    let (specs, args) = words.partition(|word| is_ours(sysroot, word));
    Ok(Named {
        compiler,
        args,
        specs,
    })
}

/// Reads a command with the compiler's name first.
///
/// # Errors
/// The compiler is not on the list, or a word asks for something that is not done for clients.
pub(crate) fn check(
    compilers: &Compilers,
    sysroot: Option<&Path>,
    argv: Vec<OsString>,
) -> Result<Checked, Refused> {
    let Named {
        compiler,
        args,
        specs,
    } = name_compiler(compilers, sysroot, argv)?;
    let job = remote::check(compiler.family, compiler.cxx, &args)?;
    if let Some(word) = job.unknown.and_then(|at| args.get(at)) {
        // Its spelling says that it names no file; what it does else is the compiler's affair.
        log::debug!("unknown option {} is passed on", word.display());
    }
    let checked = Checked {
        compiler,
        job,
        args,
        specs,
    };
    refuse_hidden_assembler(&checked.job, checked.source())?;
    Ok(checked)
}

/// Is it a specs file of this host's own sysroot?
fn is_ours(sysroot: Option<&Path>, word: &OsStr) -> bool {
    let name = word.as_encoded_bytes().strip_prefix(b"-specs=");
    let (Some(sysroot), Some(name)) = (sysroot, name.and_then(|name| str::from_utf8(name).ok()))
    else {
        return false;
    };
    let name = Path::new(name);
    let plain = name
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    plain && sysroot.join(name).is_file()
}

/// Our launcher names assembler by its suffix; who says it otherwise wants to get it past somebody.
pub(crate) fn refuse_hidden_assembler(job: &DaemonJob, source: &OsStr) -> Result<(), Refused> {
    let suffix = Path::new(source).extension();
    let says_so = suffix.is_some_and(|suffix| ["s", "S", "sx"].iter().any(|s| suffix == *s));
    if job.language.is_assembler() && !says_so {
        let word = source.to_owned();
        return Err(Refused::HiddenAssembler { word });
    }
    Ok(())
}

impl Checked {
    fn source(&self) -> &OsStr {
        let source = self.args.get(self.job.source);
        source.map_or(OsStr::new(""), OsString::as_os_str)
    }

    /// The name that the source must have in the job's folder.
    pub(crate) fn source_name(&self) -> OsString {
        source_name(self.source(), self.job.language.preprocessed_suffix())
    }

    /// The name that the product shall have beside `source`.
    pub(crate) fn product_name(&self, source: &OsStr) -> OsString {
        let suffix = match self.job.product {
            Product::Object => "o",
            Product::Assembly => "s",
        };
        product_name(source, suffix)
    }

    /// The words to run the compiler with, after its name, in `folder`.
    pub(crate) fn args(&self, folder: &Path, source: &OsStr, product: &OsStr) -> Vec<OsString> {
        let mut words = self.specs.clone();
        words.extend(self.hide(folder));
        words.extend(self.job.args_for(&self.args, source, product));
        words
    }

    /// Keeps the folder's name, which is another one each time, out of debug information. It gets there when the text
    /// does not say where it was compiled, as gcc's does and clang's does not.
    fn hide(&self, folder: &Path) -> Option<OsString> {
        let debug = self
            .args
            .iter()
            .any(|word| word.as_encoded_bytes().starts_with(b"-g"));
        let can_be_mapped = !folder.as_os_str().as_encoded_bytes().contains(&b'=');
        if !debug || !can_be_mapped || self.job.language.is_assembler() {
            return None;
        }
        let mut word = OsString::from("-fdebug-prefix-map=");
        word.push(folder);
        word.push("=.");
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compilers::Search;
    use std::os::unix::fs::PermissionsExt;

    fn run(sysroot: Option<&Path>, line: &str) -> Result<Vec<OsString>, String> {
        let folder = tempfile::tempdir().unwrap();
        let gcc = folder.path().join("gcc");
        std::fs::write(&gcc, "").unwrap();
        std::fs::set_permissions(&gcc, std::fs::Permissions::from_mode(0o755)).unwrap();
        let compilers = Compilers::find(&Search {
            path: folder.path().into(),
            list: None,
            any_program: false,
        });
        let argv = line.split(' ').map(OsString::from).collect();
        let checked =
            check(&compilers.unwrap(), sysroot, argv).map_err(|refused| refused.to_string())?;
        let source = checked.source_name();
        let product = checked.product_name(&source);
        Ok(checked.args(Path::new("/job"), &source, &product))
    }

    #[test]
    fn names_are_the_daemons_own() {
        let words = run(None, "gcc -O2 -c /home/ann/x.c -o /home/ann/out/x.o").unwrap();
        assert!(
            words.contains(&"x.i".into()) && words.contains(&"x.o".into()),
            "{words:?}"
        );
        assert!(words.contains(&"-O2".into()));
        assert!(
            !words
                .iter()
                .any(|word| word.to_str().unwrap().contains('/')),
            "{words:?}"
        );
    }

    #[test]
    fn the_folder_stays_out_of_debug_information() {
        let map = OsString::from("-fdebug-prefix-map=/job=.");
        assert!(run(None, "gcc -g -c x.c").unwrap().contains(&map));
        assert!(run(None, "gcc -ggdb3 -c x.c").unwrap().contains(&map));
        assert!(!run(None, "gcc -c x.c").unwrap().contains(&map));
        assert!(!run(None, "gcc -g -c x.s").unwrap().contains(&map));
    }

    #[test]
    fn assembly_text_is_another_product() {
        let words = run(None, "gcc -S x.c -o y").unwrap();
        assert!(words.contains(&"x.s".into()), "{words:?}");
    }

    #[test]
    fn unknown_flags_that_name_no_file_go_on() {
        assert!(
            run(None, "gcc -fof-tomorrow -c x.c")
                .unwrap()
                .contains(&"-fof-tomorrow".into())
        );
        assert!(run(None, "gcc -fof-tomorrow=/etc/passwd -c x.c").is_err());
    }

    #[test]
    fn assembler_must_say_so() {
        assert!(run(None, "gcc -c x.s -o x.o").is_ok());
        assert!(run(None, "gcc -c x.S -o x.o").is_ok());
        for line in [
            "gcc -x assembler -c x.c",
            "gcc -x assembler-with-cpp -c x.c",
            "gcc -c -xassembler x.c",
            "gcc --language=assembler -c x.c",
        ] {
            assert!(run(None, line).is_err(), "{line}");
        }
    }

    #[test]
    fn specs_of_the_sysroot_are_ours() {
        let sysroot = tempfile::tempdir().unwrap();
        std::fs::write(sysroot.path().join("nano.specs"), "").unwrap();
        std::fs::create_dir(sysroot.path().join("folder")).unwrap();
        let ours = Some(sysroot.path());
        let words = run(ours, "gcc -specs=nano.specs -c x.c").unwrap();
        assert_eq!(words[0], "-specs=nano.specs");
        for line in [
            "gcc -specs=none.specs -c x.c",
            "gcc -specs=folder -c x.c",
            "gcc -specs=folder/../nano.specs -c x.c",
            "gcc -specs=/etc/passwd -c x.c",
            "gcc -specs= -c x.c",
        ] {
            assert!(run(ours, line).is_err(), "{line}");
        }
        assert!(run(None, "gcc -specs=nano.specs -c x.c").is_err());
    }
}
