use std::path::Path;

use proptest::prelude::*;

use super::*;

fn host(token: &str, transport: Transport, slots: u32) -> Host {
    Host {
        token: token.to_owned(),
        transport,
        slots,
        lzo: false,
        cpp: false,
        down: false,
        key: None,
    }
}

fn tcp(token: &str, name: &str, port: u16, slots: u32) -> Host {
    let transport = Transport::Tcp {
        host: name.to_owned(),
        port,
    };
    host(token, transport, slots)
}

fn ssh(token: &str, user: &str, name: &str, command: &str, slots: u32) -> Host {
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let transport = Transport::Ssh {
        user: some(user),
        host: name.to_owned(),
        command: some(command),
    };
    host(token, transport, slots)
}

fn here(token: &str, slots: u32) -> Host {
    host(token, Transport::Local, slots)
}

#[test]
fn keys_are_in_the_folder_or_named() {
    let folder = Path::new("/home/me/.distcc");
    for (token, path) in [
        ("farm,lzo", None),
        ("farm,key", Some("/home/me/.distcc/key")),
        ("[::1]:7/3,key,lzo", Some("/home/me/.distcc/key")),
        ("farm,lzo,key=/etc/farm.key", Some("/etc/farm.key")),
        ("farm,key=work/key=1", Some("/home/me/.distcc/work/key=1")),
        ("farm,key,key=b", Some("/home/me/.distcc/b")),
    ] {
        let list = parse(token).unwrap();
        let key = list.hosts[0].key.as_ref().map(|key| key.path(folder));
        assert_eq!(key.as_deref(), path.map(Path::new), "{token}");
        // The same slots as without a key.
        assert!(!list.hosts[0].lock_name().contains("key"), "{token}");
    }
}

#[test]
fn each_form_of_a_host() {
    #[rustfmt::skip]
    let table = [
        here("localhost", 2),
        here("localhost/7", 7),
        here("localhost=7", 7),
        here("localhost/7:3632", 7),
        tcp("localhost:3632", "localhost", 3632, 4),
        tcp("localhosts", "localhosts", 3632, 4),
        tcp("localhost.lan/3", "localhost.lan", 3632, 3),
        tcp("127.0.0.1", "127.0.0.1", 3632, 4),
        tcp("farm", "farm", 3632, 4),
        tcp("Farm_1.lan", "Farm_1.lan", 3632, 4),
        tcp("farm/8", "farm", 3632, 8),
        tcp("farm=8", "farm", 3632, 8),
        tcp("farm:4200", "farm", 4200, 4),
        tcp("farm:4200/8", "farm", 4200, 8),
        tcp("farm:4200=8", "farm", 4200, 8),
        tcp("farm/8:4200", "farm", 4200, 8),
        tcp("farm=8:4200", "farm", 4200, 8),
        tcp("farm/8:4200/9", "farm", 4200, 9),
        tcp("farm:65535/9999", "farm", 65535, 9999),
        tcp("farm/008:01", "farm", 1, 8),
        tcp("[::1]", "::1", 3632, 4),
        tcp("[fe80::1%eth0]", "fe80::1%eth0", 3632, 4),
        tcp("[2001:db8::7]:4200/8", "2001:db8::7", 4200, 8),
        tcp("[2001:db8::7]/8:4200", "2001:db8::7", 4200, 8),
        ssh("@farm", "", "farm", "", 4),
        ssh("@farm/8", "", "farm", "", 8),
        ssh("bob@farm", "bob", "farm", "", 4),
        ssh("bob@farm=8", "bob", "farm", "", 8),
        ssh("bob@farm:", "bob", "farm", "", 4),
        ssh("bob@farm:/opt/distccd", "bob", "farm", "/opt/distccd", 4),
        ssh("bob@farm/8:/opt/distccd", "bob", "farm", "/opt/distccd", 8),
        ssh("bob@farm:/opt/d@2:x", "bob", "farm", "/opt/d@2:x", 4),
        ssh("bob@[::1]/8:d", "bob", "::1", "d", 8),
    ];
    for expected in table {
        let list = parse(&expected.token).unwrap();
        assert_eq!(list.hosts, [expected]);
    }
}

#[test]
fn each_option_of_a_host() {
    let options = |text: &str| {
        let host = parse(text).unwrap().hosts.remove(0);
        (host.lzo, host.cpp, host.down)
    };
    assert_eq!(options("farm/8,lzo"), (true, false, false));
    assert_eq!(options("farm,lzo,cpp"), (true, true, false));
    assert_eq!(options("farm,cpp,lzo"), (true, true, false));
    assert_eq!(options("bob@farm:d,down"), (false, false, true));
    assert_eq!(options("[::1],down,lzo,lzo"), (true, false, true));
    assert_eq!(
        parse("localhost,lzo").unwrap().hosts[0].name(),
        "localhost:3632"
    );
    assert_eq!(
        parse("localhost/2,lzo").unwrap().hosts[0].name(),
        "localhost"
    );
}

#[test]
fn a_list_has_blanks_comments_and_settings() {
    let text =
        b"--randomize\t--localslots=3 # mine\r\n\x0b--localslots_cpp=9\x0cfarm1 --localslots\n\
        @angry,lzo#x farm3\n#farm4 \xff\n\nfarm5#";
    let list = parse(text).unwrap();
    let tokens: Vec<_> = list.hosts.iter().map(|host| host.token.as_str()).collect();
    assert_eq!(tokens, ["farm1", "@angry,lzo", "farm5"]);
    assert_eq!(
        (list.randomize, list.local_slots, list.local_slots_cpp),
        (true, Some(3), Some(9))
    );
    let plain = parse("farm").unwrap();
    assert_eq!(
        (plain.randomize, plain.local_slots, plain.local_slots_cpp),
        (false, None, None)
    );
}

#[test]
fn a_list_of_settings_has_no_hosts() {
    for text in [
        "",
        " \n",
        "# farm",
        "--randomize",
        "--localslots=4 --localslots_cpp=8",
        "--localslots",
    ] {
        assert_eq!(parse(text), Err(HostListError::Empty), "{text:?}");
    }
    assert_eq!(HostListError::Empty.to_string(), "the list names no host");
}

#[test]
fn each_mistake_has_its_sentence() {
    let slots = |word: &str| {
        format!("\"{word}\" is no number of slots; write 1 to 9999, as in \"farm1/8\"")
    };
    let port =
        |word: &str| format!("\"{word}\" is no TCP port; write 1 to 65535, as in \"farm1:3632\"");
    let option = |word: &str| {
        format!(
            "\"{word}\" is no option of a host; there are lzo, cpp, key and down, as in \"farm1,lzo\""
        )
    };
    let after = |word: &str| {
        format!(
            "\"{word}\" after the host name; only slots (\"/8\"), a port (\":3632\") and options (\",lzo\") may follow"
        )
    };
    let name = "the host has no name; write one, as in \"farm1\", \"farm1:3632\" or \"user@farm1\"";
    let auth = "authentication with GSSAPI (\",auth\") is not supported and will not be; use ssh, as in \"user@farm1\"";
    let key = "\",key\" is for TCP hosts; ssh has keys of its own, and this machine needs none";
    let zeroconf = "only options may follow, as in \"+zeroconf,lzo\"";
    let setting = "this is no setting of a list; there are --randomize, --localslots=N and --localslots_cpp=N";
    let address = |word: &str| {
        format!("\"{word}\" is no IPv6 address; write one as in \"[::1]\" or \"[::1]:3632\"")
    };
    let char = |char: char| format!("a host name cannot contain \"{char}\"");
    #[rustfmt::skip]
    let table: Vec<(&str, String)> = vec![
        ("farm/0", slots("0")),
        ("farm/x", slots("x")),
        ("farm/", slots("")),
        ("farm/-3", slots("-3")),
        ("farm/+3", slots("+3")),
        ("farm/3x", slots("3x")),
        ("farm/10000", slots("10000")),
        ("farm/99999999999999999999", slots("99999999999999999999")),
        ("localhost/0", slots("0")),
        ("localhost/x,lzo", slots("x")),
        ("bob@farm/none:d", slots("none")),
        ("--localslots=0", slots("0")),
        ("--localslots_cpp=all", slots("all")),
        ("farm:0", port("0")),
        ("farm:", port("")),
        ("farm:70000", port("70000")),
        ("farm:12x/4", port("12x")),
        ("farm:-1", port("-1")),
        ("2001:db8::7", port("db8")),
        ("farm:1:2", after(":2")),
        ("[::1]8", after("8")),
        ("[::1", "the \"[\" has no \"]\"; write an IPv6 address as in \"[::1]\" or \"[::1]:3632\"".to_owned()),
        ("[farm]", address("farm")),
        ("[]", address("")),
        ("[../../x]", address("../../x")),
        ("@", name.to_owned()),
        ("bob@", name.to_owned()),
        ("bob@/4", name.to_owned()),
        (",lzo", name.to_owned()),
        (":4200", name.to_owned()),
        ("/4", name.to_owned()),
        ("far]m", char(']')),
        ("a@b@c", char('@')),
        ("+farm", char('+')),
        ("-l", char('-')),
        ("bob@-oProxyCommand", char('-')),
        ("far\u{7}m", char('\u{7}')),
        ("farm,", option("")),
        ("farm,,lzo", option("")),
        ("farm,lzofoo", option("lzofoo")),
        ("farm,LZO", option("LZO")),
        ("farm,lzo/4", option("lzo/4")),
        ("localhost/2,fast", option("fast")),
        ("farm,up", option("up")),
        ("farm,cpp", "cpp needs lzo; write \",lzo,cpp\"".to_owned()),
        ("farm,auth", auth.to_owned()),
        ("farm,lzo,auth=distcc", auth.to_owned()),
        ("bob@farm,key", key.to_owned()),
        ("localhost/4,lzo,key=/etc/key", key.to_owned()),
        ("farm,key=", "\",key=\" has no file; write \",key\" for DISTCC_DIR/key, or \",key=FILE\"".to_owned()),
        ("farm,keys", option("keys")),
        ("+zeroconf/4", zeroconf.to_owned()),
        ("+zeroconf:3632", zeroconf.to_owned()),
        ("+zeroconfs,lzo", zeroconf.to_owned()),
        ("+zeroconf,", option("")),
        ("+zeroconf,cpp", "cpp needs lzo; write \",lzo,cpp\"".to_owned()),
        ("+zeroconf,key=", "\",key=\" has no file; write \",key\" for DISTCC_DIR/key, or \",key=FILE\"".to_owned()),
        ("--randomise", setting.to_owned()),
        ("--randomize=1", setting.to_owned()),
        ("--localslotsx=1", setting.to_owned()),
    ];
    for (token, sentence) in table {
        let error = parse(format!("good {token} farm,worse")).unwrap_err();
        assert_eq!(error.to_string(), format!("host \"{token}\": {sentence}"));
    }
    let long = "n".repeat(201);
    let error = parse(&long).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("host \"{long}\": a host name has at most 200 bytes")
    );
    assert_eq!(
        parse(b"f\xffrm").unwrap_err().to_string(),
        "host \"f\u{fffd}rm\": this is not UTF-8 text"
    );
}

#[test]
fn hosts_may_be_looked_for() {
    let list = parse("farm1 +zeroconf,lzo,key=work.key farm2").unwrap();
    let zeroconf = list.zeroconf.clone().unwrap();
    assert_eq!((zeroconf.at, list.hosts.len()), (1, 2));
    assert!(zeroconf.lzo && !zeroconf.cpp && !zeroconf.down);
    assert_eq!(zeroconf.key, Some(KeyFile::Named("work.key".into())));

    let alone = parse("+zeroconf # whoever is there\n --localslots=2").unwrap();
    assert!(alone.hosts.is_empty() && alone.zeroconf.is_some_and(|it| it.key.is_none()));
    assert_eq!(parse("farm1").unwrap().zeroconf, None);

    let twice = parse("+zeroconf farm1 +zeroconf,key").unwrap_err();
    assert_eq!(
        twice.to_string(),
        "host \"+zeroconf,key\": the list has \"+zeroconf\" already; write it once"
    );
}

#[test]
fn a_list_has_an_end() {
    assert_eq!(
        parse("a ".repeat(MAX_HOSTS)).unwrap().hosts.len(),
        MAX_HOSTS
    );
    assert_eq!(
        parse("a ".repeat(MAX_HOSTS + 1)),
        Err(HostListError::TooMany)
    );
}

/// A list made good: each host parses to itself alone.
fn check(list: &HostList) {
    for host in &list.hosts {
        let again = parse(&host.token).unwrap();
        assert_eq!(again.hosts, std::slice::from_ref(host));
        assert!((1..=MAX_SLOTS).contains(&host.slots));
        assert!(!host.lock_name().contains(['/', '\0']), "{host:?}");
        assert!(host.lock_name().len() < 220);
    }
}

proptest! {
    #[test]
    fn any_bytes_give_a_list_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(list) = parse(&bytes) {
            check(&list);
        }
    }

    #[test]
    fn anything_like_a_list_gives_a_list_or_an_error(
        text in "((localhost|farm|\\+zeroconf|10.0.0.1|\\[::1\\]|bob@|@|--localslots|--randomize|/|=|:|,|lzo|cpp|down|key|key=|[0-9]{1,5}|#|\n| |é)){0,12}"
    ) {
        match parse(&text) {
            Ok(list) => check(&list),
            Err(HostListError::Token { token, .. }) => prop_assert!(text.contains(&token)),
            Err(_) => {}
        }
    }
}
