//! Called `distcc`, our launcher is what scripts written for stock expect: options, output, log lines, exit codes.
//!
//! The patterns are those of the interoperation facts, section 9; each is tried on stock's own client too, so that
//! none asks for more than scripts have had.

use regex::Regex;
use tests::{Client, Farm, LyingServer, Ran, Space, run};

const SOURCE: [(&str, &str); 2] = [
    ("testtmp.c", "int answer(void) { return 42; }\n"),
    ("broken.c", "int (\n"),
];

/// Each client that must pass.
fn clients() -> [Client; 2] {
    [Client::stock(), Client::ours().called("distcc")]
}

fn space(client: Client) -> Space {
    // The harness has stock's client write a log; here its messages go where they go.
    let space = Space::new(SOURCE)
        .client(client)
        .client_env("DISTCC_LOG", "")
        .client_env("DISTCC_VERBOSE", "0");
    space.renew();
    space
}

#[track_caller]
fn assert_matches(text: &str, pattern: &str) {
    let pattern = Regex::new(pattern).unwrap();
    assert!(pattern.is_match(text), "{pattern} finds nothing in: {text}");
}

/// The client's own option: no compiler word follows.
fn own(space: &Space, option: &str) -> Ran {
    space.run(option)
}

#[test]
fn version_has_the_lines_that_scripts_read() {
    for client in clients() {
        let ran = own(&space(client), "--version");
        let (out, lines) = (ran.out(), ran.out());
        let lines: Vec<&str> = lines.lines().collect();
        assert_matches(lines[0], r"^distcc [\w.-]+ [.\w-]+$");
        assert_matches(lines[1], r"^[ \t]+\(protocol.*\) \(default port 3632\)$");
        assert!(lines.len() > 2, "{out}");
        assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    }
}

#[test]
fn help_says_how_to_use_it() {
    for client in clients() {
        let ran = own(&space(client), "--help");
        assert!(ran.out().contains("Usage:"), "{}", ran.out());
        assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
    }
}

#[test]
fn show_hosts_repeats_the_tokens_one_a_line() {
    let lists = [
        (
            "127.0.0.1 127.0.0.2:4200/7,lzo @far",
            "127.0.0.1\n127.0.0.2:4200/7,lzo\n@far\n",
        ),
        (
            "localhost/3 [::1]:3000 # a comment",
            "localhost/3\n[::1]:3000\n",
        ),
        (
            "bob@far:/opt/distccd\n127.0.0.1=5",
            "bob@far:/opt/distccd\n127.0.0.1=5\n",
        ),
    ];
    for client in clients() {
        for (list, shown) in lists {
            let ran = own(&space(client.clone()).hosts(list), "--show-hosts");
            assert_eq!(
                (ran.out().as_str(), ran.code()),
                (shown, 0),
                "{list}: {}",
                ran.err()
            );
        }
    }
}

#[test]
fn dash_j_sums_the_slots() {
    let lists = [
        ("127.0.0.1", "4"),
        ("127.0.0.1/7 localhost 127.0.0.2/3,down", "12"),
        ("localhost/5", "5"),
        ("@far", "4"),
    ];
    for client in clients() {
        for (list, sum) in lists {
            let ran = own(&space(client.clone()).hosts(list), "-j");
            assert_eq!(
                (ran.out().trim(), ran.code()),
                (sum, 0),
                "{list}: {}",
                ran.err()
            );
        }
    }
}

#[test]
fn hosts_come_from_the_file_when_the_variable_is_not_set() {
    for client in clients() {
        let space = space(client);
        std::fs::write(
            space.dir().join("hosts"),
            "# mine\n127.0.0.1/3\n127.0.0.2/4\n",
        )
        .unwrap();
        assert_eq!(
            own(&space, "--show-hosts").out(),
            "127.0.0.1/3\n127.0.0.2/4\n"
        );
        assert_eq!(own(&space, "-j").out().trim(), "7");
    }
}

#[test]
fn bad_hosts_print_nothing_and_say_so() {
    for client in clients() {
        for list in [
            "127.0.0.1:x",
            "127.0.0.1,nonsense",
            "127.0.0.1,cpp",
            "[::1",
            "@",
            "127.0.0.1/0",
        ] {
            let ran = own(
                &space(client.clone())
                    .hosts(list)
                    .client_env("DISTCC_LOG", ""),
                "--show-hosts",
            );
            assert_eq!((ran.out().as_str(), ran.code()), ("", 0), "{list}");
            assert_ne!(ran.err(), "", "{list}");
        }
    }
}

#[test]
fn no_argument_is_bad_usage() {
    for client in clients() {
        assert_eq!(space(client).run("").code(), 101);
    }
}

#[test]
fn success_is_silent() {
    let farm = Farm::stock(1);
    for client in clients() {
        let compared = farm
            .space(SOURCE)
            .client(client)
            .compile("gcc -c testtmp.c -o testtmp.o");
        compared.assert_same_as_local().assert_remote();
        assert_eq!(
            (compared.via.stdout.len(), compared.via.stderr.len()),
            (0, 0)
        );
    }
}

#[test]
fn the_log_names_the_finished_job() {
    let farm = Farm::stock(1);
    for client in clients() {
        let space = farm.space(SOURCE).client(client);
        let log = space.log_file();
        let space = space
            .client_env("DISTCC_LOG", &log)
            .client_env("DISTCC_VERBOSE", "1");
        space
            .compile("gcc -c testtmp.c -o testtmp.o")
            .assert_remote();
        assert_matches(
            &space.log(),
            r"compile testtmp.c on 127.0.0.1:[0-9]* completed ok",
        );
        assert_matches(&space.log(), r"(?m)^distcc\[\d+\] ");
    }
}

#[test]
fn no_hosts_are_warned_of() {
    for client in clients() {
        let space = space(client).hosts("").client_env("DISTCC_LOG", "");
        let ran = space.run("gcc -c testtmp.c");
        assert_eq!(ran.code(), 0);
        assert_matches(
            &ran.err(),
            r"Warning.*\$DISTCC_HOSTS.*can't distribute work",
        );
    }
}

#[test]
fn a_fall_back_is_logged() {
    for client in clients() {
        let space = space(client);
        let log = space.log_file();
        let space = space.hosts("127.0.0.1:1").client_env("DISTCC_LOG", log);
        assert_eq!(space.run("gcc -c testtmp.c").code(), 0);
        assert_matches(
            &space.log(),
            "failed to distribute.*running locally instead",
        );
    }
}

#[test]
fn a_fall_back_for_a_name_that_is_none_is_logged() {
    for client in clients() {
        let space = space(client);
        let log = space.log_file();
        let space = space
            .hosts("no-such-host.invalid")
            .client_env("DISTCC_LOG", log);
        assert_eq!(space.run("gcc -c testtmp.c").code(), 0);
        assert_matches(
            &space.log(),
            "failed to distribute.*running locally instead",
        );
    }
}

#[test]
fn without_fall_back_an_unreachable_host_is_116() {
    for client in clients() {
        for list in ["127.0.0.1:1", "", "127.0.0.1,nonsense"] {
            let space = space(client.clone())
                .hosts(list)
                .client_env("DISTCC_FALLBACK", "0");
            assert_eq!(space.run("gcc -c testtmp.c").code(), 116, "{list:?}");
            assert!(!space.work().join("testtmp.o").exists(), "{list:?}");
        }
    }
}

#[test]
fn without_fall_back_local_jobs_still_run() {
    for client in clients() {
        let space = space(client)
            .hosts("127.0.0.1:1")
            .client_env("DISTCC_FALLBACK", "0");
        assert_eq!(space.run("gcc -E testtmp.c").code(), 0);
        assert_eq!(space.run("gcc testtmp.c -shared -o testtmp.so").code(), 0);
    }
}

#[test]
fn without_fall_back_a_missing_compiler_is_110() {
    let farm = Farm::stock(1);
    for client in clients() {
        let space = space(client)
            .hosts(&farm.hosts(""))
            .client_env("DISTCC_FALLBACK", "0");
        let ran = space.run("nosuchcc -c testtmp.c");
        assert_eq!(ran.code(), 110, "{}", ran.err());
        assert_matches(&ran.err(), "failed to exec");
    }
}

#[test]
fn a_log_that_cannot_be_opened_is_told() {
    let farm = Farm::stock(1);
    for client in clients() {
        let space = space(client)
            .hosts(&farm.hosts(""))
            .client_env("DISTCC_LOG", "/nonexistent/folder/log");
        let ran = space.run("gcc -c testtmp.c");
        assert_eq!(ran.code(), 0);
        assert_matches(&ran.err(), "failed to open logfile");
    }
}

#[test]
fn scanning_includes_needs_a_pump_host() {
    for client in clients() {
        let space = space(client);
        let log = space.log_file();
        let space = space.hosts("127.0.0.1").client_env("DISTCC_LOG", log);
        let ran = space.run("--scan-includes gcc -c testtmp.c");
        assert_eq!(
            (ran.code(), ran.out().as_str(), ran.err().as_str()),
            (100, "", "")
        );
        assert_matches(
            &space.log(),
            r"ERROR: '--scan_includes' specified, but distcc wouldn't have used include server .make sure hosts list includes ',cpp' option",
        );
    }
}

#[test]
fn a_refused_client_falls_back() {
    // Closes without a byte, as a daemon does that does not allow this address.
    for client in clients() {
        let server = LyingServer::start(|_| {});
        let space = space(client);
        let log = space.log_file();
        let space = space.hosts(&server.host()).client_env("DISTCC_LOG", log);
        assert_eq!(space.run("gcc -c testtmp.c").code(), 0);
        assert_matches(
            &space.log(),
            "failed to distribute.*running locally instead",
        );
    }
}

#[test]
fn bad_numbers_in_the_environment_are_101() {
    for client in clients() {
        for value in ["0", "-1"] {
            let server = LyingServer::start(|talk| {
                talk.stall();
            });
            let space = space(client.clone())
                .hosts(&server.host())
                .client_env("DISTCC_IO_TIMEOUT", value);
            assert_eq!(space.run("gcc -c testtmp.c").code(), 101, "{value}");
        }
    }
}

#[test]
fn a_compiler_killed_by_a_signal_is_128_and_the_signal() {
    for client in clients() {
        let space = space(client);
        let cc = space.root().join("home/gcc");
        tests::script(&cc, "kill -SEGV $$");
        let space = space.hosts("localhost");
        assert_eq!(
            space.run(&format!("{} -c testtmp.c", cc.display())).code(),
            139
        );
    }
}

#[test]
fn uncached_err_fd_takes_the_messages() {
    for client in clients() {
        let space = space(client.clone())
            .hosts("")
            .client_env("UNCACHED_ERR_FD", "3");
        let launcher = space.command("gcc -c testtmp.c");
        // The shell opens descriptor 3 and then becomes the launcher.
        let mut shell = std::process::Command::new("sh");
        shell
            .args(["-c", "exec \"$@\" 3> messages", "sh"])
            .arg(launcher.get_program())
            .args(launcher.get_args());
        shell.current_dir(space.work()).env_clear();
        for (name, value) in launcher.get_envs() {
            if let Some(value) = value {
                shell.env(name, value);
            }
        }
        let shell = shell.env_remove("DISTCC_LOG").env_remove("DISTCC_VERBOSE");
        let ran = run(shell);
        assert_eq!((ran.code(), ran.err().as_str()), (0, ""));
        let messages = std::fs::read_to_string(space.work().join("messages")).unwrap();
        assert!(messages.contains("DISTCC_HOSTS"), "{messages}");
    }
}

#[test]
fn our_own_words_are_no_sub_commands_of_distcc() {
    // `distcc jobs` names a compiler, as with stock, and there is none of this name.
    for word in ["jobs", "run", "setup", "classify", "status", "why"] {
        for client in clients() {
            let ran = space(client).hosts("127.0.0.1:1").run(word);
            assert_eq!(ran.code(), 110, "{word}: {}", ran.err());
        }
    }
}

#[test]
fn a_failing_compile_is_run_again_here_and_its_words_count() {
    let farm = Farm::stock(1);
    for client in clients() {
        let compared = farm
            .space(SOURCE)
            .client(client)
            .client_env("DISTCC_LOG", "/dev/null")
            .compile("gcc -c broken.c");
        compared.assert_same_files();
        assert!(
            compared.via.stderr.ends_with(&compared.local.stderr),
            "{compared}"
        );
    }
}
