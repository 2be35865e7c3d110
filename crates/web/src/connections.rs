//! Connections: how many there are at once, in all and of one address, how long a client may take to say what it wants,
//! and how long it may read nothing of its answer. Whoever opens many, sends half a request or never reads takes the place
//! of nobody else.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;
use tower::Service as _;

/// How long it is waited where no connection can be taken, for want of descriptors say.
const AGAIN: Duration = Duration::from_millis(50);
/// What is held for a connection beside the pieces of its answer, in bytes; the largest head of a request, too.
const BUFFER: usize = 128 << 10;
/// What is told to whoever finds no place.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\n\
                      content-type: text/plain\r\ncontent-length: 48\r\n\r\n\
                      Too many connections are open here. Come again.\n";

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// At once, in all. No more than half of the descriptors that the process may have.
    pub in_all: usize,
    /// At once, of one address; of IPv6, of one network of 64 bits.
    pub per_address: usize,
    /// How long the head of a request may take, and how long a connection may stay without one.
    pub head: Duration,
    /// How long an answer may make no progress, because the client reads nothing of it.
    pub unread: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self {
            in_all: 512,
            per_address: 128,
            head: Duration::from_secs(15),
            unread: Duration::from_secs(30),
        }
    }
}

impl Connections {
    fn in_all(self) -> usize {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = most.and_then(|most| usize::try_from(most / 2).ok());
        half.map_or(self.in_all, |half| self.in_all.min(half)).max(1)
    }
}

/// Those that are open.
#[derive(Debug, Default)]
struct Open {
    of: Mutex<(usize, HashMap<IpAddr, usize>)>,
}

/// The place of one connection, free again when this is dropped.
#[derive(Debug)]
struct Place {
    open: Arc<Open>,
    of: IpAddr,
}

impl Open {
    /// A place, if there is one.
    fn take(self: &Arc<Self>, address: IpAddr, limits: Connections) -> Option<Place> {
        let of = network(address);
        let mut open = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, each) = &mut *open;
        let own = each.get(&of).copied().unwrap_or(0);
        if *all >= limits.in_all || own >= limits.per_address {
            return None;
        }
        *all += 1;
        each.insert(of, own + 1);
        Some(Place { open: Arc::clone(self), of })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.of.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, each) = &mut *open;
        *all = all.saturating_sub(1);
        if let Some(own) = each.get_mut(&self.of) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                each.remove(&self.of);
            }
        }
    }
}

/// What counts as one address: whoever has one of IPv6 has all of its network.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((address.to_bits() & !u128::from(u64::MAX)).into()),
        other => other,
    }
}

/// Takes connections and answers them until it closes; then those that are being answered are brought to
/// their end.
pub async fn answer(
    listener: TcpListener,
    app: Router,
    limits: Connections,
    closing: watch::Receiver<bool>,
) {
    let limits = Connections { in_all: limits.in_all(), ..limits };
    let open = Arc::new(Open::default());
    let mut answering = JoinSet::new();
    let mut closes = closing.clone();
    loop {
        let accepted = tokio::select! {
            () = async { drop(closes.wait_for(|closing| *closing).await) } => break,
            Some(_) = answering.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match open.take(address.ip(), limits) {
                Some(place) => {
                    let (app, closing) = (app.clone(), closing.clone());
                    answering.spawn(async move {
                        one(stream, address, app, limits, closing).await;
                        drop(place);
                    });
                }
                // As far as it goes at once: nobody is waited for who has no place.
                None => drop(stream.try_write(FULL)),
            },
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!("no connection can be taken: {error}");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
    drop(listener);
    while answering.join_next().await.is_some() {}
}

/// Whether a connection failed before it was taken, which says nothing of the next.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection.
async fn one(
    stream: TcpStream,
    address: SocketAddr,
    app: Router,
    limits: Connections,
    mut closing: watch::Receiver<bool>,
) {
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.unread));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        // For those who count what comes from one address.
        request.extensions_mut().insert(ConnectInfo(address));
        let mut app = app.clone();
        async move {
            match names_its_host(&request) {
                Ok(()) => app.call(request).await,
                Err(why) => Ok::<Response, Infallible>(refused(why)),
            }
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(closing.wait_for(|closing| *closing).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended: {error}");
    }
}

/// A request of HTTP/1.1 has one Host field, with a host's name in it (RFC 9112, section 3.2).
fn names_its_host<B>(request: &Request<B>) -> Result<(), &'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => Err("A request names its host."),
        (Some(_), Some(_)) => Err("A request names one host."),
        (Some(host), None) => {
            let good =
                |text: &str| text.parse::<axum::http::uri::Authority>().is_ok() || text.is_empty();
            match host.to_str().is_ok_and(good) {
                true => Ok(()),
                false => Err("The request's Host is none."),
            }
        }
        (None, _) => Ok(()),
    }
}

fn refused(why: &'static str) -> Response {
    let headers = [(header::CONNECTION, "close"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (StatusCode::BAD_REQUEST, headers, why).into_response()
}

#[cfg(test)]
mod tests;
