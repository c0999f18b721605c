//! Which hosts of the list can be reached now.
//!
//! Asks by connecting, all at once, and gives up after a while.  Knows nothing of what a daemon would answer.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use hosts::list::{Host, Transport};

use crate::resolve;

/// Threads need little: one asks one host.
const STACK: usize = 128 << 10;

/// For each host whether something listens there; `None` where that cannot be asked so quickly: this machine, ssh, and hosts
/// that are marked down.  Takes at most `limit` in all; who has not answered by then counts as down.
pub(super) fn reachable(
    hosts: &[Host],
    folder: Option<&Path>,
    limit: Duration,
) -> Vec<Option<bool>> {
    let deadline = Instant::now() + limit;
    let (tell, told) = mpsc::channel();
    let mut answers = vec![None; hosts.len()];
    let mut waiting = 0;
    for (at, host) in hosts.iter().enumerate().filter(|(_, host)| !host.down) {
        let Transport::Tcp { host, port } = host.transport.clone() else {
            continue;
        };
        let (tell, folder) = (tell.clone(), folder.map(Path::to_owned));
        let ask = move || {
            let up = connects(&host, port, folder, deadline);
            // Nobody listens any more when the time is over.
            let _ = tell.send((at, up));
        };
        if thread::Builder::new().stack_size(STACK).spawn(ask).is_ok() {
            answers[at] = Some(false);
            waiting += 1;
        }
    }
    while waiting > 0 {
        let left = deadline.saturating_duration_since(Instant::now());
        let Ok((at, up)) = told.recv_timeout(left) else {
            break;
        };
        answers[at] = Some(up);
        waiting -= 1;
    }
    answers
}

fn connects(host: &str, port: u16, folder: Option<PathBuf>, deadline: Instant) -> bool {
    let addresses = match resolve::numeric(host) {
        Some(address) => vec![address],
        None => resolve::addresses(host, folder.as_deref()).unwrap_or_default(),
    };
    let answers = |address: &IpAddr| {
        let left = deadline.saturating_duration_since(Instant::now());
        !left.is_zero()
            && TcpStream::connect_timeout(&SocketAddr::new(*address, port), left).is_ok()
    };
    addresses.iter().any(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_up_and_the_others_do_not_hold_us_up() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let up = listener.local_addr().expect("bound").port();
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let down = closed.local_addr().expect("bound").port();
        drop(closed);
        let list =
            format!("127.0.0.1:{up} 127.0.0.1:{down} localhost/2 me@far 127.0.0.1:{up}/1,down");
        let list = hosts::list::parse(list).expect("a good list");
        let answers = reachable(&list.hosts, None, Duration::from_secs(20));
        assert_eq!(answers, [Some(true), Some(false), None, None, None]);
    }

    #[test]
    fn who_does_not_answer_in_time_is_down() {
        // A queue that is full answers no further connection.
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("bound");
        let mut held = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
            held.push(stream);
        }
        let list = hosts::list::parse(address.to_string()).expect("a good list");
        let answers = reachable(&list.hosts, None, Duration::from_millis(50));
        assert_eq!(answers, [Some(false)]);
    }
}
