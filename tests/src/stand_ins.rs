//! Little programs that stand in where a real one would not do what a test needs.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// Writes an executable shell script.
///
/// Another process does the writing: a descriptor of ours could be inherited by a child that some other test starts
/// at this moment, and then the kernel would refuse to run the script ("text file busy").
pub fn script(path: &Path, text: &str) {
    let mut draft = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    write!(draft, "#!/bin/sh\n{text}\n").expect("a temporary file can be written");
    let made = Command::new("install")
        .arg("-Dm755")
        .arg(draft.path())
        .arg(path)
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "could not make {}",
        path.display()
    );
}

/// Makes a compiler that does as `text` says; asked who it is, it answers as gcc.
pub fn fake_cc(path: &Path, text: &str) {
    let asked = "case \"$1\" in --version|-dumpmachine) exec /usr/bin/gcc \"$1\" ;; esac";
    wrapped_cc(path, &format!("{asked}\n{text}"));
}

/// Makes a compiler that does as `text` says, whatever it is asked.  A program that becomes a shell: a compiler that is
/// itself a script is never sent for.
pub fn wrapped_cc(path: &Path, text: &str) {
    let inside = path.with_extension("sh");
    script(&inside, text);
    let program = format!(
        "#include <unistd.h>\nint main(int c, char **v) {{ char *w[c + 2]; w[0] = \"sh\"; w[1] = \"{}\";\n\
         for (int i = 1; i <= c; i++) w[i + 1] = v[i];\nexecv(\"/bin/sh\", w); return 127; }}\n",
        inside.display()
    );
    let mut source = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    write!(source, "{program}").expect("a temporary file can be written");
    let made = Command::new("gcc")
        .args(["-x", "c", "-o"])
        .args([path, source.path()])
        .status();
    assert!(
        made.is_ok_and(|status| status.success()),
        "could not make {}",
        path.display()
    );
}

/// An `ssh` that runs the remote command here, with temporary files of its own.  Notes its own arguments, a line for each call, in `ssh.log` beside it.
pub fn stand_in_ssh(folder: &Path) -> PathBuf {
    let path = folder.join("fake-ssh");
    let text = format!(
        r#"echo "$*" >> {0}/ssh.log
export TMPDIR={0}
while :; do
    case "$1" in
        -l|-p|-o) shift 2 ;;
        -*) shift ;;
        *) break ;;
    esac
done
shift
exec "$@""#,
        folder.display()
    );
    script(&path, &text);
    path
}
