//! What a lying host may cost (facts security.md, C1 to C15): memory, time, terminals, other people's files. What makes a
//! result wrong is in `bad_replies`.

use std::{os::unix::fs::symlink, process::Command};

use tests::{LyingServer, Reply, Space, side_by_side, token};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];

/// Four bytes, then one match of 255 times `zeros` bytes.
fn bomb(zeros: usize) -> Vec<u8> {
    let mut packed = vec![0x15, 0x7f, b'E', b'L', b'F', 0x20];
    packed.extend(vec![0; zeros]);
    packed.extend([1, 0, 0, 0x11, 0, 0]);
    packed
}

/// The most memory that `command` or what it becomes ever has, in MiB, and how it ends.
fn peak_mib(command: Command) -> (u64, i32) {
    let script = "import resource, subprocess, sys\n\
        code = subprocess.call(sys.argv[1:])\n\
        print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)";
    let mut python = Command::new("python3");
    python
        .args(["-c", script])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    if let Some(folder) = command.get_current_dir() {
        python.current_dir(folder);
    }
    let output = python.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap_or_else(|| {
        panic!("{}", String::from_utf8_lossy(&output.stderr));
    });
    let (code, mib) = last.split_once(' ').unwrap();
    (mib.parse().unwrap(), code.parse().unwrap())
}

/// C1.
#[test]
fn a_lie_costs_less_than_200_mib() {
    let heads = [token("DONE", 2), token("STAT", 0)].concat();
    let empty = [token("SERR", 0), token("SOUT", 0)].concat();
    let with = |before: &[u8], tag: &str, body: &[u8]| {
        [&heads, before, &token(tag, body.len()), body].concat()
    };
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    for mib in [1, 4, 8] {
        let body = bomb(mib << 20);
        cases.push((
            format!("an object of {mib} MiB"),
            with(&empty, "DOTO", &body),
        ));
        if mib < 8 {
            cases.push((format!("messages of {mib} MiB"), with(&[], "SERR", &body)));
        }
    }
    for tag in ["SERR", "DOTO"] {
        let before = if tag == "DOTO" { empty.as_slice() } else { &[] };
        for len in [0xffff_ffff, 0x7fff_ffff] {
            let bytes = [&heads, before, &token(tag, len), &[b'x'; 1000]].concat();
            cases.push((format!("{tag} {len:x}"), bytes));
        }
    }
    side_by_side(cases, |(name, bytes)| {
        let server = LyingServer::answering(bytes);
        let space = Space::new(SOURCE)
            .hosts(&format!("{},lzo", server.host()))
            .client_env("DISTCC_IO_TIMEOUT", "5");
        space.renew();
        let (mib, code) = peak_mib(space.command("gcc -c a.c"));
        assert_eq!(code, 0, "{name}");
        assert!(server.accepted() > 0, "{name}");
        assert!(mib < 200, "{name}: {mib} MiB");
    });
}

/// C3.
#[test]
fn a_reset_anywhere_is_a_broken_host() {
    let local = Space::new(SOURCE).local("gcc -c a.c");
    let reply = Reply {
        version: 1,
        object: local.bytes("a.o").to_vec(),
        ..Reply::default()
    };
    let reply = reply.encode();
    let mut cases = vec![None];
    cases.extend([0, 5, 12, 40, 60, 100, reply.len() - 1].map(Some));
    side_by_side(cases, |sent| {
        let reply = reply.clone();
        let server = LyingServer::start(move |talk| {
            if let Some(sent) = sent {
                talk.request();
                talk.send(&reply[..sent]);
            }
            talk.reset();
        });
        Space::new(SOURCE)
            .hosts(&server.host())
            .client_env("DISTCC_IO_TIMEOUT", "5")
            .compile_against(&local, "gcc -c a.c")
            .assert_same_as_local()
            .assert_fell_back();
    });
}

/// C7: what steers terminals is printed only if the compiler here prints it.
#[test]
fn messages_of_a_host_cannot_steer_a_terminal() {
    let local = Space::new(SOURCE).local("gcc -Wall -c a.c");
    for (name, stderr, stdout) in [
        (
            "an escape",
            &b"a.c:1:1: warning: \x1b]0;title\x07\x1b[2J [-Wall]\n"[..],
            &b""[..],
        ),
        ("a bell", b"\x07\x07\n", b""),
        (
            "a carriage return",
            b"a.c:1:5: warning: x\r                 \n",
            b"",
        ),
        ("standard output", b"", b"\x1b[2J"),
    ] {
        let reply = Reply {
            version: 1,
            object: local.bytes("a.o").to_vec(),
            stderr: stderr.to_vec(),
            stdout: stdout.to_vec(),
            ..Reply::default()
        };
        let server = LyingServer::answering(reply.encode());
        let compared = Space::new(SOURCE)
            .hosts(&server.host())
            .client_env("DISTCC_IO_TIMEOUT", "5")
            .compile_against(&local, "gcc -Wall -c a.c");
        assert!(server.accepted() > 0, "{name}");
        compared.assert_same_as_local();
    }
}

/// C11: somebody else can write to a shared folder of ours; what he plants there is not followed.
#[test]
fn planted_links_do_not_lead_us_to_other_files() {
    let local = Space::new(SOURCE).local("gcc -c a.c");
    let reply = Reply {
        version: 1,
        object: local.bytes("a.o").to_vec(),
        ..Reply::default()
    };
    let server = LyingServer::answering(reply.encode());
    let space = Space::new(SOURCE)
        .hosts(&server.host())
        .client_env("DISTCC_IO_TIMEOUT", "5");
    space.renew();
    let compile = || space.run("gcc -c a.c");
    assert_eq!(compile().code(), 0);
    let victims = space.root().join("victims");
    std::fs::create_dir(&victims).unwrap();
    let mut planted = Vec::new();
    for folder in ["lock", "state", "compilers", "peers", "addresses"] {
        let Ok(entries) = std::fs::read_dir(space.dir().join(folder)) else {
            continue;
        };
        for entry in entries {
            let path = entry.unwrap().path();
            let victim = victims.join(format!("{folder}-{}", planted.len()));
            std::fs::write(&victim, "untouched\n").unwrap();
            std::fs::remove_file(&path).unwrap();
            symlink(&victim, &path).unwrap();
            planted.push(victim);
        }
    }
    assert!(planted.len() >= 3, "{planted:?}");
    assert_eq!(compile().code(), 0);
    for victim in planted {
        assert_eq!(
            std::fs::read_to_string(&victim).unwrap(),
            "untouched\n",
            "{}",
            victim.display()
        );
    }
}

/// C14: a daemon whose compiler is a launcher of ours.
#[test]
fn a_launcher_below_a_daemon_compiles_itself() {
    let server = LyingServer::answering(Vec::new());
    let space = Space::new(SOURCE)
        .hosts(&server.host())
        .client_env("_DISTCC_SAFEGUARD", "1");
    space.compile("gcc -c a.c").assert_same_as_local();
    assert_eq!(server.accepted(), 0);
}

/// C5: a host can put what it likes into an object's code; a sample of jobs shows it.
#[test]
fn an_object_with_one_byte_changed_is_found_by_a_sample() {
    let command = "gcc -O1 -c a.c";
    let local = Space::new(SOURCE).local(command);
    let honest = local.bytes("a.o").to_vec();
    let mut changed = honest.clone();
    // 42, as the function returns it.
    let at = changed
        .windows(4)
        .position(|word| word == [42, 0, 0, 0])
        .unwrap();
    changed[at] = 43;
    for (object, found) in [(honest, false), (changed.clone(), true)] {
        let reply = Reply {
            version: 1,
            object,
            ..Reply::default()
        };
        let server = LyingServer::answering(reply.encode());
        let space = Space::new(SOURCE)
            .hosts(&server.host())
            .client_env("DISTCC_IO_TIMEOUT", "5")
            .client_env("DISTCC_LAUNCH_VERIFY", "100");
        space.renew();
        let ran = space.run(command);
        assert_eq!(ran.code(), 0);
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(said.contains("compiled differently by"), found, "{said}");
        assert_eq!(said.is_empty(), !found, "{said}");
        let row = &space.rows()[0];
        assert_eq!(row.reason.as_deref(), Some("verified-here"));
        let error = row.attempts[0].error.as_deref();
        assert_eq!(error, found.then_some("object-differs"));
        let placed = std::fs::read(space.work().join("a.o")).unwrap();
        assert_eq!(placed, local.bytes("a.o"));
        // Who was found out is not asked again.
        let before = server.accepted();
        assert_eq!(space.run(command).code(), 0);
        assert_eq!(server.accepted() == before, found);
    }
    // Without a sample nobody notices: that is what trust means.
    let reply = Reply {
        version: 1,
        object: changed.clone(),
        ..Reply::default()
    };
    let server = LyingServer::answering(reply.encode());
    let space = Space::new(SOURCE).hosts(&server.host());
    space.renew();
    assert_eq!(space.run(command).code(), 0);
    assert_eq!(std::fs::read(space.work().join("a.o")).unwrap(), changed);
}
