//! Hosts reached through ssh, with a program that stands in for it.

use tests::{Client, Space, distccd, launcher_daemon, script, stand_in_ssh};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];

/// The space, and a function that reads what the stand-in was called with: one line, since all calls are alike.
fn space(client: Client, host: &str) -> (Space, impl Fn() -> String + use<>) {
    let space = Space::new(SOURCE);
    let ssh = stand_in_ssh(&space.root().join("home"));
    let log = space.root().join("home/ssh.log");
    let space = space
        .client(client)
        .hosts(host)
        .client_env("DISTCC_SSH", ssh);
    (space, move || {
        let mut calls: Vec<String> = std::fs::read_to_string(&log)
            .unwrap_or_default()
            .lines()
            .map(|line| format!("{line}\n"))
            .collect();
        calls.dedup();
        calls.concat()
    })
}

/// A compile on `host` runs ssh with `words`.
fn assert_runs(client: Client, host: &str, words: &str) {
    let (space, log) = space(client, host);
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    assert_eq!(log(), format!("{words} --inetd --enable-tcp-insecure\n"));
}

#[test]
fn a_named_command_is_run() {
    for suffix in ["", ",lzo"] {
        for (client, daemon) in [
            (Client::ours(), distccd()),
            (Client::ours(), launcher_daemon()),
            (Client::stock(), launcher_daemon()),
        ] {
            let daemon = daemon.display();
            let host = format!("bob@farm:{daemon}{suffix}");
            assert_runs(client, &host, &format!("-l bob farm {daemon}"));
        }
        let daemon = distccd();
        let host = format!("bob@farm/2:{}{suffix}", daemon.display());
        assert_runs(
            Client::ours(),
            &host,
            &format!("-l bob farm {}", daemon.display()),
        );
    }
}

#[test]
fn no_user_and_no_command_mean_distccd() {
    assert_runs(Client::ours(), "@farm", "farm distccd");
}

#[test]
fn words_in_the_ssh_variable_are_arguments() {
    let (space, log) = space(Client::ours(), "@farm");
    let ssh = space.root().join("home/fake-ssh");
    let space = space.client_env("DISTCC_SSH", format!("{} -p 2222 -x", ssh.display()));
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
    assert_eq!(
        log(),
        "-p 2222 -x farm distccd --inetd --enable-tcp-insecure\n"
    );
}

#[test]
fn the_slot_is_named_as_stock_names_it() {
    for client in [Client::ours(), Client::stock()] {
        let (space, _) = space(client, &format!("bob@farm:{}", distccd().display()));
        space.compile("gcc -c a.c").assert_remote();
        assert!(space.dir().join("lock/cpu_ssh_farm_0").exists());
    }
}

#[test]
fn an_ssh_that_fails_is_a_host_that_fails() {
    for ssh in ["/bin/false", "/nonexistent/ssh", "/bin/true", "/bin/cat"] {
        let space = Space::new(SOURCE)
            .hosts("@farm")
            .client_env("DISTCC_SSH", ssh);
        space
            .compile("gcc -c a.c")
            .assert_same_as_local()
            .assert_fell_back();
    }
}

/// Banners and complaints of ssh reach whoever asked for them, and no build tool that parses a compiler's messages.
#[test]
fn what_ssh_says_is_kept_from_build_tools() {
    for (end, remote) in [
        ("exit 255", false),
        ("exec DAEMON --inetd --enable-tcp-insecure", true),
    ] {
        let space = Space::new(SOURCE);
        let ssh = space.root().join("home/loud-ssh");
        let end = end.replace("DAEMON", &distccd().display().to_string());
        let tmp = space.root().join("home");
        script(
            &ssh,
            &format!(
                "echo 'authorised use only' >&2\nexport TMPDIR={}\n{end}",
                tmp.display()
            ),
        );
        let space = space.hosts("@farm").client_env("DISTCC_SSH", ssh);
        let quiet = space.compile("gcc -c a.c");
        quiet.assert_same_as_local();
        assert_eq!(quiet.row().place == "remote", remote, "{quiet}");
        space.forget();
        let space = space.client_env("DISTCC_VERBOSE", "1");
        let loud = space.compile("gcc -c a.c");
        let said = String::from_utf8_lossy(&loud.via.stderr).into_owned();
        assert!(said.contains("authorised use only"), "{said}");
    }
}

#[test]
fn called_distcc_it_lets_ssh_speak() {
    let space = Space::new(SOURCE).client(Client::ours().called("distcc"));
    let ssh = space.root().join("home/loud-ssh");
    script(&ssh, "echo 'Permission denied' >&2; exit 255");
    let compared = space
        .hosts("@farm")
        .client_env("DISTCC_SSH", ssh)
        .compile("gcc -c a.c");
    compared.assert_same_files().assert_fell_back();
    assert!(
        compared
            .via
            .stderr
            .windows(17)
            .any(|part| part == b"Permission denied"),
        "{compared}"
    );
}

/// In a group of its own it would be stopped as soon as it asks for a passphrase at the terminal.
#[test]
fn an_ssh_may_ask_at_the_terminal() {
    let space = Space::new(SOURCE);
    let ssh = space.root().join("home/asking-ssh");
    let groups = space.root().join("home/groups");
    let text = format!(
        "for of in $$ $PPID; do cut -d' ' -f5 /proc/$of/stat; done > {}; exit 255",
        groups.display()
    );
    tests::script(&ssh, &text);
    let space = space.hosts("@farm").client_env("DISTCC_SSH", ssh);
    space.compile("gcc -c a.c").assert_same_files();
    let groups = std::fs::read_to_string(groups).unwrap();
    let groups: Vec<&str> = groups.lines().collect();
    assert_eq!(groups[0], groups[1], "ssh's and the launcher's");
}
