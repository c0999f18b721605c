//! What each option means to us: one row per option, in a table for each family, sorted, found by binary search.
//!
//! Shape (how a value is attached) and effect (which step cares) are separate columns. Knows nothing of commands: [`crate::words`] reads
//! them with it.

mod clang;
mod common;
mod gcc;
mod lookup;

use crate::Reason;
use lookup::Columns;
pub use lookup::Table;

/// How an option's value is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// None: the word is the name and nothing more.
    Flag,
    /// The rest of the word, which may be empty.
    Joined,
    /// The next word.
    Separate,
    /// The rest of the word, or the next word when nothing is left.
    Either,
}

/// Where a compile stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    Object,
    Assembly,
    /// Looks at the source, leaves nothing.
    Check,
    Preprocess,
}

/// What an option says about the dependency file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dep {
    /// `-MD`
    All,
    /// `-MMD`
    User,
    /// `-MF`
    File,
    /// `-MT`, `-MQ`
    Target,
    /// `-MP` and the like: only the form.
    Shape,
    /// `-MG`: missing headers are no error.
    Missing,
}

/// A program that the driver passes words to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    Preprocessor,
    Assembler,
    /// clang's `-Xclang`.
    Frontend,
    /// clang's `-mllvm`.
    Backend,
}

/// Which later step an option matters to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Shapes what the preprocessor makes of the source; the text that comes out holds it.
    Cpp,
    /// As `Cpp`: where headers are looked for.
    Search,
    /// Only changes how `-E` prints, which a compile never sees: given to neither side.
    Neither,
    /// As `Neither` for the words, but the text is taken for preprocessed already (`-fpreprocessed`).
    Preprocessed,
    Deps(Dep),
    /// Means something to the linker only.
    Link,
    Stop(Stage),
    Output,
    Language,
    Pass(Tool),
    /// Changes for which target the code is.
    Target,
    /// Chooses a processor: ties the result to this machine when it is `native`.
    Cpu,
    /// Asks for debug information, or with level 0 for none.
    Debug,
    /// Names the compile directory in debug information.
    DebugDir,
    /// Whether the object names its compiler.
    Ident(bool),
    /// gcc's `-flto`: the code that is kept for the linker names the lines, columns and folder of the source.
    Lto(bool),
    /// The product is LLVM bitcode, without an ELF header.
    Bitcode,
    NoBitcode,
    /// Names files that no distributed job writes (`-dumpbase`).
    Aux,
    /// Warns by what comments say.
    Fallthrough,
    /// Quotes the source's lines in assembler text.
    Annotates,
    /// `-fsanitize=`: some kinds write the columns of the source into the object.
    Columns,
    /// `-d` and letters.
    Letters,
    /// The object records the compiler's options.
    Records,
    /// `-fdiagnostics-format=`
    Format,
    /// `-fbasic-block-sections=`, which may name a list.
    Sections,
    /// Writes a file when the value has an equals sign (`-fopt-info-all=FILE`).
    FileAfterEquals(Reason),
    /// Ties the result to this machine.
    Here(Reason),
    /// Not known: what the spelling says decides ([`guess_is_harmless`]).
    Guess,
    /// gcc reads `--NAME` as `-fNAME`.
    LikeF,
    /// gcc reads `--machine-NAME` as `-mNAME`.
    LikeM,
    /// `--`: the rest are files.
    End,
    /// Both sides get it.
    Everywhere,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Opt {
    pub name: &'static str,
    pub shape: Shape,
    pub effect: Effect,
}

const fn opt(name: &'static str, shape: Shape, effect: Effect) -> Opt {
    Opt {
        name,
        shape,
        effect,
    }
}

/// The rule for options that no row names: may it go out? Not when its spelling says that it reads, writes or reports something, nor when it
/// has a value that could be a file's name.
pub fn guess_is_harmless(word: &[u8]) -> bool {
    const TELLTALE: &[&[u8]] = &[
        b"dump",
        b"save",
        b"report",
        b"stats",
        b"trace",
        b"time",
        b"profile",
        b"plugin",
        b"print",
        b"file",
        b"path",
        b"dir",
        b"output",
        b"record",
        b"cache",
        b"list",
        b"load",
        b"map",
        b"module",
        b"pch",
        b"coverage",
    ];
    let contains = |part: &&[u8]| word.windows(part.len()).any(|w| w == *part);
    if TELLTALE.iter().any(contains) {
        return false;
    }
    match word.iter().position(|&b| b == b'=') {
        Some(equals) => !word[equals..].iter().any(|b| matches!(b, b'/' | b'.')),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_be_files_are_not_harmless() {
        assert!(guess_is_harmless(b"-fnosuch"));
        assert!(guess_is_harmless(b"-mfoo=bar"));
        assert!(!guess_is_harmless(b"-fnosuch=a.txt"));
        assert!(!guess_is_harmless(b"-fsave-the-whales"));
    }
}
