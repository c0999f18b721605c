//! Headers of the system that are others on the daemon's machine: they never make another object in silence.
//!
//! Here it is the client that differs: a mount of its own hides or replaces what the daemon sees.

use tests::{Compared, Farm, Space};

/// Runs `compiles` where `mounts` were made; `None` on a machine that has no mounts of one's own.
fn compile(farm: &Farm, space: Space, mounts: &str, compiles: &str) -> Option<Compared> {
    let own = std::process::Command::new("unshare")
        .args(["-rm", "true"])
        .status();
    if !own.is_ok_and(|status| status.success()) {
        println!("no mounts of one's own on this machine");
        return None;
    }
    let space = space.hosts(&farm.hosts("/4,lzo,cpp"));
    Some(space.shell(&format!("unshare -rm sh -ec '{mounts}; {compiles}'")))
}

/// So that the daemon has a header that the client has not.
const HIDES: &str = "mount -t tmpfs none /usr/include/scsi";

#[test]
fn a_header_of_another_content_is_sent() {
    let farm = Farm::ours(1);
    let source = "#include <stdio.h>\n#include <assert.h>\nint a = EXTRA;\n";
    let space = Space::new([("a.c", source)])
        .setup("cp /usr/include/assert.h mine.h; echo '#define EXTRA 5' >> mine.h");
    let compared = compile(
        &farm,
        space,
        "mount --bind mine.h /usr/include/assert.h",
        "$L gcc -g -MD -c a.c; $L gcc -g -c a.c -o again.o",
    );
    if let Some(compared) = compared {
        compared.assert_same_as_local().assert_pumped();
        assert_eq!(compared.rows.len(), 2);
    }
}

#[test]
fn a_header_that_only_the_daemon_has_is_not_found_there() {
    let farm = Farm::ours(1);
    for source in [
        "#if __has_include(<scsi/sg.h>)\nint there;\n#else\nint here;\n#endif\n",
        "#include <stddef.h>\n#if defined __has_include && __has_include(\"scsi/sg.h\")\nint there;\n#endif\nint a;\n",
    ] {
        let space = Space::new([("a.c", source)]);
        let compared = compile(
            &farm,
            space,
            HIDES,
            "$L gcc -g -MD -c a.c; $L clang -g -c a.c -o clang.o",
        );
        if let Some(compared) = compared {
            compared.assert_same_as_local().assert_pumped();
        }
    }
}

#[test]
fn a_header_of_the_daemon_hides_none_that_was_sent() {
    let farm = Farm::ours(1);
    let files = [
        ("late/scsi/sg.h", "#define OURS 1\n"),
        (
            "a.c",
            "#include <stdio.h>\n#include <scsi/sg.h>\nint a = OURS;\n",
        ),
    ];
    let compared = compile(
        &farm,
        Space::new(files),
        HIDES,
        "$L gcc -g -MD -idirafter late -c a.c; $L g++ -g -idirafter late -c -x c++ a.c -o cxx.o",
    );
    if let Some(compared) = compared {
        compared.assert_same_as_local().assert_pumped();
        assert_eq!(compared.rows.len(), 2);
    }
}

/// What is no folder of headers cannot be hidden there: the machine's own files are in it.
#[test]
fn what_cannot_be_hidden_there_is_preprocessed_here() {
    let farm = Farm::ours(1);
    let source = "#if __has_include(<debconf/confmodule>)\nint there;\n#else\nint here;\n#endif\n";
    let compared = compile(
        &farm,
        Space::new([("a.c", source)]),
        "mount -t tmpfs none /usr/share/debconf",
        "$L gcc -g -I/usr/share -c a.c",
    );
    if let Some(compared) = compared {
        compared
            .assert_same_as_local()
            .assert_not_pumped("other-headers");
    }
}
