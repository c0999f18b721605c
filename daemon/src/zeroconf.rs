//! `--zeroconf`: tells the network that this daemon is here, by multicast DNS, as stock's does through avahi.
//!
//! What is said stands in `protocol::zeroconf`; how it is said is the library's, in a thread of its own: so nothing here may begin before
//! the box is there. A network that is missing, or comes later, is no reason not to serve.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mdns_sd::{DaemonEvent, IfKind, Receiver, ServiceDaemon, ServiceInfo};
use protocol::zeroconf::{Announced, SERVICE};
use tokio::task::spawn_blocking;

use crate::idents;
use crate::log::{self, Chain};
use crate::server::Server;

/// How long the network may take to be told before the log says that nobody was.
const TOLD: Duration = Duration::from_secs(5);
/// The longest wait for the farewell to be on its way.
const FAREWELL: Duration = Duration::from_millis(500);
/// Bytes of a label of DNS.
const LABEL: usize = 63;

/// Announces what listens on `address` until the daemon takes in nobody any more.
pub(crate) async fn announce(server: Arc<Server>, address: SocketAddr) {
    if address.ip().to_canonical().is_loopback() {
        log::warning!(
            "--zeroconf: nothing is announced, since only this machine can reach {address}"
        );
        return;
    }
    let said = tokio::select! {
        said = about(&server) => said,
        () = server.draining() => return,
    };
    let begun = register(&said, address);
    let (multicast, events) = match begun {
        Ok(begun) => begun,
        Err(error) => {
            log::warning!("--zeroconf: not announced: {}", Chain(&error));
            return;
        }
    };
    let watching = spawn_blocking(move || tell(&events));
    server.draining().await;
    // Says goodbye for all that was announced.
    let ended = multicast.shutdown();
    let _ = spawn_blocking(move || ended.map(|ended| ended.recv_timeout(FAREWELL))).await;
    let _ = watching.await;
}

/// What there is to say.
async fn about(server: &Server) -> Announced {
    let mut said = Announced {
        cpus: std::thread::available_parallelism()
            .ok()
            .and_then(|count| u32::try_from(count.get()).ok()),
        jobs: u32::try_from(server.jobs).ok(),
        distcc: Some(concat!("3.4-launch.", env!("CARGO_PKG_VERSION")).to_owned()),
        gnuhost: Some(format!(
            "{}-{}",
            std::env::consts::ARCH,
            std::env::consts::OS
        )),
        launch: Some(env!("CARGO_PKG_VERSION").to_owned()),
        keys: server.gate.is_some(),
        ..Announced::default()
    };
    // Both or none: clients compare them.
    if let Some(machine) = idents::line(server, "gcc", "-dumpmachine").await
        && let Some(version) = idents::line(server, "gcc", "-dumpversion").await
    {
        (said.cc_machine, said.cc_version) = (Some(machine), Some(version));
    }
    said
}

type Begun = (ServiceDaemon, Receiver<DaemonEvent>);

fn register(said: &Announced, address: SocketAddr) -> Result<Begun, mdns_sd::Error> {
    let multicast = ServiceDaemon::new()?;
    let events = multicast.monitor()?;
    multicast.disable_interface(vec![IfKind::LoopbackV4, IfKind::LoopbackV6])?;
    multicast.register(service(said, address)?)?;
    Ok((multicast, events))
}

fn service(said: &Announced, address: SocketAddr) -> Result<ServiceInfo, mdns_sd::Error> {
    let node = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let names = Names::of(&node, address.port());
    let kind = said.subtype().unwrap_or_else(|| SERVICE.to_owned()) + ".local.";
    let fields = said.fields();
    let (ip, port) = (address.ip().to_canonical(), address.port());
    // The library looks up the addresses, also where it is said which: one that comes later is announced only so.
    let mut service = ServiceInfo::new(&kind, &names.service, &names.host, "", port, &fields[..])?
        .enable_addr_auto();
    match (ip.is_unspecified(), ip.is_ipv4()) {
        (false, _) => service.set_interfaces(vec![IfKind::Addr(ip)]),
        (true, true) => service.set_interfaces(vec![IfKind::IPv4]),
        // Both families.
        (true, false) => {}
    }
    Ok(service)
}

/// What this daemon is called.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    service: String,
    /// Not the machine's own name, for which others may speak (avahi), with addresses that we do not listen on.
    host: String,
}

impl Names {
    fn of(node: &str, port: u16) -> Names {
        let plain = |char: &char| char.is_ascii_alphanumeric() || *char == '-';
        let node: String = node.chars().take_while(plain).take(40).collect();
        let node = if node.is_empty() { "host" } else { &node };
        let mut service = format!("distcc@{node}");
        if port != 3632 {
            service.push_str(&format!(" {port}"));
        }
        let host = format!("{node}-distcc-{port}");
        debug_assert!(service.len() <= LABEL && host.len() <= LABEL);
        Names {
            service,
            host: host + ".local.",
        }
    }
}

/// Logs whether the network was told, and ends with the announcement.
fn tell(events: &Receiver<DaemonEvent>) {
    let begun = Instant::now();
    let mut told = false;
    loop {
        let event = match told {
            true => events.recv().ok(),
            false => {
                let left = TOLD.saturating_sub(begun.elapsed());
                match events.recv_timeout(left) {
                    Err(_) if !events.is_disconnected() => {
                        log::warning!(
                            "--zeroconf: there is no network to announce this daemon in yet"
                        );
                        told = true;
                        continue;
                    }
                    event => event.ok(),
                }
            }
        };
        match event {
            None => return,
            Some(DaemonEvent::Announce(name, addresses)) => {
                told = true;
                log::info!(
                    "announced as {} ({})",
                    name.escape_debug(),
                    addresses.escape_debug()
                );
            }
            Some(DaemonEvent::Error(error)) => log::info!("--zeroconf: {}", Chain(&error)),
            Some(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels() {
        let name = |node: &str, port| {
            let names = Names::of(node, port);
            (names.service, names.host)
        };
        let pair = |service: &str, host: &str| (service.to_owned(), host.to_owned());
        assert_eq!(
            name("vm.example.com", 3632),
            pair("distcc@vm", "vm-distcc-3632.local.")
        );
        assert_eq!(
            name("vm", 4000),
            pair("distcc@vm 4000", "vm-distcc-4000.local.")
        );
        assert_eq!(
            name("\u{e4}", 3632),
            pair("distcc@host", "host-distcc-3632.local.")
        );
        let (service, host) = name(&"n".repeat(500), 65535);
        assert!(service.len() <= LABEL && host.len() <= LABEL + ".local.".len());
    }

    fn said() -> Announced {
        Announced {
            jobs: Some(5),
            cc_version: Some("12".to_owned()),
            cc_machine: Some("x86_64-linux-gnu".to_owned()),
            ..Announced::default()
        }
    }

    #[test]
    fn it_is_found_by_its_compiler() {
        let service = service(&said(), "0.0.0.0:3632".parse().unwrap()).unwrap();
        assert_eq!(service.get_type(), "_distcc._tcp.local.");
        let by_compiler = "_x86-64-linux-gnu--12._sub._distcc._tcp.local.";
        assert_eq!(service.get_subtype().as_deref(), Some(by_compiler));
        assert_eq!(service.get_property_val_str("jobs"), Some("5"));
        assert_eq!(service.get_port(), 3632);
    }
}
