//! `compile_commands.json`: the commands of a build, each with the folder it runs in.
//!
//! Knows nothing of files: the caller gives the text. Strings are taken as bytes, since paths are bytes: a string that is no UTF-8 is
//! no mistake here. Source of the form: clang's page "JSON Compilation Database"; what CMake and Meson write differs in that `output`
//! may be there and that `command` may start with a launcher.

use crate::names;
use crate::table::Effect;
use crate::words::{Meaning, Word};
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::marker::PhantomData;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'t> {
    /// The folder that the command runs in; `file`, `output` and the command's words are relative to it.
    pub directory: Cow<'t, [u8]>,
    /// The source.
    pub file: Cow<'t, [u8]>,
    /// What it makes, where the file says so.
    pub output: Option<Cow<'t, [u8]>>,
    /// The command, split into words; at least one.
    pub words: Vec<OsString>,
}

/// The text is no compilation database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct CompdbError {
    /// Lines and columns (in bytes) count from 1; where reading stopped, which is just behind what is wrong.
    pub line: usize,
    pub column: usize,
    /// What is wrong there.
    pub what: String,
}

/// The entries of a compilation database, in its order.
///
/// # Errors
/// [`CompdbError`] for the first place where the text is no list of entries, or where a command cannot be split into words.
pub fn read(text: &[u8]) -> Result<Vec<Entry<'_>>, CompdbError> {
    serde_json::from_slice(text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        let said = said
            .strip_suffix(&format!(" at line {line} column {column}"))
            .unwrap_or(&said);
        let what = match error.classify() {
            serde_json::error::Category::Eof => format!("the text ends too early ({said})"),
            serde_json::error::Category::Syntax => format!("this is no JSON ({said})"),
            _ => said.to_owned(),
        };
        CompdbError { line, column, what }
    })
}

/// Programs that stand before a compiler and start it.
const LAUNCHERS: [&[u8]; 5] = [b"ccache", b"distcc", b"distcc-launch", b"icecc", b"sccache"];

/// How many words at the front of a command are launchers, by their base names. One word is always left.
pub fn launchers(words: &[OsString]) -> usize {
    let front = words.len().saturating_sub(1);
    words[..front]
        .iter()
        .take_while(|word| LAUNCHERS.contains(&names::base(word.as_bytes())))
        .count()
}

/// The output that the words after the compiler's name write down: the value of the last `-o`.
pub fn written_output<'a>(words: &[Word<'a>]) -> Option<&'a OsStr> {
    let mut written = words.iter().rev();
    written
        .find(|word| word.effect() == Some(Effect::Output))
        .map(Word::value_os)
}

/// The files that `-include` names.
pub fn included<'w, 'a>(words: &'w [Word<'a>]) -> impl Iterator<Item = &'a OsStr> + 'w {
    let is_include = |word: &&Word<'_>| {
        matches!(word.meaning, Meaning::Option(opt)
            if matches!(opt.name, "-include" | "--include" | "--include="))
    };
    words.iter().filter(is_include).map(Word::value_os)
}

/// The file of a word `@file` that is left among the operands: it could not be read.
pub fn missing_response_file<'a>(words: &[Word<'a>]) -> Option<&'a OsStr> {
    words
        .iter()
        .filter(|word| word.meaning.is_operand())
        .find_map(|word| word.value.strip_prefix(b"@"))
        .map(OsStr::from_bytes)
}

impl<'de: 't, 't> Deserialize<'de> for Entry<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntryVisitor(PhantomData))
    }
}

struct EntryVisitor<'t>(PhantomData<&'t ()>);

impl<'de: 't, 't> Visitor<'de> for EntryVisitor<'t> {
    type Value = Entry<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry: {\"directory\": …, \"file\": …, \"command\": …}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry<'t>, A::Error> {
        let (mut directory, mut file, mut output) = (None, None, None);
        let (mut command, mut arguments) = (None, None);
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                b"directory" => directory = Some(map.next_value::<Text<'de>>()?.0),
                b"file" => file = Some(map.next_value::<Text<'de>>()?.0),
                b"output" => output = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
                b"command" => command = Some(map.next_value::<ShellWords>()?.0),
                b"arguments" => arguments = Some(map.next_value::<Words>()?.0),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        // Where both forms are there, clang's tools believe the list.
        let words = arguments
            .or(command)
            .ok_or_else(|| lacks("\"command\" and \"arguments\""))?;
        Ok(Entry {
            directory: directory.ok_or_else(|| lacks("\"directory\""))?,
            file: file.ok_or_else(|| lacks("\"file\""))?,
            output,
            words,
        })
    }
}

fn lacks<E: de::Error>(what: &str) -> E {
    E::custom(format_args!("the entry that ends here lacks {what}"))
}

/// A string of any bytes.
struct Text<'t>(Cow<'t, [u8]>);

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(bytes))
    }
    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        Ok(Cow::Owned(bytes.to_vec()))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text.as_bytes()))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.as_bytes().to_vec()))
    }
}

/// A command as a shell would split it. Split while it is read, so that an error has its place in the text.
struct ShellWords(Vec<OsString>);

impl<'de> Deserialize<'de> for ShellWords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_bytes(ShellWordsVisitor)
            .map(ShellWords)
    }
}

struct ShellWordsVisitor;

impl Visitor<'_> for ShellWordsVisitor {
    type Value = Vec<OsString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command in one string")
    }
    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
        let words = shlex::bytes::split(bytes)
            .ok_or_else(|| E::custom("a quote in this command is never closed"))?;
        not_empty(words.into_iter().map(OsString::from_vec).collect())
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.visit_bytes(text.as_bytes())
    }
}

/// A command as a list of words.
struct Words(Vec<OsString>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(WordsVisitor).map(Words)
    }
}

struct WordsVisitor;

impl<'de> Visitor<'de> for WordsVisitor {
    type Value = Vec<OsString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of words")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element::<Text<'de>>()? {
            words.push(OsString::from_vec(word.0.into_owned()));
        }
        not_empty(words)
    }
}

fn not_empty<E: de::Error>(words: Vec<OsString>) -> Result<Vec<OsString>, E> {
    match words.is_empty() {
        true => Err(E::custom("the command is empty")),
        false => Ok(words),
    }
}

#[cfg(test)]
mod tests;
