//! `distcc-launch status` and `why`: what runs, and what ran, as a person asks for it.

use std::{fs, process::Command};

use serde_json::Value;
use tests::{
    Client, Conversation, Farm, LyingServer, Running, Space, distcc, fake_cc, run, start, until,
    wrapped_cc,
};

const SOURCES: [(&str, &str); 2] = [
    ("a.c", "int answer(void) { return 42; }\n"),
    ("sub/b.c", "int (\n"),
];

fn status(space: &Space) -> Value {
    let ran = run(&mut space.command("status --json"));
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    serde_json::from_slice(&ran.stdout).expect("one JSON object")
}

/// A host that keeps each job until it is let go.
fn holding() -> LyingServer {
    LyingServer::start(|talk: &mut Conversation| {
        if talk.request().is_some() {
            talk.stall();
        }
    })
}

/// Compiles that have got as far as the host, one for each client.
fn held(space: &Space, clients: &[Client], server: &LyingServer) -> Vec<Running> {
    space.renew();
    let jobs = clients
        .iter()
        .map(|client| start(&mut space.command_as(client, "gcc -c a.c")))
        .collect();
    until("the host has the jobs", || {
        server.requests().len() == clients.len()
    });
    jobs
}

#[test]
fn our_jobs_and_stocks_are_shown_by_both_monitors() {
    let server = holding();
    let space = Space::new(SOURCES).hosts(&format!("{}/4", server.host()));
    let jobs = held(&space, &[Client::ours(), Client::stock()], &server);
    // The file says so a moment after the host has all.
    until("both are at work", || {
        let now = status(&space);
        let jobs = now["jobs"].as_array().expect("jobs");
        jobs.iter().filter(|job| job["phase"] == "Compile").count() == 2
    });
    let now = status(&space);
    let mut pids: Vec<u64> = Vec::new();
    for job in now["jobs"].as_array().expect("jobs") {
        assert_eq!(
            (&job["file"], &job["host"]),
            (&"a.c".into(), &"127.0.0.1".into()),
            "{now:#}"
        );
        pids.push(job["pid"].as_u64().expect("a number"));
    }
    pids.sort_unstable();
    let mut expected: Vec<u64> = jobs.iter().map(|job| job.pid().into()).collect();
    expected.sort_unstable();
    assert_eq!(pids, expected);
    let host = &now["hosts"][0];
    assert_eq!(
        (&host["slots"], &host["free"]),
        (&4.into(), &2.into()),
        "{now:#}"
    );
    assert_eq!(host["in_use"].as_array().map(Vec::len), Some(2));

    let monitor = distcc().with_file_name("distccmon-text");
    let shown = run(Command::new(monitor)
        .env_clear()
        .env("DISTCC_DIR", space.dir()));
    let text = run(&mut space.command("status")).out();
    for pid in &expected {
        let of = |text: &str| {
            text.lines().any(|line| {
                line.contains(&pid.to_string())
                    && line.contains("Compile")
                    && line.contains("a.c")
                    && line.contains("127.0.0.1[")
            })
        };
        assert!(of(&shown.out()), "{pid}: {}", shown.out());
        assert!(of(&text), "{pid}: {text}");
    }
    assert!(text.contains("2 of 4"), "{text}");
    drop(jobs);
}

#[test]
fn what_runs_here_is_shown_too() {
    let space = Space::new(SOURCES).hosts("");
    let compiler = space.root().join("home/gcc");
    let stop = space.root().join("home/stop");
    fake_cc(
        &compiler,
        &format!("until [ -e {} ]; do sleep 0.05; done", stop.display()),
    );
    space.renew();
    let mut job = start(&mut space.command(&format!("{} -c a.c", compiler.display())));
    until("the job is shown", || {
        let now = status(&space);
        let jobs = now["jobs"].as_array().expect("jobs");
        jobs.iter().any(|one| {
            one["file"] == "a.c" && one["host"] == "localhost" && one["pid"] == job.pid()
        })
    });
    let now = status(&space);
    assert_eq!(now["local"]["in_use"].as_array().map(Vec::len), Some(1));
    assert!(
        now["error"]
            .as_str()
            .is_some_and(|why| why.contains("DISTCC_HOSTS"))
    );
    fs::write(stop, "").expect("written");
    until("it ends", || job.has_ended());
    until("it is gone", || {
        status(&space)["jobs"] == Value::Array(Vec::new())
    });
}

#[test]
fn hosts_that_are_avoided_are_named_with_what_is_left() {
    let gone = LyingServer::start(|_| {}).host();
    let space = Space::new(SOURCES)
        .hosts(&format!("{gone}/3 127.0.0.1:1,down"))
        .client_env("DISTCC_BACKOFF_PERIOD", "60");
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    let now = status(&space);
    let left = now["hosts"][0]["avoided"]["seconds_left"]
        .as_f64()
        .expect("a number");
    assert!(left > 1.0 && left <= 60.0, "{now:#}");
    assert_eq!(now["hosts"][1]["down"], true);
    let text = run(&mut space.command("status")).out();
    assert!(
        text.contains("avoided for") && text.contains("marked down"),
        "{text}"
    );

    // A host that has another compiler gets no jobs of this one.
    let farm = Farm::ours(1);
    let space = Space::new(SOURCES).hosts(&farm.hosts(""));
    let folder = space.root().join("home/bin");
    fs::create_dir(&folder).expect("a folder");
    let other = "case \"$1\" in --version) /usr/bin/clang --version | sed 's/version /version 1/' ;;\n\
        *) exec /usr/bin/clang \"$@\" ;; esac";
    wrapped_cc(&folder.join("clang"), other);
    let space = space.client_env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    space.renew();
    assert_eq!(space.run("clang -c a.c").code(), 0);
    let now = status(&space);
    let unfit = now["hosts"][0]["unfit"][0]["compiler"]
        .as_str()
        .unwrap_or_default();
    assert!(unfit.contains("clang version 1"), "{now:#}");
}

#[test]
fn the_last_build_is_summed_up() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    assert_eq!(status(&space)["last_build"], Value::Null);
    for command in [
        "gcc -c a.c",
        "gcc -c a.c -o b.o",
        "gcc -E a.c",
        "gcc -c sub/b.c",
    ] {
        space.run(command);
    }
    let build = &status(&space)["last_build"];
    assert_eq!(
        (&build["commands"], &build["remote"], &build["here"]),
        (&4.into(), &2.into(), &2.into()),
        "{build:#}"
    );
    assert_eq!(build["hosts"][0]["host"], farm.daemons[0].host());
    let reasons = build["reasons"].as_array().expect("a list");
    let preprocesses = reasons.iter().find(|one| one["reason"] == "preprocesses");
    assert_eq!(
        preprocesses.expect("named")["sentence"],
        "it stops after preprocessing"
    );
    let text = run(&mut space.command("status")).out();
    assert!(text.contains("last build: 4 commands"), "{text}");
    assert!(
        text.contains("here: it stops after preprocessing (preprocesses)"),
        "{text}"
    );
}

#[test]
fn watching_goes_on() {
    let space = Space::new(SOURCES).hosts("127.0.0.1:1");
    space.renew();
    let shell = format!(
        "{} status --json --watch=0.1 | head -n 3",
        tests::launcher().display()
    );
    let plain = space.command("status");
    let mut command = Command::new("sh");
    command
        .args(["-c", &shell])
        .current_dir(space.work())
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    let ran = run(&mut command);
    assert_eq!((ran.out().lines().count(), ran.err().as_str()), (3, ""));
}

/// A compilation database of one command.
fn write_database(space: &Space, file: &str, command: &str) {
    let folder = space.work();
    let entry = format!(
        "[{{\"directory\":\"{}\",\"file\":\"{file}\",\"command\":\"{command}\"}}]",
        folder.display()
    );
    fs::write(folder.join("compile_commands.json"), entry).expect("written");
}

fn why(space: &Space, file: &str) -> (i32, String, String) {
    let ran = run(&mut space.command(&format!("why {file}")));
    (ran.code(), ran.out(), ran.err())
}

#[test]
fn why_tells_where_a_unit_ran_and_what_was_tried() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCES);
    space.renew();
    assert_eq!(space.run("gcc -c a.c -o out.o").code(), 0);
    let host = farm.daemons[0].host();
    for file in ["a.c", "./a.c", "out.o"] {
        let (code, out, _) = why(&space, file);
        assert_eq!(code, 0, "{file}");
        assert!(
            out.contains(&format!("compiled on {host} (plain)")),
            "{file}: {out}"
        );
        assert!(out.contains("now: would be sent to a host"), "{out}");
    }
    assert_ne!(space.run("gcc -c sub/b.c").code(), 0);
    for file in ["b.c", "sub/b.c", "b.o"] {
        let (_, out, _) = why(&space, file);
        assert!(
            out.contains("(failed-there)") || out.contains("(preprocessor-failed)"),
            "{out}"
        );
    }
    let space = space.hosts("127.0.0.1:1 no-such-host.invalid");
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    let (_, out, _) = why(&space, "a.c");
    for part in [
        "each host that was tried failed (hosts-failed)",
        "tried 127.0.0.1:1 for",
        "nothing listened on its port (connect-refused)",
        "no address was found for its name (no-address)",
        "distcc-launch doctor",
        &format!("compiled on {host}"),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    assert_eq!(space.run("gcc a.o -shared -o a.so --coverage").code(), 0);
    assert!(why(&space, "a.so").1.contains("it links (links)"));
    // What was compiled outranks what only names it.
    assert!(!why(&space, "a.o").1.contains("it links"));
}

#[test]
fn why_knows_names_of_any_bytes_and_as_json() {
    let space = Space::new(SOURCES).hosts("");
    space.renew();
    let mut command = space.command("gcc -c");
    let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"odd\xff \"name.c");
    fs::write(space.work().join(odd), "int odd;\n").expect("written");
    assert_eq!(run(command.arg(odd)).code(), 0);
    let ran = run(space.command("why --json").arg(odd));
    assert_eq!(ran.code(), 0, "{}", ran.err());
    assert!(ran.out().contains("odd\\udcff"), "{}", ran.out());
    assert!(
        ran.out()
            .contains("\"reason\":\"no-hosts\",\"sentence\":\""),
        "{}",
        ran.out()
    );
    assert!(
        ran.out()
            .ends_with("\"now\":{\"place\":\"remote\",\"reason\":null,\"sentence\":null}}\n")
    );
}

#[test]
fn why_says_what_to_do_when_it_knows_nothing() {
    let space = Space::new(SOURCES).hosts("");
    space.renew();
    let (code, out, err) = why(&space, "a.c");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.contains("no journal") && err.contains("distcc-launch doctor"),
        "{err}"
    );
    space.run("gcc -c a.c");
    let (code, _, err) = why(&space, "other.c");
    assert_eq!(code, 2);
    assert!(
        err.contains("no command for other.c") && err.contains("doctor"),
        "{err}"
    );
    // A compilation database still knows the command.
    write_database(&space, "other.c", "gcc -march=native -g -c other.c");
    let (code, out, _) = why(&space, "other.c");
    assert_eq!(code, 0);
    assert!(
        out.contains("runs here:") && out.contains("(native-cpu)"),
        "{out}"
    );
}

/// What `why --hosts --json` prints, an object for each host and at last one for this machine.
fn candidates(space: &Space, file: &str) -> Vec<Value> {
    let ran = run(&mut space.command(&format!("why --hosts --json {file}")));
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    let out = ran.out();
    let lines = out.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("one JSON object a line"))
        .collect()
}

fn why_hosts(space: &Space, file: &str) -> String {
    let ran = run(&mut space.command(&format!("why --hosts {file}")));
    assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    ran.out()
}

#[test]
fn why_names_the_hosts_that_a_unit_could_go_to() {
    let farm = Farm::ours(2);
    let space = farm.space(SOURCES);
    space.renew();
    // No journal yet: a compilation database knows the command.
    write_database(&space, "a.c", "gcc -O2 -c a.c");
    let hosts = [0, 1].map(|index| farm.daemons[index].host());
    let text = why_hosts(&space, "a.c");
    let order = [&hosts[0], &hosts[1]].map(|host| text.find(host.as_str()).expect("named"));
    assert!(order[0] < order[1], "{text}");
    for part in [
        "gcc -O2 -c a.c",
        "now: would be sent to a host",
        "no such job has run yet",
        "0 of 4 in use",
        "unknown  no job yet",
        "this machine",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let left = fs::read_dir(space.dir().join("lock")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "looking leaves no file");

    // With a journal its last command counts.
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    assert!(why_hosts(&space, "a.o").starts_with("gcc -c a.c\n"));
    let lines = candidates(&space, "a.c");
    let names: Vec<_> = lines.iter().map(|line| &line["name"]).collect();
    assert_eq!(names, [&*hosts[0], &*hosts[1], "localhost"]);
    let turns: Vec<_> = lines.iter().map(|line| line["turn"].as_u64()).collect();
    assert_eq!(turns, [Some(1), Some(2), None]);
    assert_eq!(lines[2]["here"], true);

    // What runs here goes nowhere.
    assert_eq!(space.run("gcc -E a.c -o a.i").code(), 0);
    let text = why_hosts(&space, "a.i");
    assert!(text.contains("(preprocesses)"), "{text}");
    assert!(!text.contains(&hosts[0]), "{text}");
    assert_eq!(candidates(&space, "a.i")[0]["refused"], "runs-here");
}

#[test]
fn why_names_hosts_that_would_not_be_tried() {
    let (gone, busy) = (LyingServer::start(|_| {}).host(), holding());
    let space = Space::new(SOURCES)
        .hosts(&format!("{gone}/3 127.0.0.1:1,down {}/2", busy.host()))
        .client_env("DISTCC_BACKOFF_PERIOD", "60");
    let jobs = held(&space, &[Client::ours()], &busy);
    // The journal has the job when it has ended.
    write_database(&space, "a.c", "gcc -c a.c");
    until("the host that is gone is avoided", || {
        candidates(&space, "a.c")[1]["refused"] == "avoided"
    });
    let lines = candidates(&space, "a.c");
    assert_eq!(
        (&lines[0]["name"], &lines[0]["turn"], &lines[0]["free"]),
        (&busy.host().into(), &1.into(), &1.into()),
        "{lines:#?}"
    );
    let left = lines[1]["avoided"]["seconds_left"]
        .as_f64()
        .expect("a number");
    assert!(left > 1.0 && left <= 60.0, "{lines:#?}");
    assert_eq!(lines[2]["refused"], "down");
    let text = why_hosts(&space, "a.c");
    for part in [
        "not tried now:",
        "avoided for",
        "marked down",
        "1 of 2 in use",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(busy.requests().len(), 1, "looking opens no connection");
    drop(jobs);
}

#[test]
fn why_does_not_need_hosts_to_say_so() {
    let space = Space::new(SOURCES).hosts("");
    space.renew();
    assert_eq!(space.run("gcc -c a.c").code(), 0);
    let text = why_hosts(&space, "a.c");
    assert!(
        text.contains("no hosts: ") && text.contains("this machine"),
        "{text}"
    );
    let ran = run(&mut space.command("why --hosts other.c"));
    assert_eq!((ran.code(), ran.out().as_str()), (2, ""));
    assert!(
        ran.err().contains("no command for other.c"),
        "{}",
        ran.err()
    );
    let ran = run(&mut space.command("why --hosts -n 2 a.c"));
    assert_ne!(ran.code(), 0);
}

#[test]
fn what_compiles_took_is_what_is_expected() {
    let farm = Farm::ours(1);
    let space = farm.space([SOURCES[0], ("new.c", "int other(void) { return 1; }\n")]);
    space.renew();
    for _ in 0..4 {
        assert_eq!(space.run("gcc -c a.c").code(), 0);
    }
    let lines = candidates(&space, "a.c");
    let took = lines[0]["expected_ms"].as_f64().expect("a number");
    assert!(took > 0.0, "{lines:#?}");
    // On a busy machine a host may seem lost for a moment.
    let jobs = lines[0]["jobs"].as_u64().expect("a number");
    assert!(jobs > 1, "{lines:#?}");
    assert_eq!(lines[0]["pace"], 1.0);
    let by = format!("×1.0 by {jobs} jobs");
    assert_eq!(lines[1]["here"], true);
    let text = why_hosts(&space, "a.c");
    assert!(text.contains(&by), "{text}");

    // Another unit of the kind is known by its like, another kind is not.
    write_database(&space, "new.c", "gcc -c new.c");
    assert!(candidates(&space, "new.c")[0]["expected_ms"].is_number());
    write_database(&space, "new.c", "gcc -O2 -g -c new.c");
    let text = why_hosts(&space, "new.c");
    assert!(
        text.contains("no such job has run yet") && text.contains(&format!("unknown  {by}")),
        "{text}"
    );

    let now = status(&space);
    assert_eq!(
        (&now["hosts"][0]["pace"], &now["hosts"][0]["jobs"]),
        (&1.0.into(), &jobs.into()),
        "{now:#}"
    );
    assert!(now["local"]["jobs"].is_number(), "{now:#}");
    assert!(now["second_copies"]["jobs"].as_u64() > Some(1), "{now:#}");
    let text = run(&mut space.command("status")).out();
    for part in [&by, "second copies: 0 among the last "] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
