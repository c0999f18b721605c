//! How a host list is found, and how the hosts in it are reached.

use std::net::TcpListener;

use tests::{Client, Daemon, Farm, Make, Space, run, stand_in_ssh};

const SOURCE: [(&str, &str); 1] = [("a.c", "int answer(void) { return 42; }\n")];

#[test]
fn over_ip_version_six() {
    // The loopback interface has ::1 wherever the kernel knows IPv6 at all.
    assert!(
        TcpListener::bind("[::1]:0").is_ok(),
        "this machine has no IPv6 loopback"
    );
    for make in [Make::Ours, Make::Stock] {
        let daemon = Daemon::start(make, "::1", &["--allow", "::1"]);
        for suffix in ["", "/2", ",lzo"] {
            for client in [Client::ours(), Client::stock()] {
                let space = Space::new(SOURCE)
                    .client(client)
                    .hosts(&format!("{}{suffix}", daemon.host()));
                space
                    .compile("gcc -c a.c")
                    .assert_same_as_local()
                    .assert_remote();
                assert!(
                    space
                        .dir()
                        .join(format!("lock/cpu_tcp_::1_{}_0", daemon.port()))
                        .exists(),
                    "{suffix}"
                );
            }
        }
    }
}

#[test]
fn by_name() {
    let farm = Farm::ours(1);
    let port = farm.daemons[0].port();
    for name in ["localhost", "LocalHost"] {
        let space = Space::new(SOURCE).hosts(&format!("{name}:{port}"));
        for _ in 0..3 {
            space
                .compile("gcc -c a.c")
                .assert_same_as_local()
                .assert_remote();
        }
        assert!(
            space
                .dir()
                .join(format!("lock/cpu_tcp_{name}_{port}_0"))
                .exists(),
            "{name}"
        );
    }
}

#[test]
fn a_name_that_is_none_costs_only_the_attempt() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCE).hosts(&format!("no-such-host.invalid {}", farm.hosts("")));
    let compared = space.compile("gcc -c a.c");
    compared.assert_same_as_local();
    assert_eq!(compared.row().place, "remote", "{compared}");
    assert_eq!(compared.row().attempts.len(), 2, "{compared}");
}

#[test]
fn from_the_file_in_the_folder() {
    let farm = Farm::ours(1);
    for client in [
        Client::ours(),
        Client::ours().called("distcc"),
        Client::ours().masquerading(),
    ] {
        let space = Space::new(SOURCE).client(client);
        std::fs::write(
            space.dir().join("hosts"),
            format!("# the farm\n\n  {},lzo # fast\n", farm.hosts("/3")),
        )
        .unwrap();
        space
            .compile("gcc -c a.c")
            .assert_same_as_local()
            .assert_remote();
    }
}

#[test]
fn from_the_folder_in_the_home() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCE);
    let folder = space.root().join("home/.distcc");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("hosts"), farm.hosts("")).unwrap();
    space.renew();
    assert_eq!(
        run(space.command("gcc -c a.c").env_remove("DISTCC_DIR")).code(),
        0
    );
    assert_eq!(space.rows()[0].place, "remote", "{:?}", space.rows());
}

#[test]
fn a_variable_that_is_empty_hides_the_file() {
    let farm = Farm::ours(1);
    let space = Space::new(SOURCE).hosts("");
    std::fs::write(space.dir().join("hosts"), farm.hosts("")).unwrap();
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_here();
}

#[test]
fn a_shuffled_list_reaches_all_in_the_end() {
    let farm = Farm::ours(2);
    let space = Space::new(SOURCE).hosts(&format!("--randomize {}", farm.hosts("")));
    let mut seen = std::collections::BTreeSet::new();
    // One in two each time: forty times the same is one in 2^39.
    for _ in 0..40 {
        let compared = space.compile("gcc -c a.c");
        compared.assert_same_as_local().assert_remote();
        seen.insert(compared.row().host.clone());
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
}

/// One message that names the token, for each thing that a list may not hold.
#[test]
fn a_bad_list_is_told_once_with_the_token() {
    for (list, token) in [
        (
            "127.0.0.1 127.0.0.2,nonsense 127.0.0.3",
            "127.0.0.2,nonsense",
        ),
        ("127.0.0.1:x", "127.0.0.1:x"),
        ("127.0.0.1 127.0.0.1/0", "127.0.0.1/0"),
        ("127.0.0.1,cpp", "127.0.0.1,cpp"),
        ("127.0.0.1,auth", "127.0.0.1,auth"),
        ("127.0.0.1,auth=name", "127.0.0.1,auth=name"),
        ("127.0.0.1,lzo,key=", "127.0.0.1,lzo,key="),
        ("bob@127.0.0.1,key", "bob@127.0.0.1,key"),
        ("+zeroconf/4", "+zeroconf/4"),
        ("[::1", "[::1"),
        ("bob@", "bob@"),
    ] {
        let space = Space::new(SOURCE)
            .client(Client::ours().called("distcc"))
            .hosts(list);
        let compared = space.compile("gcc -c a.c");
        compared.assert_same_files().assert_local("bad-host-list");
        let said = String::from_utf8_lossy(&compared.via.stderr).into_owned();
        let naming = said.lines().filter(|line| line.contains(token)).count();
        assert_eq!(naming, 1, "{list}: {said}");
    }
}

#[test]
fn cpp_means_that_the_files_go() {
    let farm = Farm::ours(1);
    for option in [",lzo,cpp", ",cpp,lzo"] {
        let compared = Space::new(SOURCE)
            .hosts(&farm.hosts(option))
            .compile("gcc -c a.c");
        compared.assert_same_as_local().assert_remote();
        assert_eq!(compared.row().mode.as_deref(), Some("pump"));
    }
}

#[test]
fn behind_ccache() {
    let farm = Farm::ours(1);
    let space = farm.space(SOURCE);
    let expected = space.local("gcc -c a.c");
    space.renew();
    let folder = space.root().join("home/bin");
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(tests::launcher(), folder.join("distcc-launch")).unwrap();
    let cache = space.root().join("home/cache");
    let through = |object: &str| {
        let plain = space.command(&format!("-c a.c -o {object}"));
        let mut ccache = std::process::Command::new("ccache");
        ccache
            .args(["gcc", "-c", "a.c", "-o", object])
            .current_dir(space.work())
            .env_clear();
        for (name, value) in plain.get_envs() {
            ccache.env(name, value.unwrap_or_default());
        }
        ccache.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
        ccache
            .env("CCACHE_PREFIX", "distcc-launch")
            .env("CCACHE_DIR", &cache);
        let ran = run(&mut ccache);
        assert_eq!(
            (ran.code(), ran.out().as_str(), ran.err().as_str()),
            (0, "", "")
        );
        std::fs::read(space.work().join(object)).unwrap()
    };
    assert_eq!(through("a.o"), expected.bytes("a.o"));
    let rows = space.rows();
    assert!(rows.iter().any(|row| row.place == "remote"), "{rows:?}");
    // The second time it comes out of the cache, and we are not asked at all.
    assert_eq!(through("b.o"), expected.bytes("a.o"));
    assert_eq!(space.rows().len(), rows.len());
}

#[test]
fn many_kinds_in_one_list() {
    let (ours, stock) = (Farm::ours(1), Farm::stock(1));
    let space = Space::new(SOURCE);
    let ssh = stand_in_ssh(&space.root().join("home"));
    let list = format!(
        "127.0.0.1:1 {} {} @far/1 localhost/1 --localslots=2",
        ours.hosts("/1,lzo"),
        stock.hosts("/1")
    );
    let space = space.hosts(&list).client_env("DISTCC_SSH", ssh);
    for _ in 0..3 {
        let compared = space.compile("gcc -c a.c");
        compared.assert_same_as_local();
        assert_eq!(compared.row().place, "remote", "{compared}");
    }
}
