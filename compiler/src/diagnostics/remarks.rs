//! clang's remarks on optimization. They have their places from debug information, whose names clang looks up among the files that it
//! read; without the source's own file it puts them where the function begins, and says where they belong. Such notes also come without
//! a remark of theirs, so only remarks that tell their place themselves are retold: those of inlined calls.

use crate::Job;
use memchr::memmem;
use std::ffi::OsStr;

/// How the note ends that says where the remark before it belongs.
pub(super) const LOST: &[u8] = b"note: could not determine the original source location for ";

/// Remarks at their places in the source, as a local compile prints them; `None` where that is not certain.
pub(super) fn placed(
    job: &Job<'_>,
    there: &[u8],
    read: &mut dyn FnMut(&OsStr) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let name = job.source().as_encoded_bytes();
    let shaped = job
        .args
        .iter()
        .any(|arg| shapes_messages(arg.as_encoded_bytes()));
    // Debug information may leave the folder out of an absolute name.
    if shaped || name.starts_with(b"/") {
        return None;
    }
    let source = read(job.source())?;
    let mut text = Vec::with_capacity(there.len());
    let mut last = None;
    let mut lines = there.split_inclusive(|&b| b == b'\n');
    while let Some(head) = lines.next() {
        let (start, remark) = place_of(name, head)?;
        remark.strip_prefix(b"remark: ")?;
        // The excerpt there shows that it is of the form that is known here.
        let shown = lines.next()?;
        if excerpt(&source, start)? != [shown, lines.next()?].concat() {
            return None;
        }
        let (noted, note) = place_of(name, lines.next()?)?;
        let belongs = note.strip_prefix(LOST)?.strip_suffix(b"\n")?;
        let place = whole_place(name, belongs)?;
        let (lines_down, at) = callsite(remark)?;
        if noted != start || place != (start.0 + lines_down, at) {
            return None;
        }
        let excerpt = excerpt(&source, place)?;
        let (line, column) = place;
        text.extend_from_slice(name);
        text.extend_from_slice(format!(":{line}:{column}: ").as_bytes());
        text.extend_from_slice(remark);
        if last.replace(place) != Some(place) {
            text.extend_from_slice(&excerpt);
        }
    }
    Some(text)
}

/// Options that give messages another form, or show other things with them.
fn shapes_messages(arg: &[u8]) -> bool {
    const STARTS: &[&[u8]] = &[
        b"-fansi",
        b"-fcaret",
        b"-fcolor",
        b"-fdiagnostics",
        b"-fmessage",
        b"-fno-caret",
        b"-fno-diagnostics",
        b"-fno-show",
        b"-fshow",
        b"-ftabstop",
        b"-Xclang",
    ];
    STARTS.iter().any(|start| arg.starts_with(start))
}

/// `NAME:LINE:COLUMN: ` at the start of a line; line and column, and what comes behind.
fn place_of<'l>(name: &[u8], line: &'l [u8]) -> Option<((usize, usize), &'l [u8])> {
    let rest = line.strip_prefix(name)?;
    let end = memmem::find(rest, b": ")?;
    let place = place(&rest[..end])?;
    Some((place, &rest[end + 2..]))
}

fn whole_place(name: &[u8], text: &[u8]) -> Option<(usize, usize)> {
    place(text.strip_prefix(name)?)
}

/// `'f' inlined into 'g' with (cost=…) at callsite g:3:14; [-Rpass=inline]`: lines below the function's own, and the column.
fn callsite(remark: &[u8]) -> Option<(usize, usize)> {
    const BEFORE: &[u8] = b" at callsite ";
    let start = memmem::find(remark, BEFORE)? + BEFORE.len();
    let site = remark[start..].strip_suffix(b"; [-Rpass=inline]\n")?;
    let name = site.iter().position(|&b| b == b':')?;
    place(&site[name..])
}

/// `:LINE:COLUMN`
fn place(text: &[u8]) -> Option<(usize, usize)> {
    let mut parts = str::from_utf8(text).ok()?.split(':');
    let nothing = parts.next()?.is_empty();
    let mut number = || parts.next()?.parse().ok();
    let place = (number()?, number()?);
    (nothing && parts.next().is_none()).then_some(place)
}

/// The source's line and the mark under it, where both are plain.
fn excerpt(source: &[u8], (line, column): (usize, usize)) -> Option<Vec<u8>> {
    const LONGEST: usize = 1000;
    let line = source.split(|&b| b == b'\n').nth(line.checked_sub(1)?)?;
    let plain = line.len() <= LONGEST
        && line.iter().all(|b| matches!(b, b'\t' | b' '..=b'~'))
        && !line.last()?.is_ascii_whitespace();
    let marked = line.get(column.checked_sub(1)?)?;
    if !plain || *marked == b'\t' {
        return None;
    }
    let mut out = shown(line);
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b' ', shown(&line[..column - 1]).len()));
    out.extend(b"^\n");
    Some(out)
}

/// With blanks for tabs.
fn shown(line: &[u8]) -> Vec<u8> {
    const TAB: usize = 8;
    let mut shown = Vec::with_capacity(line.len() + 2 * TAB);
    for &byte in line {
        match byte {
            b'\t' => shown.resize(shown.len() / TAB * TAB + TAB, b' '),
            _ => shown.push(byte),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Surroundings, Verdict, classify};
    use std::ffi::OsString;

    const SOURCE: &[u8] = b"int f(void);\nint g(void) { return f(); }\n\tint h;\n";

    fn said(line: &str, there: &str) -> Option<String> {
        let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let about = Surroundings::new(OsStr::new("/w"));
        let Verdict::Distribute(job) = classify(Family::Clang, false, &args, &about) else {
            panic!("{line} can be sent");
        };
        let mut read = |name: &OsStr| (name == "a.c").then(|| SOURCE.to_vec());
        let text = placed(&job, there.as_bytes(), &mut read)?;
        Some(String::from_utf8(text).expect("tests use UTF-8"))
    }

    fn inlined(site: &str) -> String {
        format!("'f' inlined into 'g' with (cost=1) at callsite g:{site}; [-Rpass=inline]")
    }

    fn lost(site: &str, place: &str) -> String {
        let what = inlined(site);
        format!(
            "a.c:2:5: remark: {what}\nint g(void) {{ return f(); }}\n    ^\n\
             a.c:2:5: note: could not determine the original source location for {place}\n"
        )
    }

    #[test]
    fn remarks_go_to_their_places() {
        let two = lost("0:22", "a.c:2:22") + &lost("0:22", "a.c:2:22") + &lost("1:6", "a.c:3:6");
        let text = said("-Rpass=.* -c a.c", &two);
        let shown = "int g(void) { return f(); }\n                     ^\n";
        let wanted = format!(
            "a.c:2:22: remark: {0}\n{shown}a.c:2:22: remark: {0}\na.c:3:6: remark: {1}\n        int h;\n            ^\n",
            inlined("0:22"),
            inlined("1:6"),
        );
        assert_eq!(text, Some(wanted));
    }

    #[test]
    fn what_is_not_certain_is_not_told() {
        let good = lost("0:22", "a.c:2:22");
        assert!(said("-Rpass=.* -c a.c", &good).is_some());
        for there in [
            lost("0:22", "a.h:2:22"),
            lost("7:1", "a.c:9:1"),
            lost("1:1", "a.c:3:1"),
            lost("0:80", "a.c:2:80"),
            // A note of another remark.
            lost("0:21", "a.c:2:22"),
            lost("1:22", "a.c:2:22"),
            lost("0:22 @ h:1:2", "a.c:2:22"),
            lost("0:22.1", "a.c:2:22"),
            good.clone() + good.lines().last().expect("a note") + "\n",
            good.replace("    ^", "     ^"),
            good.replace("remark", "warning"),
            good.clone() + "1 warning generated.\n",
            "a.c:2:5: warning: x\n".to_owned() + &good,
        ] {
            assert_eq!(said("-Rpass=.* -c a.c", &there), None, "{there}");
        }
        for line in [
            "-Rpass=.* -fno-caret-diagnostics -c a.c",
            "-fdiagnostics-format=msvc -c a.c",
        ] {
            assert_eq!(said(line, &good), None, "{line}");
        }
        assert_eq!(said("-c b.c", &good), None);
    }
}
