//! The harness itself, proven on stock's programs: it sees what is equal, what differs, and who ran where.

use tests::{Client, Farm, LyingServer, Reply, Space, side_by_side, until};

#[test]
fn stock_through_stock_is_remote_and_equal() {
    let farm = Farm::stock(1);
    let space = farm.space([("a.c", "int a;\n")]).client(Client::stock());
    space
        .compile("gcc -c a.c")
        .assert_same_as_local()
        .assert_remote();
}

#[test]
fn a_difference_is_seen() {
    // Stock creates the missing folder, where gcc alone fails.
    let farm = Farm::stock(1);
    let space = farm.space([("a.c", "int a;\n")]).client(Client::stock());
    let compared = space.compile("gcc -c a.c -o new/a.o");
    let found = compared.local.differences(&compared.via);
    assert!(
        found
            .iter()
            .any(|line| line.contains("exit code: 1 locally, 0 through")),
        "{found:?}"
    );
    assert!(
        found.iter().any(|line| line.starts_with("extra: new/a.o")),
        "{found:?}"
    );
}

#[test]
fn a_lying_server_counts_its_clients_and_lets_them_go() {
    let server = LyingServer::start(|talk| {
        talk.stall();
    });
    let spaces = [1, 2].map(|_| {
        Space::new([("a.c", "int a;\n")])
            .client(Client::stock())
            .hosts(&format!("{}/1", server.host()))
    });
    let running: Vec<_> = spaces
        .iter()
        .map(|space| {
            space.renew();
            tests::start(&mut space.command("gcc -c a.c"))
        })
        .collect();
    until("both clients are connected", || server.open() == 2);
    server.release();
    for one in running {
        assert_eq!(one.finish().code(), 0);
    }
    assert_eq!((server.accepted(), server.most_waiting()), (2, 2));
}

#[test]
fn an_answer_of_the_harness_is_understood_by_stock() {
    side_by_side([(1, ""), (2, ",lzo")], |(version, suffix)| {
        for len in [0, 5, 300, 2000] {
            let reply = Reply {
                version,
                object: vec![b'o'; len],
                ..Reply::default()
            };
            let server = LyingServer::answering(reply.encode());
            let space = Space::new([("a.c", "int a;\n")])
                .client(Client::stock())
                .hosts(&format!("{}{suffix}", server.host()));
            let compared = space.compile("gcc -c a.c");
            compared.assert_remote();
            assert_eq!(compared.via.bytes("a.o"), vec![b'o'; len]);
            assert_eq!(
                server.requests()[0].argv[1..],
                [&b"-c"[..], b"a.c", b"-o", b"a.o"]
            );
        }
    });
}
