//! The ends of a machine's channels and cables that are ours. They wait before the VMM starts, so nothing that
//! it says is lost.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use hospitium_host::{ByteStream, HostError};
use hospitium_model::{Channel, Network, Nic};
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::place::Place;

/// A VMM that was started has connected already.
const PATIENCE: Duration = Duration::from_secs(20);

type Stream = Box<dyn ByteStream>;

/// Ends that wait for the VMM.
pub(crate) struct Waiting {
    channels: Vec<(String, UnixListener)>,
    cables: Vec<(String, TcpListener)>,
    /// Paths of the channels' sockets, in the order of the specification.
    pub sockets: Vec<String>,
    /// Ports of the cables, by interface.
    pub ports: Vec<(String, u16)>,
}

/// Ends that the VMM has connected to.
pub(crate) struct Connected {
    pub channels: BTreeMap<String, Stream>,
    pub cables: BTreeMap<String, Stream>,
    /// Process id of the VMM, if it has a channel.
    pub pid: Option<u32>,
}

impl Waiting {
    /// Opens an end for each channel, and for each interface whose cable ends here.
    pub(crate) async fn open(
        place: &Place,
        channels: &[Channel],
        nics: &[Nic],
    ) -> Result<Self, HostError> {
        let mut waiting = Self {
            channels: Vec::new(),
            cables: Vec::new(),
            sockets: Vec::new(),
            ports: Vec::new(),
        };
        for channel in channels {
            let path = place.socket(&channel.name);
            let doing = format!("making the socket {}", path.display());
            let listener = UnixListener::bind(&path).map_err(HostError::io(doing))?;
            place.user().give(&path)?;
            waiting.sockets.push(path.to_string_lossy().into_owned());
            waiting.channels.push((channel.name.clone(), listener));
        }
        for nic in nics.iter().filter(|nic| nic.network == Network::Harness) {
            let (listener, port) = cable().await?;
            waiting.ports.push((nic.id.clone(), port));
            waiting.cables.push((nic.id.clone(), listener));
        }
        Ok(waiting)
    }

    /// Takes the connections of the VMM, which runs as this user.
    pub(crate) async fn accept(self, uid: u32) -> Result<Connected, HostError> {
        let mut connected =
            Connected { channels: BTreeMap::new(), cables: BTreeMap::new(), pid: None };
        for (name, listener) in self.channels {
            let stream: UnixStream = within(&format!("the channel {name}"), async {
                listener.accept().await.map(|(stream, _)| stream)
            })
            .await?;
            if connected.pid.is_none() {
                let peer = stream.peer_cred().ok().and_then(|peer| peer.pid());
                connected.pid = peer.and_then(|pid| u32::try_from(pid).ok());
            }
            connected.channels.insert(name, Box::new(stream));
        }
        for (name, listener) in self.cables {
            let stream = accept_cable(&name, &listener, uid).await?;
            connected.cables.insert(name, stream);
        }
        Ok(connected)
    }
}

/// The waiting end of a cable, and its port.
async fn cable() -> Result<(TcpListener, u16), HostError> {
    let io = || HostError::io("making the end of a network cable");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(io())?;
    let port = listener.local_addr().map_err(io())?.port();
    Ok((listener, port))
}

/// Takes the VMM's connection to the end of a cable. Anybody on this computer can connect to it, so whose a
/// connection is, is looked up.
async fn accept_cable(nic: &str, listener: &TcpListener, uid: u32) -> Result<Stream, HostError> {
    within(&format!("the cable of {nic}"), async {
        loop {
            let (stream, peer) = listener.accept().await?;
            let table = std::fs::read_to_string("/proc/net/tcp")?;
            if owner(&table, peer.port()) == Some(uid) {
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream) as Stream);
            }
        }
    })
    .await
}

/// The user whose connection has this port of 127.0.0.1 as its own end (Linux
/// Documentation/networking/proc_net_tcp.rst).
fn owner(table: &str, port: u16) -> Option<u32> {
    let own = format!("0100007F:{port:04X}");
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace();
        (words.nth(1)? == own).then(|| words.nth(5)?.parse().ok())?
    })
}

async fn within<T>(
    what: &str,
    work: impl Future<Output = std::io::Result<T>>,
) -> Result<T, HostError> {
    let what = format!("the VMM to connect to {what}");
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(HostError::io(format!("waiting for {what}"))),
        Err(_) => Err(HostError::TimedOut { what, limit: PATIENCE }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_connection_is_is_read_and_nonsense_is_nobodys() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:A2C4 0100007F:9D01 01 00000000:00000000 00:00000000 00000000 65534        0 942293 1\n\
            1: 0200007F:0001 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1\n";
        assert_eq!(owner(table, 0xA2C4), Some(65534));
        assert_eq!(owner(table, 1), None);
        assert_eq!(owner("\n0: 0100007F:0001\n", 1), None);
    }

    #[tokio::test]
    async fn a_cable_takes_the_vmms_connection_only() {
        let (listener, port) = cable().await.expect("a port");
        let _ours = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let own = rustix::process::geteuid().as_raw();
        accept_cable("net0", &listener, own).await.expect("ours");
        let _ours = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
        let foreign = accept_cable("net0", &listener, own.wrapping_add(1));
        let short = tokio::time::timeout(Duration::from_millis(50), foreign).await;
        assert!(short.is_err(), "a connection of another user was taken");
    }
}
