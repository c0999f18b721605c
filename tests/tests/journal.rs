//! The journal as its readers rely on it: one whole line for each command, whatever becomes of the command.

use std::os::unix::fs::PermissionsExt;

use tests::{Client, Farm, LyingServer, Running, Space, read_journal, start, until};

const SOURCES: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("broken.c", "int (\n"),
];

#[test]
fn a_remote_job_says_where_and_how_much() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    let compared = space.compile("gcc -O2 -c a.c");
    compared.assert_same_as_local().assert_remote();
    let row = compared.row();
    let words: Vec<&[u8]> = row.command.iter().map(AsRef::as_ref).collect();
    assert_eq!(words, [&b"gcc"[..], b"-O2", b"-c", b"a.c"]);
    assert_eq!(row.cwd.0, space.work());
    assert_eq!(row.host.as_deref(), Some(farm.daemons[0].host().as_str()));
    assert_eq!(
        (
            row.mode.as_deref(),
            row.reason.as_deref(),
            row.fell_back,
            row.status
        ),
        (Some("plain"), None, false, Some(0))
    );
    assert_eq!(row.attempts.len(), 1);
    // Less than the object where bodies are packed.
    assert!(row.received.is_some_and(|bytes| bytes > 100), "{row:?}");
    assert!(row.sent.is_some_and(|bytes| bytes > 100), "{row:?}");
    let wall = row.wall_ms.unwrap();
    assert!(
        wall > 0.0 && wall >= row.attempts[0].ms && row.cpu_ms.is_some_and(|ms| ms > 0.0),
        "{row:?}"
    );
    assert!(
        row.queue_ms.is_some_and(|ms| ms >= 0.0 && ms <= wall),
        "{row:?}"
    );
}

#[test]
fn a_local_command_is_noted_before_it_becomes_the_compiler() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    for (command, reason) in [
        ("gcc -E a.c", "preprocesses"),
        ("gcc a.c -shared -fPIC -o a.so", "links"),
        ("gcc --version", "question"),
    ] {
        let compared = space.compile(command);
        compared.assert_same_as_local().assert_local(reason);
        let row = compared.row();
        assert_eq!(
            (row.status, row.wall_ms, row.cpu_ms, row.fell_back),
            (None, None, None, false),
            "{command}"
        );
        assert_eq!(compared.rows.len(), 1, "{command}");
    }
}

#[test]
fn a_fall_back_names_each_attempt() {
    let servers = [(); 3].map(|()| LyingServer::start(|_| {}));
    let list: Vec<String> = servers.iter().map(LyingServer::host).collect();
    let compared = Space::new(SOURCES)
        .hosts(&list.join(" "))
        .compile("gcc -c a.c");
    compared.assert_same_as_local().assert_fell_back();
    let row = compared.row();
    let tried: Vec<&str> = row
        .attempts
        .iter()
        .map(|attempt| attempt.host.as_str())
        .collect();
    assert_eq!(tried, list, "{compared}");
    assert!(
        row.attempts
            .iter()
            .all(|attempt| attempt.error.is_some() && attempt.ms >= 0.0),
        "{compared}"
    );
    assert_eq!(compared.rows.len(), 1);
}

#[test]
fn a_failing_compile_is_one_line_too() {
    let farm = Farm::ours(1);
    let compared = farm.space(SOURCES).compile("gcc -c broken.c");
    compared.assert_same_as_local().assert_here();
    assert_eq!(compared.rows.len(), 1, "{compared}");
    assert!(compared.row().reason.is_some());
}

#[test]
fn its_default_place_is_beside_the_locks_and_private() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    let ran = tests::run(
        space
            .command("gcc -c a.c")
            .env_remove("DISTCC_LAUNCH_JOURNAL"),
    );
    assert_eq!(ran.code(), 0);
    let path = space.dir().join("journal.jsonl");
    assert_eq!(read_journal(&path).len(), 1);
    assert_eq!(
        path.metadata().unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert!(!space.journal().exists());
}

#[test]
fn without_a_folder_set_it_is_in_the_home() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    let ran = tests::run(
        space
            .command("gcc -c a.c")
            .env_remove("DISTCC_LAUNCH_JOURNAL")
            .env_remove("DISTCC_DIR"),
    );
    assert_eq!(ran.code(), 0);
    assert_eq!(
        read_journal(&space.root().join("home/.distcc/journal.jsonl")).len(),
        1
    );
}

#[test]
fn many_at_once_leave_whole_lines() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    let mut running: Vec<Running> = (0..60)
        .map(|number| {
            let command = if number % 3 == 0 {
                "gcc -E a.c".to_owned()
            } else {
                format!("gcc -c a.c -o {number}.o -DWORD={}", "x".repeat(2000))
            };
            start(&mut space.command(&command))
        })
        .collect();
    until("all have ended", || {
        running.iter_mut().all(Running::has_ended)
    });
    for one in running {
        assert_eq!(one.finish().code(), 0);
    }
    assert_eq!(space.rows().len(), 60);
}

#[test]
fn every_way_to_be_called_writes_it() {
    let farm = Farm::ours(1);
    for client in [
        Client::ours(),
        Client::ours().called("distcc"),
        Client::ours().masquerading(),
    ] {
        let compared = farm.space(SOURCES).client(client).compile("gcc -c a.c");
        compared.assert_same_as_local().assert_remote();
        assert_eq!(compared.rows.len(), 1, "{compared}");
    }
}
