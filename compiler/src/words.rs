//! A command read with the table: which words are options, which are their values, which are files.
//!
//! Decides nothing; everything that does folds over these words.

use crate::Family;
use crate::table::{Effect, Opt, Shape, Table};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// One option with its value, or one file.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// Index of the first argument.
    pub at: usize,
    /// How many arguments it takes up: 1, or 2 when the value is an argument of its own.
    pub span: usize,
    pub meaning: Meaning,
    /// The option's value or the file's name; empty when there is none.
    pub value: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
pub enum Meaning {
    Option(&'static Opt),
    /// An option that no row of the table fits.
    Unknown,
    /// An option whose value is missing, since the command ends.
    Lacks,
    /// A file, or `-`.
    Operand,
}

impl<'a> Word<'a> {
    /// Which step cares; `None` for files and for options that could not be read.
    pub fn effect(&self) -> Option<Effect> {
        match self.meaning {
            Meaning::Option(opt) => Some(opt.effect),
            Meaning::Unknown | Meaning::Lacks | Meaning::Operand => None,
        }
    }

    /// The value as a word.
    pub fn value_os(&self) -> &'a OsStr {
        OsStr::from_bytes(self.value)
    }

    /// Is the value an argument of its own?
    pub fn is_pair(&self) -> bool {
        self.span == 2
    }
}

/// Reads the arguments of a command, the compiler's name left out.
pub fn read(family: Family, args: &[OsString]) -> Vec<Word<'_>> {
    let table = Table::of(family);
    let mut words = Vec::with_capacity(args.len());
    let mut at = 0;
    let mut only_files = false;
    while let Some(arg) = args.get(at) {
        let next = args.get(at + 1).map(|next| next.as_bytes());
        let word = if only_files {
            file(arg.as_bytes())
        } else {
            read_one(table, arg.as_bytes(), next)
        };
        let word = Word { at, ..word };
        only_files |= matches!(word.effect(), Some(Effect::End));
        at += word.span;
        words.push(word);
    }
    words
}

/// Reads the words that the driver passes to another program (`-Wp,…`).
pub(crate) fn read_one<'a>(table: &Table, arg: &'a [u8], next: Option<&'a [u8]>) -> Word<'a> {
    if arg.first() != Some(&b'-') || arg == b"-" {
        return file(arg);
    }
    let Some(opt) = find(table, arg) else {
        return Word {
            at: 0,
            span: 1,
            meaning: Meaning::Unknown,
            value: arg,
        };
    };
    // gcc's `--NAME` for `-fNAME` is found under another length: the value is what both end with.
    let rest = &arg[arg.len() - value_len(opt, arg)..];
    let separate = match opt.shape {
        Shape::Flag | Shape::Joined => false,
        Shape::Separate => true,
        Shape::Either => rest.is_empty(),
    };
    match (separate, next) {
        (false, _) => Word {
            at: 0,
            span: 1,
            meaning: Meaning::Option(opt),
            value: rest,
        },
        (true, Some(value)) => Word {
            at: 0,
            span: 2,
            meaning: Meaning::Option(opt),
            value,
        },
        (true, None) => Word {
            at: 0,
            span: 1,
            meaning: Meaning::Lacks,
            value: arg,
        },
    }
}

fn file(arg: &[u8]) -> Word<'_> {
    Word {
        at: 0,
        span: 1,
        meaning: Meaning::Operand,
        value: arg,
    }
}

/// The row of `arg`, seen through gcc's long spellings of `-f…` and `-m…`.
fn find(table: &Table, arg: &[u8]) -> Option<&'static Opt> {
    let opt = table.lookup(arg)?;
    let short: &[u8] = match opt.effect {
        // gcc 12 knows no end of options, and takes the beginning of a long name for the whole where it can.
        Effect::LikeF if table.begins_a_name(arg) => return None,
        Effect::LikeF => b"-f",
        Effect::LikeM => b"-m",
        _ => return Some(opt),
    };
    table.lookup(&[short, &arg[opt.name.len()..]].concat())
}

/// How many bytes at the end of `arg` are the value of `opt`.
fn value_len(opt: &Opt, arg: &[u8]) -> usize {
    let name = opt.name.as_bytes();
    if arg.starts_with(name) {
        return arg.len() - name.len();
    }
    let long = if arg.starts_with(b"--machine") {
        b"--machine-".len()
    } else {
        b"--".len()
    };
    (arg.len() + b"-f".len()).saturating_sub(long + name.len())
}
