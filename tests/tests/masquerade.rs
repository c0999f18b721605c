//! A link named like a compiler, the guard against recursion, and commands without a compiler's name.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use tests::{Client, Farm, Space, distcc, launcher, run, script};

const SOURCES: [(&str, &str); 3] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("b.cc", "int answer() { return 42; }\n"),
    ("broken.c", "int (\n"),
];
const REST: &str = "/usr/local/bin:/usr/bin:/bin";

/// A folder in the space's home that holds `names` as links to `program`.
fn links(space: &Space, folder: &str, program: &Path, names: &[&str]) -> PathBuf {
    let folder = space.root().join("home").join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    for name in names {
        symlink(program, folder.join(name)).unwrap();
    }
    folder
}

#[test]
fn a_link_compiles_with_the_compiler_behind_it() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES).client(Client::ours().masquerading());
    for command in [
        "gcc -c a.c",
        "g++ -c b.cc -o x.o",
        "cc -c a.c",
        "c++ -c b.cc",
        "clang -c a.c",
        "clang++ -c b.cc",
    ] {
        space
            .compile(command)
            .assert_same_as_local()
            .assert_remote();
    }
    space.compile("gcc -c broken.c").assert_same_as_local();
    space
        .compile("gcc a.c -shared -o a.so")
        .assert_same_as_local()
        .assert_here();
    space
        .compile("gcc --version")
        .assert_same_as_local()
        .assert_here();
    space.compile("gcc").assert_same_as_local();
}

#[test]
fn a_link_called_by_its_path() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES).client(Client::ours().masquerading());
    space.compile("gcc -c a.c").assert_remote();
    // Locally this names the launcher as well, so the oracle is another command.
    let expected = space.local("gcc -c a.c");
    space.renew();
    let link = space.root().join("masquerade/gcc");
    let ran = space.run(&format!("{} -c a.c", link.display()));
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    assert_eq!(
        std::fs::read(space.work().join("a.o")).unwrap(),
        expected.bytes("a.o")
    );
}

/// The folder of links is on PATH in many spellings: the compiler is still the one behind all of them.
#[test]
fn the_real_compiler_is_found_by_inode() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    let folder = links(&space, "links", &launcher(), &["gcc"]);
    let other = links(&space, "more-links", &launcher(), &["gcc"]);
    let aside = space.root().join("home/aside");
    symlink(&folder, &aside).unwrap();
    let copy = space.root().join("home/hard");
    std::fs::create_dir(&copy).unwrap();
    symlink(folder.join("gcc"), copy.join("gcc")).unwrap();
    let [f, o, a, c] = [&folder, &other, &aside, &copy].map(|path| path.display().to_string());
    for path in [
        format!("{f}:{REST}"),
        format!("{f}:{f}:{REST}"),
        format!("{f}/:{f}//:{REST}"),
        format!("{f}/../links:{f}:{REST}"),
        format!("{f}:{a}:{REST}"),
        format!("{a}:{f}:{REST}"),
        format!("{f}:{o}:{REST}"),
        format!("{f}:{c}:{a}:{o}:{REST}"),
        format!("/nonexistent:{f}:{REST}"),
        format!("/usr/bin:{f}"),
        format!("{f}:/usr/local/bin:/usr/bin:{a}"),
    ] {
        let expected = space.local("gcc -c a.c");
        space.renew();
        let _ = std::fs::remove_file(space.journal());
        let link = format!("{f}/gcc");
        let ran = run(space
            .command_as(&Client::ours().masquerading(), &format!("{link} -c a.c"))
            .env("PATH", &path));
        assert_eq!((ran.code(), ran.err().as_str()), (0, ""), "{path}");
        assert_eq!(
            std::fs::read(space.work().join("a.o")).unwrap(),
            expected.bytes("a.o"),
            "{path}"
        );
        assert_eq!(space.rows().len(), 1, "{path}: {:?}", space.rows());
        assert_eq!(
            space.rows()[0].place,
            "remote",
            "{path}: {:?}",
            space.rows()
        );
    }
}

#[test]
fn no_compiler_behind_the_link_is_an_error_and_no_endless_chain() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    space.renew();
    let folder = links(&space, "links", &launcher(), &["gcc"]);
    let gcc = folder.join("gcc").display().to_string();
    let ran = run(space
        .command_as(&Client::ours().masquerading(), &format!("{gcc} -c a.c"))
        .env("PATH", &folder));
    assert!(
        ran.code() == 110 || ran.code() == 111 || ran.code() == 127,
        "{ran:?}"
    );
}

/// Chains of launchers: `first` before `second` on PATH, both as links named gcc.
#[test]
fn launchers_behind_launchers_end_at_the_compiler() {
    let farm = Farm::stock(1);
    for (first, second) in [
        (launcher(), distcc()),
        (distcc(), launcher()),
        (launcher(), launcher()),
    ] {
        let space = farm.space(SOURCES).client_env("DISTCC_LOG", "/dev/null");
        let one = links(&space, "one", &first, &["gcc", "x86_64-linux-gnu-gcc"]);
        let two = links(&space, "two", &second, &["gcc", "x86_64-linux-gnu-gcc"]);
        let path = format!("{}:{}:{REST}", one.display(), two.display());
        for command in ["gcc -c a.c", "gcc -c broken.c", "gcc a.c -shared -o a.so"] {
            let expected = space.local(command);
            space.renew();
            let ran = run(space
                .command_as(&Client::ours().masquerading(), command)
                .env("PATH", &path));
            assert_eq!(
                ran.code(),
                expected.code,
                "{first:?} {second:?} {command}: {}",
                ran.err()
            );
            let name = if command.contains("broken") {
                continue;
            } else if command.contains(".so") {
                "a.so"
            } else {
                "a.o"
            };
            assert_eq!(
                std::fs::read(space.work().join(name)).unwrap(),
                expected.bytes(name),
                "{first:?} {second:?}"
            );
        }
    }
}

/// As a prefix before a masqueraded compiler: `distcc-launch gcc` where `gcc` is itself a link to a launcher.
#[test]
fn a_prefix_before_a_link_compiles_once() {
    let farm = Farm::ours(1);
    for behind in [launcher(), distcc()] {
        let space = farm.space(SOURCES).client_env("DISTCC_LOG", "/dev/null");
        let folder = links(&space, "links", &behind, &["gcc"]);
        let expected = space.local("gcc -c a.c");
        space.renew();
        let path = format!("{}:{REST}", folder.display());
        let ran = run(space.command("gcc -c a.c").env("PATH", &path));
        assert_eq!((ran.code(), ran.err().as_str()), (0, ""), "{behind:?}");
        assert_eq!(
            std::fs::read(space.work().join("a.o")).unwrap(),
            expected.bytes("a.o")
        );
    }
}

#[test]
fn a_launcher_named_as_its_own_compiler_stops() {
    for word in ["distcc-launch", "distcc"] {
        let space = Space::new(SOURCES).hosts("127.0.0.1:1");
        space.renew();
        let folder = links(&space, "links", &launcher(), &["distcc-launch", "distcc"]);
        let path = format!("{}:{REST}", folder.display());
        let expected = space.local("gcc -c a.c");
        space.renew();
        let ran = run(space
            .command(&format!("{word} gcc -c a.c"))
            .env("PATH", &path));
        // Either it sees through itself, or finds no other program of its name; it never goes round.
        match ran.code() {
            0 => assert_eq!(
                std::fs::read(space.work().join("a.o")).unwrap(),
                expected.bytes("a.o")
            ),
            code => assert!(code == 111 || code == 127, "{code}: {}", ran.err()),
        }
    }
}

#[test]
fn stock_counts_our_level_and_we_count_its() {
    // A script that calls the launcher again, for ever if nobody counts.
    for (outer, inner) in [
        (launcher(), launcher()),
        (launcher(), distcc()),
        (distcc(), launcher()),
        (distcc(), distcc()),
    ] {
        let space = Space::new(SOURCES)
            .hosts("127.0.0.1:1")
            .client_env("DISTCC_LOG", "/dev/null");
        space.renew();
        let cc = space.root().join("home/again");
        script(
            &cc,
            &format!("exec {} {} \"$@\"", inner.display(), cc.display()),
        );
        let mut command = std::process::Command::new(&outer);
        command
            .arg(&cc)
            .args(["-c", "a.c"])
            .current_dir(space.work());
        command
            .env_clear()
            .env("PATH", REST)
            .env("HOME", space.root().join("home"))
            .env("DISTCC_LOG", "/dev/null");
        command
            .env("DISTCC_DIR", space.dir())
            .env("DISTCC_HOSTS", "127.0.0.1:1");
        assert_eq!(run(&mut command).code(), 111, "{outer:?} {inner:?}");
    }
}

#[test]
fn the_safeguard_reaches_the_compiler() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    space.renew();
    let cc = space.root().join("home/gcc");
    script(&cc, "echo level $_DISTCC_SAFEGUARD");
    let ran = space.run(&format!("{} -E a.c", cc.display()));
    assert_eq!(ran.out(), "level 1\n");
}

#[test]
fn an_option_or_a_source_first_means_the_default_compiler() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    for (words, plain) in [
        ("-c a.c", "cc -c a.c"),
        ("-c a.c -o x.o", "cc -c a.c -o x.o"),
        ("a.c -c", "cc a.c -c"),
        ("--version", "cc --version"),
        ("-print-sysroot", "cc -print-sysroot"),
        ("-dumpmachine", "cc -dumpmachine"),
        ("-E a.c", "cc -E a.c"),
        ("-V", "cc -V"),
        ("a.o -o a", "cc a.o -o a"),
    ] {
        let expected = space.local(plain);
        space.renew();
        let ran = space.run(words);
        assert_eq!(
            (ran.code(), ran.out()),
            (
                expected.code,
                String::from_utf8(expected.stdout.clone()).unwrap()
            ),
            "{words}"
        );
        assert_eq!(ran.stderr, expected.stderr, "{words}");
        for (name, _) in expected
            .files
            .iter()
            .filter(|(name, _)| name.extension().is_some())
        {
            let made = std::fs::read(space.work().join(name)).unwrap();
            assert_eq!(made, expected.bytes(name.to_str().unwrap()), "{words}");
        }
    }
    assert!(
        space.rows().iter().any(|row| row.place == "remote"),
        "{:?}",
        space.rows()
    );
}

#[test]
fn the_default_compiler_is_a_setting() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES).client_env("DISTCC_LAUNCH_CC", "clang");
    let expected = space.local("clang -c a.c");
    space.renew();
    assert_eq!(space.run("-c a.c").code(), 0);
    assert_eq!(
        std::fs::read(space.work().join("a.o")).unwrap(),
        expected.bytes("a.o")
    );
    assert_eq!(
        space.run("--version").stdout,
        space.local("clang --version").stdout
    );
}

#[test]
fn a_compiler_that_does_not_exist() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    for command in [
        "nosuchcc -c a.c",
        "/nonexistent/gcc -c a.c",
        "nosuchcc --version",
    ] {
        let ran = space.run(command);
        assert_ne!(ran.code(), 0, "{command}");
        assert!(!space.work().join("a.o").exists());
    }
}
