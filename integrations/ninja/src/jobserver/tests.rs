use super::*;

fn named(flags: &str) -> Option<Auth> {
    Auth::named(OsStr::new(flags))
}

#[test]
fn the_last_jobserver_named_counts() {
    let pipe = |read, write| Some(Auth::Pipe { read, write });
    assert_eq!(named(" -j8 --jobserver-auth=3,4"), pipe(3, 4));
    assert_eq!(
        named("-j --jobserver-fds=9,12 --jobserver-auth=5,6"),
        pipe(5, 6)
    );
    assert_eq!(
        named("k -j --jobserver-auth=fifo:/tmp/GMfifo7"),
        Some(Auth::Fifo("/tmp/GMfifo7".into()))
    );
    for none in [
        "",
        "ks",
        " -j8",
        "--jobserver-auth=-2,-2",
        "--jobserver-auth=3",
        "-- X=--jobserver-auth=3,4",
        "-- --jobserver-auth=3,4",
    ] {
        assert_eq!(named(none), None, "{none}");
    }
}

#[test]
fn tokens_come_and_go() {
    for style in [Style::Fifo, Style::Pipe] {
        let server = Server::start(style, 3).unwrap();
        let flags = server.flags(OsStr::new(""));
        let found = Found::among([OsStr::new("k"), &flags]).expect("it is there");
        assert_eq!(&found, server.found());
        assert_eq!(found.identity(), server.found().identity());
        let tokens = found.open().unwrap();
        assert_eq!(tokens.lying(), 2);
        assert!(tokens.take().unwrap() && tokens.take().unwrap());
        assert!(!tokens.take().unwrap());
        tokens.give().unwrap();
        assert_eq!(server.tokens().lying(), 1);
        assert_eq!(tokens.name(), server.tokens().name());
    }
}

#[test]
fn numbers_that_are_no_pipe_are_no_jobserver() {
    let (read, _write) = rustix::pipe::pipe().unwrap();
    let (_other, write) = rustix::pipe::pipe().unwrap();
    let file = tempfile::tempfile().unwrap();
    let number = |fd: BorrowedFd<'_>| fd.as_raw_fd().unsigned_abs();
    let auth = |read, write| Auth::Pipe { read, write };
    for (one, two) in [
        (number(read.as_fd()), number(write.as_fd())),
        (number(file.as_fd()), number(file.as_fd())),
        (4_000_000, 4_000_001),
    ] {
        assert_eq!(auth(one, two).find(), None);
    }
    assert_eq!(Auth::Fifo("/no/such".into()).find(), None);
    assert_eq!(Auth::Fifo("/dev/null".into()).find(), None);
}

#[test]
fn a_pipe_that_took_the_place_of_another_is_not_taken_for_it() {
    let found = {
        let server = Server::start(Style::Fifo, 2).unwrap();
        server.found().clone()
    };
    assert!(found.open().is_err(), "it is gone");
}

#[test]
fn names_differ() {
    let one = Server::start(Style::Fifo, 1).unwrap();
    let two = Server::start(Style::Pipe, 1).unwrap();
    let three = Server::start(Style::Pipe, 1).unwrap();
    let names = [&one, &two, &three].map(|server| server.tokens().name().0);
    assert!(names[0] != names[1] && names[1] != names[2], "{names:?}");
    assert!(!two.tokens().name().1, "pipes have no birthday");
}

#[test]
fn other_flags_stay() {
    let server = Server::start(Style::Pipe, 7).unwrap();
    let auth = server.found().auth.spelled().into_string().unwrap();
    let ours = format!(" -j7 --jobserver-auth={auth}");
    for (before, after) in [
        ("", ours.clone()),
        ("ks", format!("ks{ours}")),
        (" -j4 --jobserver-auth=8,9", ours.clone()),
        ("s -l3 -j --jobserver-fds=8,9", format!("s -l3{ours}")),
        ("k -- X=-j4\\ 5 Y=z", format!("k{ours} -- X=-j4\\ 5 Y=z")),
        (
            "--no-print-directory",
            format!(" --no-print-directory{ours}"),
        ),
    ] {
        assert_eq!(server.flags(OsStr::new(before)), OsStr::new(&after));
    }
}
