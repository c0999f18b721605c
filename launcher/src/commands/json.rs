//! JSON objects written by hand: their strings are bytes, as in the journal, which serde's are not.

use std::ffi::OsStr;
use std::fmt::{Display, Write as _};

use crate::journal;

/// An object while it is written.
pub(super) struct Object {
    out: String,
}

impl Object {
    pub(super) fn new() -> Object {
        Object {
            out: String::from("{"),
        }
    }

    fn key(&mut self, key: &str) {
        if self.out.len() > 1 {
            self.out.push(',');
        }
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    /// A string.
    pub(super) fn text(mut self, key: &str, value: impl AsRef<OsStr>) -> Object {
        self.key(key);
        journal::text(&mut self.out, value.as_ref());
        self
    }

    /// A string, or null.
    pub(super) fn maybe(self, key: &str, value: Option<impl AsRef<OsStr>>) -> Object {
        match value {
            Some(value) => self.text(key, value),
            None => self.plain(key, "null"),
        }
    }

    /// What is JSON as it is: a number, true, null, another object.
    pub(super) fn plain(mut self, key: &str, value: impl Display) -> Object {
        self.key(key);
        // Writing to a string does not fail.
        let _ = write!(self.out, "{value}");
        self
    }

    /// A number, or null.
    pub(super) fn number(self, key: &str, value: Option<impl Display>) -> Object {
        match value {
            Some(value) => self.plain(key, value),
            None => self.plain(key, "null"),
        }
    }

    /// A list of what is JSON as it is.
    pub(super) fn list(self, key: &str, values: impl IntoIterator<Item = String>) -> Object {
        let values: Vec<String> = values.into_iter().collect();
        self.plain(key, format_args!("[{}]", values.join(",")))
    }

    pub(super) fn end(mut self) -> String {
        self.out.push('}');
        self.out
    }
}

/// A string on its own.
pub(super) fn string(value: &OsStr) -> String {
    let mut out = String::new();
    journal::text(&mut out, value);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn it_is_json() {
        let inner = Object::new().end();
        let object = Object::new()
            .text("a", OsStr::from_bytes(b"\"\xff"))
            .maybe("b", None::<&str>)
            .number("c", Some(1.5))
            .number("d", None::<u8>)
            .list("e", [inner, "2".to_owned()])
            .end();
        assert_eq!(
            object,
            r#"{"a":"\"\udcff","b":null,"c":1.5,"d":null,"e":[{},2]}"#
        );
    }
}
