//! Each mix of our programs and stock's in pump mode: client, include server, daemon.
//!
//! Stock's include server is Debian's own, with a module in Python for the one in C that does not work there.

use std::path::Path;

use tests::{Client, Farm, IncludeServer, Space, StockIncludeServer};

fn project(farm: &Farm, socket: &Path) -> Space {
    let files = [
        (
            "src/a.c",
            "#include <assert.h>\n#include \"../inc/b.h\"\n#include \"near.h\"\nint a(int x) { assert(x); return B + NEAR + x; }\n",
        ),
        ("src/near.h", "#pragma once\n#define NEAR 4\n"),
        ("inc/b.h", "#ifndef B\n#define B 1\n#endif\n"),
        (
            "src/c.cc",
            "#include <string>\n#include <b.h>\n#include \"near.h\"\nstd::string c() { return std::string(\"x\", B + NEAR); }\n",
        ),
        ("src/plain.c", "int plain = 1;\n"),
        ("deps/x", ""),
    ];
    Space::new(files)
        .hosts(&farm.hosts("/4,lzo,cpp"))
        .client_env("INCLUDE_SERVER_PORT", socket)
}

/// What every daemon makes as it is made here.
const EQUAL: &[&str] = &[
    "gcc -O2 -c src/plain.c -o plain.o",
    "gcc -O2 -DNDEBUG -Iinc -c src/a.c -o deps/a.o",
    "g++ -O2 -Iinc -c src/c.cc -o deps/c.o",
];

/// What names folders of this machine.
const TIED: &[&str] = &[
    "gcc -g -c src/a.c -o a.o",
    "gcc -O1 -Iinc -c src/a.c -o a.o",
    "gcc -g -MD -MF deps/a.d -c src/a.c -o a.o",
    "gcc -g -MMD -c src/a.c -o deps/a.o",
    "g++ -g -Iinc -c src/c.cc -o c.o",
];

fn all_in_files(space: &Space, commands: &[&str]) {
    for command in commands {
        space.compile(command).assert_same_files().assert_pumped();
    }
}

#[test]
fn our_client_and_our_server() {
    let server = IncludeServer::start(&[]);
    let ours = Farm::ours(1);
    let space = project(&ours, &server.socket());
    all_in_files(&space, EQUAL);
    all_in_files(&space, TIED);
    let stock = Farm::stock(1);
    let space = project(&stock, &server.socket());
    all_in_files(&space, EQUAL);
}

#[test]
fn our_client_and_stocks_server() {
    let server = StockIncludeServer::start();
    let stock = Farm::stock(1);
    all_in_files(&project(&stock, &server.socket()), EQUAL);
    let ours = Farm::ours(1);
    let space = project(&ours, &server.socket());
    for command in EQUAL.iter().chain(TIED) {
        let compared = space.compile(command);
        compared
            .assert_same_as_local()
            .assert_not_pumped("stock-include-server");
    }
}

/// Stock's client with daemons of both kinds.
fn stocks_client(socket: &Path) {
    let stock = Farm::stock(1);
    let space = project(&stock, socket).client(Client::stock());
    all_in_files(&space, EQUAL);
    let ours = Farm::ours(1);
    let space = project(&ours, socket).client(Client::stock());
    all_in_files(&space, EQUAL);
    all_in_files(&space, TIED);
}

#[test]
fn stocks_client_and_our_server() {
    stocks_client(&IncludeServer::start(&[]).socket());
}

#[test]
fn stocks_client_and_stocks_server() {
    stocks_client(&StockIncludeServer::start().socket());
}
