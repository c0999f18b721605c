//! The files that we share with stock distcc: its client and its monitor, as Debian has them, beside ours.

use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::SystemTime;

use crate::common::{hosts, take, wait_until, within_limit};
use hosts::{Dislikes, Folder, Monitor, NoSlot, Patience, Period, Phase, Try, state};

/// A server that takes connections and never answers, and a folder to share.
struct World {
    temp: tempfile::TempDir,
    port: u16,
    connections: Receiver<TcpStream>,
}

impl World {
    fn new() -> World {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a.c"), "int a;\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, connections) = channel();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if sender.send(connection).is_err() {
                    break;
                }
            }
        });
        World {
            temp,
            port,
            connections,
        }
    }

    fn folder(&self) -> &Path {
        self.temp.path()
    }

    fn list(&self, slots: u32) -> String {
        format!("127.0.0.1:{}/{slots}", self.port)
    }

    /// Stock's client compiling a file.
    fn stock(&self, slots: u32) -> Stock {
        let child = stock(self.folder())
            .args(["gcc", "-c", "a.c", "-o", "a.o"])
            .current_dir(self.folder())
            .env("DISTCC_HOSTS", self.list(slots))
            .env("DISTCC_LOG", self.folder().join("log"))
            .spawn()
            .unwrap();
        Stock(child)
    }

    /// Waits until a client has connected, which it does under its slot.
    fn connection(&self) -> TcpStream {
        self.connections
            .recv_timeout(crate::common::LIMIT)
            .expect("a connection")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }
}

/// A stock client; killed when dropped.
struct Stock(Child);

impl Drop for Stock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stock(folder: &Path) -> Command {
    let mut command = Command::new("distcc");
    command
        .env("DISTCC_DIR", folder)
        .env("DISTCC_VERBOSE", "1")
        .env("DISTCC_FALLBACK", "0");
    command
        .env_remove("DISTCC_BACKOFF_PERIOD")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn now(world: &World, slots: u32) -> Result<hosts::Slot, NoSlot> {
    take(world.folder(), &world.list(slots), &Patience::NONE)
}

#[test]
fn a_slot_of_stock_is_taken_until_stock_ends() {
    let world = World::new();
    let client = world.stock(2);
    let _connection = world.connection();
    let other = now(&world, 2).unwrap();
    assert_eq!(other.number(), 1, "stock has slot 0");
    assert!(matches!(now(&world, 2), Err(NoSlot::Busy)));
    drop(client);
    let freed = take(world.folder(), &world.list(2), &within_limit()).unwrap();
    assert_eq!(freed.number(), 0);
}

#[test]
fn a_slot_that_stock_gives_back_is_used() {
    let world = World::new();
    let mut client = world.stock(1);
    let connection = world.connection();
    assert!(matches!(now(&world, 1), Err(NoSlot::Busy)));
    // Without an answer the client ends on its own, by its own unlocking.
    drop(connection);
    assert!(take(world.folder(), &world.list(1), &within_limit()).is_ok());
    assert!(!client.0.wait().unwrap().success());
}

#[test]
fn stock_waits_for_a_slot_of_ours() {
    let world = World::new();
    let slot = now(&world, 1).unwrap();
    let _client = world.stock(1);
    // Its own words before it sleeps.
    wait_until("stock finds all slots taken", || {
        world.log().contains("sleep")
    });
    assert!(world.connections.try_recv().is_err());
    drop(slot);
    let _connection = world.connection();
    assert!(matches!(now(&world, 1), Err(NoSlot::Busy)));
}

#[test]
fn stock_avoids_a_host_that_failed_for_us() {
    let world = World::new();
    let host = hosts(&world.list(1)).hosts.remove(0);
    let dislikes = Dislikes::new(&Folder::at(world.folder()), Period::Growing);
    dislikes.failed(&host, SystemTime::now()).unwrap();
    let mut client = world.stock(1);
    assert!(!client.0.wait().unwrap().success());
    assert!(world.connections.try_recv().is_err(), "{}", world.log());

    dislikes.worked(&host);
    let _client = world.stock(1);
    let _connection = world.connection();
}

#[test]
fn we_avoid_a_host_that_failed_for_stock() {
    let world = World::new();
    let host = hosts(&world.list(1)).hosts.remove(0);
    let dislikes = |period| Dislikes::new(&Folder::at(world.folder()), period);
    let mut client = world.stock(1);
    drop(world.connection());
    assert!(!client.0.wait().unwrap().success());
    let minute = Period::from_variable(Some("60".as_ref()));
    assert!(matches!(
        dislikes(minute).may_try(&host, SystemTime::now()),
        Try::No { .. }
    ));
    let just = std::fs::metadata(
        world
            .folder()
            .join(format!("lock/backoff_tcp_127.0.0.1_{}_0", world.port)),
    );
    let growing = dislikes(Period::Growing);
    let noted = just.unwrap().modified().unwrap();
    let Try::No { until } = growing.may_try(&host, noted) else {
        panic!("avoided")
    };
    assert_eq!(until, noted + hosts::dislike::FIRST_PAUSE);
}

#[test]
fn stock_counts_the_slots_of_a_list_as_we_do() {
    let lists = [
        "localhost",
        "localhost/7 farm",
        "localhost,lzo 127.0.0.1/3",
        "farm:4200/8 farm/9:4200 [::1]/2:3632,lzo",
        "@a bob@b/5 bob@c/6:/opt/distccd,lzo,cpp # d",
        "--randomize --localslots=3 --localslots_cpp=9 a b/8,down\n#c\nd,cpp,lzo",
    ];
    let temp = tempfile::tempdir().unwrap();
    for list in lists {
        let output = stock(temp.path())
            .arg("-j")
            .env("DISTCC_HOSTS", list)
            .output()
            .unwrap();
        let stocks: u32 = String::from_utf8(output.stdout)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        let ours: u32 = hosts(list).hosts.iter().map(|host| host.slots).sum();
        assert_eq!(ours, stocks, "{list}");
        // And names them alike.
        let output = stock(temp.path())
            .arg("--show-hosts")
            .env("DISTCC_HOSTS", list)
            .output()
            .unwrap();
        let mut stocks: Vec<_> = str::from_utf8(&output.stdout).unwrap().lines().collect();
        let list = hosts(list);
        let mut ours: Vec<_> = list.hosts.iter().map(|host| host.token.as_str()).collect();
        if list.randomize {
            stocks.sort_unstable();
            ours.sort_unstable();
        }
        assert_eq!(ours, stocks);
    }
}

#[test]
fn stocks_monitor_shows_our_jobs() {
    let temp = tempfile::tempdir().unwrap();
    let mut monitor = Monitor::new(&Folder::at(temp.path()));
    monitor.note(Phase::Connect, b"hello.c", "10.0.0.1", 3);
    monitor.phase(Phase::Receive);
    let output = Command::new("distccmon-text")
        .env("DISTCC_DIR", temp.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = format!(
        "{:6}  {:10}  {:30} {:>24}[3]",
        std::process::id(),
        "Receive",
        "hello.c",
        "10.0.0.1"
    );
    assert_eq!(text.lines().next(), Some(line.as_str()), "{text}");
}

#[test]
fn we_show_stocks_jobs() {
    let world = World::new();
    let client = world.stock(1);
    let _connection = world.connection();
    let folder = Folder::at(world.folder());
    let shown = || {
        let states = state::read_all(&folder, SystemTime::now());
        states
            .into_iter()
            .find(|state| state.phase == Phase::Compile)
    };
    let mut seen = None;
    wait_until("stock waits for the answer", || {
        seen = shown();
        seen.is_some()
    });
    let seen = seen.unwrap();
    assert_eq!(seen.pid, client.0.id());
    assert_eq!(
        (seen.file.as_slice(), seen.host.as_slice()),
        (b"a.c".as_slice(), b"127.0.0.1".as_slice())
    );
    drop(client);
    assert_eq!(
        state::read_all(&folder, SystemTime::now()),
        [],
        "the dead are not shown"
    );
}
