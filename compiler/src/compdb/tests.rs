use super::*;
use crate::{Family, words};
use proptest::prelude::*;

fn one(text: &str) -> Entry<'_> {
    let mut entries = read(text.as_bytes()).expect("a good text");
    assert_eq!(entries.len(), 1);
    entries.remove(0)
}

fn refused(text: &str) -> String {
    read(text.as_bytes()).expect_err("a bad text").to_string()
}

#[test]
fn both_forms_give_the_same_words() {
    let command =
        one(r#"[{"directory":"/b","command":"gcc '-DX=\"a b\"'  -c a\\ b.c","file":"a b.c"}]"#);
    let arguments = one(
        r#"[{"file":"a b.c","arguments":["gcc","-DX=\"a b\"","-c","a b.c"],"directory":"/b","later":[{"x":1}]}]"#,
    );
    assert_eq!(command.words, ["gcc", "-DX=\"a b\"", "-c", "a b.c"]);
    assert_eq!(command, arguments);
    assert_eq!(command.output, None);
}

#[test]
fn the_list_goes_before_the_string() {
    let both = one(
        r#"[{"directory":"/","command":"gcc x","arguments":["gcc","y"],"file":"f","output":"o"}]"#,
    );
    assert_eq!(both.words, ["gcc", "y"]);
    assert_eq!(both.output.as_deref(), Some(&b"o"[..]));
}

#[test]
fn strings_without_escapes_are_not_copied() {
    let entry = one(r#"[{"directory":"/b","command":"gcc","file":"a\tb"}]"#);
    assert!(matches!(entry.directory, Cow::Borrowed(b"/b")));
    assert!(matches!(entry.file, Cow::Owned(_)));
}

#[test]
fn paths_are_bytes() {
    let text = b"[{\"directory\":\"/\xff\",\"arguments\":[\"gcc\",\"\xc3\x28.c\"],\"file\":\"x\"}]";
    let entries = read(text).expect("bytes that are no UTF-8 are bytes");
    assert_eq!(&*entries[0].directory, b"/\xff");
    assert_eq!(entries[0].words[1].as_bytes(), b"\xc3\x28.c");
}

#[test]
fn mistakes_have_a_place() {
    assert_eq!(
        refused("[\n{\"directory\":\"/\",\"file\":\"a\"}\n]"),
        "line 2, column 28: the entry that ends here lacks \"command\" and \"arguments\""
    );
    assert_eq!(
        refused("[{\"file\":\"a\",\"command\":\"gcc\"}]"),
        "line 1, column 29: the entry that ends here lacks \"directory\""
    );
    assert_eq!(
        refused("[{\n \"command\": \"gcc 'a\"}]"),
        "line 2, column 20: a quote in this command is never closed"
    );
    assert_eq!(
        refused("[{\"command\": \"  \"}]"),
        "line 1, column 17: the command is empty"
    );
    assert_eq!(
        refused("[{\"command\": [\"gcc\"]}]"),
        "line 1, column 14: invalid type: sequence, expected a command in one string"
    );
    assert_eq!(
        refused("{}"),
        "line 1, column 0: invalid type: map, expected a sequence"
    );
    assert_eq!(
        refused("[{\"directory\": \"/\","),
        "line 1, column 19: the text ends too early (EOF while parsing a value)"
    );
    assert_eq!(
        refused("[\n{,}]"),
        "line 2, column 2: this is no JSON (key must be a string)"
    );
    assert_eq!(
        refused(""),
        "line 1, column 0: the text ends too early (EOF while parsing a value)"
    );
}

fn os(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[test]
fn launchers_in_front_are_counted() {
    for (words, count) in [
        (&["gcc", "-c"][..], 0),
        (&["distcc-launch", "gcc"], 1),
        (
            &["/usr/bin/ccache", "/opt/distcc", "icecc", "gcc", "ccache"],
            3,
        ),
        (&["sccache", "-c", "a.c"], 1),
        (&["ccache"], 0),
        (&[], 0),
        (&["ccache-swig", "gcc"], 0),
    ] {
        assert_eq!(launchers(&os(words)), count, "{words:?}");
    }
}

#[test]
fn what_words_name_is_found() {
    let args = os(&[
        "-c",
        "a.c",
        "-include",
        "p.h",
        "-oold.o",
        "-o",
        "d/a.o",
        "@x.modmap",
    ]);
    for family in [Family::Gcc, Family::Clang] {
        let words = words::read(family, &args);
        assert_eq!(written_output(&words), Some("d/a.o".as_ref()));
        assert!(included(&words).eq(["p.h"]));
        assert_eq!(missing_response_file(&words), Some("x.modmap".as_ref()));
        let none = words::read(family, &args[..2]);
        assert_eq!(written_output(&none), None);
        assert_eq!(included(&none).count(), 0);
        assert_eq!(missing_response_file(&none), None);
    }
}

proptest! {
    #[test]
    fn reading_is_total(text in prop::collection::vec(any::<u8>(), 0..200)) {
        let _: Result<_, CompdbError> = read(&text);
    }

    #[test]
    fn reading_is_total_near_the_truth(cut in 0usize..90, at in 0usize..90, byte: u8) {
        let mut text = br#"[{"directory":"/b","command":"gcc '-DX=\"a b\"' -c a.c","file":"a.c","output":"\u00e9"}]"#.to_vec();
        text.truncate(text.len() - cut.min(text.len()));
        if let Some(place) = text.get_mut(at) {
            *place = byte;
        }
        if let Ok(entries) = read(&text) {
            prop_assert!(entries.iter().all(|entry| !entry.words.is_empty()));
            prop_assert!(entries.iter().all(|entry| launchers(&entry.words) < entry.words.len()));
        }
    }
}
